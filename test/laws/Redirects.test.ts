import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { FetchHttpClient, HttpClient, HttpServer } from "@effect/platform"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schedule } from "effect"
import * as AuthHttpClient from "../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import * as Session from "../../src/session/Session.js"
import * as Faults from "../../src/testing/Faults.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"

const secrets = /test-app-secret|test-password|test-user|eyJ|x-violet|authorization/i

/** A server of another process, and everything it was sent: the request line, each header and the body. */
const somebodyElse = Effect.gen(function* () {
  const seen: Array<string> = []
  const listener: RequestListener = (request, response) => {
    let body = ""
    request.on("data", (chunk) => (body += chunk))
    request.on("end", () => {
      seen.push(`${request.method} ${request.url}\n${request.rawHeaders.join("\n")}\n${body}`)
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify({ token: "stolen", refresh_token: "stolen" }))
    })
  }
  const server = createServer(listener)
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  return { seen, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
})

/** A sandbox on loopback, and an application signed in to it through a real client. */
const setup = Effect.fnUntraced(function* (layer: Layer.Layer<HttpClient.HttpClient>, follows = false) {
  const sandbox = yield* VioletSandbox.make()
  const server = createServer()
  const serving = NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })
  yield* Layer.build(Layer.provide(HttpServer.serve(sandbox.served), serving))
  // fetch keeps a spare connection open for four seconds, and closing the server would wait for it.
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const context = yield* Layer.build(
    Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: `${origin}/v1`,
      renewal: "on-use",
      patience: 0
    }).pipe(
      Layer.provide([
        Credentials.layer({
          username: Redacted.make("test-user@example.com"),
          password: Redacted.make("test-password")
        }),
        layer
      ])
    )
  )
  const client = Context.get(context, AuthHttpClient.AuthHttpClient)
  const api = follows ? HttpClient.followRedirects(client) : client
  return { api, sandbox, origin, session: Context.get(context, Session.Session), other: yield* somebodyElse }
})

/** Recovery comes after a cool-down of 250 ms, so it is seen once a client only. */
const recovered = <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
  Effect.retry(effect, { while: ({ _tag }) => _tag === "MalformedResponse", schedule: Schedule.spaced("25 millis") })

const clients: Record<string, Layer.Layer<HttpClient.HttpClient>> = {
  fetch: FetchHttpClient.layer,
  "fetch that was told to follow": Layer.provide(
    FetchHttpClient.layer,
    Layer.succeed(FetchHttpClient.RequestInit, { redirect: "follow" })
  ),
  undici: NodeHttpClient.layerUndici,
  "node:http": NodeHttpClient.layer
}

