import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets, tap } from "../../support/secrets.js"
import { application, flush, statusOf, tagOf, value } from "./harness.js"
import { type Entry, entries } from "./table.js"

const elsewhere = "https://elsewhere.test"

/** The token request that renews. */
const renewing = (entry: Entry) => (entry.refreshes ? "refresh" : "login")

const Page = Schema.Struct({ content: Schema.Array(Schema.Struct({ id: Schema.Number })), last: Schema.Boolean })

/** Answers `/challenge` with a status and a challenge of the test's own, as often as it is asked. */
const challenging = (challenge: { status: number; header: string | undefined }) => (client: HttpClient.HttpClient) =>
  HttpClient.make((request, url) =>
    url.pathname.endsWith("/challenge")
      ? Effect.sync(() => {
          const headers = challenge.header === undefined ? {} : { "www-authenticate": challenge.header }
          return HttpClientResponse.fromWeb(request, new Response("no", { status: challenge.status, headers }))
        })
      : client.execute(request)
  )

/** Rejects the first request for a path, and tells of each later one whether the rejection's body was released by then. */
const rejectingOnce = (path: string, status: number, released: Array<boolean>) => (client: HttpClient.HttpClient) => {
  let rejection: Response | undefined
  return HttpClient.make((request, url) =>
    Effect.suspend(() => {
      if (!url.pathname.endsWith(path)) return client.execute(request)
      if (rejection !== undefined) {
        released.push(rejection.bodyUsed)
        return client.execute(request)
      }
      rejection = new Response("a body that holds its connection until it is read", { status })
      return Effect.succeed(HttpClientResponse.fromWeb(request, rejection))
    })
  )
}

const tag = (error: unknown): string => String(Object(error)._tag)

