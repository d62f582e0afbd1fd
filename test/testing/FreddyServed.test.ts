import { HttpClient, HttpClientError } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as FreddySandbox from "../../src/testing/FreddySandbox.js"
import { freddy } from "./freddy.js"
import { clients, liveWith, serve } from "./serve.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* FreddySandbox.make({ rotation: "single-use" })
  const api = freddy(yield* HttpClient.HttpClient, yield* serve(sandbox))
  return { sandbox, api }
})

for (const [name, client] of Object.entries(clients)) {
  const live = liveWith(client)

  describe(`FreddySandbox served to ${name}`, () => {
    live(
      "the whole protocol works",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const { refreshToken, token } = (yield* api.login).body
        assert.strictEqual((yield* api.threads(token, "?size=3")).body.content.length, 3)
        const next = (yield* api.refresh(refreshToken)).body
        assert.deepStrictEqual((yield* api.echo(next.token, { a: 1 })).body, { a: 1 })
        assert.strictEqual((yield* api.devLogin).status, 200)
        assert.strictEqual((yield* api.refresh("")).status, 422)
        assert.strictEqual((yield* api.refresh(refreshToken)).body.detail, "Invalid refresh token")
        assert.strictEqual((yield* api.threads(next.token)).status, 401)
        assert.deepInclude(yield* sandbox.report, { logins: 3, refreshes: 3, reuses: 1, rejections: 1, complaints: 1 })
      })
    )

    live(
      "a connection that drops spends nothing before, and everything after",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const { email_key } = (yield* api.ask).body
        for (const when of ["before", "after"] as const) {
          yield* sandbox.faults.inject("login", Faults.Drop({ when }))
          assert.instanceOf(yield* Effect.flip(api.verify(email_key)), HttpClientError.RequestError)
        }
        assert.strictEqual((yield* api.verify(email_key)).status, 401)
        assert.deepInclude(yield* sandbox.report, { tokenRequests: 4, logins: 3 })
      })
    )

    live(
      "refusals, damaged bodies and odd tokens arrive as they are",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const under = (fault: Faults.Fault) => Effect.zipRight(sandbox.faults.inject("login", fault), api.devLogin)
        const limited = yield* under(Faults.Status({ status: 429, retryAfter: "2" }))
        assert.deepStrictEqual([limited.status, limited.headers["retry-after"]], [429, "2"])
        assert.include((yield* under(Faults.Body({ kind: "html" }))).body, "<!DOCTYPE html>")
        assert.instanceOf(yield* Effect.flip(under(Faults.Body({ kind: "truncated" }))), HttpClientError.ResponseError)
        assert.strictEqual((yield* under(Faults.Token({ kind: "empty" }))).body.access_token, "")
      })
    )
  })
}
