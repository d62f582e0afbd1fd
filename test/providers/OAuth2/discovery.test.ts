import { HttpClient, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as Token from "../../../src/token/Token.js"
import { herd, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import {
  about,
  after,
  discovering,
  issue,
  presented,
  type Replies,
  type Reply,
  secret,
  seed,
  server,
  setup
} from "./harness.js"

describe("OAuth2", () => {
  describe("discovery", () => {
    const rfc8414 = "/.well-known/oauth-authorization-server"
    const openid = "/.well-known/openid-configuration"
    const metadata = (more: object = {}) =>
      Response.json({
        issuer: "https://as.test",
        token_endpoint: "https://as.test/token",
        revocation_endpoint: "https://as.test/revoke",
        ...more
      })
    const missing = () => new Response("<html>", { status: 404 })

    it.scoped("one request for metadata, at the first token request, and law 11: none over many more", () =>
      manually(function* (clock) {
        const as = server({ [rfc8414]: () => metadata(), "/revoke": () => new Response(null) })
        const { session } = yield* setup(as, { ...discovering, grant: "password" })
        assert.strictEqual(as.sent.length, 0)
        for (let i = 0; i < 5; i++) {
          yield* session.accessToken
          yield* clock.advance("5 minutes")
        }
        yield* session.login
        yield* session.logout
        assert.strictEqual(as.at(rfc8414).length, 1)
        assert.strictEqual(as.at("/token").length, 6)
        assert.strictEqual(as.at("/revoke").length, 1)
        const [first] = as.sent
        assert.deepStrictEqual(
          [first?.method, first?.url, first?.headers.accept, first?.headers.authorization, first?.body],
          ["GET", `https://as.test${rfc8414}`, "application/json", undefined, ""]
        )
      })
    )

    for (const [issuer, first, second] of [
      ["https://as.test", rfc8414, openid],
      ["https://as.test/", rfc8414, openid],
      ["https://as.test/tenant/1", `${rfc8414}/tenant/1`, `/tenant/1${openid}`],
      ["https://as.test/tenant/1/", `${rfc8414}/tenant/1`, `/tenant/1${openid}`]
    ] as const) {
      it.scoped(`${issuer}: its metadata are where RFC 8414 says, or else OpenID Connect`, () =>
        Effect.gen(function* () {
          for (const [paths, replies] of [
            [[first, "/token"], { [first]: () => metadata({ issuer }) }],
            [[first, second, "/token"], { [first]: missing, [second]: () => metadata({ issuer }) }],
            [
              [first, second, "/token"],
              { [first]: () => new Response(null, { status: 500 }), [second]: () => metadata({ issuer }) }
            ],
            [[first, second, "/token"], { [first]: () => Response.json({}), [second]: () => metadata({ issuer }) }]
          ] as const) {
            const as = server(replies as Replies)
            const { session } = yield* setup(as, { ...discovering, issuer })
            yield* session.accessToken
            assert.strictEqual(as.sent.map(({ path }) => path).join(), paths.join())
          }
        })
      )
    }

    it.scoped("a slash at the end of an issuer makes no other issuer of it", () =>
      Effect.gen(function* () {
        const as = server({ [rfc8414]: () => metadata({ issuer: "https://as.test/" }) })
        const { session } = yield* setup(as, discovering)
        yield* session.accessToken
      })
    )

    const wrong: ReadonlyArray<readonly [string, object, field: string]> = [
      ["another issuer", { issuer: "https://evil.test" }, "issuer"],
      ["an issuer below", { issuer: "https://as.test/other" }, "issuer"],
      ["an issuer that is no URL", { issuer: "as.test" }, "issuer"],
      ["a token endpoint of plain http", { token_endpoint: "http://as.test/token" }, "token_endpoint"],
      ["a token endpoint that is no URL", { token_endpoint: "/token" }, "token_endpoint"],
      ["a revocation endpoint of plain http", { revocation_endpoint: "http://as.test/r" }, "revocation_endpoint"]
    ]
    for (const [name, more, field] of wrong) {
      it.scoped(`metadata with ${name} are Misconfigured, for ever, and no secret is sent`, () =>
        manually(function* (clock) {
          const as = server({ [rfc8414]: () => metadata(more), [openid]: missing })
          const { session } = yield* setup(as, { ...discovering, renewal: "background" })
          for (let i = 0; i < 10; i++) {
            assert.deepInclude(about(yield* Effect.flip(session.accessToken)), { _tag: "Misconfigured", field })
            yield* clock.advance("10 minutes")
          }
          assert.strictEqual(as.sent.map(({ path }) => path).join(), rfc8414)
        })
      )
    }

    it.scoped("endpoints on loopback may be plain http, and need not be the issuer's own", () =>
      Effect.gen(function* () {
        for (const token_endpoint of ["http://127.0.0.1:9/token", "http://localhost:9/token", "https://x.test/token"]) {
          const as = server({ [rfc8414]: () => metadata({ token_endpoint }) })
          const { session } = yield* setup(as, discovering)
          yield* session.accessToken
          assert.strictEqual(as.sent.at(-1)?.url, token_endpoint)
        }
      })
    )

    for (const revocation_endpoint of [null, undefined]) {
      it.scoped(`a revocation endpoint of ${revocation_endpoint} is none`, () =>
        Effect.gen(function* () {
          const as = server({ [rfc8414]: () => metadata({ revocation_endpoint }) })
          const { session } = yield* setup(as, discovering)
          yield* session.accessToken
          yield* session.logout
          assert.strictEqual(as.sent.map(({ path }) => path).join(), `${rfc8414},/token`)
        })
      )
    }

    it.scoped("a revocation endpoint of the application's own comes before the issuer's", () =>
      Effect.gen(function* () {
        const as = server({ [rfc8414]: () => metadata() })
        const { session } = yield* setup(as, { ...discovering, revocationEndpoint: "https://as.test/own" })
        yield* session.accessToken
        yield* session.logout
        assert.strictEqual(as.sent.map(({ path }) => path).join(), `${rfc8414},/token,/own`)
      })
    )

    const unreachable = () =>
      Effect.fail(
        new HttpClientError.RequestError({
          request: HttpClientRequest.get("https://as.test"),
          reason: "Transport",
          cause: { code: "ECONNREFUSED" }
        })
      )
    const dropped = () =>
      Effect.fail(
        new HttpClientError.RequestError({
          request: HttpClientRequest.get("https://as.test"),
          reason: "Transport",
          cause: { code: "ECONNRESET" }
        })
      )
    const page = () => new Response("<html>", { headers: { "content-type": "text/html" } })
    const status =
      (status: number, headers: Record<string, string> = {}) =>
      () =>
        new Response(null, { status, headers })
    const failures: ReadonlyArray<readonly [string, () => Reply, tag: string]> = [
      ["unreachable metadata", unreachable, "NetworkFailure"],
      ["a dropped connection", dropped, "NetworkFailure"],
      ["a page", page, "MalformedResponse"],
      ["404", missing, "MalformedResponse"],
      ["401", status(401), "MalformedResponse"],
      ["a redirect", status(302, { location: "https://evil.test" }), "MalformedResponse"],
      ["metadata of another form", () => Response.json({ issuer: "https://as.test" }), "MalformedResponse"],
      ["500", status(500), "NetworkFailure"],
      ["503", status(503), "NetworkFailure"],
      ["429", status(429), "NetworkFailure"]
    ]
    for (const [name, failed, tag] of failures) {
      it.scoped(`law 12: ${name}: not spent, so that a single-use refresh token is no less good for it`, () =>
        manually(function* (clock) {
          let broken = true
          const reply = () => (broken ? failed() : metadata())
          const as = server({ [rfc8414]: reply, [openid]: reply })
          const options = { ...discovering, grant: "password", seed, patience: 0 } as const
          const { session } = yield* setup(as, options)
          for (let i = 0; i < 5; i++) {
            assert.deepInclude(about(yield* Effect.flip(session.accessToken)), { _tag: tag, outcome: "not-spent" })
            yield* clock.advance("30 seconds")
          }
          broken = false
          assert.strictEqual(value(yield* session.accessToken), "test-access-1")
          assert.deepStrictEqual(presented(as), ["test-stored"])
        })
      )
    }

    for (const [name, first, second, expected] of [
      ["the first is away", unreachable, missing, { _tag: "NetworkFailure", reason: "unreachable" }],
      ["the second is away", missing, unreachable, { _tag: "NetworkFailure", reason: "unreachable" }],
      ["the second names another issuer", missing, () => metadata({ issuer: "https://x.test" }), { field: "issuer" }],
      ["the first broke", status(500), missing, { _tag: "NetworkFailure", status: 500 }]
    ] as const) {
      it.effect(`${name}: what is told is the one that may be mended`, () =>
        Effect.gen(function* () {
          const as = server({ [rfc8414]: first, [openid]: second })
          const { tokenEndpoint: _, ...options } = discovering
          const provider = yield* Effect.provideService(OAuth2.make(options), HttpClient.HttpClient, as.client)
          assert.deepInclude(about(yield* Effect.flip(provider.refresh(seed))), expected)
        })
      )
    }

    it.scoped("law 9: Retry-After of the metadata is waited for", () =>
      manually(function* (clock) {
        const busy = status(429, { "retry-after": "60" })
        const as = server({
          [rfc8414]: (_, nth) => (nth === 1 ? busy() : metadata()),
          [openid]: missing
        })
        const { session } = yield* setup(as, { ...discovering, patience: "2 minutes" })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("59 seconds")
        assert.strictEqual(as.sent.length, 1)
        yield* clock.advance("2 seconds")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-access-1")
      })
    )

    it.scoped("law 9: metadata that do not come are a time-out, typed, and leave the refresh token as it was", () =>
      manually(function* (clock) {
        let slow = true
        const as = server({ [rfc8414]: () => (slow ? Effect.never : metadata()) })
        const { session } = yield* setup(as, { ...discovering, grant: "password", seed, patience: 0 })
        const error = yield* after(clock, "10 seconds", Effect.flip(session.accessToken))
        assert.deepInclude(about(error), { _tag: "NetworkFailure", reason: "timeout", outcome: "not-spent" })
        slow = false
        yield* clock.advance("30 seconds")
        yield* session.accessToken
        assert.deepStrictEqual(presented(as), ["test-stored"])
      })
    )

    it.scoped("law 6: 100 callers at once are one request for metadata and one for tokens", () =>
      manually(function* (clock) {
        const as = server({
          [rfc8414]: () => Effect.delay(Effect.sync(metadata), "1 second"),
          "/token": (sent, nth) =>
            Effect.delay(
              Effect.sync(() => issue(sent, nth)),
              "1 second"
            )
        })
        const { session } = yield* setup(as, discovering)
        const results = yield* after(clock, "2 seconds", herd(100, session.accessToken))
        assert.isTrue(results.every((one) => one._tag === "Right" && value(one.right) === "test-access-1"))
        assert.strictEqual(as.sent.length, 2)
      })
    )

    it.scoped("a logout while the metadata are away succeeds", () =>
      manually(function* (clock) {
        const as = server({ [rfc8414]: missing, [openid]: missing })
        const { session } = yield* setup(as, { ...discovering, patience: 0 })
        yield* session.adopt(Token.make({ accessToken: secret("test-adopted"), lifetime: "1 hour" }))
        yield* after(clock, "10 seconds", session.logout)
        assert.strictEqual((yield* session.status).state, "signed-out")
        assert.strictEqual(as.at("/revoke").length, 0)
      })
    )
  })
})
