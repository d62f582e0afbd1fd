import { HttpClient, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Effect, Ref, Stream } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as TeleTrackerSandbox from "../../src/testing/TeleTrackerSandbox.js"
import { user } from "./client.js"
import { clients, liveWith, serve } from "./serve.js"
import { teletracker } from "./teletracker.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* TeleTrackerSandbox.make()
  const client = yield* HttpClient.HttpClient
  const baseUrl = yield* serve(sandbox)
  return { sandbox, client, baseUrl, api: teletracker(client, baseUrl) }
})

for (const [name, client] of Object.entries(clients)) {
  const live = liveWith(client)

  describe(`TeleTrackerSandbox served to ${name}`, () => {
    live(
      "the whole protocol works, in every encoding",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const first = (yield* api.login).body
        const form = (yield* api.postForm("/auth/refresh", { refresh_token: first.refreshToken })).body
        // With the undici that is installed, platform-node's client cannot send a FormData.
        const send = name === "undici" ? api.postForm : api.postMultipart
        const last = (yield* send("/auth/refresh", { refresh_token: form.refreshToken })).body
        assert.strictEqual((yield* api.calls(last.token, "?size=3")).body.content.length, 3)
        assert.deepStrictEqual((yield* api.echo(last.token, { a: 1 })).body, { a: 1 })
        assert.isFalse((yield* api.refresh(first.refreshToken)).body.success)
        assert.strictEqual((yield* api.calls(last.token)).status, 401)
        assert.deepInclude(yield* sandbox.report, { logins: 1, refreshes: 3, reuses: 1, rejections: 1, complaints: 0 })
      })
    )

    live(
      "odd bodies, odd tokens and whole answers arrive as they are",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const login = (fault: Faults.Fault) => Effect.zipRight(sandbox.faults.inject("login", fault), api.login)
        assert.deepStrictEqual((yield* login(Faults.Body({ kind: "array" }))).body, [])
        assert.strictEqual((yield* login(Faults.Body({ kind: "number" }))).body, 42)
        assert.isNull((yield* login(Faults.Body({ kind: "null" }))).body)
        assert.include((yield* login(Faults.Token({ kind: "control", which: "refresh" }))).body.refreshToken, "\n")
        assert.strictEqual((yield* login(Faults.Fields({ fields: { tokenLifetime: -1 } }))).body.tokenLifetime, -1)
        const answer = yield* login(Faults.Response({ status: 503, body: { a: 1 } }))
        assert.deepStrictEqual({ status: answer.status, body: answer.body }, { status: 503, body: { a: 1 } })
      })
    )

    live(
      "a long Body is refused while it arrives, and the server serves on",
      Effect.gen(function* () {
        const { api, baseUrl, client, sandbox } = yield* setup
        yield* sandbox.faults.inject("login", Faults.Body({ kind: "long" }), 2)
        const request = HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(`${baseUrl}/auth/login`), user)
        const response = yield* client.execute(request)
        const sizes = Stream.mapAccum(response.stream, 0, (size, chunk) => [size + chunk.length, size + chunk.length])
        const read = yield* Stream.runLast(Stream.takeUntil(sizes, (size) => size > 1_048_576))
        assert.strictEqual(read._tag, "Some")
        const { body } = yield* api.login
        assert.strictEqual((yield* api.calls(body.token)).status, 200)
        assert.isAbove(yield* Ref.get(sandbox.faults.bytesSent), 2_097_152)
      })
    )

    live(
      "a spent token's answer may be lost on the way",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const token = yield* sandbox.mintRefreshToken
        yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
        assert.instanceOf(yield* Effect.flip(api.refresh(token)), HttpClientError.RequestError)
        assert.isFalse((yield* api.refresh(token)).body.success)
        assert.deepInclude(yield* sandbox.report, { refreshes: 2, reuses: 1, familiesRevoked: 1 })
      })
    )
  })
}
