// A first program: a client of an API that signs in as itself. It needs no account, as the server is a sandbox in memory.
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted } from "effect"
import { AuthHttpClient, Credentials, OAuth2 } from "effect-auth"
import * as OAuth2Sandbox from "effect-auth/testing/OAuth2Sandbox"

const program = Effect.gen(function* () {
  const sandbox = yield* OAuth2Sandbox.make({ clientId: "shop", clientSecret: "test-secret" })
  const orders = OAuth2.layer({
    baseUrl: sandbox.baseUrl,
    tokenEndpoint: `${sandbox.baseUrl}/token`,
    grant: "client_credentials",
    clientId: "shop",
    clientSecret: Redacted.make("test-secret")
  }).pipe(Layer.provide([Credentials.layerNone, Layer.succeed(HttpClient.HttpClient, sandbox.client)]))
  const call = Effect.flatMap(AuthHttpClient.AuthHttpClient, (client) => client.get("/orders?size=2"))
  yield* Effect.gen(function* () {
    yield* Console.log(yield* Effect.flatMap(call, (response) => response.text))
    yield* sandbox.revokeAccessTokens
    yield* Console.log("after every token was revoked:", (yield* call).status)
  }).pipe(Effect.provide(orders))
})

NodeRuntime.runMain(program)
