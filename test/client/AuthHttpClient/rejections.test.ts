import {
  Cookies,
  Headers,
  HttpBody,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
  UrlParams
} from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  FiberId,
  Layer,
  Redacted,
  Ref,
  Schedule,
  Schema,
  Scope,
  Stream,
  TestClock
} from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Violet from "../../../src/providers/Violet.js"
import * as Session from "../../../src/session/Session.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import * as Token from "../../../src/token/Token.js"

type Errors = HttpClientError.HttpClientError | AuthError
type Client = HttpClient.HttpClient.With<Errors>
type Handler = (request: HttpClientRequest.HttpClientRequest, url: URL) => Response | Effect.Effect<Response>

const origin = "https://violet.test"

/** Answers some paths by itself and leaves the others to a client. */
const routes = (client: HttpClient.HttpClient, handlers: Readonly<Record<string, Handler>>): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const handler = handlers[url.pathname]
    if (handler === undefined) return client.execute(request)
    const answer = handler(request, url)
    return Effect.map(Effect.isEffect(answer) ? answer : Effect.succeed(answer), (response) =>
      HttpClientResponse.fromWeb(request, response)
    )
  })

/** A signed-in application over a sandbox: everything its bare client sends is in `sent`. */
const setup = Effect.fnUntraced(function* (
  options: {
    readonly sandbox?: VioletSandbox.Options
    readonly handlers?: Readonly<Record<string, Handler>>
    readonly beneath?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
    readonly credentials?: Layer.Layer<Credentials.Credentials>
    readonly seeded?: boolean
  } = {}
) {
  const sandbox = yield* VioletSandbox.make(options.sandbox)
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const bare = HttpClient.tapRequest(routes(sandbox.client, options.handlers ?? {}), (request) =>
    Effect.sync(() => sent.push(request))
  )
  const seed =
    options.seeded === true ? Token.make({ refreshToken: Redacted.make(yield* sandbox.mintRefreshToken) }) : undefined
  const context = yield* Layer.build(
    Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: sandbox.baseUrl,
      renewal: "on-use",
      seed
    }).pipe(
      Layer.provide([
        options.credentials ??
          Layer.orDie(
            Credentials.layer({
              username: Redacted.make("test-user@example.com"),
              password: Redacted.make("test-password")
            })
          ),
        Layer.succeed(HttpClient.HttpClient, (options.beneath ?? ((client) => client))(bare))
      ])
    )
  )
  return {
    sandbox,
    sent,
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** Requests of the API among those sent. */
const calls = (sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>) =>
  sent.filter(({ url }) => !/\/(login|auth\/token)$/.test(new URL(url).pathname))

const tokenOf = (request: HttpClientRequest.HttpClientRequest | undefined) => request?.headers["x-violet-token"]

const merchants = HttpClientRequest.get("/merchants", { urlParams: { size: 1 } })

const json = (body: unknown, init?: ResponseInit) => new Response(JSON.stringify(body), init)

/** A body in chunks of a KiB that counts what is read of it and whether it was let go. */
const countedBody = (chunks: number) => {
  const seen = { pulled: 0, ended: false, cancelled: false }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (seen.pulled === chunks) {
          seen.ended = true
          controller.close()
        } else if (seen.pulled < chunks) {
          seen.pulled++
          controller.enqueue(new Uint8Array(1024))
        }
      },
      cancel: () => {
        seen.cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  return { seen, stream }
}

describe("AuthHttpClient", () => {
  describe("the request", () => {
    it.effect("a request carries the application and the token", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { api, sandbox, sent, session } = yield* setup()
          const answer = yield* api.execute(merchants)
          assert.strictEqual(answer.status, 200)
          const [request] = calls(sent)
          assert.strictEqual(request?.headers["x-violet-app-id"], "1234")
          assert.strictEqual(tokenOf(request), Redacted.value(yield* session.accessToken))
          assert.strictEqual((yield* sandbox.report).complaints, 0)
        })
      )
    )

    it.scoped("relative, absolute and decorated URLs reach the API as they would reach it without us", () =>
      Effect.gen(function* () {
        const { api, sent } = yield* setup({ handlers: { "/v1/a/b": () => json({}), "/v1/a:b": () => json({}) } })
        const reached = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
          sent.length = 0
          yield* api.execute(request)
          const last = calls(sent).at(-1)
          assert.isDefined(last)
          return new URL(yield* UrlParams.makeUrl(last.url, last.urlParams, last.hash)).href
        })
        const get = HttpClientRequest.get
        assert.strictEqual(yield* reached(get("/merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get("merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get("a/b")), `${origin}/v1/a/b`)
        assert.strictEqual(yield* reached(get("/a:b")), `${origin}/v1/a:b`)
        assert.strictEqual(yield* reached(get(`${origin}/v1/merchants`)), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get(new URL("/v1/merchants?a=b#c", origin))), `${origin}/v1/merchants?a=b#c`)
        assert.strictEqual(yield* reached(get("HTTPS://VIOLET.test:443/v1/merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(
          yield* reached(get("/merchants?page=2#top", { urlParams: { size: "3", q: "a b&c" } })),
          `${origin}/v1/merchants?page=2&size=3&q=a+b%26c#top`
        )
        assert.strictEqual(
          yield* reached(
            get("merchants", {
              hash: "end",
              urlParams: [
                ["x", "1"],
                ["x", "2"]
              ]
            })
          ),
          `${origin}/v1/merchants?x=1&x=2#end`
        )
      })
    )

    it.scoped("a token that the caller put on the request is replaced", () =>
      Effect.gen(function* () {
        const { api, sent, session } = yield* setup()
        yield* api.execute(HttpClientRequest.setHeader(merchants, "X-Violet-Token", "the-callers-own"))
        assert.strictEqual(tokenOf(calls(sent)[0]), Redacted.value(yield* session.accessToken))
      })
    )

    it.scoped("every method reaches the API, with the body and headers of the caller", () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const { api } = yield* setup({
          handlers: {
            "/v1/any": ({ body, headers, method }) => {
              seen.push(`${method} ${headers["x-mine"]} ${body._tag}`)
              return json({})
            }
          }
        })
        const headers = { "x-mine": "yes" }
        yield* api.get("/any", { headers })
        yield* api.head("/any", { headers })
        yield* api.options("/any", { headers })
        yield* api.del("/any", { headers })
        yield* api.post("/any", { headers, body: HttpBody.unsafeJson({}) })
        yield* api.put("/any", { headers, body: HttpBody.text("a") })
        yield* api.patch("/any", { headers, body: HttpBody.raw("a") })
        assert.deepStrictEqual(seen, [
          "GET yes Empty",
          "HEAD yes Empty",
          "OPTIONS yes Empty",
          "DELETE yes Empty",
          "POST yes Uint8Array",
          "PUT yes Uint8Array",
          "PATCH yes Raw"
        ])
      })
    )
  })

  describe("origins", () => {
    const foreign = [
      "https://evil.test/x",
      "//evil.test/x",
      "\\\\evil.test\\x",
      "/\\evil.test",
      "\\/evil.test",
      "///evil.test",
      "\t//evil.test/x",
      "https:evil.test",
      "https:/evil.test",
      "https:\\\\evil.test",
      "https://api@evil.test",
      "https://violet.test@evil.test/v1/merchants",
      "https://violet.test:pw@evil.test",
      "https://violet.test.evil.test/v1",
      "https://evil.test/https://violet.test",
      "https://violet.test:8443/v1/merchants",
      "http://violet.test/v1/merchants",
      "http://violet.test:443/v1/merchants",
      "ws://violet.test/v1/merchants",
      "blob:https://violet.test/v1/merchants",
      "data:text/plain,x",
      "javascript:1",
      "file:///etc/hosts",
      "https://",
      "https://violet.test:99999/"
    ]

    for (const url of foreign) {
      it.scoped(`law 23: ${JSON.stringify(url)} is an UntrustedOrigin, and nothing is sent`, () =>
        Effect.gen(function* () {
          const { api, sent } = yield* setup()
          const error = yield* Effect.flip(api.get(url))
          assert.strictEqual(error._tag, "UntrustedOrigin")
          assert.deepStrictEqual(sent, [])
          const changed = HttpClient.mapRequest(api, HttpClientRequest.setUrl(url))
          const late = yield* Effect.flip(changed.execute(merchants))
          assert.strictEqual(late._tag, "UntrustedOrigin")
          assert.deepStrictEqual(sent, [])
        })
      )
    }

    it.scoped("law 23: the error tells whose the origin is, without path, query or user info", () =>
      Effect.gen(function* () {
        const { api } = yield* setup()
        const error = yield* Effect.flip(api.get("https://user:test-pw@evil.test/secret?token=test-1#x"))
        assert.deepInclude({ ...error }, { provider: "violet", origin: "https://evil.test", trusted: [origin] })
        assert.notMatch(String(error) + JSON.stringify(error), /secret|test-pw|test-1/)
      })
    )

    it.scoped("law 23: prependUrl over our client cannot lead elsewhere either", () =>
      Effect.gen(function* () {
        const { api, sent } = yield* setup()
        const over = HttpClient.mapRequest(api, HttpClientRequest.prependUrl("https://evil.test/v1"))
        assert.strictEqual((yield* Effect.flip(over.get("/merchants")))._tag, "UntrustedOrigin")
        const effectful = HttpClient.mapRequestInputEffect(api, (request) =>
          Effect.succeed(HttpClientRequest.setUrl(request, "//evil.test"))
        )
        assert.strictEqual((yield* Effect.flip(effectful.get("/merchants")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(sent, [])
      })
    )
  })

  describe("rejections", () => {
    it.scoped("law 24: after a 401 the token is refreshed once and the request sent once more", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const answer = yield* api.execute(merchants)
        assert.strictEqual(answer.status, 200)
        assert.deepNestedInclude(yield* answer.json, { "content[0].id": 1 })
        const [, rejected, repeated, ...more] = calls(sent)
        assert.notStrictEqual(tokenOf(repeated), tokenOf(rejected))
        assert.deepStrictEqual(more, [])
        const { complaints, exchanges, refreshes, rejections } = yield* sandbox.report
        assert.deepStrictEqual(
          { complaints, exchanges, refreshes, rejections },
          { complaints: 0, exchanges: 2, refreshes: 1, rejections: 1 }
        )
      })
    )

    it.scoped("law 24: a second 401 goes to the caller, as the API wrote it", () =>
      Effect.gen(function* () {
        let count = 0
        const { api, sandbox, sent } = yield* setup({
          handlers: { "/v1/no": () => json({ no: ++count }, { status: 401, headers: { "x-own": "yes" } }) }
        })
        const answer = yield* api.get("/no")
        assert.strictEqual(answer.status, 401)
        assert.strictEqual(answer.headers["x-own"], "yes")
        assert.deepStrictEqual(yield* answer.json, { no: 2 })
        assert.strictEqual(calls(sent).length, 2)
        assert.strictEqual((yield* sandbox.report).refreshes, 1)
      })
    )

    it.scoped("law 24: a POST with a JSON body is repeated with the same body", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const answer = yield* api.post("/echo", { body: HttpBody.unsafeJson({ order: 7 }) })
        assert.strictEqual(answer.status, 200)
        assert.deepStrictEqual(yield* answer.json, { order: 7 })
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
          const answer = yield* api.post("/upload", { body: body() })
          assert.strictEqual(answer.status, 401)
          assert.deepStrictEqual(yield* answer.json, { mine: true })
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
        const answer = yield* api.post("/upload", { body: HttpBody.stream(Stream.make(new Uint8Array(1))) })
        assert.strictEqual(answer.status, 401)
        assert.deepStrictEqual(yield* answer.json, { mine: true })
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
        const answer = yield* api.get("/no")
        assert.strictEqual(answer.status, 401)
        const error = yield* Effect.flip(answer.text)
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
        const answer = yield* get
        assert.strictEqual(Cookies.toRecord(answer.cookies).a, "1")
        assert.strictEqual((yield* answer.formData).get("a"), "1")
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

    it.scoped("law 24: a herd of 64 on a revoked token costs one exchange, and all 64 succeed", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* api.execute(merchants)
        yield* sandbox.revokeAccessTokens
        const answers = yield* Effect.forEach(
          Array.from({ length: 64 }),
          () => Effect.flatMap(api.execute(merchants), (answer) => Effect.as(answer.text, answer.status)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(new Set(answers), new Set([200]))
        const { exchanges, maxConcurrentExchanges } = yield* sandbox.report
        assert.deepStrictEqual({ exchanges, maxConcurrentExchanges }, { exchanges: 2, maxConcurrentExchanges: 1 })
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
        const answers = yield* Fiber.join(herd)
        assert.deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
        const { api: requests, refreshes, rejections } = yield* sandbox.report
        assert.deepStrictEqual({ requests, refreshes, rejections }, { requests: 201, refreshes: 1, rejections: 100 })
      })
    )

    it.scoped("law 24: a client beneath that turns statuses into errors is refreshed for all the same", () =>
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
          const answer = yield* api.get("/x")
          assert.strictEqual(answer.status, rejects ? 200 : status)
          assert.deepStrictEqual(yield* answer.json, { times: rejects ? 2 : 1 })
          const { exchanges, refreshes } = yield* sandbox.report
          assert.deepStrictEqual(
            { exchanges, refreshes },
            rejects ? { exchanges: 2, refreshes: 1 } : { exchanges: 1, refreshes: 0 }
          )
        })
      )
    }
  })

  describe("strikes", () => {
    it.scoped("law 10: an API that refuses everything costs a handful of exchanges a minute", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({
          sandbox: { lifetime: "1 day" },
          handlers: { "/v1/no": () => json({ no: true }, { status: 401 }) }
        })
        for (const minute of [1, 2, 3]) {
          const before = (yield* sandbox.report).exchanges
          for (let i = 0; i < 60; i++) {
            const answer = yield* api.get("/no")
            assert.strictEqual(answer.status, 401)
            assert.deepStrictEqual(yield* answer.json, { no: true })
            yield* TestClock.adjust("1 second")
          }
          const cost = (yield* sandbox.report).exchanges - before
          assert.isAtMost(cost, 7, `exchanges in minute ${minute}`)
        }
      })
    )

    it.scoped("law 10: rejected requests in a burst cost no more than one after the other", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ handlers: { "/v1/no": () => json({}, { status: 401 }) } })
        for (let round = 0; round < 20; round++) {
          const answers = yield* Effect.forEach(Array.from({ length: 50 }), () => api.get("/no"), {
            concurrency: "unbounded"
          })
          assert.isTrue(answers.every(({ status }) => status === 401))
        }
        assert.isAtMost((yield* sandbox.report).exchanges, 3)
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
        const { exchanges, rejections } = yield* sandbox.report
        assert.isAtMost(exchanges, 8)
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

  describe("beside a plain client", () => {
    /** An API that needs no token, with a memory of its own. */
    const open = () => {
      const times = new Map<string, number>()
      const count = (path: string) => {
        const n = (times.get(path) ?? 0) + 1
        times.set(path, n)
        return n
      }
      const handlers: Record<string, Handler> = {
        "/v1/flaky": (_, url) =>
          json({ n: count(url.pathname) }, { status: (times.get(url.pathname) ?? 0) < 3 ? 503 : 200 }),
        "/v1/broken": (_, url) => json({ n: count(url.pathname) }, { status: 404 }),
        "/v1/cookie": ({ headers }, url) =>
          json({ cookie: headers.cookie ?? null }, { headers: { "set-cookie": `n=${count(url.pathname)}; Path=/` } }),
        "/v1/hop": () => new Response(null, { status: 302, headers: { location: "item?from=hop" } }),
        "/v1/item": ({ headers, method }, url) =>
          json({ id: 1, method, search: url.search, mine: headers["x-mine"] ?? null }),
        "/v1/text": () => new Response("not json"),
        "/v1/form": () => new Response("a=1&a=2", { headers: { "content-type": "application/x-www-form-urlencoded" } }),
        "/v1/stream": () => new Response("chunks"),
        "/v1/empty": () => new Response(null, { status: 204 })
      }
      return handlers
    }
    const at = (path: string) => `${origin}/v1/${path}`
    const Item = Schema.Struct({ id: Schema.Number, search: Schema.String })
    const brief = (error: Errors | { readonly _tag: string }) => ({
      tag: error._tag,
      reason: "reason" in error ? error.reason : undefined,
      status: error._tag === "ResponseError" && "response" in error ? error.response.status : undefined
    })
    const shown = Effect.fnUntraced(function* (answer: HttpClientResponse.HttpClientResponse) {
      return {
        status: answer.status,
        headers: Object.fromEntries(Object.entries(answer.headers)),
        cookies: Cookies.toRecord(answer.cookies),
        remoteAddress: answer.remoteAddress,
        text: yield* answer.text
      }
    })

    const uses: Record<string, (client: Client) => Effect.Effect<unknown, unknown, Scope.Scope>> = {
      retryTransient: (client) =>
        HttpClient.retryTransient(client, { times: 5 }).get(at("flaky")).pipe(Effect.flatMap(shown)),
      "retryTransient giving up": (client) =>
        HttpClient.retryTransient(client, { times: 1 }).get(at("flaky")).pipe(Effect.flatMap(shown)),
      "retryTransient with a schedule": (client) =>
        HttpClient.retryTransient(HttpClient.filterStatusOk(client), { schedule: Schedule.recurs(4) })
          .get(at("flaky"))
          .pipe(Effect.flatMap(shown)),
      withCookiesRef: (client) =>
        Effect.gen(function* () {
          const ref = yield* Ref.make(Cookies.empty)
          const withCookies = HttpClient.withCookiesRef(client, ref)
          const first = yield* Effect.flatMap(withCookies.get(at("cookie")), shown)
          const second = yield* Effect.flatMap(withCookies.get(at("cookie")), shown)
          return { first, second, kept: Cookies.toRecord(yield* Ref.get(ref)) }
        }),
      followRedirects: (client) => HttpClient.followRedirects(client).get(at("hop")).pipe(Effect.flatMap(shown)),
      "no followRedirects": (client) => client.get(at("hop")).pipe(Effect.flatMap(shown)),
      filterStatusOk: (client) => Effect.map(Effect.flip(HttpClient.filterStatusOk(client).get(at("broken"))), brief),
      filterStatus: (client) =>
        HttpClient.filterStatus(client, (status) => status === 404)
          .get(at("broken"))
          .pipe(Effect.flatMap(shown)),
      "HttpClientResponse.filterStatusOk": (client) =>
        client
          .get(at("broken"))
          .pipe(Effect.flatMap(HttpClientResponse.filterStatusOk), Effect.flip, Effect.map(brief)),
      "HttpClientResponse.matchStatus": (client) =>
        client
          .get(at("broken"))
          .pipe(
            Effect.map(
              HttpClientResponse.matchStatus({ "2xx": () => "ok", 404: () => "missing", orElse: () => "else" })
            )
          ),
      schemaBodyJson: (client) =>
        client.get(at("item?a=b")).pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Item))),
      "schemaBodyJson of something else": (client) =>
        client
          .get(at("broken"))
          .pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Item)), Effect.flip, Effect.map(brief)),
      schemaJson: (client) =>
        client
          .get(at("item"))
          .pipe(
            Effect.flatMap(HttpClientResponse.schemaJson(Schema.Struct({ status: Schema.Literal(200), body: Item })))
          ),
      "json of a text": (client) =>
        client.get(at("text")).pipe(
          Effect.flatMap((answer) => answer.json),
          Effect.flip,
          Effect.map(brief)
        ),
      urlParamsBody: (client) => client.get(at("form")).pipe(Effect.flatMap((answer) => answer.urlParamsBody)),
      formData: (client) =>
        client.get(at("form")).pipe(
          Effect.flatMap((answer) => answer.formData),
          Effect.map((data) => data.getAll("a"))
        ),
      arrayBuffer: (client) =>
        client.get(at("stream")).pipe(
          Effect.flatMap((answer) => answer.arrayBuffer),
          Effect.map((buffer) => new TextDecoder().decode(buffer))
        ),
      stream: (client) =>
        Stream.unwrap(Effect.map(client.get(at("stream")), ({ stream }) => stream)).pipe(
          Stream.decodeText(),
          Stream.mkString,
          Stream.runCollect
        ),
      "HttpClientResponse.stream": (client) =>
        HttpClientResponse.stream(client.get(at("stream"))).pipe(
          Stream.decodeText(),
          Stream.mkString,
          Stream.runCollect
        ),
      "an empty body": (client) => client.get(at("empty")).pipe(Effect.flatMap(shown)),
      "an empty stream": (client) =>
        Stream.runDrain(HttpClientResponse.stream(client.get(at("empty")))).pipe(
          Effect.flip,
          Effect.map((error) => brief(error as Errors))
        ),
      mapRequest: (client) =>
        HttpClient.mapRequest(client, HttpClientRequest.setHeader("x-mine", "1"))
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      prependUrl: (client) =>
        HttpClient.mapRequest(client, HttpClientRequest.prependUrl(`${origin}/v1`))
          .get("/item", { urlParams: { a: 1 } })
          .pipe(Effect.flatMap(shown)),
      mapRequestEffect: (client) =>
        HttpClient.mapRequestEffect(client, (request) =>
          Effect.succeed(HttpClientRequest.appendUrlParam(request, "b", "2"))
        )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      mapRequestInput: (client) =>
        client
          .pipe(
            HttpClient.mapRequest(HttpClientRequest.setHeader("x-mine", "second")),
            HttpClient.mapRequestInput(HttpClientRequest.setHeader("x-mine", "first"))
          )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      "tap and tapError": (client) =>
        Effect.gen(function* () {
          const seen: Array<number | string> = []
          const tapped = client.pipe(
            HttpClient.tapRequest((request) => Effect.sync(() => seen.push(request.url))),
            HttpClient.tap((answer) => Effect.sync(() => seen.push(answer.status))),
            HttpClient.filterStatusOk,
            HttpClient.tapError((error) => Effect.sync(() => seen.push(error._tag)))
          )
          yield* Effect.exit(tapped.get(at("item")))
          yield* Effect.exit(tapped.get(at("broken")))
          return seen
        }),
      catchTag: (client) =>
        HttpClient.filterStatusOk(client)
          .pipe(HttpClient.catchTag("ResponseError", ({ response }) => Effect.succeed(response)))
          .get(at("broken"))
          .pipe(Effect.flatMap(shown)),
      transformResponse: (client) =>
        HttpClient.transformResponse(
          client,
          Effect.tap((answer) => answer.text)
        )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      "the request of an answer": (client) =>
        Effect.map(client.get(at("item"), { headers: { "x-mine": "1" } }), ({ request }) => ({
          method: request.method,
          url: request.url,
          mine: request.headers["x-mine"],
          authorized: Headers.has(request.headers, "x-violet-token")
        }))
    }
    for (const [name, use] of Object.entries(uses)) {
      it.scoped(`law 26: ${name} is as over a plain client`, () =>
        Effect.gen(function* () {
          const plain = routes(
            HttpClient.make(() => Effect.die("not an API")),
            open()
          )
          const { api } = yield* setup({ handlers: open() })
          const expected = yield* use(plain)
          assert.deepStrictEqual(yield* use(api), expected)
        })
      )
    }

    it.scoped("law 26: the span of a request is a child of the caller's, named and attributed as ever", () =>
      Effect.gen(function* () {
        const spans = Effect.fnUntraced(function* (
          make: (bare: HttpClient.HttpClient) => Effect.Effect<Client, never, Scope.Scope>
        ) {
          const seen: Array<unknown> = []
          const bare = HttpClient.make((request) =>
            Effect.gen(function* () {
              const span = yield* Effect.orDie(Effect.currentSpan)
              const { "http.request.header.x-violet-token": token, ...rest } = Object.fromEntries(span.attributes)
              seen.push({
                name: span.name,
                kind: span.kind,
                parent:
                  span.parent._tag === "Some" && span.parent.value._tag === "Span" ? span.parent.value.name : undefined,
                full: rest["url.full"],
                method: rest["http.request.method"],
                traced: request.headers.traceparent !== undefined || request.headers.b3 !== undefined
              })
              if (token !== undefined) assert.strictEqual(token, "<redacted>")
              return HttpClientResponse.fromWeb(request, json({}))
            })
          )
          const client = yield* make(bare)
          yield* Effect.withSpan(client.get(at("item")), "outer")
          yield* HttpClient.withSpanNameGenerator(client, ({ method }) => `mine ${method}`).get(at("item"))
          yield* HttpClient.withTracerPropagation(client, false).get(at("item"))
          return seen
        })
        const plain = yield* spans(Effect.succeed)
        const authorized = yield* spans((bare) =>
          Effect.map(Effect.orDie(setup({ beneath: (client) => routeTo(client, bare) })), ({ api }): Client => api)
        )
        assert.strictEqual(plain.length, 3)
        assert.deepStrictEqual(authorized, plain)
      })
    )

    /** The API's requests to one client, the tokens' to another. */
    const routeTo = (tokens: HttpClient.HttpClient, api: HttpClient.HttpClient): HttpClient.HttpClient =>
      HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) => (request.url.endsWith("/item") ? api : tokens).execute(request)),
        Effect.succeed
      )

    it.scoped("law 26: a transport error is retried as over a plain client, and an AuthError is not", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        const retrying = HttpClient.retryTransient(api, { times: 3 })
        yield* sandbox.faults.inject("api", Faults.Drop({ when: "before" }), 2)
        assert.strictEqual((yield* retrying.execute(merchants)).status, 200)
        assert.strictEqual(calls(sent).length, 3)
        assert.strictEqual((yield* Effect.flip(retrying.get("//evil.test")))._tag, "UntrustedOrigin")
        yield* sandbox.faults.inject("api", Faults.Drop({ when: "after" }))
        const error = yield* Effect.flip(api.execute(merchants))
        assert.instanceOf(error, HttpClientError.RequestError)
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.request.url, `${origin}/v1/merchants`)
        assert.isTrue(Headers.has(error.request.headers, "x-violet-token") === false)
      })
    )
  })

  describe("scopes and interruption", () => {
    /** A client that notes the signal of its last request and answers at once, or never. */
    const watching = (answers: boolean) => {
      const last: { signal?: AbortSignal } = {}
      const started = Deferred.unsafeMake<void>(FiberId.none)
      const handler = HttpClient.make((request, _, signal) => {
        last.signal = signal
        return Effect.zipRight(
          Deferred.succeed(started, undefined),
          answers ? Effect.sync(() => HttpClientResponse.fromWeb(request, json({}))) : Effect.never
        )
      })
      return { last, started, handler }
    }
    const apiOver = (last: HttpClient.HttpClient) =>
      setup({
        beneath: (client) =>
          HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
            Effect.flatMap((request) => (request.url.endsWith("/watched") ? last : client).execute(request)),
            Effect.succeed
          )
      })

    it.scoped("withScope beneath our client aborts the request when its scope closes", () =>
      Effect.gen(function* () {
        const { handler, last } = watching(true)
        const scope = yield* Scope.make()
        const bare = HttpClient.transformResponse(HttpClient.withScope(handler), Scope.extend(scope))
        const { api } = yield* apiOver(bare)
        yield* api.get("/watched")
        assert.isFalse(last.signal?.aborted)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(last.signal?.aborted)
      })
    )

    it.scoped("withScope over our client does not reach the request, as documented", () =>
      Effect.gen(function* () {
        const { handler, last } = watching(true)
        const { api } = yield* apiOver(handler)
        const answer = yield* Effect.scoped(HttpClient.withScope(api).get("/watched"))
        assert.isFalse(last.signal?.aborted)
        assert.deepStrictEqual(yield* answer.json, {})
      })
    )

    it.scoped("interrupting the caller aborts the request beneath", () =>
      Effect.gen(function* () {
        const { handler, last, started } = watching(false)
        const { api } = yield* apiOver(handler)
        const fiber = yield* Effect.fork(api.get("/watched"))
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(last.signal?.aborted)
      })
    )

    it.scoped("a stream that is abandoned cancels the body beneath", () =>
      Effect.gen(function* () {
        const { seen, stream } = countedBody(Number.POSITIVE_INFINITY)
        const { api } = yield* setup({ handlers: { "/v1/endless": () => new Response(stream) } })
        const answer = yield* api.get("/endless")
        yield* Stream.runDrain(Stream.take(answer.stream, 3))
        assert.isTrue(seen.cancelled)
        assert.isAtMost(seen.pulled, 5)
      })
    )
  })
})
