/** What the programs of Exit.test.ts have in common: layers, one call, and what keeps the process alive at a moment. */
import { FetchHttpClient, type HttpClient } from "@effect/platform"
import { Config, Effect, Layer, Redacted } from "effect"
import { type Auth, AuthHttpClient, Credentials, Violet } from "../../src/index.js"
import { flush } from "../support/ManualClock.js"

export { FetchHttpClient } from "@effect/platform"
export { NodeHttpClient } from "@effect/platform-node"
export { Effect, Layer, ManagedRuntime, Redacted, Scope } from "effect"
export { Session } from "../../src/index.js"

export const layer = (
  options: Partial<Violet.Options> & Auth.Options,
  client: Layer.Layer<HttpClient.HttpClient> = FetchHttpClient.layer
) =>
  Layer.unwrapEffect(
    Effect.map(Config.string("BASE_URL"), (baseUrl) =>
      Violet.layer({ appId: 1234, appSecret: Redacted.make("test-app-secret"), baseUrl, ...options })
    )
  ).pipe(
    Layer.provide(
      Credentials.layer({
        username: Redacted.make("test-user@example.com"),
        password: Redacted.make("test-password")
      })
    ),
    Layer.provide(client)
  )

export const call = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/merchants")
  yield* response.json
  yield* Effect.sync(() => console.log("status", response.status))
})

/** What waits for a promise gets on first; then only what was started to stay is left. */
export const timers = () =>
  Effect.runPromise(Effect.repeatN(flush, 50)).then(
    () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length
  )

process.on("exit", () => console.log("by itself"))
