/** The API of Freddy in the demo. */
import { Effect, Layer, Redacted } from "effect"
import { Freddy } from "../src/index.js"
import * as FreddySandbox from "../src/testing/FreddySandbox.js"
import type { Api } from "./Api.js"
import { paged } from "./paged.js"
import { credentials, patience, user } from "./user.js"

const code = "1234"

export const freddy: Api = {
  name: "freddy",
  sandbox: ({ lifetime }) => FreddySandbox.make({ ...user, code, lifetime, pages: 25 }),
  layerSandbox: (baseUrl) =>
    // The delay stands for the time that a person needs to find the mail.
    Freddy.layer({
      baseUrl,
      patience,
      code: () => Effect.delay(Effect.succeed(Redacted.make(code)), "300 millis")
    }).pipe(Layer.provide(credentials)),
  isTokenRequest: (path) => path.includes("/auth/"),
  ...paged("/v1/threads")
}
