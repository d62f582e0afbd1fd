// Remote procedures over HTTP: every request carries the token, and a rejected one is sent again with a new token.
import { HttpClient } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Rpc, RpcClient, RpcGroup, RpcSerialization } from "@effect/rpc"
import { Config, Console, Effect, Layer, Schema, Stream } from "effect"
import { Auth, AuthHttpClient, Credentials, OAuth2 } from "effect-auth"

class Prices extends RpcGroup.make(
  Rpc.make("Price", { payload: { item: Schema.String }, success: Schema.Number }),
  Rpc.make("Changes", { payload: { item: Schema.String }, success: Schema.Number, stream: true })
) {}

const program = Effect.gen(function* () {
  const prices = yield* RpcClient.make(Prices)
  yield* Console.log(`a chair: ${yield* prices.Price({ item: "chair" })}`)
  yield* Stream.runForEach(prices.Changes({ item: "chair" }), (price) => Console.log(`now: ${price}`))
}).pipe(Effect.scoped)

// Without filterStatusOk, a caller whose requests are always rejected would wait for ever: the protocol ignores a 401.
const http = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(AuthHttpClient.AuthHttpClient, (client) => HttpClient.filterStatusOk(AuthHttpClient.toHttpClient(client)))
)

const provider = Effect.gen(function* () {
  return yield* OAuth2.make({
    name: "prices",
    baseUrl: yield* Config.string("PRICES_URL"),
    tokenEndpoint: yield* Config.string("PRICES_TOKEN_ENDPOINT"),
    grant: "client_credentials",
    clientId: "prices-client",
    clientSecret: yield* Config.redacted("PRICES_SECRET")
  })
})

// A URL without an origin is taken below PRICES_URL.
const prices = RpcClient.layerProtocolHttp({ url: "/rpc" }).pipe(
  Layer.provide([http, RpcSerialization.layerNdjson]),
  Layer.provide(Auth.layer(provider, { renewal: "on-use" })),
  Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici])
)

NodeRuntime.runMain(Effect.provide(program, prices))
