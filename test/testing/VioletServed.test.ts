import { HttpClient, HttpClientError } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Schedule } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { clients, liveWith, serve } from "./serve.js"
import { violet } from "./violet.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const api = violet(yield* HttpClient.HttpClient, yield* serve(sandbox))
  const refreshToken = yield* sandbox.mintRefreshToken
  return { sandbox, api, refresh: api.refresh(refreshToken) }
})

for (const [name, client] of Object.entries(clients)) {
  const live = liveWith(client)

  describe(`VioletSandbox served to ${name}`, () => {
    live(
      "the whole protocol works",
      Effect.gen(function* () {
        const { api, refresh, sandbox } = yield* setup
        const login = (yield* api.login).body
        assert.strictEqual((yield* api.merchants(login.token, "?page=2&size=3")).body.content.length, 3)
        assert.deepStrictEqual((yield* api.echo((yield* refresh).body.token, { a: 1 })).body, { a: 1 })
        const answer = yield* api.get("/nothing")
        assert.strictEqual(answer.status, 404)
        assert.isDefined(answer.headers.date)
        const { complaints, logins, refreshes } = yield* sandbox.report
        assert.deepStrictEqual({ complaints, logins, refreshes }, { complaints: 0, logins: 1, refreshes: 1 })
      })
    )

    for (const when of ["before", "after"] as const) {
      live(
        `Drop ${when} breaks the connection`,
        Effect.gen(function* () {
          const { api, refresh, sandbox } = yield* setup
          yield* sandbox.faults.inject("refresh", Faults.Drop({ when }))
          yield* sandbox.faults.inject("login", Faults.Drop({ when }))
          for (const tokenRequest of [refresh, api.login]) {
            const error = yield* Effect.flip(tokenRequest)
            assert.instanceOf(error, HttpClientError.RequestError)
            assert.strictEqual(error.reason, "Transport")
          }
          const { tokenRequests, logins, refreshes } = yield* sandbox.report
          const processed = when === "before" ? 0 : 1
          assert.deepStrictEqual(
            { tokenRequests, logins, refreshes },
            { tokenRequests: 2, logins: processed, refreshes: processed }
          )
          assert.strictEqual((yield* refresh).status, 200)
        })
      )
    }

    live(
      "a truncated Body breaks off after its head has arrived",
      Effect.gen(function* () {
        const { refresh, sandbox } = yield* setup
        yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "truncated" }))
        const error = yield* Effect.flip(refresh)
        assert.instanceOf(error, HttpClientError.ResponseError)
        assert.strictEqual(error.response.status, 200)
        assert.isAbove(Number(error.response.headers["content-length"]), 100)
        assert.strictEqual((yield* refresh).status, 200)
      })
    )

    live(
      "Redirect, Status and an empty Body are answers",
      Effect.gen(function* () {
        const { refresh, sandbox } = yield* setup
        yield* sandbox.faults.inject("refresh", Faults.Redirect({ location: "/v1/login", status: 307 }))
        yield* sandbox.faults.inject("refresh", Faults.Status({ status: 429, retryAfter: "2" }))
        yield* sandbox.faults.inject("refresh", Faults.Body({ kind: "empty" }))
        const redirect = yield* refresh
        assert.strictEqual(redirect.status, 307)
        assert.strictEqual(redirect.headers.location, "/v1/login")
        const limited = yield* refresh
        assert.strictEqual(limited.status, 429)
        assert.strictEqual(limited.headers["retry-after"], "2")
        assert.strictEqual((yield* refresh).body, "")
        assert.strictEqual((yield* sandbox.log).length, 3)
      })
    )

    live(
      "Delay holds the answer, and ends when the client goes away",
      Effect.gen(function* () {
        const { api, refresh, sandbox } = yield* setup
        yield* sandbox.faults.inject("refresh", Faults.Delay({ duration: "50 millis" }))
        const [taken] = yield* Effect.timed(refresh)
        assert.isAtLeast(Duration.toMillis(taken), 45)
        yield* sandbox.faults.inject("login", Faults.Delay({ duration: "1 hour" }))
        assert.strictEqual((yield* Effect.flip(Effect.timeout(api.login, "50 millis")))._tag, "TimeoutException")
        const isLogged = Effect.map(sandbox.log, (entries) => entries.length === 2)
        yield* Effect.repeat(isLogged, { until: (logged) => logged, schedule: Schedule.spaced("5 millis") })
        const log = yield* sandbox.log
        assert.strictEqual(log[1]?.status, "dropped")
        assert.strictEqual((yield* sandbox.report).logins, 0)
      })
    )
  })
}
