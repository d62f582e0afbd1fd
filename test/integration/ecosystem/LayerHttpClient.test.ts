import { Cookies, Headers, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Ref, Schedule, Schema, TestClock, Tracer } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import { failure } from "../../support/harness.js"
import { orders, ordersSandbox, violet } from "./signedIn.js"

/** An authorized client that only fails, and counts how often it was asked. */
const failing = (error: HttpClientError.HttpClientError | AuthError.AuthError) => {
  const asked = { count: 0 }
  const fail = Effect.suspend(() => {
    asked.count++
    return Effect.fail(error)
  })
  const client: AuthHttpClient.Service = HttpClient.makeWith(
    (request) => Effect.zipRight(request, fail),
    Effect.succeed<HttpClientRequest.HttpClientRequest>
  )
  return { asked, client }
}

const errors: Record<AuthError.AuthError["_tag"], AuthError.AuthError> = {
  TokenExpired: new AuthError.TokenExpired({ provider: "scripted", token: "access" }),
  InvalidRefreshToken: failure.refused,
  InvalidCredentials: failure.credentials,
  SignedOut: new AuthError.SignedOut({ provider: "scripted" }),
  Misconfigured: failure.misconfigured,
  NetworkFailure: failure.unspent,
  MalformedResponse: failure.malformed,
  StoreFailure: new AuthError.StoreFailure({ operation: "save", problem: "the disk is full" }),
  UntrustedOrigin: new AuthError.UntrustedOrigin({ provider: "scripted", origin: "https://evil.test", trusted: [] })
}
const mayPass = ["NetworkFailure", "MalformedResponse", "StoreFailure"]

const request = HttpClientRequest.get("/orders", { headers: { "x-mine": "1" }, urlParams: { page: 2 } })

class Alice extends Context.Tag("effect-auth/test/integration/ecosystem/LayerHttpClient.test/Alice")<
  Alice,
  HttpClient.HttpClient
>() {}
class Bob extends Context.Tag("effect-auth/test/integration/ecosystem/LayerHttpClient.test/Bob")<
  Bob,
  HttpClient.HttpClient
>() {}

