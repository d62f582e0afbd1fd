// A typed client of an HttpApi that stays signed in. The responses of the API and the failures of signing in are typed.
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Schema } from "effect"
import { Auth, AuthHttpClient, Credentials, OAuth2 } from "effect-auth"

class Order extends Schema.Class<Order>("Order")({ id: Schema.Number, item: Schema.String, stock: Schema.Number }) {}

class NoSuchOrder extends Schema.TaggedError<NoSuchOrder>()(
  "NoSuchOrder",
  { id: Schema.Number },
  HttpApiSchema.annotations({ status: 404 })
) {}

const Shop = HttpApi.make("shop").add(
  HttpApiGroup.make("orders").add(
    HttpApiEndpoint.get("find")`/orders/${HttpApiSchema.param("id", Schema.NumberFromString)}`
      .addSuccess(Order)
      .addError(NoSuchOrder)
  )
)

const program = Effect.gen(function* () {
  const shop = yield* HttpApiClient.makeWith(Shop, { httpClient: yield* AuthHttpClient.AuthHttpClient })
  const { item, stock } = yield* shop.orders.find({ path: { id: 1 } })
  yield* Console.log(`order 1: ${item}, ${stock} in stock`)
  yield* shop.orders.find({ path: { id: 2 } })
}).pipe(
  // The API's own error, and one of effect-auth: each is caught by its tag and is then gone from the type.
  Effect.catchTag("NoSuchOrder", ({ id }) => Console.log(`order ${id}: there is none`)),
  Effect.catchTag("Misconfigured", (error) => Console.error(`the client was refused: ${error.message}`))
)

const provider = Effect.gen(function* () {
  return yield* OAuth2.make({
    name: "shop",
    baseUrl: yield* Config.string("SHOP_URL"),
    tokenEndpoint: yield* Config.string("SHOP_TOKEN_ENDPOINT"),
    grant: "client_credentials",
    clientId: "shop-client",
    clientSecret: yield* Config.redacted("SHOP_SECRET")
  })
})

const shop = Auth.layer(provider, { renewal: "on-use" }).pipe(
  Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici])
)

NodeRuntime.runMain(Effect.provide(program, shop))
