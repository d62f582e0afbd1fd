// A backend that acts for many merchants, each with an account of its own at Violet.
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Context, Data, Effect, Layer, Schema } from "effect"
import { SessionMap, TokenStore, Violet } from "effect-auth"
import * as File from "effect-auth/stores/File"

class UnknownMerchant extends Data.TaggedError("UnknownMerchant")<{ readonly merchant: string }> {}

class Merchants extends Context.Tag("effect-auth/examples/many-tenants/Merchants")<
  Merchants,
  SessionMap.Service<string, UnknownMerchant>
>() {}

// In place of a table: MERCHANTS='{"acme": {"username": "…", "password": "…"}, …}'
const Accounts = Schema.parseJson(
  Schema.Record({
    key: Schema.String,
    value: Schema.Struct({ username: Schema.Redacted(Schema.String), password: Schema.Redacted(Schema.String) })
  })
)

const merchants = Layer.unwrapEffect(
  Effect.gen(function* () {
    const accounts = yield* Schema.Config("MERCHANTS", Accounts)
    // One provider for all tenants: it holds the application's own identity at Violet.
    const provider = yield* Violet.make({
      appId: yield* Config.integer("VIOLET_APP_ID"),
      appSecret: yield* Config.redacted("VIOLET_APP_SECRET"),
      baseUrl: yield* Config.string("VIOLET_BASE_URL")
    })
    return SessionMap.layer(Merchants, {
      lookup: (merchant: string) => {
        const credentials = accounts[merchant]
        return credentials === undefined
          ? new UnknownMerchant({ merchant })
          : Effect.succeed({ provider, account: merchant, credentials: Effect.succeed(credentials) })
      },
      store: TokenStore.TokenStore,
      renewal: "on-use",
      idleTimeToLive: "10 minutes"
    })
  })
)

const request = (merchant: string) =>
  Effect.gen(function* () {
    const client = (yield* Merchants).client(merchant)
    yield* Console.log(merchant, (yield* client.get("/merchants")).status)
  }).pipe(
    Effect.catchTags({
      UnknownMerchant: () => Console.log(merchant, "is not known here"),
      InvalidCredentials: () => Console.log(merchant, "has to enter the password again")
    })
  )

const program = Effect.forEach(["acme", "globex", "initech", "acme"], request, { concurrency: "unbounded" })

const tokens = File.layerConfig().pipe(Layer.provide(NodeContext.layer))

NodeRuntime.runMain(program.pipe(Effect.provide(merchants.pipe(Layer.provide([tokens, NodeHttpClient.layerUndici])))))