describe("AuthHttpClient.layerHttpClient", () => {
  it("is a plain HttpClient that needs the authorized one", () => {
    expectTypeOf(AuthHttpClient.layerHttpClient).toEqualTypeOf<
      Layer.Layer<HttpClient.HttpClient, never, AuthHttpClient.AuthHttpClient>
    >()
    expectTypeOf(AuthHttpClient.toHttpClient).returns.toEqualTypeOf<HttpClient.HttpClient>()
  })

  for (const [tag, error] of Object.entries(errors)) {
    const passes = mayPass.includes(tag)
    it.effect(`${tag} is a RequestError of reason ${passes ? "Transport" : "Encode"}, with itself as cause`, () =>
      Effect.gen(function* () {
        const { asked, client } = failing(error)
        const plain = AuthHttpClient.toHttpClient(client)
        const reported = yield* Effect.flip(plain.execute(request))
        assert.instanceOf(reported, HttpClientError.RequestError)
        assert.strictEqual(reported.reason, passes ? "Transport" : "Encode")
        assert.strictEqual(reported.cause, error)
        assert.strictEqual(reported.request, request)
        assert.include(reported.message, error.message)
        assert.strictEqual(reported.message.includes("try again later"), passes)
        asked.count = 0
        yield* Effect.exit(HttpClient.retryTransient(plain, { times: 3 }).execute(request))
        assert.strictEqual(asked.count, passes ? 4 : 1)
      })
    )
  }

  it.effect("what is no AuthError passes as it is", () =>
    Effect.gen(function* () {
      const error = new HttpClientError.RequestError({ request, reason: "Transport" })
      const { client } = failing(error)
      assert.strictEqual(yield* Effect.flip(AuthHttpClient.toHttpClient(client).execute(request)), error)
      const defect: AuthHttpClient.Service = HttpClient.makeWith(() => Effect.die("a defect"), Effect.succeed)
      const exit = yield* Effect.exit(AuthHttpClient.toHttpClient(defect).execute(request))
      assert.deepStrictEqual(exit, Exit.die("a defect"))
    })
  )

  it.scoped("the request of the error is the caller's, also when the token was refused on the way", () =>
    Effect.gen(function* () {
      const { client, sandbox } = yield* ordersSandbox({ patience: 0 })
      const plain = AuthHttpClient.toHttpClient(client)
      yield* plain.execute(request)
      yield* sandbox.revokeAccessTokens
      yield* sandbox.faults.inject("login", Faults.Status({ status: 503 }))
      const error = yield* Effect.flip(plain.execute(request))
      assert.strictEqual(error.request, request)
      assert.isFalse(Headers.has(error.request.headers, "authorization"))
      assert.instanceOf(error.cause, AuthError.NetworkFailure)
    })
  )

  it.scoped("two accounts in one Layer.mergeAll do not share a client", () =>
    Effect.gen(function* () {
      const [alices, bobs] = yield* Effect.all([
        VioletSandbox.make({ username: "test-alice" }),
        VioletSandbox.make({ username: "test-bob" })
      ])
      const own = <Id>(tag: Context.Tag<Id, HttpClient.HttpClient>, sandbox: VioletSandbox.Service, username: string) =>
        Layer.effect(tag, HttpClient.HttpClient).pipe(
          Layer.provide(AuthHttpClient.layerHttpClient),
          Layer.provide(violet(sandbox, { username }))
        )
      const context = yield* Layer.build(Layer.mergeAll(own(Alice, alices, "test-alice"), own(Bob, bobs, "test-bob")))
      yield* Context.get(context, Alice).get("/merchants")
      yield* Effect.repeatN(Context.get(context, Bob).get("/merchants"), 1)
      for (const [sandbox, api] of [
        [alices, 1],
        [bobs, 2]
      ] as const) {
        const report = yield* sandbox.report
        assert.deepInclude({ ...report }, { api, logins: 1, rejections: 0, complaints: 0 })
      }
    })
  )

  for (const [name, fault] of Object.entries({
    "an outage of the token endpoint": Faults.Status({ status: 503 }),
    "a gateway's page in place of a token": Faults.Body({ kind: "html" })
  })) {
    it.scoped(`retryTransient waits out ${name}`, () =>
      Effect.gen(function* () {
        const { client, sandbox } = yield* ordersSandbox({ patience: 0 })
        yield* sandbox.faults.inject("login", fault, 2)
        const retrying = HttpClient.retryTransient(AuthHttpClient.toHttpClient(client), {
          schedule: Schedule.spaced("5 seconds"),
          times: 5
        })
        const fiber = yield* Effect.fork(retrying.execute(request))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        assert.deepInclude({ ...(yield* sandbox.report) }, { tokenRequests: 3, api: 1 })
      })
    )
  }

  it.scoped("retryTransient over the authorized client waits out the same, when it is told what may pass", () =>
    Effect.gen(function* () {
      const { client, sandbox } = yield* ordersSandbox({ patience: 0 })
      yield* sandbox.faults.inject("login", Faults.Status({ status: 503 }), 2)
      yield* sandbox.faults.inject("api", Faults.Status({ status: 503 }), 1)
      const retrying = HttpClient.retryTransient(client, {
        while: (error) => AuthError.isAuthError(error) && AuthError.isTransient(error),
        schedule: Schedule.spaced("5 seconds"),
        times: 5
      })
      const fiber = yield* Effect.fork(retrying.execute(request))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.strictEqual((yield* sandbox.report).tokenRequests, 3)
      const gone = yield* Effect.flip(retrying.get("https://evil.test/orders"))
      assert.strictEqual(gone._tag, "UntrustedOrigin")
    })
  )

  it.scoped("an attempt at a dead endpoint, again and again, costs no token request more than patience would", () =>
    Effect.gen(function* () {
      const { client, sandbox } = yield* ordersSandbox({ patience: 0 })
      yield* sandbox.faults.inject("login", Faults.Drop({ when: "before" }), Number.POSITIVE_INFINITY)
      const error = yield* Effect.flip(
        HttpClient.retryTransient(AuthHttpClient.toHttpClient(client), { times: 100 }).execute(request)
      )
      assert.strictEqual((error as HttpClientError.RequestError).reason, "Transport")
      assert.strictEqual((yield* sandbox.report).tokenRequests, 1)
    })
  )

  const Cart = Schema.Struct({ id: Schema.Number, visits: Schema.NumberFromString })

  /** An API with all that a stack of combinators is for: a move, an outage, a cookie, and tokens that it refuses. */
  const api = Effect.map(Ref.make<ReadonlyArray<string>>([]), (seen) => {
    const tokens = { count: 0 }
    const responses: Record<string, (request: HttpClientRequest.HttpClientRequest) => Response> = {
      "/token": () => Response.json({ access_token: `test-${++tokens.count}`, expires_in: 600 }),
      "/v2/old": () => new Response(null, { status: 307, headers: { location: "/v2/cart" } }),
      "/v2/away": () => new Response(null, { status: 307, headers: { location: "https://evil.test/v2/cart" } }),
      "/v2/cart": ({ headers }) => {
        const visits = Number(/visits=(\d+)/.exec(headers.cookie ?? "")?.[1] ?? "0") + 1
        return Response.json({ id: 1, visits: `${visits}` }, { headers: { "set-cookie": `visits=${visits}; Path=/` } })
      }
    }
    const broken = [503, 503]
    const client = HttpClient.make((request, url) =>
      Effect.gen(function* () {
        const refused = url.pathname !== "/token" && request.headers.authorization === "Bearer test-1"
        const status = refused ? 401 : url.pathname === "/v2/cart" ? broken.shift() : undefined
        const answer =
          status === undefined
            ? (responses[url.pathname]?.(request) ?? new Response(null, { status: 404 }))
            : new Response("", { status })
        yield* Ref.update(seen, (all) => [...all, `${url.host}${url.pathname} ${answer.status}`])
        return HttpClientResponse.fromWeb(request, answer)
      })
    )
    return { client, seen: Ref.get(seen) }
  })

  /** Everything at once, as an application would put it over a plain client. */
  const stack = <E>(client: HttpClient.HttpClient.With<E>, cookies: Ref.Ref<Cookies.Cookies>) =>
    client.pipe(
      HttpClient.mapRequest(HttpClientRequest.prependUrl("/v2")),
      HttpClient.mapRequest(HttpClientRequest.acceptJson),
      HttpClient.withCookiesRef(cookies),
      HttpClient.followRedirects(3),
      HttpClient.retryTransient({ times: 3 }),
      HttpClient.filterStatusOk,
      HttpClient.transformResponse(Effect.withSpan("app.call"))
    )

  for (const [name, plain] of [
    ["the authorized client", (client: AuthHttpClient.Service) => client],
    ["layerHttpClient", AuthHttpClient.toHttpClient]
  ] as const) {
    it.scoped(`law 26: a whole stack of combinators works over ${name}, with a 401 on the way`, () =>
      Effect.gen(function* () {
        const { client, seen } = yield* api
        const spans: Array<Tracer.Span> = []
        const native = yield* Effect.tracer
        const tracer = Tracer.make({
          span: (...of) => {
            const span = native.span(...of)
            spans.push(span)
            return span
          },
          context: native.context
        })
        const context = yield* Layer.build(orders(client))
        const authorized = Context.get(context, AuthHttpClient.AuthHttpClient)
        const cookies = yield* Ref.make(Cookies.empty)
        const shop = stack<HttpClientError.HttpClientError | AuthError.AuthError>(plain(authorized), cookies)
        const cart = (path: string) => Effect.flatMap(shop.get(path), HttpClientResponse.schemaBodyJson(Cart))

        assert.deepStrictEqual(yield* Effect.withTracer(cart("/old"), tracer), { id: 1, visits: 1 })
        assert.deepStrictEqual(yield* cart("/cart"), { id: 1, visits: 2 })
        assert.deepStrictEqual(Cookies.toRecord(yield* Ref.get(cookies)), { visits: "2" })
        assert.deepStrictEqual(yield* seen, [
          "oauth2.test/token 200",
          "oauth2.test/v2/old 401",
          "oauth2.test/token 200",
          ...Array.from({ length: 2 }, () => ["oauth2.test/v2/old 307", "oauth2.test/v2/cart 503"]).flat(),
          "oauth2.test/v2/old 307",
          "oauth2.test/v2/cart 200",
          "oauth2.test/v2/cart 200"
        ])

        const [call, ...requests] = spans.filter(({ name }) => name === "app.call" || name.startsWith("http.client"))
        assert.strictEqual(call?.name, "app.call")
        const urls = requests.filter((span) => span.attributes.get("url.path") !== "/token")
        assert.strictEqual(urls.length, 7)
        for (const span of urls)
          assert.strictEqual(span.attributes.get("http.request.header.authorization"), "<redacted>")
        assert.notMatch(JSON.stringify(spans.map(({ attributes }) => [...attributes])), /test-[12]/)

        const away = yield* Effect.flip(cart("/away"))
        const cause = away._tag === "RequestError" ? away.cause : away
        assert.instanceOf(cause, AuthError.UntrustedOrigin)
        assert.isFalse((yield* seen).some((line) => line.startsWith("evil.test")))
        const missing = yield* Effect.flip(cart("/missing"))
        assert.strictEqual(missing._tag === "ResponseError" ? missing.response.status : missing._tag, 404)
        const misread = yield* Effect.flip(
          Effect.flatMap(shop.get("/cart"), HttpClientResponse.schemaBodyJson(Schema.Struct({ id: Schema.String })))
        )
        assert.strictEqual(misread._tag, "ParseError")
      })
    )
  }
})
