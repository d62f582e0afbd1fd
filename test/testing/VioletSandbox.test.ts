import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream, TestClock } from "effect"
import Jwt from "jsonwebtoken"
import * as SandboxLog from "../../src/testing/internal/sandboxLog.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { appHeaders, claims, violet } from "./violet.js"

const setup = (options?: VioletSandbox.Options) =>
  Effect.map(VioletSandbox.make(options), (sandbox) => ({ sandbox, api: violet(sandbox.client, sandbox.baseUrl) }))

const expired = { status: 401, message: "Token has expired", error_code: 11 }
const invalid = { status: 401, message: "Invalid token", error_code: 10 }

describe("VioletSandbox", () => {
  describe("login", () => {
    it.effect("answers the user and both tokens", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* TestClock.setTime(1_700_000_000_500)
        const { body, headers, status } = yield* api.login
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.date, "Tue, 14 Nov 2023 22:13:20 GMT")
        assert.strictEqual(body.email, "test-user@example.com")
        assert.isNull(body.store_url)
        assert.notProperty(body, "expires_at")
        const { exp, iat, jti } = claims(body.token)
        assert.strictEqual(iat, 1_700_000_000)
        assert.strictEqual(exp, 1_700_000_300)
        assert.notStrictEqual(jti, claims(body.refresh_token).jti)
        assert.strictEqual((yield* api.merchants(body.token)).status, 200)
        assert.strictEqual((yield* api.refresh(body.refresh_token)).status, 200)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.effect("signs its tokens", () =>
      Effect.gen(function* () {
        const { api } = yield* setup()
        const { body } = yield* api.login
        assert.deepStrictEqual(Jwt.decode(body.token, { complete: true })?.header, { alg: "HS256", typ: "JWT" })
        assert.notStrictEqual(body.token.split(".")[2], "")
        assert.strictEqual((yield* api.merchants(body.token)).status, 200)
      })
    )

    it.effect("leaves iat out and adds expires_at when told to", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ iat: false, expiresAt: true, lifetime: "1 hour" })
        const { body } = yield* api.login
        assert.notProperty(claims(body.token), "iat")
        assert.strictEqual(body.expires_at, "1970-01-01T01:00:00.000Z")
        assert.strictEqual((yield* api.refresh(body.refresh_token)).body.expires_at, "1970-01-01T01:00:00.000Z")
      })
    )

    it.effect("refuses a wrong app with 403 and a wrong user with 401", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const user = { username: "test-user@example.com", password: "test-password" }
        const app = yield* api.post("/login", user, { ...appHeaders, "x-violet-app-secret": "test-other" })
        assert.strictEqual(app.status, 403)
        assert.deepStrictEqual(app.body, {
          status: 403,
          message: "Invalid app credentials",
          error_code: 3,
          timestamp: 0
        })
        const wrong = yield* api.post("/login", { ...user, password: "test-other" })
        assert.deepStrictEqual(wrong.body, {
          status: 401,
          message: "Invalid username or password",
          error_code: 2,
          timestamp: 0
        })
        yield* sandbox.setPassword("test-new")
        assert.strictEqual((yield* api.login).status, 401)
        assert.strictEqual((yield* api.post("/login", { ...user, password: "test-new" })).status, 200)
        const { complaints, logins, rejections } = yield* sandbox.report
        assert.deepStrictEqual({ complaints, logins, rejections }, { complaints: 0, logins: 4, rejections: 0 })
      })
    )

    it.effect("complains of bad manners", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const user = { username: "test-user@example.com", password: "test-password" }
        const form = HttpClientRequest.post(`${sandbox.baseUrl}/login`).pipe(
          HttpClientRequest.setHeaders(appHeaders),
          HttpClientRequest.bodyUrlParams(user)
        )
        const broken = HttpClientRequest.post(`${sandbox.baseUrl}/login`).pipe(
          HttpClientRequest.setHeaders(appHeaders),
          HttpClientRequest.bodyText("{", "application/json")
        )
        assert.strictEqual((yield* api.get("/login")).status, 405)
        assert.strictEqual((yield* api.post("/login", user, {})).status, 403)
        assert.strictEqual((yield* api.run(form)).status, 400)
        assert.strictEqual((yield* api.run(broken)).status, 400)
        assert.strictEqual((yield* api.post("/login", { ...user, more: 1 })).status, 400)
        assert.strictEqual((yield* api.post("/login", { ...user, password: 1 })).status, 400)
        yield* api.post("/login?password=test-password", user)
        const log = yield* sandbox.log
        assert.strictEqual((yield* sandbox.report).complaints, 7)
        assert.isTrue(log.every((entry) => entry.complaint !== undefined && entry.path === "/v1/login"))
      })
    )
  })

  describe("refresh", () => {
    it.effect("answers a new access token alone, and the refresh token stays in use", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const token = yield* sandbox.mintRefreshToken
        const first = yield* api.refresh(token)
        const second = yield* api.refresh(token)
        assert.deepStrictEqual(Object.keys(first.body), ["token"])
        assert.notStrictEqual(first.body.token, second.body.token)
        assert.strictEqual((yield* api.merchants(first.body.token)).status, 200)
        assert.strictEqual((yield* sandbox.report).refreshes, 2)
      })
    )

    it.effect("refuses what is expired, revoked, unknown, missing or an access token", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ refreshLifetime: "1 hour" })
        const token = yield* sandbox.mintRefreshToken
        const access = (yield* api.refresh(token)).body.token
        yield* TestClock.adjust("1 hour")
        const timestamp = 3_600_000
        assert.deepStrictEqual((yield* api.refresh(token)).body, { ...expired, timestamp })
        const revoked = yield* sandbox.mintRefreshToken
        yield* sandbox.revokeRefreshTokens
        assert.deepStrictEqual((yield* api.refresh(revoked)).body, { ...invalid, timestamp })
        assert.deepStrictEqual((yield* api.refresh("test-unknown")).body, { ...invalid, timestamp })
        assert.strictEqual((yield* sandbox.report).complaints, 0)
        assert.deepStrictEqual((yield* api.refresh(access)).body, { ...invalid, timestamp })
        assert.deepStrictEqual((yield* api.get("/auth/token")).body, { ...invalid, timestamp })
        assert.strictEqual((yield* api.post("/auth/token", {}, api.withToken(token))).status, 405)
        assert.strictEqual((yield* api.get("/auth/token", { "x-violet-token": token })).status, 403)
        assert.strictEqual((yield* sandbox.report).complaints, 4)
      })
    )
  })

  describe("API", () => {
    it.effect("pages through merchants", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ pages: 2 })
        const { token } = (yield* api.login).body
        const first = (yield* api.merchants(token, "?page=1&size=2")).body
        assert.deepStrictEqual(first.content, [
          { id: 1, name: "Merchant 1" },
          { id: 2, name: "Merchant 2" }
        ])
        assert.isFalse(first.last)
        const second = (yield* api.merchants(token, "?page=2&size=2")).body
        assert.strictEqual(second.content[0].id, 3)
        assert.isTrue(second.last)
        assert.deepStrictEqual((yield* api.merchants(token, "?page=3")).body.content, [])
        assert.strictEqual((yield* api.merchants(token, "?page=0")).status, 400)
      })
    )

    it.effect("echoes JSON, also from a stream", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { token } = (yield* api.login).body
        assert.deepStrictEqual((yield* api.echo(token, { a: [1] })).body, { a: [1] })
        const request = HttpClientRequest.post(`${sandbox.baseUrl}/echo`).pipe(
          HttpClientRequest.setHeaders(api.withToken(token))
        )
        const streamed = HttpClientRequest.bodyStream(request, Stream.make('{"b"', ":2}").pipe(Stream.encodeText), {
          contentType: "application/json"
        })
        assert.deepStrictEqual((yield* api.run(streamed)).body, { b: 2 })
        assert.strictEqual((yield* sandbox.report).complaints, 0)
        const form = HttpClientRequest.bodyFormData(request, new FormData())
        assert.strictEqual((yield* api.run(form)).status, 400)
        const text = HttpClientRequest.bodyText(request, "plain")
        assert.strictEqual((yield* api.run(text)).status, 400)
        assert.strictEqual((yield* sandbox.report).complaints, 2)
      })
    )

    it.effect("rejects tokens that ended, to the millisecond, and revoked ones", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { refresh_token, token } = (yield* api.login).body
        yield* TestClock.adjust(299_999)
        assert.strictEqual((yield* api.merchants(token)).status, 200)
        yield* TestClock.adjust(1)
        assert.deepStrictEqual((yield* api.merchants(token)).body, { ...expired, timestamp: 300_000 })
        yield* sandbox.setLifetime("1 second")
        const renewed = (yield* api.refresh(refresh_token)).body.token
        assert.strictEqual(claims(renewed).exp, 301)
        yield* sandbox.revokeAccessTokens
        assert.strictEqual((yield* api.merchants(renewed)).body.error_code, 10)
        assert.strictEqual((yield* api.refresh(refresh_token)).status, 200)
        const report = yield* sandbox.report
        assert.strictEqual(report.rejections, 2)
        assert.strictEqual(report.complaints, 0)
        assert.strictEqual(report.api, 3)
      })
    )

    it.effect("complains of a missing token, a refresh token and a token in the URL", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { refresh_token, token } = (yield* api.login).body
        assert.strictEqual((yield* api.get("/merchants")).status, 401)
        assert.strictEqual((yield* api.merchants(refresh_token)).status, 401)
        assert.strictEqual((yield* api.get(`/merchants?q=${token}`)).status, 401)
        assert.strictEqual((yield* api.get("/merchants?access_token=x")).status, 401)
        assert.strictEqual((yield* api.get(`/${token}`)).status, 404)
        assert.strictEqual((yield* sandbox.report).complaints, 5)
        assert.strictEqual((yield* sandbox.log).at(-1)?.path, "(hidden)")
      })
    )

    it.effect("no sandbox takes the token of another", () =>
      Effect.gen(function* () {
        const [one, other] = yield* Effect.all([setup(), setup()])
        const { token } = (yield* one.api.login).body
        yield* other.api.login
        assert.strictEqual((yield* other.api.merchants(token)).body.error_code, 10)
      })
    )

    it.effect("answers unknown paths 404 in JSON, also those of Object", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        assert.strictEqual((yield* api.get("/nothing")).body.status, 404)
        assert.strictEqual((yield* api.get("/../constructor")).status, 404)
        assert.deepInclude((yield* sandbox.log)[0], { endpoint: "unknown", path: "/v1/nothing", status: 404 })
      })
    )
  })

  it.effect("the clock offset shows in iat, exp, timestamp and Date, not in lifetimes", () =>
    Effect.gen(function* () {
      const { api } = yield* setup({ clockOffset: -3_600_000 })
      yield* TestClock.setTime(7_200_000)
      const { body, headers } = yield* api.login
      assert.strictEqual(claims(body.token).iat, 3600)
      assert.strictEqual(claims(body.token).exp, 3900)
      assert.strictEqual(headers.date, "Thu, 01 Jan 1970 01:00:00 GMT")
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual((yield* api.merchants(body.token)).status, 200)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* api.merchants(body.token)).body.timestamp, 3_900_000)
    })
  )

  it.effect("no token request is lost when the clock is adjusted over many of them", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const fiber = yield* Effect.fork(Effect.forever(Effect.delay(api.login, "1 minute")))
      yield* TestClock.adjust("100 minutes")
      yield* Fiber.interrupt(fiber)
      const log = yield* sandbox.log
      assert.deepStrictEqual(
        log.map((entry) => entry.at),
        Array.from({ length: 100 }, (_, i) => (i + 1) * 60_000)
      )
    })
  )

  it.effect("neither log nor report holds a secret, and the report is JSON", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { refresh_token, token } = (yield* api.login).body
      yield* api.refresh(refresh_token)
      yield* api.refresh(token)
      yield* api.get(`/merchants?token=${token}`)
      yield* api.get(`/${refresh_token}`)
      yield* api.get("/test-app-secret")
      const report = yield* sandbox.report
      const text = JSON.stringify([yield* sandbox.log, report])
      for (const secret of [token, refresh_token, "test-password", "test-app-secret", "test-user"]) {
        assert.notInclude(text, secret)
      }
      const json = yield* Schema.encode(Schema.parseJson(SandboxLog.Report))(report)
      assert.deepStrictEqual(yield* Schema.decode(Schema.parseJson(SandboxLog.Report))(json), report)
    })
  )
})
