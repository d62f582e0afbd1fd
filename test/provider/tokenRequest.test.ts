import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, type Layer, TestClock } from "effect"
import type { MalformedResponse, NetworkFailure } from "../../src/common/AuthError.js"
import { tokenRequest } from "../../src/provider/tokenRequest.js"
import * as Faults from "../../src/testing/Faults.js"
import { httpDate } from "../../src/testing/internal/sandboxClient.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"

const provider = { name: "test", redactedHeaders: ["x-secret"] }
const url = "https://api.test/token"
const request = HttpClientRequest.get(`${url}?code=test-secret#test-secret`, {
  headers: { "x-secret": "test-secret" }
})

/** One token request with a client that always answers so. */
const responded = (response: () => Response) =>
  tokenRequest(
    HttpClient.make((request) => Effect.sync(() => HttpClientResponse.fromWeb(request, response()))),
    provider,
    request
  )

/** What a failure says, without what was not said. */
const said = (error: NetworkFailure | MalformedResponse): unknown => {
  assert.notMatch(`${String(error)} ${JSON.stringify(error)} ${error.message}`, /test-secret/)
  return { ...error }
}

describe("a token request", () => {
  it.effect("an answer is its status, headers and JSON, and when it arrived", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(5000)
      const answer = yield* responded(() => new Response('{"a":1}', { headers: { "x-own": "yes" } }))
      assert.deepInclude(answer, {
        url,
        status: 200,
        body: { a: 1 },
        receivedAt: { millis: 5000, nanos: 5_000_000_000n }
      })
      assert.strictEqual(answer.headers["x-own"], "yes")
    })
  )

  it.effect("the body is UTF-8, however it was cut into chunks, with a byte order mark or without", () =>
    Effect.gen(function* () {
      const bytes = new TextEncoder().encode('\uFEFF{"a":"żółć €"}')
      const chunks = (): ReadableStream<Uint8Array> =>
        new ReadableStream({
          start: (controller) => {
            for (const byte of bytes) controller.enqueue(new Uint8Array([byte]))
            controller.close()
          }
        })
      assert.deepStrictEqual((yield* responded(() => new Response(chunks()))).body, { a: "żółć €" })
    })
  )

  for (const status of [400, 401, 403, 404, 409, 418, 422]) {
    it.effect(`law 12: ${status} is left to the provider to judge, whatever its body`, () =>
      Effect.gen(function* () {
        const documented = yield* responded(() => new Response('{"error":"x"}', { status }))
        assert.deepInclude(documented, { status, body: { error: "x" } })
        assert.strictEqual((yield* responded(() => new Response("<html>", { status }))).body, undefined)
        assert.strictEqual((yield* responded(() => new Response(null, { status }))).body, undefined)
      })
    )
  }

  const failures = [
    [429, "rate-limited", "not-spent"],
    [503, "server-error", "not-spent"],
    [500, "server-error", "unknown"],
    [501, "server-error", "unknown"],
    [502, "server-error", "unknown"],
    [504, "server-error", "unknown"],
    [599, "server-error", "unknown"]
  ] as const
  for (const [status, reason, outcome] of failures) {
    it.effect(`law 12: ${status} is ${reason}, ${outcome}, and the body let go`, () =>
      Effect.gen(function* () {
        let ended = false
        const body = (): ReadableStream =>
          new ReadableStream(
            {
              pull: (controller) => {
                ended = true
                controller.close()
              }
            },
            { highWaterMark: 0 }
          )
        const error = yield* Effect.flip(responded(() => new Response(body(), { status })))
        assert.deepStrictEqual(said(error), { _tag: "NetworkFailure", provider: "test", reason, outcome, url, status })
        assert.isTrue(ended)
      })
    )
  }

  const now = Date.UTC(2026, 0, 1)
  const date = (seconds: number) => httpDate(now + seconds * 1000)
  const waits: ReadonlyArray<readonly [string, Record<string, string>, Duration.Duration | undefined]> = [
    ["no Retry-After", {}, undefined],
    ["seconds", { "retry-after": "120" }, Duration.seconds(120)],
    ["seconds among spaces", { "retry-after": "  7 " }, Duration.seconds(7)],
    ["zero", { "retry-after": "0" }, Duration.zero],
    ["a date, by the clock", { "retry-after": date(90) }, Duration.seconds(90)],
    ["a date, by the answer's Date", { "retry-after": date(7290), date: date(7200) }, Duration.seconds(90)],
    ["a date, by a Date in the past", { "retry-after": date(-3570), date: date(-3600) }, Duration.seconds(30)],
    ["a date that is past", { "retry-after": date(-10) }, Duration.zero],
    ["a date beside an odd Date", { "retry-after": date(5), date: "yesterday" }, Duration.seconds(5)],
    ["something else", { "retry-after": "soon" }, undefined],
    ["nothing", { "retry-after": "" }, undefined]
  ]
  for (const [name, headers, expected] of waits) {
    for (const status of [429, 503, 502]) {
      it.effect(`law 12: Retry-After of a ${status}: ${name}`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(now)
          const error = yield* Effect.flip(responded(() => new Response(null, { status, headers })))
          assert.strictEqual(error._tag, "NetworkFailure")
          const reported = error._tag === "NetworkFailure" ? error.retryAfter : undefined
          assert.strictEqual(reported && Duration.toMillis(reported), expected && Duration.toMillis(expected))
        })
      )
    }
  }

  it.effect("law 12: an absurd Retry-After is no defect", () =>
    Effect.gen(function* () {
      const headers = { "retry-after": "9".repeat(400) }
      const error = yield* Effect.flip(responded(() => new Response(null, { status: 429, headers })))
      assert.strictEqual(error._tag, "NetworkFailure")
    })
  )

  for (const status of [300, 301, 302, 303, 304, 307, 308]) {
    it.effect(`law 12: ${status} is a malformed answer, and no one follows it`, () =>
      Effect.gen(function* () {
        let sent = 0
        const headers = { location: "https://evil.test/?token=test-secret" }
        const error = yield* Effect.flip(
          responded(() => {
            sent++
            return new Response(null, { status, headers })
          })
        )
        assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", url, status })
        said(error)
        assert.strictEqual(sent, 1)
      })
    )
  }

  it.effect("law 12: a redirect that a browser hides is a malformed answer", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(responded(() => Response.error()))
      assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", url, status: 0 })
    })
  )

  const nonsense: Record<string, () => Response> = {
    "204": () => new Response(null, { status: 204 }),
    "an empty 200": () => new Response(""),
    "a 200 without a body": () => new Response(null),
    "an HTML page": () => new Response("<!DOCTYPE html><p>test-secret", { headers: { "content-type": "text/html" } }),
    "broken JSON": () => new Response('{"token":"test-secret"'),
    "no UTF-8": () => new Response(new Uint8Array([0xff, 0xfe, 0xfd]))
  }
  for (const [name, response] of Object.entries(nonsense)) {
    it.effect(`law 12: ${name} is a malformed answer, outcome unknown`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(responded(response))
        assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", url })
        said(error)
      })
    )
  }

  it.effect("law 12: a body of more than 1 MiB is refused while it arrives, and the rest is not read", () =>
    Effect.gen(function* () {
      const seen = { pulled: 0, cancelled: false }
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          seen.pulled++
          controller.enqueue(new Uint8Array(65_536).fill(32))
        },
        cancel: () => {
          seen.cancelled = true
        }
      })
      const error = yield* Effect.flip(responded(() => new Response(endless)))
      assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", status: 200 })
      assert.isTrue(seen.cancelled)
      assert.isAtMost(seen.pulled, 20)
    })
  )

  it.effect("law 12: a body of 1 MiB is read", () =>
    Effect.gen(function* () {
      const text = JSON.stringify({ a: "x".repeat(1_048_576 - 8) })
      assert.strictEqual(text.length, 1_048_576)
      assert.strictEqual((yield* responded(() => new Response(text))).status, 200)
      const longer = yield* Effect.flip(responded(() => new Response(`${text} `)))
      assert.strictEqual(longer._tag, "MalformedResponse")
    })
  )

  it.effect("law 12: a client under that turns statuses into errors changes nothing", () =>
    Effect.gen(function* () {
      for (const [status, , outcome] of failures) {
        const client = HttpClient.filterStatusOk(
          HttpClient.make((request) =>
            Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status })))
          )
        )
        const error = yield* Effect.flip(tokenRequest(client, provider, request))
        assert.deepInclude({ ...error }, { _tag: "NetworkFailure", outcome, status })
      }
    })
  )

  /** An error of the operating system, as it arrives through a client: with the request, and secrets in its message. */
  const failed = (cause: unknown) =>
    tokenRequest(
      HttpClient.make((request) =>
        Effect.fail(
          new HttpClientError.RequestError({ request, reason: "Transport", cause, description: "test-secret" })
        )
      ),
      provider,
      request
    )
  const codes: ReadonlyArray<readonly [string, string, string]> = [
    ["ECONNREFUSED", "unreachable", "not-spent"],
    ["ENOTFOUND", "unreachable", "not-spent"],
    ["EAI_AGAIN", "unreachable", "not-spent"],
    ["EHOSTUNREACH", "unreachable", "not-spent"],
    ["ENETUNREACH", "unreachable", "not-spent"],
    ["UND_ERR_CONNECT_TIMEOUT", "unreachable", "not-spent"],
    ["ECONNRESET", "interrupted", "unknown"],
    ["EPIPE", "interrupted", "unknown"],
    ["ETIMEDOUT", "interrupted", "unknown"],
    ["UND_ERR_SOCKET", "interrupted", "unknown"]
  ]
  for (const [code, reason, outcome] of codes) {
    it.effect(`law 12: ${code} is ${reason}, ${outcome}`, () =>
      Effect.gen(function* () {
        const cause = Object.assign(new Error("test-secret"), { code })
        const expected = { _tag: "NetworkFailure", provider: "test", reason, outcome, url, code }
        assert.deepStrictEqual(said(yield* Effect.flip(failed(cause))), expected)
        const wrapped = new TypeError("fetch failed", { cause })
        assert.deepStrictEqual(said(yield* Effect.flip(failed(wrapped))), expected)
      })
    )
  }

  it.effect("law 12: what has no code, or one that is no code, is interrupted, unknown, and not passed on", () =>
    Effect.gen(function* () {
      const circle: { cause?: unknown } = {}
      circle.cause = circle
      for (const cause of [
        undefined,
        "test-secret",
        new Error("test-secret"),
        { code: "test-secret" },
        { code: 7 },
        circle
      ]) {
        assert.deepStrictEqual(said(yield* Effect.flip(failed(cause))), {
          _tag: "NetworkFailure",
          provider: "test",
          reason: "interrupted",
          outcome: "unknown",
          url
        })
      }
    })
  )

  describe("with the sandbox", () => {
    const faults: ReadonlyArray<readonly [string, Faults.Fault, object]> = [
      [
        "a drop before",
        Faults.Drop({ when: "before" }),
        { reason: "interrupted", outcome: "unknown", code: "ECONNRESET" }
      ],
      [
        "a drop after",
        Faults.Drop({ when: "after" }),
        { reason: "interrupted", outcome: "unknown", code: "ECONNRESET" }
      ],
      ["a truncated body", Faults.Body({ kind: "truncated" }), { reason: "interrupted", outcome: "unknown" }],
      [
        "a broken body",
        Faults.Body({ kind: "broken" }),
        { _tag: "MalformedResponse", outcome: "unknown", status: 200 }
      ],
      ["a page", Faults.Body({ kind: "html" }), { _tag: "MalformedResponse", outcome: "unknown", status: 200 }],
      ["an empty body", Faults.Body({ kind: "empty" }), { _tag: "MalformedResponse", outcome: "unknown", status: 200 }],
      [
        "a redirect",
        Faults.Redirect({ location: "/v1/login" }),
        { _tag: "MalformedResponse", outcome: "unknown", status: 302 }
      ],
      ["429", Faults.Status({ status: 429 }), { reason: "rate-limited", outcome: "not-spent", status: 429 }]
    ]
    for (const [name, fault, expected] of faults) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const sandbox = yield* VioletSandbox.make()
          yield* sandbox.faults.inject("login", fault)
          const login = HttpClientRequest.post(`${sandbox.baseUrl}/login`)
          const error = yield* Effect.flip(tokenRequest(sandbox.client, provider, login))
          assert.deepInclude({ ...error }, expected)
          assert.strictEqual((yield* sandbox.log).length, 1)
        })
      )
    }
  })

  /** A server on loopback, and its address. */
  const listen = (listener: RequestListener) =>
    Effect.acquireRelease(
      Effect.async<{ readonly close: Effect.Effect<void>; readonly url: string }>((resume) => {
        const server = createServer(listener)
        const close = Effect.async<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
        server.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({ close, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token` }))
        )
      }),
      ({ close }) => close
    )
  const clients: Record<string, Layer.Layer<HttpClient.HttpClient>> = {
    fetch: FetchHttpClient.layer,
    undici: NodeHttpClient.layerUndici,
    "node:http": NodeHttpClient.layer
  }
  for (const [name, layer] of Object.entries(clients)) {
    const ask = (url: string) =>
      Effect.flatMap(HttpClient.HttpClient, (client) =>
        Effect.flip(tokenRequest(client, provider, HttpClientRequest.get(`${url}?code=test-secret`)))
      ).pipe(Effect.provide(layer), Effect.timeout("10 seconds"))

    it.scopedLive(`law 12: over ${name}, a closed port is not spent`, () =>
      Effect.gen(function* () {
        const { close, url } = yield* listen(() => {})
        yield* close
        assert.deepStrictEqual(said(yield* ask(url)), {
          _tag: "NetworkFailure",
          provider: "test",
          reason: "unreachable",
          outcome: "not-spent",
          url,
          code: "ECONNREFUSED"
        })
      })
    )

    it.scopedLive(`law 12: over ${name}, a reset after sending is unknown`, () =>
      Effect.gen(function* () {
        const { url } = yield* listen((request) => request.socket.resetAndDestroy())
        const error = yield* ask(url)
        assert.deepInclude({ ...error }, { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", url })
        said(error)
      })
    )

    it.scopedLive(`law 12: over ${name}, an answer cut in its middle is unknown`, () =>
      Effect.gen(function* () {
        const { url } = yield* listen((_, response) => {
          response.writeHead(200, { "content-length": "1000" })
          response.write('{"token":"test-secret"', () => response.socket?.destroySoon())
        })
        const error = yield* ask(url)
        assert.deepInclude({ ...error }, { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", url })
        said(error)
      })
    )

    it.scopedLive(`law 12: over ${name}, an endless body is refused and its connection closed`, () =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<void>()
        const { url } = yield* listen((_, response) => {
          response.on("close", () => Deferred.unsafeDone(closed, Effect.void))
          const chunk = " ".repeat(65_536)
          const more = () => {
            while (!response.destroyed && response.write(chunk)) {}
          }
          response.on("drain", more)
          more()
        })
        const error = yield* ask(url)
        assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", url, status: 200 })
        yield* Effect.timeout(Deferred.await(closed), "10 seconds")
      })
    )
  }
})
