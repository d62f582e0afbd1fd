// Two accounts in one application: each is wrapped in a service of its own, as both layers provide the same tags.
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { ConfigProvider, Console, Context, Effect, Layer } from "effect"
import { AuthHttpClient, Violet } from "effect-auth"

class Shop extends Context.Tag("effect-auth/examples/two-apis/Shop")<Shop, AuthHttpClient.Service>() {}
class Outlet extends Context.Tag("effect-auth/examples/two-apis/Outlet")<Outlet, AuthHttpClient.Service>() {}

// SHOP_VIOLET_APP_ID, SHOP_VIOLET_APP_SECRET, SHOP_VIOLET_USERNAME, SHOP_VIOLET_PASSWORD; the same for OUTLET.
const account = (prefix: string) =>
  Violet.layerConfig({ label: prefix }).pipe(
    Layer.provide(Violet.layerCredentialsConfig()),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.nested(ConfigProvider.fromEnv(), prefix)))
  )

const apis = Layer.mergeAll(
  Layer.effect(Shop, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(account("SHOP"))),
  Layer.effect(Outlet, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(account("OUTLET")))
).pipe(Layer.provide(NodeHttpClient.layerUndici))

const program = Effect.gen(function* () {
  const shop = yield* Shop
  const outlet = yield* Outlet
  yield* Console.log("shop", (yield* shop.get("/merchants")).status)
  yield* Console.log("outlet", (yield* outlet.get("/merchants")).status)
}).pipe(
  // Each failure has a tag of its own, for what can be done about it.
  Effect.catchTag("InvalidCredentials", () => Console.error("a password was refused: ask for another")),
  Effect.catchTag("NetworkFailure", (error) => Console.error(`not now: ${error.message}`))
)

NodeRuntime.runMain(Effect.provide(program, apis))
