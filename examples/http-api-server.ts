// A server that requires a bearer token from its callers, and calls another API with the token of its own session.
import { createServer } from "node:http"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpServer
} from "@effect/platform"
import { NodeHttpClient, NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Context, Effect, Layer, Redacted, Schema } from "effect"
import { Auth, AuthError, AuthHttpClient, Credentials, OAuth2 } from "effect-auth"

class Caller extends Context.Tag("effect-auth/examples/http-api-server/Caller")<Caller, { readonly name: string }>() {}

class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  {},
  HttpApiSchema.annotations({ status: 401 })
) {}

class NoSuchOrder extends Schema.TaggedError<NoSuchOrder>()(
  "NoSuchOrder",
  { id: Schema.Number },
  HttpApiSchema.annotations({ status: 404 })
) {}

class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  {},
  HttpApiSchema.annotations({ status: 503 })
) {}

class Authorization extends HttpApiMiddleware.Tag<Authorization>()(
  "effect-auth/examples/http-api-server/Authorization",
  {
    failure: Unauthorized,
    provides: Caller,
    security: { bearer: HttpApiSecurity.bearer }
  }
) {}

class Order extends Schema.Class<Order>("Order")({ id: Schema.Number, item: Schema.String, stock: Schema.Number }) {}

const Shop = HttpApi.make("shop").add(
  HttpApiGroup.make("orders")
    .add(
      HttpApiEndpoint.get("find")`/orders/${HttpApiSchema.param("id", Schema.NumberFromString)}`
        .addSuccess(Order)
        .addError(NoSuchOrder)
        .addError(Unavailable)
    )
    .middleware(Authorization)
)

// The caller's token stops here: the bare client asks the introspection endpoint about it (RFC 7662).
const Claims = Schema.Struct({ active: Schema.Boolean, sub: Schema.optional(Schema.String) })
const authorization = Layer.effect(
  Authorization,
  Effect.gen(function* () {
    const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
    const endpoint = yield* Config.string("INTROSPECTION_ENDPOINT")
    const secret = yield* Config.redacted("SHOP_SECRET")
    return {
      bearer: (token) =>
        HttpClientRequest.post(endpoint).pipe(
          HttpClientRequest.basicAuth("shop-server", secret),
          HttpClientRequest.bodyUrlParams({ token: Redacted.value(token) }),
          client.execute,
          Effect.flatMap(HttpClientResponse.schemaBodyJson(Claims)),
          Effect.orDie,
          Effect.flatMap(({ active, sub }) => (active ? Effect.succeed({ name: sub ?? "" }) : new Unauthorized()))
        )
    }
  })
)

const orders = HttpApiBuilder.group(Shop, "orders", (handlers) =>
  Effect.gen(function* () {
    const warehouse = HttpClient.filterStatusOk(yield* AuthHttpClient.AuthHttpClient)
    const stockOf = (item: string) =>
      warehouse.get(`/stock/${item}`).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Schema.Number)),
        // A failure of our own session is not the caller's fault, so the caller does not get a 401.
        Effect.catchIf(AuthError.isAuthError, (error) =>
          AuthError.isTransient(error) ? new Unavailable() : Effect.die(error)
        ),
        Effect.catchTag("RequestError", "ResponseError", () => new Unavailable()),
        Effect.catchTag("ParseError", Effect.die)
      )
    return handlers.handle("find", ({ path: { id } }) =>
      Effect.gen(function* () {
        const { name } = yield* Caller
        if (id !== 1) return yield* new NoSuchOrder({ id })
        return new Order({ id, item: `a chair for ${name}`, stock: yield* stockOf("chair") })
      })
    )
  })
)

const provider = Effect.gen(function* () {
  return yield* OAuth2.make({
    name: "warehouse",
    baseUrl: yield* Config.string("WAREHOUSE_URL"),
    tokenEndpoint: yield* Config.string("TOKEN_ENDPOINT"),
    grant: "client_credentials",
    clientId: "shop-server",
    clientSecret: yield* Config.redacted("SHOP_SECRET")
  })
})

const shop = HttpApiBuilder.api(Shop).pipe(
  Layer.provide(orders),
  Layer.provide(authorization),
  Layer.provide(Auth.layer(provider)),
  Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici])
)

const server = HttpApiBuilder.serve().pipe(
  HttpServer.withLogAddress,
  Layer.provide(shop),
  Layer.provide(
    NodeHttpServer.layerConfig(createServer, { host: Config.succeed("127.0.0.1"), port: Config.integer("PORT") })
  )
)

NodeRuntime.runMain(Layer.launch(server))
