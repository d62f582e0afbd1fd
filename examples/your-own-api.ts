// An API of your own: an unusual header, tokens deep inside the response, error codes that only this API has.
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Option, Schema } from "effect"
import { Auth, AuthHttpClient, AuthProvider, Credentials, Protocol } from "effect-auth"

const TokenResponse = Schema.Struct({
  data: Schema.Struct({ session: Schema.Struct({ key: Protocol.Field, ttl: Protocol.Field, next: Protocol.Field }) })
})

const parcel = Effect.gen(function* () {
  return yield* AuthProvider.make({
    name: "parcel",
    baseUrl: yield* Config.string("PARCEL_BASE_URL"),
    rotation: "single-use",
    headers: { "x-parcel-client": yield* Config.redacted("PARCEL_CLIENT") },
    token: { header: "x-parcel-session" },
    login: Option.map(({ password, username }) => Protocol.json("sessions", { user: username, pass: password })),
    refresh: (next) => Protocol.json("sessions/renew", { next }),
    response: TokenResponse,
    tokens: ({ data: { session } }) => ({
      accessToken: session.key,
      expiresIn: session.ttl,
      refreshToken: session.next
    }),
    errorResponse: Schema.Struct({ problem: Schema.Literal("unknown-user", "unknown-key", "key-ended") }),
    errorMeaning: ({ problem }) => (problem === "key-ended" ? "expired" : "invalid")
  })
})

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  yield* Console.log(yield* Effect.flatMap(client.get("/parcels"), (response) => response.text))
})

const layer = Auth.layer(parcel).pipe(
  Layer.provide(Credentials.layerConfig({ username: "PARCEL_USER", password: "PARCEL_PASSWORD" })),
  Layer.provide(NodeHttpClient.layerUndici)
)

NodeRuntime.runMain(Effect.provide(program, layer))
