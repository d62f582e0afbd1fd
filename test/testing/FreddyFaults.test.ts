import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as FreddySandbox from "../../src/testing/FreddySandbox.js"
import { freddy } from "./freddy.js"
import { claims } from "./violet.js"

const setup = (options?: FreddySandbox.Options) =>
  Effect.map(FreddySandbox.make(options), (sandbox) => ({
    sandbox,
    api: freddy(sandbox.client, sandbox.baseUrl),
    /** Makes a request of `login` or `refresh` under a fault. */
    under: <A, E>(endpoint: "login" | "refresh", fault: Faults.Fault, request: Effect.Effect<A, E>) =>
      Effect.zipRight(sandbox.faults.inject(endpoint, fault), request)
  }))

describe("faults of FreddySandbox in memory", () => {
  it.effect("the two steps of a login take a fault each", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      yield* sandbox.faults.inject("login", Faults.Delay({ duration: "0 seconds" }))
      yield* sandbox.faults.inject("login", Faults.Drop({ when: "after" }))
      const { email_key } = (yield* api.ask).body
      yield* Effect.flip(api.verify(email_key))
      assert.strictEqual((yield* api.verify(email_key)).status, 401)
      assert.strictEqual(yield* sandbox.codesMailed, 1)
      assert.deepInclude(yield* sandbox.report, { tokenRequests: 3, logins: 3 })
    })
  )

  it.effect("a code is mailed although the answer is lost, and not when the request is", () =>
    Effect.gen(function* () {
      const { api, sandbox, under } = yield* setup()
      yield* Effect.flip(under("login", Faults.Drop({ when: "before" }), api.ask))
      assert.strictEqual(yield* sandbox.codesMailed, 0)
      yield* Effect.flip(under("login", Faults.Drop({ when: "after" }), api.ask))
      assert.strictEqual(yield* sandbox.codesMailed, 1)
    })
  )

  it.effect("a code grows old while its answer is late", () =>
    Effect.gen(function* () {
      const { api, under } = yield* setup({ codeLifetime: "10 seconds" })
      const late = yield* Effect.fork(under("login", Faults.Delay({ duration: "10 seconds", when: "after" }), api.ask))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* api.verify((yield* Fiber.join(late)).body.email_key)).status, 401)
    })
  )

  it.effect("Token and Fields know the names of each answer", () =>
    Effect.gen(function* () {
      const { api, under } = yield* setup()
      const access = Faults.Token({ kind: "number" })
      const refresh = Faults.Token({ kind: "null", which: "refresh" })
      assert.strictEqual((yield* under("login", access, api.ask)).body.email_key, 1234)
      const verified = Effect.flatMap(api.ask, ({ body }) => under("login", access, api.verify(body.email_key)))
      assert.strictEqual((yield* verified).body.token, 1234)
      assert.isNull((yield* under("login", refresh, api.devLogin)).body.refresh_token)
      assert.strictEqual((yield* under("login", access, api.devLogin)).body.access_token, 1234)
      const fields = Faults.Fields({ fields: { device_id: undefined, more: 1 } })
      const odd = (yield* under("login", fields, api.devLogin)).body
      assert.notProperty(odd, "device_id")
      assert.strictEqual(odd.more, 1)
    })
  )

  for (const [answerForm, name] of [
    ["token", "token"],
    ["rotated", "token"],
    ["access_token", "access_token"]
  ] as const) {
    it.effect(`Token spoils a refresh of the form ${answerForm}`, () =>
      Effect.gen(function* () {
        const { api, sandbox, under } = yield* setup({ responseForm: answerForm, rotation: "single-use" })
        const first = yield* under(
          "refresh",
          Faults.Token({ kind: "empty" }),
          api.refresh(yield* sandbox.mintRefreshToken)
        )
        assert.strictEqual(first.body[name], "")
        const control = Faults.Token({ kind: "control", which: "refresh" })
        const second = yield* under("refresh", control, api.refresh(first.body.refresh_token))
        assert.include(second.body.refresh_token, "\n")
        assert.strictEqual((yield* api.threads(second.body[name])).status, 200)
      })
    )
  }

  it.effect("Expiry lies about the end, and the sandbox judges by the true one", () =>
    Effect.gen(function* () {
      const { api, under } = yield* setup()
      const { token } = (yield* Effect.flatMap(api.ask, ({ body }) =>
        under("login", Faults.Expiry({ claims: { exp: 1, iat: undefined } }), api.verify(body.email_key))
      )).body
      assert.strictEqual(claims(token).exp, 1)
      assert.notProperty(claims(token), "iat")
      yield* TestClock.setTime(5000)
      assert.strictEqual((yield* api.threads(token)).status, 200)
    })
  )

  it.effect("a lost answer of a refresh that rotates has spent the token, one that does not has not", () =>
    Effect.gen(function* () {
      const { api, sandbox, under } = yield* setup()
      const refresh = api.refresh(yield* sandbox.mintRefreshToken)
      const lost = Effect.flip(under("refresh", Faults.Drop({ when: "after" }), refresh))
      yield* lost
      yield* lost
      assert.strictEqual((yield* refresh).body.detail, "Invalid refresh token")
      assert.deepInclude(yield* sandbox.report, { refreshes: 3, reuses: 0, familiesRevoked: 0 })
    })
  )
})
