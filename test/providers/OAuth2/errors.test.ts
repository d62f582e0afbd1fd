import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Encoding,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted
} from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as Session from "../../../src/session/Session.js"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import * as Token from "../../../src/token/Token.js"
import { herd, until, value } from "../../support/harness.js"
import { type ManualClock, manually } from "../../support/ManualClock.js"
import { exhibits, Secrets, tap } from "../../support/secrets.js"

const secret = Redacted.make<string>
const user = { username: secret("test-user@example.com"), password: secret("test-password") }
const seed = Token.make({ refreshToken: secret("test-stored") })

/** A client of its own, of the server at `as.test` and the API at `api.test`. */
const client: OAuth2.Options = {
  baseUrl: "https://api.test/v1",
  grant: "client_credentials",
  clientId: "test-client",
  clientSecret: secret("test-client-secret"),
  tokenEndpoint: "https://as.test/token"
}
const byPassword: OAuth2.Options = { ...client, grant: "password" }
const byRefresh: OAuth2.Options = { ...client, grant: "refresh_token" }
const revoking: OAuth2.Options = { ...client, revocationEndpoint: "https://as.test/revoke" }
const { tokenEndpoint: _, ...endpointless } = client
const discovering: OAuth2.Options = { ...endpointless, issuer: "https://as.test" }

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

interface Sent {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  readonly form: Readonly<Record<string, string>>
}
type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>
type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

/** The n-th token set, of five minutes, with a refresh token where the grant has one. */
const issue = ({ form }: Sent, nth: number) =>
  Response.json({
    access_token: `test-access-${nth}`,
    token_type: "Bearer",
    expires_in: 300,
    ...(form.grant_type === "client_credentials" ? {} : { refresh_token: `test-refresh-${nth}` })
  })