describe.each(entries)("HTTP, with $name", (entry) => {
  const { name } = entry

  it.scoped(`law 23: ${name}: the token goes to the API, and to no other origin`, () =>
    manually(function* () {
      const { api, sandbox, session, wire } = yield* application(entry)
      const token = value(yield* session.accessToken)
      const { length } = wire.sent
      const foreign = [`${elsewhere}/x`, "//elsewhere.test/x", "\\\\elsewhere.test/x", "http://localhost/x"]
      // The same host in the clear, and behind another port.
      const { host } = new URL(sandbox.baseUrl)
      for (const url of [...foreign, `http://${host}/x`, `https://${host}:8443/x`]) {
        assert.strictEqual(tag(yield* Effect.flip(api.get(url))), "UntrustedOrigin", url)
      }
      assert.strictEqual(wire.sent.length, length)
      yield* api.get(entry.list)
      assert.include(wire.sent.at(-1)?.request.headers[entry.header], token)
    })
  )

  it.scoped(`law 23: ${name}: a redirect of the API is an answer; followed over the client, each hop is checked`, () =>
    manually(function* () {
      const { api, sandbox, wire } = yield* application(entry)
      yield* sandbox.faults.inject("api", Faults.Redirect({ location: `${elsewhere}/x` }))
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 302)
      assert.strictEqual(wire.count("api"), 1)
      const following = HttpClient.followRedirects(api)
      yield* sandbox.faults.inject("api", Faults.Redirect({ location: `${elsewhere}/x`, status: 307 }))
      assert.strictEqual(tag(yield* Effect.flip(following.get(entry.list))), "UntrustedOrigin")
      yield* sandbox.faults.inject("api", Faults.Redirect({ location: `${sandbox.baseUrl}${entry.list}` }))
      assert.strictEqual(yield* statusOf(following.get(entry.list)), 200)
      assert.strictEqual(wire.count("api"), 4)
      assert.isTrue(wire.sent.every(({ request }) => request.url.startsWith(sandbox.baseUrl)))
    })
  )

  it.scoped(`law 23: ${name}: neither credentials nor a refresh token follow a redirect`, () =>
    manually(function* (clock) {
      for (const location of [`${elsewhere}/login`, "/somewhere"]) {
        const { sandbox, session, wire } = yield* application(entry, { patience: 0 })
        for (const status of [302, 307] as const) {
          yield* sandbox.faults.inject("login", Faults.Redirect({ location, status }))
          assert.strictEqual(yield* tagOf(session.accessToken), "MalformedResponse")
          yield* clock.advance("1 second")
        }
        assert.strictEqual(yield* tagOf(session.accessToken), "success")
        yield* sandbox.faults.inject(renewing(entry), Faults.Redirect({ location }))
        assert.strictEqual(yield* tagOf(session.refresh), "MalformedResponse")
        assert.strictEqual(wire.tokenRequests(), 4)
        const known = (yield* sandbox.log).filter(({ endpoint }) => endpoint !== "unknown")
        assert.strictEqual(known.length, wire.sent.length)
        assert.isTrue(wire.sent.every(({ request }) => !request.url.startsWith(elsewhere)))
      }
    })
  )

  for (const status of entry.rejections) {
    it.scoped(`law 24: ${name}: after a ${status} the request is sent once more with a new token, body and all`, () =>
      manually(function* () {
        const { api, sandbox, session, wire } = yield* application(entry)
        const old = value(yield* session.accessToken)
        yield* sandbox.faults.inject("api", Faults.Status({ status }))
        const body = { hello: ["there", 1, null] }
        const response = yield* HttpClientRequest.post("/echo").pipe(
          HttpClientRequest.bodyUnsafeJson(body),
          api.execute
        )
        assert.deepStrictEqual(yield* response.json, body)
        const [first, second] = wire.sent.filter(({ kind }) => kind === "api")
        assert.include(first?.request.headers[entry.header], old)
        assert.include(second?.request.headers[entry.header], value(yield* session.accessToken))
        assert.notStrictEqual(value(yield* session.accessToken), old)
        assert.deepStrictEqual([wire.count("api"), wire.tokenRequests()], [2, 2])
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.scoped(`law 24: ${name}: the body of a ${status} is released before the request is sent once more`, () =>
      manually(function* () {
        const released: Array<boolean> = []
        const { api, wire } = yield* application(entry, {}, rejectingOnce(entry.list, status, released))
        assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
        assert.deepStrictEqual(released, [true])
        assert.strictEqual(wire.tokenRequests(), 2)
      })
    )

    it.scoped(`law 24: ${name}: a second ${status} goes to the caller, after one token request`, () =>
      manually(function* () {
        const { api, sandbox, wire } = yield* application(entry)
        yield* sandbox.faults.inject("api", Faults.Status({ status }), 2)
        assert.strictEqual(yield* statusOf(api.get(entry.list)), status)
        assert.deepStrictEqual([wire.count("api"), wire.tokenRequests()], [2, 2])
      })
    )
  }

  it.scoped(`law 24: ${name}: a one-shot stream is not sent again; the next request has the new token`, () =>
    manually(function* () {
      const { api, sandbox, session, wire } = yield* application(entry)
      yield* session.accessToken
      yield* sandbox.revokeAccessTokens
      const stream = Stream.make(new TextEncoder().encode("{}"))
      const post = HttpClientRequest.bodyStream(HttpClientRequest.post("/echo"), stream, {
        contentType: "application/json"
      })
      assert.strictEqual(yield* statusOf(api.execute(post)), 401)
      assert.strictEqual(wire.count("api"), 1)
      yield* flush
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
      assert.deepStrictEqual([wire.count("api"), wire.tokenRequests()], [2, 2])
    })
  )

  const rejection = entry.rejections[0] ?? 401
  for (const [status, header, tokenRequests] of [
    [rejection, undefined, 2],
    [rejection, 'Bearer error="invalid_token"', 2],
    [rejection, 'Bearer error="insufficient_scope", scope="admin"', 1],
    [rejection, 'Basic realm="elsewhere"', 1],
    ...entry.noRejection.map((status) => [status, undefined, 1] as const)
  ] as const) {
    const reported = tokenRequests === 2 ? "asks for a new token" : "is no rejection"
    it.scoped(`law 25: ${name}: a ${status} with ${header ?? "no challenge"} ${reported}`, () =>
      manually(function* () {
        const { api, wire } = yield* application(entry, {}, challenging({ status, header }))
        assert.strictEqual(yield* statusOf(api.get("/challenge")), status)
        assert.strictEqual(wire.tokenRequests(), tokenRequests)
      })
    )
  }

  it.scoped(`law 26: ${name}: pages, schemas, retries and JSON work as with any client`, () =>
    manually(function* (clock) {
      const { api, sandbox, wire } = yield* application(entry, { sandbox: { pages: 3 } })
      const page = (n: number) =>
        Effect.flatMap(
          api.get(entry.list, { urlParams: { page: n, size: 10 } }),
          HttpClientResponse.schemaBodyJson(Page)
        )
      const pages = yield* Effect.forEach([1, 2, 3], page)
      assert.deepStrictEqual(
        pages.map(({ content, last }) => [content.length, last]),
        [
          [10, false],
          [10, false],
          [10, true]
        ]
      )
      yield* sandbox.faults.inject("api", Faults.Status({ status: 503 }), 2)
      const retried = yield* Effect.fork(statusOf(HttpClient.retryTransient(api, { times: 2 }).get(entry.list)))
      yield* clock.advance("1 second")
      assert.strictEqual(yield* Fiber.join(retried), 200)
      assert.deepStrictEqual([wire.count("api"), wire.tokenRequests()], [6, 1])
      assert.strictEqual((yield* sandbox.report).complaints, 0)
    })
  )

  const faults: Record<string, Faults.Fault | undefined> = {
    "while all is well": undefined,
    "under a lost answer": Faults.Drop({ when: "after" }),
    "under a gateway's page": Faults.Body({ kind: "html" }),
    "under an odd access token": Faults.Token({ kind: "control" }),
    "under a refusal": Faults.Response({ status: 400, body: { error: "invalid_grant", detail: "no", success: false } }),
    "under a redirect": Faults.Redirect({ location: `${elsewhere}/login` })
  }
  it.scoped(`law 27: ${name}: no secret shows, whatever goes wrong`, () =>
    manually(function* (clock) {
      for (const [title, fault] of Object.entries(faults)) {
        const secrets = new Secrets()
        for (const known of ["test-password", "test-app-secret", "test-secret:with %+/ chars"]) secrets.add(known)
        const exhibit = exhibits(secrets)
        const note = (text: string) => {
          for (const [, token] of text.matchAll(/"(?:access_token|refresh_?[tT]oken|token|email_key)":"([^"\\]+)/g)) {
            if (token !== undefined) secrets.add(token)
          }
          return text
        }
        const { api, sandbox, session } = yield* application(entry, { patience: 0 }, (client) =>
          tap(client, secrets, note)
        )
        const watch = <A, E>(place: string, effect: Effect.Effect<A, E>) =>
          Effect.exit(Effect.withSpan(effect, place)).pipe(
            Effect.tap((exit) => exhibit.showExit(place, exit)),
            Effect.provide(exhibit.layer)
          )
        const look = Effect.flatMap(api.get(`${entry.list}?size=2`), (response) =>
          Effect.zipRight(
            response.json,
            Effect.zip(exhibit.show("answer", response), exhibit.show("request", response.request))
          )
        )
        if (fault !== undefined) yield* sandbox.faults.inject("login", fault)
        yield* watch("first", session.accessToken)
        yield* clock.advance("2 minutes")
        yield* watch("second", session.accessToken)
        if (fault !== undefined) yield* sandbox.faults.inject(renewing(entry), fault)
        yield* watch("refresh", session.refresh)
        yield* watch("api", look)
        yield* watch("missing", HttpClient.filterStatusOk(api).get("/nothing"))
        yield* watch("foreign", api.get(elsewhere))
        yield* watch("status", session.status)
        yield* exhibit.show("session", session)
        yield* watch("logout", session.logout)
        yield* watch("after", session.accessToken)
        assert.deepStrictEqual(yield* exhibit.leaks, [], title)
        // Password or secret, and tokens, went by; there was something to look at.
        assert.isAbove(secrets.seen.size, 4, title)
        assert.isAbove(exhibit.count("span"), 0, title)
      }
    })
  )
})

it.scoped("law 25: oauth2: a 403 for want of a scope goes to the caller, without a token request", () =>
  manually(function* () {
    for (const entry of entries.filter(({ name }) => name.startsWith("oauth2"))) {
      const { api, wire } = yield* application(entry)
      assert.strictEqual(yield* statusOf(api.get("/admin")), 403)
      assert.deepStrictEqual([wire.count("api"), wire.tokenRequests()], [1, 1])
    }
  })
)
