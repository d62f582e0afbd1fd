// A service signs in to an API by OAuth 2.0 as itself, and prints the orders that it may see.
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { Auth, AuthHttpClient, Credentials, OAuth2 } from "effect-auth"

const provider = Effect.gen(function* () {
  return yield* OAuth2.make({
    name: "orders",
    baseUrl: yield* Config.string("ORDERS_URL"),
    issuer: yield* Config.string("ORDERS_ISSUER"), // or tokenEndpoint and revocationEndpoint
    grant: "client_credentials", // or "password", or "refresh_token" with a seed
    clientId: "orders",
    clientSecret: yield* Config.redacted("ORDERS_SECRET"),
    scope: ["orders:read"],
    parameters: { audience: "orders" }
  })
})

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/orders")
  yield* Console.log(yield* response.text)
})

const orders = Auth.layer(provider).pipe(Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici]))

NodeRuntime.runMain(Effect.provide(program, orders))
