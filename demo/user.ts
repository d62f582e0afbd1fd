/** The sandboxes' own user, which their processes know by the same constants. */
import { Redacted } from "effect"
import { Credentials } from "../src/index.js"

export const user = { username: "test-user@example.com", password: "test-password" }

export const credentials = Credentials.layer({
  username: Redacted.make(user.username),
  password: Redacted.make(user.password)
})

/** Shorter than usual: the demo is to show what callers do once it has run out. */
export const patience = "1 second"
