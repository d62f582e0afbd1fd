import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as OAuth2Sandbox from "../../src/testing/OAuth2Sandbox.js"
import { oauth2 } from "./oauth2.js"
import { claims } from "./violet.js"

const setup = (options?: OAuth2Sandbox.Options) =>
  Effect.map(OAuth2Sandbox.make(options), (sandbox) => ({ sandbox, api: oauth2(sandbox.client, sandbox.baseUrl) }))

describe("faults of OAuth2Sandbox in memory", () => {
  it.effect("the faults of login and refresh are told apart, though their path is one", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      yield* sandbox.faults.inject("refresh", Faults.Status({ status: 503, retryAfter: "2" }))
      const { refresh_token } = (yield* api.login).body
      const limited = yield* api.refresh(refresh_token)
      assert.deepStrictEqual([limited.status, limited.headers["retry-after"]], [503, "2"])
      assert.strictEqual((yield* api.refresh(refresh_token)).status, 200)
      assert.deepInclude(yield* sandbox.report, { tokenRequests: 3, logins: 1, refreshes: 1 })
    })
  )

  it.effect("Token and Fields know the names of the answer", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const login = (fault: Faults.Fault) =>
        Effect.map(Effect.zipRight(sandbox.faults.inject("login", fault), api.login), ({ body }) => body)
      assert.strictEqual((yield* login(Faults.Token({ kind: "number" }))).access_token, 1234)
      assert.isNull((yield* login(Faults.Token({ kind: "null", which: "refresh" }))).refresh_token)
      const fields = { token_type: "DPoP", expires_in: -1, scope: undefined }
      const odd = yield* login(Faults.Fields({ fields }))
      assert.deepInclude(odd, { token_type: "DPoP", expires_in: -1 })
      assert.notProperty(odd, "scope")
      assert.strictEqual((yield* api.orders(odd.access_token)).status, 200)
    })
  )

  it.effect("Expiry lies about the end of a JWT, and the sandbox judges by the true one", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup({ format: "jwt" })
      yield* sandbox.faults.inject("login", Faults.Expiry({ claims: { exp: "soon" } }))
      const { access_token, expires_in } = (yield* api.own).body
      assert.propertyVal(claims(access_token), "exp", "soon")
      assert.strictEqual(expires_in, 3600)
      assert.strictEqual((yield* api.orders(access_token)).status, 200)
    })
  )

  it.effect("a token is spent when the answer is lost, and not when the request is", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const refresh = api.refresh(yield* sandbox.mintRefreshToken)
      yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "before" }))
      yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
      yield* Effect.flip(refresh)
      yield* Effect.flip(refresh)
      assert.deepInclude(yield* sandbox.report, { tokenRequests: 2, refreshes: 1, reuses: 0 })
      assert.strictEqual((yield* refresh).body.error, "invalid_grant")
      assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1 })
    })
  )

  it.effect("the reuse window forgives a lost answer, for as long as it is open", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup({ reuseWindow: "10 seconds" })
      const refresh = api.refresh(yield* sandbox.mintRefreshToken)
      yield* sandbox.faults.inject("refresh", Faults.Delay({ duration: "9 seconds", when: "after" }))
      const late = yield* Effect.fork(refresh)
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.join(late)
      const again = (yield* refresh).body
      assert.strictEqual((yield* api.orders(again.access_token)).status, 200)
      assert.strictEqual((yield* sandbox.report).reuses, 0)
    })
  )

  it.effect("revocations and metadata have faults too", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { access_token, refresh_token } = (yield* api.login).body
      yield* sandbox.faults.inject("revoke", Faults.Status({ status: 503 }))
      yield* sandbox.faults.inject("revoke", Faults.Drop({ when: "after" }))
      yield* sandbox.faults.inject("metadata", Faults.Body({ kind: "html" }))
      yield* sandbox.faults.inject("metadata", Faults.Redirect({ location: "https://other.test/" }))
      assert.strictEqual((yield* api.revoke(refresh_token)).status, 503)
      assert.strictEqual((yield* api.orders(access_token)).status, 200)
      yield* Effect.flip(api.revoke(refresh_token))
      assert.strictEqual((yield* api.orders(access_token)).status, 401)
      assert.isString((yield* api.wellKnown("openid-configuration")).body)
      assert.strictEqual((yield* api.wellKnown("openid-configuration")).headers.location, "https://other.test/")
      assert.deepInclude(yield* sandbox.report, { revocations: 1, metadata: 1 })
    })
  )
})
