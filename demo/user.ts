/** The user of the sandboxes. The process of the sandbox reads the same constants. */
import { Redacted } from "effect"
import { Credentials } from "../src/index.js"

export const user = { username: "test-user@example.com", password: "test-password" }

export const credentials = Credentials.layer({
  username: Redacted.make(user.username),
  password: Redacted.make(user.password)
})

/** Shorter than the default, so that the demo shows what happens after it. */
export const patience = "1 second"
