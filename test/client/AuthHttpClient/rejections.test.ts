import { Cookies, HttpBody, HttpClient, UrlParams } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream, TestClock } from "effect"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Faults from "../../../src/testing/Faults.js"
import { calls, countedBody, json, merchants, setup, tokenOf } from "./harness.js"

describe("AuthHttpClient", () => {
  describe("rejections", () => {
    it.scoped("law 24: after a 401 the token is refreshed once and the request sent once more", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const response = yield* api.execute(merchants)
        assert.strictEqual(response.status, 200)
        assert.deepNestedInclude(yield* response.json, { "content[0].id": 1 })
        const [, rejected, repeated, ...more] = calls(sent)
        assert.notStrictEqual(tokenOf(repeated), tokenOf(rejected))
        assert.deepStrictEqual(more, [])
        const { complaints, tokenRequests, refreshes, rejections } = yield* sandbox.report
        assert.deepStrictEqual(
          { complaints, tokenRequests, refreshes, rejections },
          { complaints: 0, tokenRequests: 2, refreshes: 1, rejections: 1 }
        )
      })
    )

    it.scoped("law 24: a second 401 goes to the caller, as the API wrote it", () =>
      Effect.gen(function* () {
        let count = 0
        const { api, sandbox, sent } = yield* setup({
          handlers: { "/v1/no": () => json({ no: ++count }, { status: 401, headers: { "x-own": "yes" } }) }
        })
        const response = yield* api.get("/no")
        assert.strictEqual(response.status, 401)
        assert.strictEqual(response.headers["x-own"], "yes")
        assert.deepStrictEqual(yield* response.json, { no: 2 })
        assert.strictEqual(calls(sent).length, 2)
        assert.strictEqual((yield* sandbox.report).refreshes, 1)
      })
    )

    it.scoped("law 24: a POST with a JSON body is repeated with the same body", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const response = yield* api.post("/echo", { body: HttpBody.unsafeJson({ order: 7 }) })
        assert.strictEqual(response.status, 200)
        assert.deepStrictEqual(yield* response.json, { order: 7 })
        assert.strictEqual(calls(sent).length, 3)
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    const form = new FormData()
    form.set("a", "1")
    const repeatable = {
      "a string": HttpBody.raw("a=1"),
      text: HttpBody.text("a=1"),
      bytes: HttpBody.uint8Array(new Uint8Array([1, 2])),
      "raw bytes": HttpBody.raw(new Uint8Array([1, 2])),
      "an ArrayBuffer": HttpBody.raw(new ArrayBuffer(2)),
      "a Blob": HttpBody.raw(new Blob(["a"])),
      URLSearchParams: HttpBody.raw(new URLSearchParams({ a: "1" })),
      "URL parameters": HttpBody.urlParams(UrlParams.fromInput({ a: "1" })),
      FormData: HttpBody.formData(form),
      nothing: HttpBody.empty
    }
    for (const [name, body] of Object.entries(repeatable)) {
      it.scoped(`law 24: a body that is there to be sent again is: ${name}`, () =>
        Effect.gen(function* () {
          const bodies: Array<unknown> = []
          const { api } = yield* setup({
            handlers: {
              "/v1/once": (request) => {
                bodies.push(request.body)
                return json({}, { status: bodies.length === 1 ? 401 : 200 })
              }
            }
          })
          assert.strictEqual((yield* api.post("/once", { body })).status, 200)
          assert.sameOrderedMembers(bodies, [body, body])
        })
      )
    }

    const oneShot = {
      "a stream": () => HttpBody.stream(Stream.make(new TextEncoder().encode('{"a":1}')), "application/json"),
      "a web stream": () => HttpBody.raw(new Blob(["a"]).stream()),
      "an iterator": () => HttpBody.raw([new Uint8Array(1)].values())
    }
    for (const [name, body] of Object.entries(oneShot)) {
      it.scoped(`law 24: ${name} is not sent twice, but the next request has a new token`, () =>
        Effect.gen(function* () {
          let times = 0
          const { api, sandbox, sent } = yield* setup({
            handlers: {
              "/v1/upload": () => (++times === 1 ? json({ mine: true }, { status: 401 }) : json({ times }))
            }
          })
          const response = yield* api.post("/upload", { body: body() })
          assert.strictEqual(response.status, 401)
          assert.deepStrictEqual(yield* response.json, { mine: true })
          assert.strictEqual(times, 1)
          assert.strictEqual((yield* sandbox.report).refreshes, 1)
          assert.strictEqual((yield* api.post("/upload", { body: body() })).status, 200)
          const [first, second] = calls(sent)
          assert.notStrictEqual(tokenOf(first), tokenOf(second))
          assert.strictEqual((yield* sandbox.report).refreshes, 1)
        })
      )
    }

    it.scoped("law 24: a stream body whose token cannot be refreshed still gets the API's own answer", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({
          seeded: true,
          credentials: Credentials.layerNone,
          handlers: { "/v1/upload": () => json({ mine: true }, { status: 401 }) }
        })
        yield* api.execute(merchants)
        yield* sandbox.revokeRefreshTokens
        const response = yield* api.post("/upload", { body: HttpBody.stream(Stream.make(new Uint8Array(1))) })
        assert.strictEqual(response.status, 401)
        assert.deepStrictEqual(yield* response.json, { mine: true })
      })
    )

    it.scoped("law 24: the body of the discarded answer is read to its end before the retry", () =>
      Effect.gen(function* () {
        const { seen, stream } = countedBody(3)
        let endedBefore = false
        let times = 0
        const { api } = yield* setup({
          handlers: {
            "/v1/once": () => {
              endedBefore = seen.ended
              return ++times === 1 ? new Response(stream, { status: 401 }) : json({})
            }
          }
        })
        assert.strictEqual((yield* api.get("/once")).status, 200)
        assert.deepStrictEqual(
          { ...seen, endedBefore },
          { pulled: 3, ended: true, cancelled: false, endedBefore: true }
        )
      })
    )

    it.scoped("law 24: a discarded answer without an end is let go after a little of it", () =>
      Effect.gen(function* () {
        const { seen, stream } = countedBody(Number.POSITIVE_INFINITY)
        let times = 0
        const { api } = yield* setup({
          handlers: { "/v1/once": () => (++times === 1 ? new Response(stream, { status: 401 }) : json({})) }
        })
        assert.strictEqual((yield* api.get("/once")).status, 200)
        assert.isTrue(seen.cancelled)
        assert.isBelow(seen.pulled, 1100)
      })
    )

    it.scoped("law 24: a discarded answer that hangs holds the retry up for three seconds at most", () =>
      Effect.gen(function* () {
        let cancelled = false
        let times = 0
        const asked = yield* Deferred.make<void>()
        const stuck = new ReadableStream({
          pull: () => Deferred.unsafeDone(asked, Effect.void),
          cancel: () => {
            cancelled = true
          }
        })
        const { api } = yield* setup({
          handlers: { "/v1/once": () => (++times === 1 ? new Response(stuck, { status: 401 }) : json({})) }
        })
        const fiber = yield* Effect.fork(api.get("/once"))
        yield* Deferred.await(asked)
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        assert.isTrue(cancelled)
      })
    )

    it.scoped("law 24: a second 401 that has no end still goes to the caller, and only its body fails", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({
          handlers: { "/v1/no": () => new Response(countedBody(Number.POSITIVE_INFINITY).stream, { status: 401 }) }
        })
        const response = yield* api.get("/no")
        assert.strictEqual(response.status, 401)
        const error = yield* Effect.flip(response.text)
        assert.deepInclude({ _tag: error._tag, reason: error.reason }, { _tag: "ResponseError", reason: "Decode" })
      })
    )

    it.scoped("law 24: a kept answer has its headers, cookies, JSON, form and stream as ever", () =>
      Effect.gen(function* () {
        const headers = { "content-type": "application/x-www-form-urlencoded", "set-cookie": "a=1" }
        const { api } = yield* setup({
          handlers: { "/v1/no": () => new Response("a=1", { status: 401, headers }) }
        })
        const get = api.get("/no")
        const response = yield* get
        assert.strictEqual(Cookies.toRecord(response.cookies).a, "1")
        assert.strictEqual((yield* response.formData).get("a"), "1")
        assert.deepStrictEqual(yield* (yield* get).urlParamsBody, [["a", "1"]])
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText((yield* get).stream)), "a=1")
        assert.strictEqual((yield* (yield* get).arrayBuffer).byteLength, 3)
      })
    )

    it.scoped("law 24: when no other token can be had, the error is typed and the answer's body released", () =>
      Effect.gen(function* () {
        const { seen, stream } = countedBody(3)
        const { api, sandbox } = yield* setup({
          seeded: true,
          credentials: Credentials.layerNone,
          handlers: { "/v1/no": () => new Response(stream, { status: 401 }) }
        })
        yield* api.execute(merchants)
        yield* sandbox.revokeRefreshTokens
        const error = yield* Effect.flip(api.get("/no"))
        assert.strictEqual(error._tag, "InvalidRefreshToken")
        assert.isTrue(seen.ended)
      })
    )

    it.scoped("law 24: a herd of 64 on a revoked token costs one token request, and all 64 succeed", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const responses = yield* Effect.forEach(
          Array.from({ length: 64 }),
          () => Effect.flatMap(api.execute(merchants), (response) => Effect.as(response.text, response.status)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(new Set(responses), new Set([200]))
        const { tokenRequests, maxConcurrentTokenRequests: maxConcurrentExchanges } = yield* sandbox.report
        assert.deepStrictEqual(
          { tokenRequests, maxConcurrentExchanges },
          { tokenRequests: 2, maxConcurrentExchanges: 1 }
        )
      })
    )

    it.scoped("law 24: a 401 for a token that was replaced since is tried again without a refresh", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        yield* sandbox.faults.inject("api", Faults.Delay({ duration: "10 seconds", when: "after" }))
        const late = yield* Effect.fork(api.execute(merchants))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* api.execute(merchants)).status, 200)
        assert.strictEqual((yield* sandbox.report).refreshes, 1)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Fiber.join(late)).status, 200)
        assert.strictEqual((yield* sandbox.report).refreshes, 1)
        assert.strictEqual(calls(sent).length, 5)
      })
    )

    it.scoped("law 24: a hundred 401s that arrive over five seconds cost one refresh", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        yield* Effect.forEach(Array.from({ length: 100 }), (_, n) =>
          sandbox.faults.inject("api", Faults.Delay({ duration: n * 50 + 1, when: "after" }))
        )
        const herd = yield* Effect.fork(
          Effect.forEach(Array.from({ length: 100 }), () => api.execute(merchants), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("5 seconds")
        const responses = yield* Fiber.join(herd)
        assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
        const { api: requests, refreshes, rejections } = yield* sandbox.report
        assert.deepStrictEqual({ requests, refreshes, rejections }, { requests: 201, refreshes: 1, rejections: 100 })
      })
    )

    it.scoped("law 24: a client under that turns statuses into errors is refreshed for all the same", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ beneath: HttpClient.filterStatusOk })
        assert.strictEqual((yield* api.execute(merchants)).status, 200)
        yield* sandbox.revokeAccessTokens
        assert.strictEqual((yield* api.execute(merchants)).status, 200)
        assert.strictEqual((yield* sandbox.report).refreshes, 1)
      })
    )

    const challenges: ReadonlyArray<readonly [string, number, Record<string, string>, boolean]> = [
      ["a 401 without a challenge", 401, {}, true],
      ["Bearer invalid_token", 401, { "www-authenticate": 'Bearer error="invalid_token"' }, true],
      ["Bearer alone", 401, { "www-authenticate": "Bearer" }, true],
      ["Bearer beside Basic", 401, { "www-authenticate": 'Basic realm="a", Bearer realm="b"' }, true],
      ["bearer in lower case", 401, { "www-authenticate": 'bearer realm="a"' }, true],
      ["insufficient_scope", 401, { "www-authenticate": 'Bearer error="insufficient_scope", scope="a"' }, false],
      ["insufficient_scope unquoted", 401, { "www-authenticate": "Bearer error=insufficient_scope" }, false],
      ["Basic only", 401, { "www-authenticate": 'Basic realm="a"' }, false],
      ["Negotiate only", 401, { "www-authenticate": "Negotiate" }, false],
      ["403", 403, {}, false],
      ["403 with a challenge", 403, { "www-authenticate": 'Bearer error="insufficient_scope"' }, false],
      ["407", 407, {}, false],
      ["500", 500, {}, false],
      ["503", 503, {}, false]
    ]
    for (const [name, status, headers, rejects] of challenges) {
      it.scoped(`law 25: ${name} ${rejects ? "is a rejection" : "is no rejection, and goes to the caller"}`, () =>
        Effect.gen(function* () {
          let times = 0
          const { api, sandbox } = yield* setup({
            handlers: { "/v1/x": () => (++times === 1 ? json({ times }, { status, headers }) : json({ times })) }
          })
          const response = yield* api.get("/x")
          assert.strictEqual(response.status, rejects ? 200 : status)
          assert.deepStrictEqual(yield* response.json, { times: rejects ? 2 : 1 })
          const { tokenRequests, refreshes } = yield* sandbox.report
          assert.deepStrictEqual(
            { tokenRequests, refreshes },
            rejects ? { tokenRequests: 2, refreshes: 1 } : { tokenRequests: 1, refreshes: 0 }
          )
        })
      )
    }
  })

  describe("rejected retries", () => {
    it.scoped("law 10: an API that refuses everything costs a handful of token requests a minute", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({
          sandbox: { lifetime: "1 day" },
          handlers: { "/v1/no": () => json({ no: true }, { status: 401 }) }
        })
        for (const minute of [1, 2, 3]) {
          const before = (yield* sandbox.report).tokenRequests
          for (let i = 0; i < 60; i++) {
            const response = yield* api.get("/no")
            assert.strictEqual(response.status, 401)
            assert.deepStrictEqual(yield* response.json, { no: true })
            yield* TestClock.adjust("1 second")
          }
          const cost = (yield* sandbox.report).tokenRequests - before
          assert.isAtMost(cost, 7, `token requests in minute ${minute}`)
        }
      })
    )

    it.scoped("law 10: rejected requests in a burst cost no more than one after the other", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ handlers: { "/v1/no": () => json({}, { status: 401 }) } })
        for (let round = 0; round < 20; round++) {
          const responses = yield* Effect.forEach(Array.from({ length: 50 }), () => api.get("/no"), {
            concurrency: "unbounded"
          })
          assert.isTrue(responses.every(({ status }) => status === 401))
        }
        assert.isAtMost((yield* sandbox.report).tokenRequests, 3)
      })
    )

    it.scoped("law 10: one forbidden resource costs no more beside healthy traffic, and never disturbs it", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({
          sandbox: { lifetime: "1 day" },
          handlers: { "/v1/no": () => json({}, { status: 401 }) }
        })
        for (let i = 0; i < 60; i++) {
          const [healthy, forbidden, alsoHealthy] = yield* Effect.all(
            [api.execute(merchants), api.get("/no"), api.execute(merchants)],
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual([healthy.status, forbidden.status, alsoHealthy.status], [200, 401, 200])
          yield* TestClock.adjust("1 second")
        }
        const { tokenRequests, rejections } = yield* sandbox.report
        assert.isAtMost(tokenRequests, 8)
        assert.strictEqual(rejections, 0)
      })
    )

    it.scoped("law 10: a token that is truly revoked is replaced while another resource is forbidden", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ handlers: { "/v1/no": () => json({}, { status: 401 }) } })
        assert.strictEqual((yield* api.get("/no")).status, 401)
        yield* sandbox.revokeAccessTokens
        assert.strictEqual((yield* api.execute(merchants)).status, 401)
        yield* TestClock.adjust("250 millis")
        assert.strictEqual((yield* api.execute(merchants)).status, 200)
      })
    )
  })
})
