import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, TestClock } from "effect"
import * as FreddySandbox from "../../src/testing/FreddySandbox.js"
import type { Answer } from "./client.js"
import { freddy, person } from "./freddy.js"
import { claims } from "./violet.js"

const setup = (options?: FreddySandbox.Options) =>
  Effect.map(FreddySandbox.make(options), (sandbox) => ({
    sandbox,
    api: freddy(sandbox.client, sandbox.baseUrl)
  }))

const refused = ({ body, status }: Answer, expected: number, detail: string) =>
  assert.deepStrictEqual({ status, body }, { status: expected, body: { detail } })

const jwt = /^[\w-]+\.[\w-]+\.[\w-]+$/
const invalid = "Invalid refresh token"

describe("FreddySandbox", () => {
  describe("login", () => {
    it.effect("asks for the code that it mails, and answers JWTs for it", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ code: "0815" })
        assert.deepStrictEqual(yield* sandbox.mailbox, Option.none())
        const { email_key, message, ...asked } = (yield* api.ask).body
        assert.match(email_key, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
        assert.isString(message)
        assert.deepStrictEqual(asked, {
          success: true,
          email: person.email_or_username,
          requires_verification: true,
          next_step: "email_verification"
        })
        assert.deepStrictEqual(yield* sandbox.mailbox, Option.some("0815"))
        const { refreshToken, token, ...rest } = (yield* api.verify(email_key, "0815")).body
        assert.deepStrictEqual(rest, { device_id: "device-123" })
        assert.match(refreshToken, jwt)
        assert.deepInclude(claims(token), { iat: 0, exp: 3600 })
        assert.strictEqual((yield* api.threads(token, "?page=2&size=3")).body.content[0].name, "Thread 4")
        assert.deepStrictEqual((yield* api.echo(token, { a: 1 })).body, { a: 1 })
        assert.strictEqual((yield* api.refresh(refreshToken)).status, 200)
        assert.strictEqual(yield* sandbox.codesMailed, 1)
        assert.deepInclude(yield* sandbox.report, { logins: 2, refreshes: 1, api: 2, complaints: 0 })
      })
    )

    it.effect("a code is good once, for its own login", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { email_key } = (yield* api.ask).body
        refused(yield* api.verify(email_key, "4321"), 401, "Invalid verification code")
        refused(yield* api.verify("test-unknown"), 401, "Invalid verification code")
        const other = (yield* api.ask).body.email_key
        assert.strictEqual((yield* api.verify(email_key)).status, 200)
        refused(yield* api.verify(email_key), 401, "Invalid verification code")
        assert.strictEqual((yield* api.verify(other)).status, 200)
        assert.strictEqual(yield* sandbox.codesMailed, 2)
        assert.deepInclude(yield* sandbox.report, { logins: 7, complaints: 0 })
      })
    )

    for (const [codeLifetime, end] of [
      [undefined, 300_000],
      ["1 minute", 60_000]
    ] as const) {
      it.effect(`a code is good for ${end / 1000} seconds, whatever the server's clock says`, () =>
        Effect.gen(function* () {
          const { api } = yield* setup({ codeLifetime, clockOffset: 86_400_000 })
          const [first, second] = [(yield* api.ask).body.email_key, (yield* api.ask).body.email_key]
          yield* TestClock.setTime(end - 1)
          assert.strictEqual((yield* api.verify(first)).status, 200)
          yield* TestClock.setTime(end)
          refused(yield* api.verify(second), 401, "Verification code has expired")
        })
      )
    }

    it.effect("the development log in asks for no code", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ lifetime: "90 seconds" })
        const { access_token, refresh_token, ...rest } = (yield* api.devLogin).body
        assert.deepStrictEqual(rest, { token_type: "bearer", expires_in: 90, device_id: "device-123" })
        assert.strictEqual((yield* api.threads(access_token)).status, 200)
        assert.strictEqual((yield* api.refresh(refresh_token)).status, 200)
        assert.strictEqual(yield* sandbox.codesMailed, 0)
        assert.deepInclude(yield* sandbox.report, { logins: 1, complaints: 0 })
      })
    )

    it.effect("the development log in can be closed", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ development: false })
        refused(yield* api.devLogin, 404, "Not found")
        assert.strictEqual((yield* api.login).status, 200)
      })
    )

    it.effect("a wrong password is refused, and mails nothing", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* sandbox.setPassword("test-new")
        refused(yield* api.ask, 401, "Invalid credentials")
        refused(yield* api.devLogin, 401, "Invalid credentials")
        assert.strictEqual(yield* sandbox.codesMailed, 0)
        assert.deepInclude(yield* sandbox.report, { logins: 2, complaints: 0 })
      })
    )

    it.effect("complains of bad manners", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        refused(yield* api.get("/v1/auth/login"), 405, "Method not allowed")
        refused(yield* api.post("/v1/auth/login", { ...person, more: 1 }), 400, "Malformed request")
        refused(yield* api.postForm("/v1/auth/login", person), 400, "Malformed request")
        refused(
          yield* api.post("/v1/auth/verify", { email_key: "x", verification_code: 1234 }),
          400,
          "Malformed request"
        )
        refused(yield* api.post("/v1/auth/refresh", {}), 400, "Malformed request")
        assert.strictEqual((yield* sandbox.report).complaints, 5)
      })
    )
  })

  describe("refresh", () => {
    it.effect("every second one replaces the refresh token, and the old one alone is refused", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { refreshToken, token } = (yield* api.login).body
        const first = (yield* api.refresh(refreshToken)).body
        assert.deepStrictEqual(Object.keys(first).sort(), ["device_id", "token"])
        const second = (yield* api.refresh(refreshToken)).body
        assert.match(second.refresh_token, jwt)
        refused(yield* api.refresh(refreshToken), 401, invalid)
        for (const live of [token, first.token, second.token]) {
          assert.strictEqual((yield* api.threads(live)).status, 200)
        }
        assert.notProperty((yield* api.refresh(second.refresh_token)).body, "refresh_token")
        assert.notStrictEqual((yield* api.refresh(second.refresh_token)).body.refresh_token, second.refresh_token)
        assert.deepInclude(yield* sandbox.report, { refreshes: 5, reuses: 0, familiesRevoked: 0, complaints: 0 })
      })
    )

    it.effect("no rotation keeps the refresh token", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ rotation: "none" })
        const minted = yield* sandbox.mintRefreshToken
        for (let i = 0; i < 4; i++) assert.notProperty((yield* api.refresh(minted)).body, "refresh_token")
      })
    )

    it.effect("a single-use token that comes again takes its family with it, but no other", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ rotation: "single-use" })
        const { refreshToken, token } = (yield* api.login).body
        const other = (yield* api.login).body
        const next = (yield* api.refresh(refreshToken)).body
        refused(yield* api.refresh(refreshToken), 401, invalid)
        refused(yield* api.refresh(next.refresh_token), 401, invalid)
        for (const dead of [token, next.token]) assert.strictEqual((yield* api.threads(dead)).status, 401)
        assert.strictEqual((yield* api.threads(other.token)).status, 200)
        assert.strictEqual((yield* api.refresh(other.refreshToken)).status, 200)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1, complaints: 0 })
      })
    )

    it.effect("within the reuse window it may come once more", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ rotation: "single-use", reuseWindow: "10 seconds" })
        const [one, two] = [yield* sandbox.mintRefreshToken, yield* sandbox.mintRefreshToken]
        yield* api.refresh(one)
        yield* api.refresh(two)
        yield* TestClock.setTime(9999)
        assert.strictEqual((yield* api.refresh(one)).status, 200)
        yield* TestClock.setTime(10_000)
        refused(yield* api.refresh(two), 401, invalid)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1 })
      })
    )

    it.effect("refuses what is expired, revoked, unknown or an access token", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ refreshLifetime: "1 minute" })
        const { refreshToken, token } = (yield* api.login).body
        refused(yield* api.refresh("test-unknown"), 401, invalid)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
        refused(yield* api.refresh(token), 401, invalid)
        assert.strictEqual((yield* sandbox.report).complaints, 1)
        yield* TestClock.setTime(60_000)
        refused(yield* api.refresh(refreshToken), 401, "Refresh token has expired")
        const last = (yield* api.login).body
        yield* sandbox.revokeRefreshTokens
        refused(yield* api.refresh(last.refreshToken), 401, invalid)
      })
    )

    for (const token of ["", " ", "a b", "a\n"]) {
      it.effect(`complains of ${JSON.stringify(token)} as a refresh token`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup()
          assert.strictEqual((yield* api.refresh(token)).status, 422)
          assert.deepInclude(yield* sandbox.report, { refreshes: 1, complaints: 1 })
        })
      )
    }

    it.effect("the rotated form always carries a refresh token", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ responseForm: "rotated", deviceId: "device-7" })
        const minted = yield* sandbox.mintRefreshToken
        const first = (yield* api.refresh(minted)).body
        assert.deepStrictEqual(Object.keys(first).sort(), ["device_id", "refresh_token", "token"])
        assert.deepInclude(first, { device_id: "device-7", refresh_token: minted })
        assert.notStrictEqual((yield* api.refresh(minted)).body.refresh_token, minted)
      })
    )

    it.effect("the newer form has other names", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ responseForm: "access_token", deviceId: null })
        const minted = yield* sandbox.mintRefreshToken
        const { access_token, ...rest } = (yield* api.refresh(minted)).body
        assert.deepStrictEqual(rest, { refresh_token: minted, token_type: "bearer", device_id: null })
        assert.strictEqual((yield* api.threads(access_token)).status, 200)
        assert.notStrictEqual((yield* api.refresh(minted)).body.refresh_token, minted)
      })
    )
  })

  it.effect("the API rejects what is expired, revoked, missing or a refresh token", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { refreshToken, token } = (yield* api.login).body
      yield* TestClock.setTime(3_599_999)
      assert.strictEqual((yield* api.threads(token)).status, 200)
      yield* TestClock.setTime(3_600_000)
      refused(yield* api.threads(token), 401, "Token has expired")
      yield* sandbox.setLifetime("1 minute")
      const renewed = (yield* api.refresh(refreshToken)).body.token
      assert.strictEqual(claims(renewed).exp, 3660)
      yield* sandbox.revokeAccessTokens
      refused(yield* api.threads(renewed), 401, "Invalid token")
      assert.strictEqual((yield* sandbox.report).complaints, 0)
      refused(yield* api.threads(refreshToken), 401, "Invalid token")
      refused(yield* api.get("/v1/threads"), 401, "Invalid token")
      assert.deepInclude(yield* sandbox.report, { rejections: 4, complaints: 2 })
    })
  )

  it.effect("errors may come in an envelope", () =>
    Effect.gen(function* () {
      const { api } = yield* setup({ errorForm: "envelope", development: false })
      for (const [response, code, message] of [
        [yield* api.refresh("test-unknown"), "AUTHENTICATION_REQUIRED", invalid],
        [yield* api.refresh(""), "VALIDATION_ERROR", "refresh_token must not be empty or contain whitespace"],
        [yield* api.devLogin, "NOT_FOUND", "Not found"],
        [yield* api.get("/v1/auth/refresh"), "METHOD_NOT_ALLOWED", "Method not allowed"],
        [yield* api.post("/v1/auth/refresh", []), "BAD_REQUEST", "Malformed request"]
      ] as const) {
        const { error, success } = response.body
        assert.isFalse(success)
        assert.isString(error.trace_id)
        assert.deepInclude(error, { code, message, status: response.status })
      }
    })
  )

  it.effect("neither log nor report holds a secret", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { refreshToken, token } = (yield* api.login).body
      yield* api.refresh(refreshToken)
      yield* api.get(`/v1/threads?q=${token}`)
      yield* api.get(`/${refreshToken}`)
      const text = JSON.stringify([yield* sandbox.log, yield* sandbox.report])
      for (const secret of [token, refreshToken, person.password, person.email_or_username]) {
        assert.notInclude(text, secret)
      }
      assert.strictEqual((yield* sandbox.report).complaints, 2)
    })
  )
})
