import { HttpClientError } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { claims, violet } from "./violet.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const refreshToken = yield* sandbox.mintRefreshToken
  const api = violet(sandbox.client, sandbox.baseUrl)
  return { sandbox, api, refresh: api.refresh(refreshToken) }
})

describe("faults of VioletSandbox in memory", () => {
  for (const when of ["before", "after"] as const) {
    it.effect(`Delay ${when} holds the answer for as long as the TestClock says`, () =>
      Effect.gen(function* () {
        const { refresh, sandbox } = yield* setup
        yield* sandbox.faults.inject("refresh", Faults.Delay({ duration: "10 seconds", when }))
        const fiber = yield* Effect.fork(refresh)
        yield* TestClock.adjust("9 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
        assert.strictEqual((yield* sandbox.report).refreshes, when === "before" ? 0 : 1)
        yield* TestClock.adjust("1 second")
        const { body, headers } = yield* Fiber.join(fiber)
        assert.strictEqual(headers.date, "Thu, 01 Jan 1970 00:00:10 GMT")
        assert.strictEqual(claims(body.token).iat, when === "before" ? 10 : 0)
        assert.deepInclude((yield* sandbox.log)[0], { at: 0, status: 200 })
      })
    )

    it.effect(`Drop ${when} fails with Transport and ECONNRESET`, () =>
      Effect.gen(function* () {
        const { refresh, sandbox } = yield* setup
        yield* sandbox.faults.inject("refresh", Faults.Drop({ when }))
        const error = yield* Effect.flip(refresh)
        assert.instanceOf(error, HttpClientError.RequestError)
        assert.strictEqual(error.reason, "Transport")
        assert.instanceOf(error.cause, Error)
        assert.propertyVal(error.cause, "code", "ECONNRESET")
        const report = yield* sandbox.report
        assert.strictEqual(report.refreshes, when === "before" ? 0 : 1)
        assert.strictEqual(report.tokenRequests, 1)
        assert.strictEqual((yield* sandbox.log)[0]?.status, "dropped")
        assert.strictEqual((yield* refresh).status, 200)
      })
    )
  }

  it.effect("token requests at once are counted, and a client that leaves is no longer one of them", () =>
    Effect.gen(function* () {
      const { api, refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Delay({ duration: "10 seconds" }), 2)
      const fibers = yield* Effect.forkAll([refresh, refresh])
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fibers)
      assert.strictEqual((yield* sandbox.report).maxConcurrentTokenRequests, 2)
      yield* api.login
      assert.strictEqual((yield* sandbox.report).maxConcurrentTokenRequests, 2)
      assert.deepStrictEqual(
        (yield* sandbox.log).map((entry) => entry.status),
        ["dropped", "dropped", 200]
      )
    })
  )

  it.effect("Status answers instead of processing, with Retry-After", () =>
    Effect.gen(function* () {
      const { refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Status({ status: 503, retryAfter: "7" }))
      yield* sandbox.faults.inject("refresh", Faults.Status({ status: 500 }))
      const first = yield* refresh
      assert.strictEqual(first.status, 503)
      assert.strictEqual(first.headers["retry-after"], "7")
      assert.isDefined(first.headers.date)
      const second = yield* refresh
      assert.strictEqual(second.status, 500)
      assert.isUndefined(second.headers["retry-after"])
      assert.strictEqual((yield* sandbox.report).refreshes, 0)
    })
  )

  it.effect("an injected 401 of the API is a rejection", () =>
    Effect.gen(function* () {
      const { api, refresh, sandbox } = yield* setup
      const { token } = (yield* refresh).body
      yield* sandbox.faults.inject("api", Faults.Status({ status: 401 }))
      assert.strictEqual((yield* api.merchants(token)).status, 401)
      assert.strictEqual((yield* api.merchants(token)).status, 200)
      assert.strictEqual((yield* sandbox.report).rejections, 1)
    })
  )

  it.effect("Body damages the answer of a processed request", () =>
    Effect.gen(function* () {
      const { refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "html" }))
      const html = yield* refresh
      assert.strictEqual(html.status, 200)
      assert.strictEqual(html.headers["content-type"], "text/html")
      yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "empty" }))
      const empty = yield* refresh
      assert.strictEqual(empty.status, 200)
      assert.strictEqual(empty.body, "")
      yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "broken" }))
      const broken = yield* refresh
      assert.strictEqual(broken.headers["content-type"], "application/json")
      assert.isString(broken.body)
      assert.strictEqual((yield* sandbox.report).refreshes, 3)
    })
  )

  it.effect("a truncated Body announces its full length and breaks off", () =>
    Effect.gen(function* () {
      const { refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "truncated" }))
      const error = yield* Effect.flip(refresh)
      assert.instanceOf(error, HttpClientError.ResponseError)
      assert.strictEqual(error.reason, "Decode")
      assert.strictEqual(error.response.status, 200)
      assert.isAbove(Number(error.response.headers["content-length"]), 100)
      assert.strictEqual((yield* sandbox.report).refreshes, 1)
    })
  )

  it.effect("Redirect is an answer, no one follows it", () =>
    Effect.gen(function* () {
      const { refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Redirect({ location: "https://evil.test/" }))
      yield* sandbox.faults.inject("refresh", Faults.Redirect({ location: "/v1/login", status: 307 }))
      const first = yield* refresh
      assert.strictEqual(first.status, 302)
      assert.strictEqual(first.headers.location, "https://evil.test/")
      assert.strictEqual((yield* refresh).status, 307)
    })
  )

  it.effect("Token spoils the field", () =>
    Effect.gen(function* () {
      const { api, refresh, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Token({ kind: "missing" }))
      yield* sandbox.faults.inject("refresh", Faults.Token({ kind: "number" }))
      yield* sandbox.faults.inject("login", Faults.Token({ kind: "null" }))
      assert.deepStrictEqual((yield* refresh).body, {})
      assert.isNumber((yield* refresh).body.token)
      const login = (yield* api.login).body
      assert.isNull(login.token)
      assert.isString(login.refresh_token)
    })
  )

  it.effect("Expiry replaces claims, while the token really lives its lifetime", () =>
    Effect.gen(function* () {
      const { api, refresh, sandbox } = yield* setup
      for (const exp of ["soon", null, -1, 1e300]) {
        yield* sandbox.faults.inject("refresh", Faults.Expiry({ claims: { exp, iat: null } }))
        const { token } = (yield* refresh).body
        assert.deepInclude(payload(token), { exp, iat: null })
        assert.strictEqual((yield* api.merchants(token)).status, 200)
      }
      yield* sandbox.faults.inject("refresh", Faults.Expiry({ claims: { exp: undefined } }))
      assert.notProperty(payload((yield* refresh).body.token), "exp")
    })
  )
})

const payload = (token: string): unknown =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"))