describe("redirects", () => {
  for (const [name, layer] of Object.entries(clients)) {
    for (const status of [302, 307] as const) {
      for (const follows of [false, true]) {
        describe(`${status} over ${name} ${follows ? "with" : "without"} followRedirects`, () => {
          it.scopedLive("law 23: a call of the API takes no credential to another origin", () =>
            Effect.gen(function* () {
              const { api, other, sandbox } = yield* setup(layer, follows)
              const location = `${other.origin}/v1/merchants`
              yield* sandbox.faults.inject("api", Faults.Redirect({ location, status }))
              const outcome = yield* Effect.either(api.get("/merchants"))
              if (follows) {
                assert.strictEqual(outcome._tag, "Left")
                const error: object = outcome._tag === "Left" ? outcome.left : {}
                assert.deepInclude(error, { _tag: "UntrustedOrigin", origin: other.origin })
              } else {
                assert.strictEqual(outcome._tag, "Right")
                const answer = outcome._tag === "Right" ? outcome.right : undefined
                assert.strictEqual(answer?.status, status)
                assert.strictEqual(answer?.headers.location, location)
              }
              assert.deepStrictEqual(other.seen, [])
              assert.strictEqual((yield* api.get("/merchants")).status, 200)
              assert.strictEqual((yield* sandbox.report).complaints, 0)
            })
          )

          it.scopedLive("law 23: a login takes no credential to another origin, and the next one succeeds", () =>
            Effect.gen(function* () {
              const { api, other, sandbox } = yield* setup(layer, follows)
              yield* sandbox.faults.inject("login", Faults.Redirect({ location: `${other.origin}/v1/login`, status }))
              const error = yield* Effect.flip(api.get("/merchants"))
              assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", status })
              assert.notMatch(JSON.stringify(error), secrets)
              assert.deepStrictEqual(other.seen, [])
              if (follows || status === 307) return
              assert.strictEqual((yield* recovered(api.get("/merchants"))).status, 200)
              assert.deepStrictEqual(other.seen, [])
              assert.strictEqual((yield* sandbox.report).tokenRequests, 2)
            })
          )

          it.scopedLive("law 23: a refresh takes no credential to another origin, and the next one succeeds", () =>
            Effect.gen(function* () {
              const { api, other, sandbox, session } = yield* setup(layer, follows)
              yield* api.get("/merchants")
              yield* sandbox.revokeAccessTokens
              const location = `${other.origin}/v1/auth/token`
              yield* sandbox.faults.inject("refresh", Faults.Redirect({ location, status }))
              const error: AuthError = yield* Effect.flip(session.refresh)
              assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown", status })
              assert.deepStrictEqual(other.seen, [])
              if (follows || status === 307) return
              assert.strictEqual((yield* recovered(api.get("/merchants"))).status, 200)
              assert.deepStrictEqual(other.seen, [])
              const { tokenRequests, logins } = yield* sandbox.report
              assert.deepStrictEqual({ tokenRequests, logins }, { tokenRequests: 3, logins: 1 })
            })
          )
        })
      }

      it.scopedLive(`law 23: ${status} over ${name} to the same origin is followed when the caller asks for it`, () =>
        Effect.gen(function* () {
          const { api, origin, other, sandbox } = yield* setup(layer, true)
          for (const location of ["/v1/merchants?size=1", "merchants?size=1", `${origin}/v1/merchants?size=1`]) {
            yield* sandbox.faults.inject("api", Faults.Redirect({ location, status }))
            const answer = yield* api.get("/merchants")
            assert.strictEqual(answer.status, 200)
            assert.deepNestedInclude(yield* answer.json, { size: 1 })
          }
          assert.deepStrictEqual(other.seen, [])
          assert.strictEqual((yield* sandbox.report).complaints, 0)
        })
      )
    }
  }

  it.scopedLive("law 23: a bare client that puts a RequestInit of its own around each request follows nothing", () =>
    Effect.gen(function* () {
      const follow = Effect.provideService(FetchHttpClient.RequestInit, { redirect: "follow" })
      const { api, other, sandbox } = yield* setup(
        Layer.map(FetchHttpClient.layer, (context) =>
          Context.make(
            HttpClient.HttpClient,
            HttpClient.transformResponse(Context.get(context, HttpClient.HttpClient), follow)
          )
        )
      )
      yield* sandbox.faults.inject("api", Faults.Redirect({ location: `${other.origin}/x` }))
      assert.strictEqual((yield* api.get("/merchants")).status, 302)
      assert.deepStrictEqual(other.seen, [])
    })
  )

  it.scopedLive("a redirect of a client without us does reach the other server: the witness works", () =>
    Effect.gen(function* () {
      const { other, sandbox, origin } = yield* setup(FetchHttpClient.layer)
      yield* sandbox.faults.inject("api", Faults.Redirect({ location: `${other.origin}/x` }))
      yield* Effect.flatMap(HttpClient.HttpClient, (client) =>
        client.get(`${origin}/v1/merchants`, { headers: { "x-violet-token": "test-1" } })
      ).pipe(Effect.provide(FetchHttpClient.layer))
      assert.strictEqual(other.seen.length, 1)
      assert.match(other.seen[0] ?? "", secrets)
    })
  )

  describe("the caller's RequestInit", () => {
    const init: RequestInit = { redirect: "follow", headers: { "x-of-the-caller": "kept" } }

    /** A fetch that notes what it was called with, and answers like Violet. */
    const noted = () => {
      const calls: Array<{ readonly path: string; readonly redirect: unknown; readonly header: unknown }> = []
      const fetch: typeof globalThis.fetch = (url, options) => {
        const path = new URL(String(url)).pathname
        const header = new Headers(options?.headers as Record<string, string>).get("x-of-the-caller")
        calls.push({ path, redirect: options?.redirect, header })
        return Promise.resolve(Response.json({ token: "test-1", refresh_token: "test-2" }))
      }
      return { calls, fetch }
    }
    const expected = [
      { path: "/v1/login", redirect: "manual", header: "kept" },
      { path: "/v1/merchants", redirect: "manual", header: "kept" },
      { path: "/v1/auth/token", redirect: "manual", header: "kept" }
    ]
    const use = Effect.gen(function* () {
      const api = yield* AuthHttpClient.AuthHttpClient
      const session = yield* Session.Session
      yield* api.get("/merchants")
      yield* session.refresh
    })
    const app = Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: "https://violet.test/v1",
      renewal: "on-use"
    }).pipe(
      Layer.provide(
        Credentials.layer({ username: Redacted.make("test-user"), password: Redacted.make("test-password") })
      )
    )

    it.effect("law 23: one around the application keeps its fields, but redirect", () =>
      Effect.gen(function* () {
        const { calls, fetch } = noted()
        yield* use.pipe(
          Effect.provide(Layer.provide(app, FetchHttpClient.layer)),
          Effect.provideService(FetchHttpClient.Fetch, fetch),
          Effect.provideService(FetchHttpClient.RequestInit, init)
        )
        assert.deepStrictEqual(calls, expected)
      })
    )

    it.effect("law 23: one that the fetch layer was built with keeps its fields, but redirect", () =>
      Effect.gen(function* () {
        const { calls, fetch } = noted()
        const client = FetchHttpClient.layer.pipe(
          Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetch)),
          Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, init))
        )
        yield* Effect.provide(use, Layer.provide(app, client))
        assert.deepStrictEqual(calls, expected)
      })
    )
  })
})