/** A client that answers so, and what it was sent. */
const server = (replies: Replies = {}) => {
  const sent: Array<Sent> = []
  const at = (path: string) => sent.filter((one) => one.path === path)
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { headers, method } = request
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const form = Object.fromEntries(new URLSearchParams(body))
      const one: Sent = { method, url: url.href, path: url.pathname, headers, body, form }
      sent.push(one)
      const reply =
        replies[one.path]?.(one, at(one.path).length) ??
        (one.path === "/token" ? issue(one, at("/token").length) : Response.json({}))
      return Effect.map(reply instanceof Response ? Effect.succeed(reply) : reply, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { at, client, sent }
}

type Server = ReturnType<typeof server>

/** An application of the API. */
const setup = Effect.fnUntraced(function* (
  { client }: Server,
  options: OAuth2.Options & Auth.Options,
  credentials: Credentials.UserPassword | "none" = user
) {
  const context = yield* Layer.build(
    // Nobody moves the clock while a test ends.
    OAuth2.layer({ renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
      Layer.provide([
        credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
        Layer.succeed(HttpClient.HttpClient, client)
      ])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** The provider alone. */
const make = ({ client: http }: Server, options: Partial<OAuth2.Options> = {}) =>
  Effect.map(
    Effect.provideService(OAuth2.make({ ...client, ...options }), HttpClient.HttpClient, http),
    (provider) => ({
      provider,
      login: Option.getOrThrow(provider.login(Option.some(user))),
      refresh: provider.refresh(seed)
    })
  )

const about = (error: AuthError): object => ({ ...error })
const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))
const presented = (as: Server) => as.at("/token").map(({ form }) => form.refresh_token ?? form.grant_type)
const base64 = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

/** Runs an effect to its end while time passes. */
const after = <A, E>(clock: ManualClock, duration: Duration.DurationInput, effect: Effect.Effect<A, E>) =>
  Effect.flatMap(Effect.fork(effect), (fiber) => Effect.zipRight(clock.advance(duration), Fiber.join(fiber)))

describe("OAuth2", () => {
  describe("requests", () => {
    const basic = base64("test-client:test-client-secret")
    const { clientSecret: _, ...publicly } = client
    const login = "grant_type=client_credentials"
    const password = "grant_type=password&username=test-user%40example.com&password=test-password"
    const refresh = "grant_type=refresh_token&refresh_token=test-stored"
    const post = "&client_id=test-client&client_secret=test-client-secret"
    const requests: ReadonlyArray<
      readonly [string, OAuth2.Options, login: string | undefined, refresh: string, authorization: string | undefined]
    > = [
      ["client_credentials", client, login, refresh, basic],
      ["password", byPassword, password, refresh, basic],
      ["refresh_token", byRefresh, undefined, refresh, basic],
      [
        "client_secret_basic",
        { ...client, authentication: "client_secret_basic" },
        login,
        refresh,
        base64("test-client:test-client-secret")
      ],
      [
        "client_secret_post",
        { ...client, authentication: "client_secret_post" },
        login + post,
        refresh + post,
        undefined
      ],
      [
        "a public client",
        { ...publicly, grant: "password" },
        `${password}&client_id=test-client`,
        `${refresh}&client_id=test-client`,
        undefined
      ],
      [
        "none",
        { ...publicly, authentication: "none" },
        `${login}&client_id=test-client`,
        `${refresh}&client_id=test-client`,
        undefined
      ],
      [
        "scopes and client_credentials",
        { ...client, scope: ["read", "write:all"] },
        `${login}&scope=read+write%3Aall`,
        refresh,
        basic
      ],
      [
        "scopes and password",
        { ...byPassword, scope: ["read", "write:all"] },
        `${password}&scope=read+write%3Aall`,
        refresh,
        basic
      ],
      [
        "scopes and refresh_token",
        { ...byRefresh, scope: ["read", "write:all"] },
        undefined,
        `${refresh}&scope=read+write%3Aall`,
        basic
      ],
      [
        "parameters",
        { ...client, parameters: { audience: "https://api.test/ü", resource: "a b" } },
        `audience=https%3A%2F%2Fapi.test%2F%C3%BC&resource=a+b&${login}`,
        `audience=https%3A%2F%2Fapi.test%2F%C3%BC&resource=a+b&${refresh}`,
        basic
      ]
    ]
    for (const [name, options, login, refresh, authorization] of requests) {
      it.effect(`${name}: log in and refresh are exactly as documented`, () =>
        Effect.gen(function* () {
          const as = server()
          const provider = yield* Effect.provideService(OAuth2.make(options), HttpClient.HttpClient, as.client)
          yield* provider.refresh(seed)
          yield* Option.getOrElse(provider.login(Option.some(user)), () => Effect.void)
          const exact = {
            method: "POST",
            url: "https://as.test/token",
            type: "application/x-www-form-urlencoded",
            accept: "application/json",
            authorization
          }
          assert.deepStrictEqual(
            as.sent.map(({ body, headers, method, url }) => ({
              method,
              url,
              type: headers["content-type"],
              accept: headers.accept,
              authorization: headers.authorization,
              body
            })),
            [refresh, ...(login === undefined ? [] : [login])].map((body) => ({ ...exact, body }))
          )
        })
      )
    }

    const pairs: ReadonlyArray<readonly [string, string, string]> = [
      ["a:b", "c:d", "a%3Ab:c%3Ad"],
      ["50%", "a+b c/d=e&f?g", "50%25:a%2Bb+c%2Fd%3De%26f%3Fg"],
      ["zażółć", "pä€𝄞", "za%C5%BC%C3%B3%C5%82%C4%87:p%C3%A4%E2%82%AC%F0%9D%84%9E"],
      ["https://app.test/id", "-_.*~'()!", "https%3A%2F%2Fapp.test%2Fid:-_.*%7E%27%28%29%21"],
      ["test", "%3A", "test:%253A"]
    ]
    for (const [clientId, clientSecret, pair] of pairs) {
      it.effect(`both parts of ${clientId}:${clientSecret} are form-encoded before Base64`, () =>
        Effect.gen(function* () {
          const as = server()
          yield* (yield* make(as, { clientId, clientSecret: secret(clientSecret) })).login
          assert.strictEqual(as.sent[0]?.headers.authorization, base64(pair))
        })
      )
    }

    it.effect("a form holds what it was given, whatever that is", () =>
      Effect.gen(function* () {
        const as = server()
        const odd = "p ä+%&=/:\u{1d11e}"
        const { provider } = yield* make(as, {
          grant: "password",
          authentication: "client_secret_post",
          clientSecret: secret(odd)
        })
        yield* Option.getOrThrow(provider.login(Option.some({ username: secret("u&x=1"), password: secret(odd) })))
        assert.deepStrictEqual(as.sent[0]?.form, {
          grant_type: "password",
          username: "u&x=1",
          password: odd,
          client_id: "test-client",
          client_secret: odd
        })
      })
    )

    it.effect("the query of an endpoint goes with it, and is in no error", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => new Response(null, { status: 500 }) })
        const { login } = yield* make(as, { tokenEndpoint: "https://as.test/token?tenant=test-tenant" })
        const error = yield* Effect.flip(login)
        assert.strictEqual(as.sent[0]?.url, "https://as.test/token?tenant=test-tenant")
        assert.deepInclude(about(error), { _tag: "NetworkFailure", url: "https://as.test/token" })
      })
    )

    it.scoped("the token goes to the API as a bearer token, and to further origins where they are given", () =>
      Effect.gen(function* () {
        const as = server()
        const { api } = yield* setup(as, { ...client, origins: ["https://files.test"] })
        yield* api.get("/orders?x=1")
        yield* api.get("https://files.test/a")
        assert.strictEqual((yield* Effect.flip(api.get("https://as.test/x")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(
          as.sent.slice(1).map(({ headers, url }) => [url, headers.authorization]),
          [
            ["https://api.test/v1/orders?x=1", "Bearer test-access-1"],
            ["https://files.test/a", "Bearer test-access-1"]
          ]
        )
      })
    )

    it.scoped("the password grant without credentials, and the refresh_token grant, cannot log in", () =>
      Effect.gen(function* () {
        for (const [options, credentials] of [
          [byPassword, "none"],
          [byRefresh, user]
        ] as const) {
          const as = server()
          const { session } = yield* setup(as, options, credentials)
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
          assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "Misconfigured", field: "credentials" })
          assert.deepStrictEqual(as.sent, [])
        }
      })
    )

    it.scoped("the client_credentials grant needs no credentials", () =>
      Effect.gen(function* () {
        const { session } = yield* setup(server(), client, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-1")
      })
    )
  })

  describe("answers", () => {
    const decade = 3650 * 86_400
    const now = Date.UTC(2026, 0, 1)
    const opaque = { access_token: "test-opaque", token_type: "Bearer" }
    const lifetimes: ReadonlyArray<readonly [string, object, number | undefined, number | undefined]> = [
      ["3600", { ...opaque, expires_in: 3600 }, 3600, 3600],
      ["text", { ...opaque, expires_in: "3600" }, 3600, 3600],
      ["a float", { ...opaque, expires_in: 3600.5 }, 3600.5, 3600.5],
      ["a float as text", { ...opaque, expires_in: "3599.999" }, 3599.999, 3599.999],
      ["1e12", { ...opaque, expires_in: 1e12 }, decade, decade],
      ["null", { ...opaque, expires_in: null }, undefined, 1800],
      ["0", { ...opaque, expires_in: 0 }, undefined, 1800],
      ["0 as text", { ...opaque, expires_in: "0" }, undefined, 1800],
      ["nothing", opaque, undefined, 1800],
      ["-5", { ...opaque, expires_in: -5 }, undefined, 1800],
      ["half a second", { ...opaque, expires_in: 0.5 }, undefined, 1800],
      ["empty text", { ...opaque, expires_in: "" }, undefined, 1800],
      ["nonsense", { ...opaque, expires_in: "soon" }, undefined, 1800],
      ["an object", { ...opaque, expires_in: {} }, undefined, 1800],
      ["true", { ...opaque, expires_in: true }, undefined, 1800],
      ["0 beside a JWT", { access_token: jwt({ iat: 1000, exp: 1700 }), expires_in: 0 }, 700, 700],
      ["3600 beside a JWT", { access_token: jwt({ iat: 1000, exp: 1700 }), expires_in: 3600 }, 3600, 3600],
      ["nothing beside a JWT", { access_token: jwt({ iat: 1000, exp: 1700 }) }, 700, 700],
      ["nothing beside a JWT with exp alone", { access_token: jwt({ exp: now / 1000 + 60 }) }, 60, 60],
      ["nothing beside expires_at", { ...opaque, expires_at: now / 1000 + 60 }, 60, 60]
    ]
    for (const [name, body, expected, withDefault] of lifetimes) {
      it.scoped(
        `law 4: expires_in of ${name}: ${expected} seconds; with a default of half an hour ${withDefault}`,
        () =>
          manually(function* (clock) {
            const wall = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
            yield* clock.setWall(now - wall)
            const as = server({ "/token": () => Response.json(body) })
            const without = yield* make(as)
            const within = yield* make(as, { lifetime: "30 minutes" })
            assert.strictEqual(seconds((yield* without.login).lifetime), expected)
            assert.strictEqual(seconds((yield* without.refresh).lifetime), expected)
            assert.strictEqual(seconds((yield* within.login).lifetime), withDefault)
            assert.strictEqual(seconds((yield* within.refresh).lifetime), withDefault)
          })
      )
    }

    const ends: ReadonlyArray<readonly [string, object, number | undefined]> = [
      ["refresh_expires_in", { refresh_expires_in: 1800 }, 1800],
      ["refresh_expires_in as text", { refresh_expires_in: "1800" }, 1800],
      ["refresh_expires_in of 0", { refresh_expires_in: 0 }, undefined],
      ["refresh_token_expires_in", { refresh_token_expires_in: 1800 }, 1800],
      ["refresh_token_expires_in of 0", { refresh_token_expires_in: 0 }, undefined],
      ["refresh_token_expires_in of null", { refresh_token_expires_in: null, refresh_expires_in: 60 }, 60],
      ["a negative one", { refresh_expires_in: -1 }, undefined],
      ["none", {}, undefined],
      ["none beside a JWT", { refresh_token: jwt({ iat: 0, exp: 900 }) }, 900]
    ]
    for (const [name, body, expected] of ends) {
      it.effect(`law 15: the end of a refresh token by ${name}: ${expected} seconds`, () =>
        Effect.gen(function* () {
          const as = server({ "/token": () => Response.json({ ...opaque, refresh_token: "test-r", ...body }) })
          const { login, refresh } = yield* make(as)
          assert.strictEqual(seconds((yield* login).refreshLifetime), expected)
          assert.strictEqual(seconds((yield* refresh).refreshLifetime), expected)
        })
      )
    }

    for (const expires_in of [0, -5, null, "soon"]) {
      it.scoped(`law 11: a token with expires_in of ${expires_in} is no reason to ask again`, () =>
        manually(function* (clock) {
          const as = server({ "/token": () => Response.json({ ...opaque, expires_in }) })
          const { session } = yield* setup(as, { ...client, renewal: "background" })
          for (let i = 0; i < 60; i++) {
            assert.strictEqual(value(yield* session.accessToken), "test-opaque")
            yield* clock.advance("1 minute")
          }
          assert.strictEqual(as.sent.length, 1)
        })
      )
    }

    it.scoped("law 11: a token of 1e12 seconds is kept for years", () =>
      manually(function* (clock) {
        const as = server({ "/token": () => Response.json({ ...opaque, expires_in: 1e12 }) })
        const { session } = yield* setup(as, client)
        for (let i = 0; i < 9; i++) {
          yield* session.accessToken
          yield* clock.advance("365 days")
        }
        assert.strictEqual(as.sent.length, 1)
      })
    )

    it.effect("the scope that was granted is kept with the tokens", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => Response.json({ ...opaque, scope: "read", id_token: "test-id" }) })
        assert.deepStrictEqual((yield* (yield* make(as)).login).extra, { scope: "read" })
      })
    )

    for (const type of ["Bearer", "bearer", "BEARER", null, undefined, "N_A"]) {
      it.effect(`a token of type ${type} is used`, () =>
        Effect.gen(function* () {
          const as = server({ "/token": () => Response.json({ access_token: "test-a", token_type: type }) })
          const { accessToken } = yield* (yield* make(as)).login
          assert.deepStrictEqual(Option.map(accessToken, value), Option.some("test-a"))
        })
      )
    }

    for (const token_type of ["DPoP", "dpop", "mac", "pop"]) {
      it.scoped(
        `law 12: a token of type ${token_type} is not used, and law 22: the refresh token beside it is kept`,
        () =>
          manually(function* (clock) {
            const types = [token_type, "Bearer"]
            const as = server({
              "/token": (_, nth) =>
                Response.json({
                  access_token: `test-bound-${nth}`,
                  token_type: types.shift(),
                  refresh_token: `test-next-${nth}`
                })
            })
            const { session } = yield* setup(as, { ...byRefresh, seed, patience: 0 })
            assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "MalformedResponse")
            yield* clock.advance("1 second")
            assert.strictEqual(value(yield* session.accessToken), "test-bound-2")
            assert.deepStrictEqual(presented(as), ["test-stored", "test-next-1"])
          })
      )
    }

    const nothing = [null, [], "text", 7, {}, { access_token: "" }, { access_token: 7 }, { access_token: "a\nb" }]
    for (const body of nothing) {
      it.effect(`law 12: ${JSON.stringify(body)} is no answer`, () =>
        Effect.gen(function* () {
          const as = server({ "/token": () => Response.json(body) })
          const { login, refresh } = yield* make(as)
          for (const exchange of [login, refresh]) {
            assert.deepInclude(about(yield* Effect.flip(exchange)), { _tag: "MalformedResponse", outcome: "unknown" })
          }
        })
      )
    }
  })

  describe("rotation", () => {
    const access = (more: object) => Response.json({ access_token: "test-a", expires_in: 60, ...more })

    for (const [name, fields] of Object.entries({
      omitted: {},
      null: { refresh_token: null },
      empty: { refresh_token: "" },
      "a number": { refresh_token: 7 }
    })) {
      it.scoped(`law 22: a refresh token that is ${name} in the answer keeps the old one`, () =>
        manually(function* (clock) {
          const as = server({ "/token": () => access(fields) })
          const { session } = yield* setup(as, { ...byRefresh, seed }, "none")
          for (let i = 0; i < 3; i++) {
            yield* session.accessToken
            yield* clock.advance("1 minute")
          }
          assert.deepStrictEqual(presented(as), ["test-stored", "test-stored", "test-stored"])
        })
      )
    }

    it.scoped("law 22: a rotated refresh token is the one used next, even when its access token was broken", () =>
      manually(function* (clock) {
        const answers = [
          { refresh_token: "test-second" },
          { access_token: null, refresh_token: "test-third" },
          { access_token: "test-b" }
        ]
        const as = server({ "/token": () => access(answers.shift() ?? {}) })
        const { session } = yield* setup(as, { ...byRefresh, seed, patience: 0 }, "none")
        yield* session.refresh
        assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* session.refresh), "test-b")
        assert.deepStrictEqual(presented(as), ["test-stored", "test-second", "test-third"])
      })
    )

    /** Signed in, and then the answer to the first refresh is this one; what is presented in the next hour. */
    const afterwards = (failed: () => Response, options: OAuth2.Options & Auth.Options) =>
      manually(function* (clock) {
        const as = server({
          "/token": (sent, nth) => (nth === 2 ? failed() : issue(sent, nth))
        })
        const { session } = yield* setup(as, { patience: 0, leeway: 0, ...options })
        yield* session.accessToken
        yield* clock.advance("5 minutes")
        yield* Effect.ignore(session.accessToken)
        for (let i = 0; i < 60; i++) {
          yield* clock.advance("1 second")
          yield* session.accessToken
        }
        return presented(as)
      })

    const failures: ReadonlyArray<readonly [string, () => Response, spent: boolean]> = [
      ["500", () => new Response(null, { status: 500 }), true],
      ["502", () => new Response(null, { status: 502 }), true],
      ["504", () => new Response(null, { status: 504 }), true],
      ["a page", () => new Response("<html>"), true],
      ["a cut body", () => new Response('{"access_token":"x'), true],
      ["an unknown code", () => Response.json({ error: "test-unknown" }, { status: 400 }), true],
      ["server_error", () => Response.json({ error: "server_error" }, { status: 400 }), true],
      ["429", () => new Response(null, { status: 429 }), false],
      ["503", () => new Response(null, { status: 503 }), false],
      ["temporarily_unavailable", () => Response.json({ error: "temporarily_unavailable" }, { status: 400 }), false],
      ["slow_down", () => Response.json({ error: "slow_down" }, { status: 400 }), false]
    ]
    for (const [name, failed, spent] of failures) {
      it.scoped(`law 12: after ${name} a refresh token is ${spent ? "not " : ""}presented again by itself`, () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* afterwards(failed, byPassword), [
            "password",
            "test-refresh-1",
            spent ? "password" : "test-refresh-1"
          ])
        })
      )

      it.scoped(`law 12: after ${name}, without rotation, it is`, () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* afterwards(failed, { ...byPassword, rotation: "none" }), [
            "password",
            "test-refresh-1",
            "test-refresh-1"
          ])
        })
      )
    }

    it.scoped("law 13: within a declared reuse window it is presented once more", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(
          yield* afterwards(() => new Response(null, { status: 500 }), { ...byPassword, reuseWindow: "30 seconds" }),
          ["password", "test-refresh-1", "test-refresh-1"]
        )
      })
    )
  })

  describe("errors", () => {
    const told = (error: string, status: number) =>
      Response.json({ error, error_description: "test-message", error_uri: "https://as.test/test-uri" }, { status })
    const credentials = { _tag: "InvalidCredentials", reason: "refused" }
    const invalid = { _tag: "InvalidRefreshToken", reason: "invalid" }
    const misconfigured = (field: string) => ({ _tag: "Misconfigured", field })
    const malformed = { _tag: "MalformedResponse", outcome: "unknown" }
    const codes: ReadonlyArray<readonly [string, login: object, refresh: object]> = [
      ["invalid_grant", credentials, invalid],
      ["access_denied", credentials, invalid],
      ["expired_token", credentials, { _tag: "TokenExpired", token: "refresh" }],
      [
        "invalid_client",
        misconfigured("clientId, clientSecret, authentication"),
        misconfigured("clientId, clientSecret, authentication")
      ],
      ["unauthorized_client", misconfigured("grant"), misconfigured("grant")],
      ["unsupported_grant_type", misconfigured("grant"), misconfigured("grant")],
      ["invalid_scope", misconfigured("scope"), misconfigured("scope")],
      ["invalid_request", misconfigured("parameters"), misconfigured("parameters")],
      ["invalid_target", misconfigured("parameters"), misconfigured("parameters")],
      [
        "temporarily_unavailable",
        { _tag: "NetworkFailure", outcome: "not-spent" },
        { _tag: "NetworkFailure", outcome: "not-spent" }
      ],
      ["slow_down", { _tag: "NetworkFailure", outcome: "not-spent" }, { _tag: "NetworkFailure", outcome: "not-spent" }],
      ["server_error", { _tag: "NetworkFailure", outcome: "unknown" }, { _tag: "NetworkFailure", outcome: "unknown" }],
      ["test-unknown", malformed, malformed],
      ["toString", malformed, malformed],
      ["__proto__", malformed, malformed],
      ["", malformed, malformed]
    ]
    for (const [code, login, refresh] of codes) {
      for (const status of [400, 401, 403, 200]) {
        it.effect(`law 12: ${code === "" ? "an empty code" : code} with ${status}`, () =>
          Effect.gen(function* () {
            const as = server({ "/token": () => told(code, status) })
            for (const grant of ["client_credentials", "password"] as const) {
              const client = yield* make(as, { grant })
              const errors = [yield* Effect.flip(client.login), yield* Effect.flip(client.refresh)] as const
              assert.deepInclude(about(errors[0]), login)
              assert.deepInclude(about(errors[1]), refresh)
              assert.notMatch(
                JSON.stringify(errors) + errors.join(),
                /test-(message|uri|unknown|stored|password|client-secret)/
              )
            }
          })
        )
      }
    }

    const others: ReadonlyArray<readonly [string, () => Response]> = [
      ["a 400 page", () => new Response("<html>test-message", { status: 400 })],
      ["a 401 of another form", () => Response.json({ error: { code: "invalid_grant" } }, { status: 401 })],
      ["a 404", () => new Response("test-message", { status: 404 })],
      ["a 400 without a body", () => new Response(null, { status: 400 })],
      ["a redirect", () => new Response(null, { status: 307, headers: { location: "https://test-message.test" } })]
    ]
    for (const [name, answer] of others) {
      it.effect(`law 12: ${name} is malformed, and passes`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* make(server({ "/token": answer }))
          for (const exchange of [login, refresh]) {
            const error = yield* Effect.flip(exchange)
            assert.deepInclude(about(error), malformed)
            assert.notMatch(JSON.stringify(error) + String(error), /test-message/)
          }
        })
      )
    }

    it.effect("a 200 with tokens and an empty error is an answer", () =>
      Effect.gen(function* () {
        const { login } = yield* make(server({ "/token": () => Response.json({ access_token: "test-a", error: "" }) }))
        assert.isTrue(Option.isSome((yield* login).accessToken))
      })
    )

    for (const code of ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"]) {
      for (const [grant, options] of [
        ["client_credentials", client],
        ["refresh_token", { ...byRefresh, seed }]
      ] as const) {
        it.scoped(`law 11: ${code} for ${grant} is permanent: one request in hours`, () =>
          manually(function* (clock) {
            const as = server({ "/token": () => told(code, 401) })
            const { session } = yield* setup(as, { ...options, renewal: "background" })
            for (let i = 0; i < 20; i++) {
              assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "Misconfigured")
              yield* clock.advance("10 minutes")
            }
            assert.strictEqual(as.sent.length, 1)
          })
        )
      }
    }

    it.scoped("law 12: an unknown code passes: the session asks again after the cool-down", () =>
      manually(function* (clock) {
        const replies = [told("test-unknown", 400), told("test-unknown", 403)]
        const as = server({ "/token": (sent, nth) => replies.shift() ?? issue(sent, nth) })
        const { session } = yield* setup(as, client)
        assert.strictEqual(value(yield* after(clock, "1 second", session.accessToken)), "test-access-3")
      })
    )

    it.scoped("law 14: a refused refresh token is followed by a log in where the grant has one", () =>
      Effect.gen(function* () {
        const as = server({
          "/token": (sent, nth) => (nth === 1 ? told("invalid_grant", 400) : issue(sent, nth))
        })
        const { session } = yield* setup(as, { ...client, seed }, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-2")
        assert.deepStrictEqual(presented(as), ["test-stored", "client_credentials"])
      })
    )

    for (const [law, name, failed] of [
      [14, "refused", () => told("invalid_grant", 400)],
      [13, "in doubt", () => new Response(null, { status: 500 })]
    ] as const) {
      it.scoped(`law ${law}: a refresh token that is ${name} is not sent after a log in that brought no other`, () =>
        manually(function* (clock) {
          const as = server({
            "/token": (sent, nth) => (sent.form.refresh_token === undefined ? issue(sent, nth) : failed())
          })
          const { session } = yield* setup(as, { ...client, seed, patience: "1 second" }, "none")
          for (let i = 0; i < 4; i++) yield* after(clock, "5 minutes", session.accessToken)
          assert.strictEqual(presented(as).filter((one) => one === "test-stored").length, 1)
        })
      )
    }

    it.scoped("law 14: without one it is InvalidRefreshToken, and nobody asks again", () =>
      manually(function* (clock) {
        const as = server({ "/token": () => told("invalid_grant", 400) })
        const { session } = yield* setup(as, { ...byRefresh, seed, renewal: "background" })
        for (let i = 0; i < 20; i++) {
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "InvalidRefreshToken")
          yield* clock.advance("10 minutes")
        }
        assert.strictEqual(as.sent.length, 1)
      })
    )

    it.scoped("law 16: a refused password is not sent again at once", () =>
      manually(function* (clock) {
        const as = server({ "/token": () => told("invalid_grant", 400) })
        const { session } = yield* setup(as, byPassword)
        const sent: Array<number> = []
        for (let minute = 0; minute < 20; minute++) {
          const before = as.sent.length
          for (const ask of [session.accessToken, session.login]) {
            assert.strictEqual((yield* Effect.flip(ask))._tag, "InvalidCredentials")
          }
          if (as.sent.length > before) sent.push(minute)
          assert.isAtMost(as.sent.length, before + 1)
          yield* clock.advance("1 minute")
        }
        assert.deepStrictEqual(sent, [0, 1, 3, 7, 15])
      })
    )

    const now = 1_700_000_000_000
    const date = (seconds: number) => httpDate(now + seconds * 1000)
    const waits: ReadonlyArray<readonly [string, Record<string, string>, number]> = [
      ["seconds", { "retry-after": "7" }, 7],
      ["an HTTP date", { "retry-after": date(7) }, 7],
      ["an HTTP date by the answer's own Date", { "retry-after": date(3607), date: date(3600) }, 7],
      ["an hour at most", { "retry-after": "999999" }, 3600]
    ]
    for (const [name, headers, wait] of waits) {
      for (const status of [429, 503]) {
        for (const [grant, options] of [
          ["client_credentials", client],
          ["refresh_token", { ...byRefresh, seed }]
        ] as const) {
          it.scoped(`law 9: Retry-After of a ${status} for ${grant}, ${name}, is waited for`, () =>
            manually(function* (clock) {
              const as = server({
                "/token": (sent, nth) => (nth === 1 ? new Response(null, { status, headers }) : issue(sent, nth))
              })
              const { session } = yield* setup(as, { ...options, patience: "2 hours" })
              const callers = yield* Effect.fork(herd(10, session.accessToken))
              yield* clock.advance(Duration.seconds(wait - 0.1))
              assert.strictEqual(as.sent.length, 1)
              yield* clock.advance("200 millis")
              assert.strictEqual(as.sent.length, 2)
              for (const one of yield* Fiber.join(callers)) {
                assert.strictEqual(one._tag === "Right" && value(one.right), "test-access-2")
              }
            })
          )
        }
      }
    }

    it.scoped("law 9: whoever has less patience than the server asks for is told at once how long that is", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => new Response(null, { status: 429, headers: { "retry-after": "60" } }) })
        const { session } = yield* setup(as, client)
        const error = yield* Effect.flip(session.accessToken)
        assert.deepInclude(about(error), { _tag: "NetworkFailure", reason: "rate-limited", status: 429 })
        assert.strictEqual(
          error._tag === "NetworkFailure" && error.retryAfter && Duration.toSeconds(error.retryAfter),
          60
        )
      })
    )
  })

  describe("challenges of the API", () => {
    const challenges: ReadonlyArray<readonly [string, string | undefined, status: number, retried: boolean]> = [
      ["none", undefined, 401, true],
      ["Bearer", "Bearer", 401, true],
      ["invalid_token", 'Bearer realm="x", error="invalid_token", error_description="expired"', 401, true],
      ["invalid_token in lower case", "bearer error=invalid_token", 401, true],
      ["Bearer after another scheme", 'Basic realm="x", Bearer error="invalid_token"', 401, true],
      ["insufficient_scope", 'Bearer error="insufficient_scope", scope="write"', 403, false],
      ["insufficient_scope with 401", 'Bearer error="insufficient_scope"', 401, false],
      ["another scheme", 'Basic realm="x"', 401, false],
      ["DPoP", 'DPoP algs="ES256"', 401, false],
      ["a plain 403", undefined, 403, false]
    ]
    for (const [name, challenge, status, retried] of challenges) {
      it.scoped(
        `law 25: ${name} with ${status} ${retried ? "refreshes, and the request is sent again" : "is the answer"}`,
        () =>
          Effect.gen(function* () {
            const as = server({
              "/v1/orders": ({ headers }) =>
                headers.authorization === "Bearer test-access-1"
                  ? new Response("test-answer", {
                      status,
                      headers: challenge === undefined ? {} : { "www-authenticate": challenge }
                    })
                  : new Response("test-answer")
            })
            const { api } = yield* setup(as, byPassword)
            const answer = yield* api.get("/orders")
            assert.strictEqual(answer.status, retried ? 200 : status)
            assert.strictEqual(yield* answer.text, "test-answer")
            assert.deepStrictEqual(presented(as), retried ? ["password", "test-refresh-1"] : ["password"])
            assert.strictEqual(as.at("/v1/orders").length, retried ? 2 : 1)
          })
      )
    }

    it.scoped("law 10: 100 rejections at once are one refresh", () =>
      manually(function* () {
        const as = server({
          "/v1/orders": ({ headers }) =>
            new Response(null, { status: headers.authorization === "Bearer test-access-1" ? 401 : 200 })
        })
        const { api, session } = yield* setup(as, byPassword)
        yield* session.accessToken
        const results = yield* herd(100, api.get("/orders"))
        assert.isTrue(results.every((one) => one._tag === "Right" && one.right.status === 200))
        assert.deepStrictEqual(presented(as), ["password", "test-refresh-1"])
      })
    )
  })

  describe("revocation", () => {
    const basic = base64("test-client:test-client-secret")

    it.scoped("a log out revokes the refresh token, exactly as documented", () =>
      Effect.gen(function* () {
        const as = server({ "/revoke": () => new Response(null) })
        const { session } = yield* setup(as, { ...revoking, grant: "password", parameters: { audience: "x" } })
        yield* session.accessToken
        yield* session.logout
        const [revocation, ...more] = as.at("/revoke")
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual(
          {
            method: revocation?.method,
            url: revocation?.url,
            type: revocation?.headers["content-type"],
            authorization: revocation?.headers.authorization,
            body: revocation?.body
          },
          {
            method: "POST",
            url: "https://as.test/revoke",
            type: "application/x-www-form-urlencoded",
            authorization: basic,
            body: "token=test-refresh-1&token_type_hint=refresh_token"
          }
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("without a refresh token it revokes the access token", () =>
      Effect.gen(function* () {
        const as = server({ "/revoke": () => new Response(null) })
        const { session } = yield* setup(as, revoking)
        yield* session.accessToken
        yield* session.logout
        assert.deepStrictEqual(
          as.at("/revoke").map(({ body }) => body),
          ["token=test-access-1&token_type_hint=access_token"]
        )
      })
    )

    it.scoped("the client authenticates at the revocation endpoint as at the other", () =>
      Effect.gen(function* () {
        const { clientSecret: _, ...publicly } = revoking
        for (const [options, more] of [
          [{ ...revoking, authentication: "client_secret_post" }, { client_secret: "test-client-secret" }],
          [publicly, {}]
        ] as const) {
          const as = server({ "/revoke": () => new Response(null) })
          const { session } = yield* setup(as, options)
          yield* session.accessToken
          yield* session.logout
          const [revocation] = as.at("/revoke")
          assert.isUndefined(revocation?.headers.authorization)
          assert.deepStrictEqual(revocation?.form, {
            token: "test-access-1",
            token_type_hint: "access_token",
            client_id: "test-client",
            ...more
          })
        }
      })
    )

    const answers: ReadonlyArray<readonly [string, () => Reply, logged: boolean]> = [
      ["an empty 200", () => new Response(null), false],
      ["a 204", () => new Response(null, { status: 204 }), false],
      ["a 200 of text", () => new Response("ok"), false],
      ["a 200 of JSON", () => Response.json({}), false],
      ["500", () => new Response("test-message", { status: 500 }), true],
      ["503", () => new Response(null, { status: 503 }), true],
      ["a page with 400", () => new Response("<html>test-message", { status: 400 }), true],
      ["unsupported_token_type", () => Response.json({ error: "unsupported_token_type" }, { status: 400 }), true],
      ["invalid_client", () => Response.json({ error: "invalid_client" }, { status: 401 }), true],
      ["a redirect", () => new Response(null, { status: 302, headers: { location: "https://evil.test" } }), true],
      ["nothing, ever", () => Effect.never, true]
    ]
    for (const [name, answer, logged] of answers) {
      it.scoped(`law 30: ${name}: the log out succeeds, and is ${logged ? "" : "not "}logged`, () =>
        manually(function* (clock) {
          const exhibit = exhibits(new Secrets())
          const as = server({ "/revoke": answer })
          yield* Effect.gen(function* () {
            const { session } = yield* setup(as, revoking)
            yield* session.accessToken
            yield* after(clock, "10 seconds", session.logout)
            assert.strictEqual((yield* session.status).state, "signed-out")
            assert.strictEqual(as.at("/revoke").length, 1)
          }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning), Effect.provide(exhibit.layer))
          assert.strictEqual(exhibit.count("log line") > 0, logged)
        })
      )
    }

    it.scoped("law 30: a log in answered after the log out is revoked, never seen", () =>
      manually(function* (clock) {
        const gate = yield* Deferred.make<void>()
        const as = server({
          "/token": (sent, nth) => Effect.as(Deferred.await(gate), issue(sent, nth)),
          "/revoke": () => new Response(null)
        })
        const { session } = yield* setup(as, { ...revoking, grant: "password" })
        const caller = yield* Effect.fork(Effect.flip(session.accessToken))
        yield* until(() => as.sent.length === 1)
        yield* session.logout
        assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
        assert.strictEqual(as.at("/revoke").length, 0)
        yield* Deferred.succeed(gate, void 0)
        yield* clock.advance("1 second")
        assert.deepStrictEqual(
          as.at("/revoke").map(({ form }) => form.token),
          ["test-refresh-1"]
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("law 30: a refresh answered after the log out is revoked, as the token it was for", () =>
      manually(function* (clock) {
        const gate = yield* Deferred.make<void>()
        const as = server({
          "/token": (sent, nth) => (nth === 1 ? issue(sent, nth) : Effect.as(Deferred.await(gate), issue(sent, nth))),
          "/revoke": () => new Response(null)
        })
        const { session } = yield* setup(as, { ...revoking, grant: "password" })
        yield* session.accessToken
        const caller = yield* Effect.fork(Effect.flip(session.refresh))
        yield* until(() => as.sent.length === 2)
        yield* session.logout
        assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
        yield* Deferred.succeed(gate, void 0)
        yield* clock.advance("1 second")
        assert.deepStrictEqual(
          as.at("/revoke").map(({ form }) => form.token),
          ["test-refresh-1", "test-refresh-2"]
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("without a revocation endpoint a log out sends nothing", () =>
      Effect.gen(function* () {
        const as = server()
        const { session } = yield* setup(as, client)
        yield* session.accessToken
        yield* session.logout
        assert.strictEqual(as.sent.length, 1)
      })
    )
  })

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

    it.scoped("one request for metadata, at the first exchange, and law 11: none over many more", () =>
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

    it.scoped("a log out while the metadata are away succeeds", () =>
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

  describe("concurrency", () => {
    it.scoped("law 6: 100 callers are one exchange, at first and at each renewal", () =>
      manually(function* (clock) {
        const as = server({
          "/token": (sent, nth) =>
            Effect.delay(
              Effect.sync(() => issue(sent, nth)),
              "1 second"
            )
        })
        const { session } = yield* setup(as, byPassword)
        for (let i = 1; i <= 4; i++) {
          const results = yield* after(clock, "1 second", herd(100, session.accessToken))
          assert.isTrue(results.every((one) => one._tag === "Right" && value(one.right) === `test-access-${i}`))
          yield* clock.advance("5 minutes")
        }
        assert.deepStrictEqual(presented(as), ["password", "test-refresh-1", "test-refresh-2", "test-refresh-3"])
      })
    )

    it.scoped("two clients of one server do not share a session", () =>
      Effect.gen(function* () {
        const as = server({ "/token": ({ form }) => Response.json({ access_token: `test-of-${form.client_id}` }) })
        const named = (clientId: string) => setup(as, { ...client, clientId, authentication: "client_secret_post" })
        const [one, other] = [yield* named("one"), yield* named("other")]
        assert.strictEqual(value(yield* one.session.accessToken), "test-of-one")
        assert.strictEqual(value(yield* other.session.accessToken), "test-of-other")
      })
    )
  })

  describe("make", () => {
    const { clientSecret: _, ...publicly } = client
    const loosely = (options: object) => ({ ...client, ...options }) as OAuth2.Options
    const wrong: ReadonlyArray<readonly [string, OAuth2.Options, string]> = [
      ["no client id", loosely({ clientId: "" }), "clientId"],
      ["no base URL", loosely({ baseUrl: "" }), "baseUrl"],
      ["a base URL of plain http", loosely({ baseUrl: "http://api.test" }), "baseUrl"],
      ["an origin of plain http", loosely({ origins: ["https://a.test", "http://b.test"] }), "origins"],
      ["another grant", loosely({ grant: "authorization_code" }), "grant"],
      ["another authentication", loosely({ authentication: "private_key_jwt" }), "authentication"],
      ["a secret and no authentication", loosely({ authentication: "none" }), "clientSecret"],
      ["basic without a secret", { ...publicly, authentication: "client_secret_basic" }, "clientSecret"],
      ["post without a secret", { ...publicly, authentication: "client_secret_post" }, "clientSecret"],
      ["neither endpoint nor issuer", endpointless, "tokenEndpoint, issuer"],
      ["both", loosely({ issuer: "https://as.test" }), "tokenEndpoint, issuer"],
      ["a token endpoint of plain http", loosely({ tokenEndpoint: "http://as.test/token" }), "tokenEndpoint"],
      ["a token endpoint that is no URL", loosely({ tokenEndpoint: "/token" }), "tokenEndpoint"],
      ["an empty token endpoint", loosely({ tokenEndpoint: "" }), "tokenEndpoint"],
      [
        "a token endpoint with a password",
        loosely({ tokenEndpoint: "https://x:test-secret@as.test" }),
        "tokenEndpoint"
      ],
      ["a token endpoint with a fragment", loosely({ tokenEndpoint: "https://as.test/token#x" }), "tokenEndpoint"],
      ["a revocation endpoint of plain http", loosely({ revocationEndpoint: "http://as.test" }), "revocationEndpoint"],
      ["an issuer of plain http", { ...discovering, issuer: "http://as.test" }, "issuer"],
      ["an issuer that is no URL", { ...discovering, issuer: "as.test" }, "issuer"],
      [
        "a revocation endpoint that is wrong beside an issuer",
        { ...discovering, revocationEndpoint: "x" },
        "revocationEndpoint"
      ],
      ["a scope with a space", loosely({ scope: ["read", "a b"] }), "scope"],
      ["an empty scope", loosely({ scope: [""] }), "scope"],
      ["a scope with a quote", loosely({ scope: ['"'] }), "scope"],
      ["another rotation", loosely({ rotation: "sometimes" }), "rotation"],
      ["no lifetime", loosely({ lifetime: 0 }), "lifetime"],
      ["a negative lifetime", loosely({ lifetime: -1 }), "lifetime"],
      ["a negative reuse window", loosely({ reuseWindow: "-1 seconds" }), "reuseWindow"],
      ...["grant_type", "username", "password", "refresh_token", "scope", "client_id", "client_secret"].map(
        (name) =>
          [`the parameter ${name}`, loosely({ parameters: { [name]: "test-secret" } }), `parameters.${name}`] as const
      )
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name and without its value`, () =>
        Effect.gen(function* () {
          const as = server()
          const make = Effect.provideService(OAuth2.make(options), HttpClient.HttpClient, as.client)
          const error = yield* Effect.flip(make)
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(JSON.stringify(error) + String(error), /test-(client-)?secret/)
          assert.deepStrictEqual(as.sent, [])
        })
      )
    }

    it.effect("what is not said has safe defaults", () =>
      Effect.gen(function* () {
        const { provider } = yield* make(server())
        const { name, origins, rotation } = provider
        assert.deepStrictEqual(
          { name, origins, rotation },
          { name: "oauth2", origins: ["https://api.test"], rotation: "single-use" }
        )
        assert.isTrue(Option.isNone(provider.revoke))
      })
    )

    it.effect("the name is the one in errors", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => Response.json({ error: "invalid_grant" }, { status: 400 }) })
        const { login, provider } = yield* make(as, { name: "keycloak" })
        assert.strictEqual(provider.name, "keycloak")
        assert.deepInclude(about(yield* Effect.flip(login)), { provider: "keycloak" })
      })
    )

    it.scoped("layerConfig reads the environment, and names the variable that is wrong", () =>
      Effect.gen(function* () {
        const build = (as: Server, values: Record<string, string | undefined>) =>
          OAuth2.layerConfig({ grant: "client_credentials", renewal: "on-use" }).pipe(
            Layer.provide([Credentials.layerNone, Layer.succeed(HttpClient.HttpClient, as.client)]),
            Layer.provide(
              Layer.setConfigProvider(
                ConfigProvider.fromMap(
                  new Map(
                    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
                  )
                )
              )
            ),
            Layer.build
          )
        const values = {
          OAUTH2_CLIENT_ID: "test-id",
          OAUTH2_CLIENT_SECRET: "test-secret",
          OAUTH2_BASE_URL: "https://api.test",
          OAUTH2_TOKEN_ENDPOINT: "https://as.test/token",
          OAUTH2_REVOCATION_ENDPOINT: "https://as.test/revoke"
        }
        const use = (values: Record<string, string | undefined>) =>
          Effect.gen(function* () {
            const as = server({
              "/.well-known/oauth-authorization-server": () =>
                Response.json({ issuer: "https://as.test", token_endpoint: "https://as.test/token" })
            })
            const context = yield* build(as, values)
            yield* Context.get(context, AuthHttpClient.AuthHttpClient).get("/x")
            yield* Context.get(context, Session.Session).logout
            return as.sent.map(({ headers, url }) => [url, headers.authorization])
          })
        const basic = base64("test-id:test-secret")
        assert.deepStrictEqual(yield* use(values), [
          ["https://as.test/token", basic],
          ["https://api.test/x", "Bearer test-access-1"],
          ["https://as.test/revoke", basic]
        ])
        assert.deepStrictEqual(
          yield* use({ ...values, OAUTH2_TOKEN_ENDPOINT: undefined, OAUTH2_ISSUER: "https://as.test" }),
          [
            ["https://as.test/.well-known/oauth-authorization-server", undefined],
            ["https://as.test/token", basic],
            ["https://api.test/x", "Bearer test-access-1"],
            ["https://as.test/revoke", basic]
          ]
        )
        assert.deepStrictEqual(
          yield* use({ ...values, OAUTH2_CLIENT_SECRET: undefined, OAUTH2_REVOCATION_ENDPOINT: undefined }),
          [
            ["https://as.test/token", undefined],
            ["https://api.test/x", "Bearer test-access-1"]
          ]
        )
        for (const [name, value] of [
          ["OAUTH2_CLIENT_ID", undefined],
          ["OAUTH2_CLIENT_ID", ""],
          ["OAUTH2_BASE_URL", undefined],
          ["OAUTH2_BASE_URL", "x"],
          ["OAUTH2_TOKEN_ENDPOINT", "http://as.test"],
          ["OAUTH2_REVOCATION_ENDPOINT", "x"]
        ] as const) {
          const error = yield* Effect.flip(build(server(), { ...values, [name]: value }))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: name })
        }
        const issuer = yield* Effect.flip(
          build(server(), { ...values, OAUTH2_TOKEN_ENDPOINT: undefined, OAUTH2_ISSUER: "x" })
        )
        assert.deepInclude(about(issuer), { _tag: "Misconfigured", field: "OAUTH2_ISSUER" })
        const both = yield* Effect.flip(build(server(), { ...values, OAUTH2_ISSUER: "https://as.test" }))
        assert.deepInclude(about(both), { _tag: "Misconfigured" })
      })
    )
  })

  describe("law 27: no secret shows", () => {
    const clientSecret = "app+s3cr3t/with==odd&signs?"
    const password = 'p\u00e4ss w\u00f6rd "quoted" & \\slashed'
    const quoting = (status: number, error?: string) => (sent: Sent) =>
      Response.json(
        { error: error ?? sent.body, error_description: `${sent.body} ${sent.headers.authorization}` },
        { status }
      )
    const broken = ({ body, headers, url }: Sent) =>
      Effect.fail(
        new HttpClientError.RequestError({
          request: HttpClientRequest.post(url, { headers: { authorization: headers.authorization ?? "" } }),
          reason: "Transport",
          description: body,
          cause: new Error(`${body} ${headers.authorization}`)
        })
      )
    const all = (reply: (sent: Sent) => Reply): Replies => ({ "/token": reply, "/revoke": reply })
    const odd: OAuth2.Options = { ...revoking, clientSecret: secret(clientSecret) }
    const settings: Record<string, readonly [Replies, OAuth2.Options]> = {
      "while all is well": [{}, { ...odd, grant: "password" }],
      "with client_secret_post": [{}, { ...odd, grant: "password", authentication: "client_secret_post" }],
      "when all is refused with the request quoted": [
        all(quoting(400, "invalid_grant")),
        { ...odd, grant: "password", authentication: "client_secret_post" }
      ],
      "when the client is refused with the request quoted": [all(quoting(401, "invalid_client")), odd],
      "when the code of the error quotes the request": [
        all(quoting(400)),
        { ...odd, grant: "password", authentication: "client_secret_post" }
      ],
      "when the network quotes the request": [all(broken), { ...odd, grant: "password" }],
      "when the server breaks": [all(() => new Response("x", { status: 500 })), { ...odd, grant: "password" }]
    }
    for (const [name, [replies, options]] of Object.entries(settings)) {
      it.scoped(name, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of [password, clientSecret, "test-stored"]) secrets.add(one)
          for (const n of [1, 2, 3, 4]) for (const kind of ["access", "refresh"]) secrets.add(`test-${kind}-${n}`)
          const exhibit = exhibits(secrets)
          const as = server(replies)
          const tapped = { ...as, client: tap(as.client, secrets) }
          const credentials = { ...user, password: secret(password) }
          for (const seeded of [{}, { seed }]) {
            yield* Effect.gen(function* () {
              const { api, session } = yield* setup(tapped, { ...options, ...seeded, patience: 0 }, credentials)
              const ways: Record<string, Effect.Effect<unknown, unknown>> = {
                accessToken: session.accessToken,
                api: api.get("/orders"),
                refresh: session.refresh,
                login: session.login,
                status: session.status,
                logout: session.logout,
                signedOut: session.accessToken
              }
              for (const [way, effect] of Object.entries(ways)) {
                yield* exhibit.showExit(way, yield* Effect.exit(Effect.withSpan(effect, way)))
                yield* clock.advance("1 second")
              }
              yield* exhibit.show("session", session)
              yield* exhibit.show("api", api)
            }).pipe(Effect.provide(exhibit.layer))
          }
          // The bare client fails with what it was given; only its own span shows that.
          assert.deepStrictEqual(
            (yield* exhibit.leaks).filter((leak) => !leak.startsWith("span of the bare client")),
            []
          )
          assert.isAbove(exhibit.count("span"), 0)
          if (options.authentication === undefined) {
            assert.isTrue(secrets.seen.has(as.at("/token")[0]?.headers.authorization ?? "none"))
          }
        })
      )
    }
  })
})
