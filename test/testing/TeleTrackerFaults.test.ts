import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref, Stream } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as TeleTrackerSandbox from "../../src/testing/TeleTrackerSandbox.js"
import { user } from "./client.js"
import { teletracker } from "./teletracker.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* TeleTrackerSandbox.make()
  const api = teletracker(sandbox.client, sandbox.baseUrl)
  /** Logs in under a fault. */
  const login = (fault: Faults.Fault) => Effect.zipRight(sandbox.faults.inject("login", fault), api.login)
  return { sandbox, api, login }
})

describe("faults of TeleTrackerSandbox in memory", () => {
  for (const [kind, expected] of [
    ["array", []],
    ["number", 42],
    ["null", null]
  ] as const) {
    it.effect(`Body ${kind} is JSON, and no object`, () =>
      Effect.gen(function* () {
        const { login, sandbox } = yield* setup
        const { body, headers, status } = yield* login(Faults.Body({ kind }))
        assert.strictEqual(status, 200)
        assert.strictEqual(headers["content-type"], "application/json")
        assert.deepStrictEqual(body, expected)
        assert.strictEqual((yield* sandbox.report).logins, 1)
      })
    )
  }

  it.effect("a long Body holds the true answer behind 2 MiB", () =>
    Effect.gen(function* () {
      const { api, login, sandbox } = yield* setup
      const { body, headers } = yield* login(Faults.Body({ kind: "long" }))
      assert.isUndefined(headers["content-length"])
      assert.strictEqual((yield* api.calls(body.token)).status, 200)
      assert.isAbove(yield* Ref.get(sandbox.faults.bytesSent), 2_097_152)
    })
  )

  it.effect("a long Body can be refused while it arrives", () =>
    Effect.gen(function* () {
      const { sandbox } = yield* setup
      yield* sandbox.faults.inject("login", Faults.Body({ kind: "long" }))
      const request = HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(`${sandbox.baseUrl}/auth/login`), user)
      const response = yield* sandbox.client.execute(request)
      const read = yield* Stream.runFold(Stream.take(response.stream, 3), 0, (size, chunk) => size + chunk.length)
      assert.strictEqual(read, 3 * 65_536)
      assert.isBelow(yield* Ref.get(sandbox.faults.bytesSent), 1_048_576)
    })
  )

  for (const which of ["access", "refresh"] as const) {
    it.effect(`Token spoils the ${which} token alone`, () =>
      Effect.gen(function* () {
        const { login } = yield* setup
        const [name, other] = which === "access" ? ["token", "refreshToken"] : ["refreshToken", "token"]
        const spoilt = (kind: Faults.OddToken) =>
          Effect.map(login(Faults.Token({ kind, which })), ({ body }) => {
            assert.isString(body[other])
            return body[name]
          })
        assert.isUndefined(yield* spoilt("missing"))
        assert.isNumber(yield* spoilt("number"))
        assert.isNull(yield* spoilt("null"))
        assert.strictEqual(yield* spoilt("empty"), "")
        assert.match(yield* spoilt("control"), /^.{8}\n.{28}$/)
        assert.isString((yield* spoilt("object")).token)
      })
    )
  }

  it.effect("Token concerns the access token unless told otherwise", () =>
    Effect.gen(function* () {
      const { login } = yield* setup
      const { body } = yield* login(Faults.Token({ kind: "empty" }))
      assert.strictEqual(body.token, "")
      assert.notStrictEqual(body.refreshToken, "")
    })
  )

  it.effect("Fields replaces fields of a true answer", () =>
    Effect.gen(function* () {
      const { api, login } = yield* setup
      const fields = { tokenLifetime: "3600", tokenExpiration: undefined, more: null }
      const { body } = yield* login(Faults.Fields({ fields }))
      assert.deepInclude(body, { tokenLifetime: "3600", more: null, success: true })
      assert.notProperty(body, "tokenExpiration")
      assert.strictEqual((yield* api.calls(body.token)).status, 200)
    })
  )

  it.effect("Answer answers whatever it is told to, processed or not", () =>
    Effect.gen(function* () {
      const { api, login, sandbox } = yield* setup
      const { refreshToken } = (yield* api.login).body
      const odd = yield* login(Faults.Response({ status: 418, body: ["odd"] }))
      assert.deepStrictEqual({ status: odd.status, body: odd.body }, { status: 418, body: ["odd"] })
      assert.strictEqual((yield* sandbox.report).logins, 1)
      yield* sandbox.faults.inject(
        "refresh",
        Faults.Response({ status: 200, body: { success: true }, processed: true })
      )
      assert.deepStrictEqual((yield* api.refresh(refreshToken)).body, { success: true })
      assert.isFalse((yield* api.refresh(refreshToken)).body.success)
      assert.deepInclude(yield* sandbox.report, { refreshes: 2, reuses: 1 })
    })
  )

  it.effect("a token is spent when the answer is lost, and not when the request is", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup
      const token = yield* sandbox.mintRefreshToken
      yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "before" }))
      yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
      yield* Effect.flip(api.refresh(token))
      yield* Effect.flip(api.refresh(token))
      assert.strictEqual((yield* sandbox.report).reuses, 0)
      assert.isFalse((yield* api.refresh(token)).body.success)
      assert.strictEqual((yield* sandbox.report).reuses, 1)
    })
  )
})
