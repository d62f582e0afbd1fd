import {
  HttpApi,
  HttpApiClient,
  HttpApiEndpoint,
  type HttpApiError,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  type HttpClientError
} from "@effect/platform"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, type ParseResult, Schema, TestClock } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import { ordersSandbox } from "./signedIn.js"

class Page extends Schema.Class<Page>("Page")({
  content: Schema.Array(Schema.Struct({ id: Schema.Number, name: Schema.String })),
  last: Schema.Boolean
}) {}

class Refused extends Schema.Class<Refused>("Refused")(
  { error: Schema.Literal("invalid_token") },
  HttpApiSchema.annotations({ status: 401 })
) {}

class Malformed extends Schema.Class<Malformed>("Malformed")(
  { error: Schema.Literal("invalid_request") },
  HttpApiSchema.annotations({ status: 400 })
) {}

class Bearer extends HttpApiMiddleware.Tag<Bearer>()("effect-auth/test/integration/ecosystem/HttpApi/Bearer", {
  failure: Refused,
  security: { bearer: HttpApiSecurity.bearer }
}) {}

const Numbers = Schema.Struct({ page: Schema.NumberFromString, size: Schema.NumberFromString })

const Api = HttpApi.make("shop").add(
  HttpApiGroup.make("orders")
    .add(HttpApiEndpoint.get("list", "/orders").setUrlParams(Numbers).addSuccess(Page).addError(Malformed))
    .add(
      HttpApiEndpoint.post("place", "/echo")
        .setPayload(Schema.Struct({ id: Schema.Number }))
        .addSuccess(Schema.Any)
    )
    .middleware(Bearer)
)

const setup = Effect.fnUntraced(function* (options: Parameters<typeof ordersSandbox>[0] = {}) {
  const made = yield* ordersSandbox(options)
  return { ...made, api: yield* HttpApiClient.makeWith(Api, { httpClient: made.client }) }
})

const first = { urlParams: { page: 1, size: 2 } }

describe("HttpApiClient over the authorized client", () => {
  it("has AuthError in its error channel, beside the errors of the API, and needs no middleware", () => {
    type OfTheApi = Malformed | Refused | HttpApiError.HttpApiDecodeError
    type Failure = AuthError | OfTheApi | HttpClientError.HttpClientError | ParseResult.ParseError
    const list = (client: AuthHttpClient.Service) =>
      Effect.flatMap(HttpApiClient.makeWith(Api, { httpClient: client }), ({ orders }) => orders.list(first))
    expectTypeOf(list).returns.toEqualTypeOf<Effect.Effect<Page, Failure>>()
    const group = (client: AuthHttpClient.Service) =>
      Effect.flatMap(HttpApiClient.group(Api, { group: "orders", httpClient: client }), ({ list }) => list(first))
    expectTypeOf(group).returns.toEqualTypeOf<Effect.Effect<Page, Failure>>()
    const endpoint = (client: AuthHttpClient.Service) =>
      Effect.flatMap(HttpApiClient.endpoint(Api, { group: "orders", endpoint: "list", httpClient: client }), (list) =>
        list(first)
      )
    expectTypeOf(endpoint).returns.toEqualTypeOf<Effect.Effect<Page, Failure>>()
    // What is handled is gone from the types.
    const handled = (client: AuthHttpClient.Service) =>
      Effect.catchTag(list(client), "SignedOut", () => Effect.succeed("sign in"))
    expectTypeOf<Effect.Effect.Error<ReturnType<typeof handled>>>().toEqualTypeOf<
      Exclude<Failure, { readonly _tag: "SignedOut" }>
    >()
    const plain = () => HttpApiClient.make(Api).pipe(Effect.provide(AuthHttpClient.layerHttpClient))
    expectTypeOf<Effect.Effect.Context<ReturnType<typeof plain>>>().toEqualTypeOf<AuthHttpClient.AuthHttpClient>()
  })

  it.scoped("decodes what the API answers, for longer than a token lives and through a 401", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup({ lifetime: "10 minutes" })
      assert.strictEqual((yield* api.orders.list(first)).content.length, 2)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* api.orders.list(first)).last, false)
      yield* sandbox.revokeAccessTokens
      assert.deepStrictEqual(yield* api.orders.place({ payload: { id: 7 } }), { id: 7 })
      assert.deepInclude({ ...(yield* sandbox.report) }, { tokenRequests: 3, rejections: 1, complaints: 0 })
    })
  )

  it.scoped("an error that the API declares is decoded, a second 401 among them", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const malformed = yield* Effect.flip(api.orders.list({ urlParams: { page: 0, size: 1 } }))
      assert.instanceOf(malformed, Malformed)
      const refusal = Faults.Response({ status: 401, body: { error: "invalid_token" } })
      yield* sandbox.faults.inject("api", refusal, 2)
      assert.instanceOf(yield* Effect.flip(api.orders.list(first)), Refused)
      assert.strictEqual((yield* sandbox.report).tokenRequests, 2)
    })
  )

  it.scoped("an AuthError is caught by its tag", () =>
    Effect.gen(function* () {
      const { api, session } = yield* setup()
      yield* session.logout
      const caught = Effect.catchTag(api.orders.list(first), "SignedOut", ({ provider }) => Effect.succeed(provider))
      assert.strictEqual(yield* caught, "orders")
    })
  )

  it.scoped("HttpApiClient.make works over layerHttpClient, where an AuthError is the cause of a RequestError", () =>
    Effect.gen(function* () {
      const { client, session } = yield* setup()
      const api = yield* HttpApiClient.make(Api).pipe(
        Effect.provide(AuthHttpClient.layerHttpClient),
        Effect.provideService(AuthHttpClient.AuthHttpClient, client)
      )
      assert.strictEqual((yield* api.orders.list(first)).content.length, 2)
      yield* session.logout
      const error = yield* Effect.flip(api.orders.list(first))
      assert.instanceOf(error, Error)
      assert.deepInclude({ ...error }, { _tag: "RequestError", reason: "Encode" })
    })
  )
})
