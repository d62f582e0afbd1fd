import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, TestClock } from "effect"
import * as TeleTrackerSandbox from "../../src/testing/TeleTrackerSandbox.js"
import { manually } from "../support/ManualClock.js"
import { user } from "./client.js"
import { teletracker } from "./teletracker.js"

const setup = (options?: TeleTrackerSandbox.Options) =>
  Effect.map(TeleTrackerSandbox.make(options), (sandbox) => ({
    sandbox,
    api: teletracker(sandbox.client, sandbox.baseUrl)
  }))

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

const refused = (message: string) => ({ success: false, message })
const invalid = refused("Invalid refresh token")

describe("TeleTrackerSandbox", () => {
  describe("login", () => {
    it.effect("answers opaque tokens with their ends and the lifetime", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* TestClock.setTime(1_522_618_752_500)
        const { body, headers, status } = yield* api.login
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.date, "Sun, 01 Apr 2018 21:39:12 GMT")
        const { guid, refreshToken, token, ...rest } = body
        for (const id of [guid, refreshToken, token]) assert.match(id, uuid)
        assert.deepStrictEqual(rest, {
          success: true,
          tokenExpiration: "2018-04-01T22:39:12+00:00",
          tokenLifetime: 3600,
          refreshTokenExpiration: "2018-05-01T21:39:12+00:00"
        })
        assert.strictEqual((yield* api.login).body.guid, guid)
        assert.strictEqual((yield* api.calls(token)).status, 200)
        assert.strictEqual((yield* api.refresh(refreshToken)).body.success, true)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.effect("takes JSON, forms and multipart, each with an account", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ accountId: 42 })
        const form = { ...user, account_id: "42" }
        const responses = [
          yield* api.post("/auth/login", { ...user, account_id: 42 }),
          yield* api.postForm("/auth/login", form),
          yield* api.postMultipart("/auth/login", form)
        ]
        for (const { body } of responses) assert.isTrue(body.success)
        const refreshes = [
          yield* api.postForm("/auth/refresh", { refresh_token: responses[0]?.body.refreshToken }),
          yield* api.postMultipart("/auth/refresh", { refresh_token: responses[1]?.body.refreshToken })
        ]
        for (const { body } of refreshes) assert.isTrue(body.success)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
        const account = refused("Unknown account")
        assert.deepStrictEqual((yield* api.post("/auth/login", { ...user, account_id: 43 })).body, account)
        assert.deepStrictEqual((yield* api.login).body, account)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
        assert.strictEqual((yield* api.post("/auth/login", { ...user, account_id: "42" })).status, 400)
        assert.strictEqual((yield* api.postForm("/auth/login", { ...user, account_id: "4.2" })).status, 400)
        assert.strictEqual((yield* sandbox.report).complaints, 2)
      })
    )

    it.effect("an account is optional where none is asked for", () =>
      Effect.gen(function* () {
        const { api } = yield* setup()
        assert.isTrue((yield* api.post("/auth/login", { ...user, account_id: 7 })).body.success)
      })
    )

    for (const failureStatus of [200, 401, 403] as const) {
      it.effect(`refuses with ${failureStatus} and success: false`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup({ failureStatus })
          yield* sandbox.setPassword("test-new")
          const response = yield* api.login
          assert.strictEqual(response.status, failureStatus)
          assert.deepStrictEqual(response.body, refused("Invalid username or password"))
          const renewed = yield* api.refresh("test-unknown")
          assert.strictEqual(renewed.status, failureStatus)
          assert.deepStrictEqual(renewed.body, invalid)
          assert.deepInclude(yield* sandbox.report, { logins: 1, refreshes: 1, rejections: 0, complaints: 0 })
        })
      )
    }

    it.effect("complains of bad manners", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        assert.strictEqual((yield* api.get("/auth/login")).status, 405)
        assert.strictEqual((yield* api.post("/auth/login", { ...user, more: 1 })).status, 400)
        assert.strictEqual((yield* api.post("/auth/login", { username: "test" })).status, 400)
        assert.strictEqual((yield* api.post("/auth/login?password=x", user)).status, 200)
        assert.strictEqual((yield* api.post("/auth/refresh", {})).status, 400)
        assert.strictEqual((yield* sandbox.report).complaints, 5)
      })
    )
  })

  describe("refresh", () => {
    it.effect("every refresh answers a new refresh token, from minted ones too", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        let token = yield* sandbox.mintRefreshToken
        const seen = new Set([token])
        for (let i = 0; i < 4; i++) {
          const { body } = yield* api.refresh(token)
          token = body.refreshToken
          seen.add(token)
          assert.strictEqual((yield* api.calls(body.token)).status, 200)
        }
        assert.strictEqual(seen.size, 5)
        assert.deepInclude(yield* sandbox.report, { refreshes: 4, reuses: 0, familiesRevoked: 0 })
      })
    )

    it.effect("a spent token is refused and takes its family with it, but no other", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const first = (yield* api.login).body
        const other = (yield* api.login).body
        const second = (yield* api.refresh(first.refreshToken)).body
        assert.deepStrictEqual((yield* api.refresh(first.refreshToken)).body, invalid)
        assert.strictEqual((yield* api.calls(first.token)).status, 401)
        assert.strictEqual((yield* api.calls(second.token)).status, 401)
        assert.deepStrictEqual((yield* api.refresh(second.refreshToken)).body, invalid)
        assert.strictEqual((yield* api.calls(other.token)).status, 200)
        assert.isTrue((yield* api.refresh(other.refreshToken)).body.success)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1, rejections: 2, complaints: 0 })
      })
    )

    it.effect("of two that present a token at once one succeeds, and the other revokes what it got", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const token = yield* sandbox.mintRefreshToken
        const responses = yield* Effect.all([api.refresh(token), api.refresh(token)], { concurrency: 2 })
        const [granted, ...more] = responses.filter(({ body }) => body.success)
        assert.isDefined(granted)
        assert.isEmpty(more)
        assert.strictEqual((yield* api.calls(granted?.body.token)).status, 401)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1, maxConcurrentTokenRequests: 2 })
      })
    )

    it.effect("within a reuse window both succeed, and a third revokes the family", () =>
      manually(function* (clock) {
        const { api, sandbox } = yield* setup({ reuseWindow: "10 seconds" })
        const token = yield* sandbox.mintRefreshToken
        const [one, two] = yield* Effect.all([api.refresh(token), api.refresh(token)], { concurrency: 2 })
        assert.notStrictEqual(one.body.refreshToken, two.body.refreshToken)
        yield* clock.advance("9 seconds")
        assert.strictEqual((yield* api.calls(one.body.token)).status, 200)
        assert.strictEqual((yield* api.calls(two.body.token)).status, 200)
        const next = (yield* api.refresh(one.body.refreshToken)).body
        assert.isTrue(next.success)
        assert.deepStrictEqual((yield* api.refresh(token)).body, invalid)
        assert.strictEqual((yield* api.calls(next.token)).status, 401)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1 })
      })
    )

    it.effect("a refresh token ends, and says so", () =>
      manually(function* (clock) {
        const { api, sandbox } = yield* setup({ refreshLifetime: "1 day" })
        const token = yield* sandbox.mintRefreshToken
        yield* clock.advance("23 hours")
        const renewed = (yield* api.refresh(token)).body
        yield* clock.advance("24 hours")
        assert.deepStrictEqual((yield* api.refresh(renewed.refreshToken)).body, refused("Refresh token has expired"))
        const access = (yield* api.login).body
        yield* sandbox.revokeRefreshTokens
        assert.deepStrictEqual((yield* api.refresh(access.refreshToken)).body, invalid)
        assert.deepInclude(yield* sandbox.report, { complaints: 0, reuses: 0 })
        assert.deepStrictEqual((yield* api.refresh(access.token)).body, invalid)
        assert.deepInclude(yield* sandbox.report, { complaints: 1, reuses: 0 })
      })
    )
  })

  for (const rejectionStatus of [401, 403] as const) {
    it.effect(`the API rejects with ${rejectionStatus} what is expired, revoked, missing or a refresh token`, () =>
      manually(function* (clock) {
        const { api, sandbox } = yield* setup({ rejectionStatus })
        const { refreshToken, token } = (yield* api.login).body
        yield* clock.advance(3_599_999)
        assert.strictEqual((yield* api.calls(token, "?page=2&size=3")).body.content[0].name, "Call 4")
        assert.deepStrictEqual((yield* api.echo(token, { a: 1 })).body, { a: 1 })
        yield* clock.advance(1)
        const expired = yield* api.calls(token)
        assert.strictEqual(expired.status, rejectionStatus)
        assert.deepStrictEqual(expired.body, refused("Token has expired"))
        yield* sandbox.setLifetime("90 seconds")
        const renewed = (yield* api.refresh(refreshToken)).body
        assert.strictEqual(renewed.tokenLifetime, 90)
        yield* sandbox.revokeAccessTokens
        assert.deepStrictEqual((yield* api.calls(renewed.token)).body, refused("Invalid token"))
        assert.deepInclude(yield* sandbox.report, { api: 4, rejections: 2, complaints: 0 })
        assert.strictEqual((yield* api.get("/calls")).status, rejectionStatus)
        assert.strictEqual((yield* api.calls(renewed.refreshToken)).status, rejectionStatus)
        assert.strictEqual((yield* api.get("/calls", { authorization: token })).status, rejectionStatus)
        assert.deepInclude(yield* sandbox.report, { rejections: 5, complaints: 3 })
      })
    )
  }

  it.effect("the clock offset shows in both ends and in Date, not in lifetimes", () =>
    manually(function* (clock) {
      const { api } = yield* setup({ clockOffset: -7_200_000 })
      const now = yield* DateTime.now
      const { body, headers } = yield* api.login
      const server = DateTime.subtract(now, { hours: 2 })
      assert.strictEqual(headers.date, DateTime.toDateUtc(server).toUTCString())
      const end = DateTime.add(server, { hours: 1 })
      assert.strictEqual(DateTime.formatIso(DateTime.unsafeMake(body.tokenExpiration)), DateTime.formatIso(end))
      assert.strictEqual(body.tokenLifetime, 3600)
      yield* clock.advance("59 minutes")
      assert.strictEqual((yield* api.calls(body.token)).status, 200)
      yield* clock.advance("1 minute")
      assert.strictEqual((yield* api.calls(body.token)).status, 401)
    })
  )

  it.effect("the lifetime is left out when told to", () =>
    Effect.gen(function* () {
      const { api } = yield* setup({ stateLifetime: false })
      const { body } = yield* api.login
      assert.notProperty(body, "tokenLifetime")
      assert.strictEqual(body.tokenExpiration, "1970-01-01T01:00:00+00:00")
    })
  )

  it.effect("neither log nor report holds a secret", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { refreshToken, token } = (yield* api.login).body
      yield* api.refresh(token)
      yield* api.get(`/calls?q=${token}`)
      yield* api.get(`/${refreshToken}`)
      const text = JSON.stringify([yield* sandbox.log, yield* sandbox.report])
      for (const secret of [token, refreshToken, user.password, user.username]) assert.notInclude(text, secret)
      assert.strictEqual((yield* sandbox.report).complaints, 3)
    })
  )
})
