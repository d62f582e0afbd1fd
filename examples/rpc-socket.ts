// Remote procedures over a socket. No HttpClient sees its messages, so a client middleware puts the token on each.
import { Headers } from "@effect/platform"
import { NodeHttpClient, NodeRuntime, NodeSocket } from "@effect/platform-node"
import { Rpc, RpcClient, RpcGroup, RpcMiddleware, RpcSerialization } from "@effect/rpc"
import { Config, Console, Effect, Equal, Layer, Redacted, Schema } from "effect"
import { Auth, Credentials, OAuth2, Session } from "effect-auth"

class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}

class Authorization extends RpcMiddleware.Tag<Authorization>()("effect-auth/examples/rpc-socket/Authorization", {
  failure: Unauthorized,
  requiredForClient: true
}) {}

class Prices extends RpcGroup.make(
  Rpc.make("Price", { payload: { item: Schema.String }, success: Schema.Number })
).middleware(Authorization) {}

// A middleware has no error channel, so a failure here would be a defect: signedIn asks for the token first.
const authorization = RpcMiddleware.layerClient(
  Authorization,
  Effect.map(
    Session.Session,
    (session): RpcMiddleware.RpcMiddlewareClient =>
      ({ request }) =>
        Effect.map(Effect.orDie(session.accessToken), (token) => ({
          ...request,
          headers: Headers.set(request.headers, "authorization", `Bearer ${Redacted.value(token)}`)
        }))
  )
)

const isUnauthorized = (error: unknown): error is Unauthorized => error instanceof Unauthorized

/** Fails with a typed AuthError if there is no token, and calls once more with a new one if the server rejects it. */
const signedIn = <A, E, R>(call: Effect.Effect<A, E | Unauthorized, R>) =>
  Effect.gen(function* () {
    const session = yield* Session.Session
    const token = yield* session.accessToken
    const retry = (rejection: Unauthorized) =>
      Effect.flatMap(session.reject(token), (next) =>
        Equal.equals(next, token)
          ? Effect.fail(rejection)
          : Effect.tapError(call, (error) =>
              isUnauthorized(error) ? Effect.ignore(session.reject(next, { retried: true })) : Effect.void
            )
      )
    return yield* Effect.catchIf(call, isUnauthorized, retry)
  })

const program = Effect.gen(function* () {
  const prices = yield* RpcClient.make(Prices)
  yield* Console.log(`a chair: ${yield* signedIn(prices.Price({ item: "chair" }))}`)
}).pipe(Effect.scoped)

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

const session = Auth.layer(provider, { renewal: "on-use" }).pipe(
  Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici])
)

// The session does not know the socket. You have to make sure that it leads to the API only, and over wss.
const socket = Layer.unwrapEffect(Effect.map(Config.string("PRICES_SOCKET"), (url) => NodeSocket.layerWebSocket(url)))

const prices = RpcClient.layerProtocolSocket().pipe(Layer.provide([socket, RpcSerialization.layerJson]))

NodeRuntime.runMain(Effect.provide(program, Layer.merge(prices, authorization).pipe(Layer.provideMerge(session))))
