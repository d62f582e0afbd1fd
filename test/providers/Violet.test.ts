import { HttpClient, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Context,
  DateTime,
  Duration,
  Effect,
  Encoding,
  Layer,
  Option,
  Redacted,
  TestClock
} from "effect"
import type * as Auth from "../../src/Auth.js"
import * as AuthHttpClient from "../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import * as Session from "../../src/session/Session.js"
import * as Faults from "../../src/testing/Faults.js"
import { httpDate } from "../../src/testing/internal/sandboxClient.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import * as Token from "../../src/token/Token.js"

const now = Date.UTC(2026, 0, 1)
const user = { username: Redacted.make("test-user@example.com"), password: Redacted.make("test-password") }
const application = { appId: 1234, appSecret: Redacted.make("test-app-secret"), baseUrl: "https://violet.test/v1" }

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

/** Violet's protocol over a client that answers so, and what it was sent. */
const scripted = Effect.fnUntraced(function* (
  answer: (request: HttpClientRequest.HttpClientRequest) => unknown,
  init: ResponseInit = {}
) {
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      sent.push(request)
      const body = answer(request)
      const response = body instanceof Response ? body : new Response(JSON.stringify(body), init)
      return HttpClientResponse.fromWeb(request, response)
    })
  )
  const provider = yield* Effect.provideService(Violet.make(application), HttpClient.HttpClient, client)
  const login = Option.getOrThrow(provider.login(Option.some(user)))
  const refresh = provider.refresh(Token.make({ refreshToken: Redacted.make("test-refresh") }))
  return { client, provider, login, refresh, sent }
})

/** A signed-in application over a sandbox or a client of the test's own. */
const setup = Effect.fnUntraced(function* (
  options: Auth.Options & { readonly sandbox?: VioletSandbox.Options; readonly client?: HttpClient.HttpClient } = {}
) {
  const { client, sandbox: sandboxOptions, ...rest } = options
  const sandbox = yield* VioletSandbox.make(sandboxOptions)
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const bare = HttpClient.tapRequest(client ?? sandbox.client, (request) => Effect.sync(() => sent.push(request)))
  const context = yield* Layer.build(
    Violet.layer({ ...application, renewal: "on-use", ...rest }).pipe(
      Layer.provide([Credentials.layer(user), Layer.succeed(HttpClient.HttpClient, bare)])
    )
  )
  return {
    sandbox,
    sent,
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))

describe("Violet", () => {
  describe("make", () => {
    const wrong: ReadonlyArray<readonly [string, Violet.Options, string]> = [
      ["no app id", { ...application, appId: 0 }, "appId"],
      ["a broken app id", { ...application, appId: 1.5 }, "appId"],
      ["NaN", { ...application, appId: Number.NaN }, "appId"],
      ["an empty secret", { ...application, appSecret: Redacted.make("") }, "appSecret"],
      ["a secret with a line break", { ...application, appSecret: Redacted.make("test\r\nx: y") }, "appSecret"],
      ["plain http", { ...application, baseUrl: "http://violet.test/v1" }, "baseUrl"],
      ["two addresses", { ...application, environment: "live" }, "baseUrl"]
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name and without its value`, () =>
        Effect.gen(function* () {
          const client = HttpClient.make(() => Effect.die("nothing is sent"))
          const make = Effect.provideService(Violet.make(options), HttpClient.HttpClient, client)
          const error = yield* Effect.flip(make)
          assert.deepInclude({ ...error }, { _tag: "Misconfigured", field })
          assert.notMatch(String(error), /x: y/)
        })
      )
    }

    it.effect("the addresses are Violet's own", () =>
      Effect.gen(function* () {
        const { appId, appSecret } = application
        const client = HttpClient.make(() => Effect.die("nothing is sent"))
        const at = (options: Violet.Options) =>
          Effect.map(
            Effect.provideService(Violet.make(options), HttpClient.HttpClient, client),
            ({ baseUrl, origins }) => [baseUrl.href, ...origins]
          )
        assert.deepStrictEqual(yield* at({ appId, appSecret }), ["https://api.violet.io/v1/", "https://api.violet.io"])
        assert.deepStrictEqual(yield* at({ appId, appSecret, environment: "sandbox" }), [
          "https://sandbox-api.violet.io/v1/",
          "https://sandbox-api.violet.io"
        ])
        assert.deepStrictEqual(yield* at({ appId, appSecret, baseUrl: "http://127.0.0.1:1/a" }), [
          "http://127.0.0.1:1/a/",
          "http://127.0.0.1:1"
        ])
      })
    )

    it.scoped("layerConfig reads the environment, and names the variable that is wrong", () =>
      Effect.gen(function* () {
        const sandbox = yield* VioletSandbox.make()
        const build = (values: Record<string, string>) =>
          Violet.layerConfig({ renewal: "on-use" }).pipe(
            Layer.provide([Violet.layerCredentialsConfig(), Layer.succeed(HttpClient.HttpClient, sandbox.client)]),
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))),
            Layer.build
          )
        const values = {
          VIOLET_APP_ID: "1234",
          VIOLET_APP_SECRET: "test-app-secret",
          VIOLET_BASE_URL: sandbox.baseUrl,
          VIOLET_USERNAME: "test-user@example.com",
          VIOLET_PASSWORD: "test-password"
        }
        const api = Context.get(yield* build(values), AuthHttpClient.AuthHttpClient)
        assert.strictEqual((yield* api.get("/merchants")).status, 200)
        for (const [name, value] of Object.entries({
          VIOLET_APP_ID: "x",
          VIOLET_APP_SECRET: "",
          VIOLET_BASE_URL: "x"
        })) {
          const error = yield* Effect.flip(build({ ...values, [name]: value }))
          assert.deepInclude({ ...error }, { _tag: "Misconfigured", field: name })
        }
        for (const name of ["VIOLET_APP_ID", "VIOLET_APP_SECRET", "VIOLET_USERNAME", "VIOLET_PASSWORD"]) {
          const rest = Object.fromEntries(Object.entries(values).filter(([key]) => key !== name))
          const error = yield* Effect.flip(build(rest))
          assert.deepInclude({ ...error }, { _tag: "Misconfigured", field: name })
        }
      })
    )
  })

  describe("the documented client", () => {
    it.scoped("a login is exactly as documented", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        assert.strictEqual((yield* api.get("/merchants")).status, 200)
        const login = sent[0]
        assert.strictEqual(login?.method, "POST")
        assert.strictEqual(login?.url, "https://violet.test/v1/login")
        assert.strictEqual(login?.headers["x-violet-app-id"], "1234")
        assert.strictEqual(login?.headers["x-violet-app-secret"], "test-app-secret")
        assert.isUndefined(login?.headers["x-violet-token"])
        const body =
          login?.body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(login.body.body)) : undefined
        assert.deepStrictEqual(body, { username: "test-user@example.com", password: "test-password" })
        const { complaints, tokenRequests, logins } = yield* sandbox.report
        assert.deepStrictEqual({ complaints, tokenRequests, logins }, { complaints: 0, tokenRequests: 1, logins: 1 })
      })
    )

    it.scoped("a refresh is GET /auth/token with the refresh token, and no login", () =>
      Effect.gen(function* () {
        const refreshToken = "test-seeded"
        const { sent, session } = yield* setup({
          seed: Token.make({ refreshToken: Redacted.make(refreshToken) }),
          client: HttpClient.make((request) =>
            Effect.sync(() => HttpClientResponse.fromWeb(request, Response.json({ token: "test-access" })))
          )
        })
        assert.strictEqual(Redacted.value(yield* session.accessToken), "test-access")
        const [request, ...more] = sent
        assert.deepStrictEqual(more, [])
        assert.strictEqual(request?.method, "GET")
        assert.strictEqual(request?.url, "https://violet.test/v1/auth/token")
        assert.strictEqual(request?.body._tag, "Empty")
        assert.strictEqual(request?.headers["x-violet-app-id"], "1234")
        assert.strictEqual(request?.headers["x-violet-app-secret"], "test-app-secret")
        assert.strictEqual(request?.headers["x-violet-token"], refreshToken)
      })
    )

    it.scoped("an expired token is refreshed before it is used, and the refresh token stays in use", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        for (let i = 0; i < 5; i++) {
          assert.strictEqual((yield* api.get("/merchants")).status, 200)
          yield* TestClock.adjust("6 minutes")
        }
        const { complaints, logins, refreshes, rejections } = yield* sandbox.report
        assert.deepStrictEqual(
          { complaints, logins, refreshes, rejections },
          { complaints: 0, logins: 1, refreshes: 4, rejections: 0 }
        )
      })
    )

    it.scoped("a 5-minute token with the 5-minute leeway is not refreshed before every request", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ leeway: "5 minutes" })
        for (let i = 0; i < 23; i++) {
          yield* api.get("/merchants")
          yield* TestClock.adjust("10 seconds")
        }
        assert.strictEqual((yield* sandbox.report).tokenRequests, 1)
      })
    )

    it.scoped("a refused refresh is followed by a login", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* api.get("/merchants")
        yield* sandbox.revokeRefreshTokens
        yield* TestClock.adjust("6 minutes")
        assert.strictEqual((yield* api.get("/merchants")).status, 200)
        const { complaints, logins, refreshes } = yield* sandbox.report
        assert.deepStrictEqual({ complaints, logins, refreshes }, { complaints: 0, logins: 2, refreshes: 1 })
      })
    )

    it.scoped("a refresh token past its known end is not sent: log in again", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ sandbox: { refreshLifetime: "1 hour" } })
        yield* api.get("/merchants")
        yield* TestClock.adjust("2 hours")
        assert.strictEqual((yield* api.get("/merchants")).status, 200)
        const { logins, refreshes } = yield* sandbox.report
        assert.deepStrictEqual({ logins, refreshes }, { logins: 2, refreshes: 0 })
      })
    )
  })

  describe("lifetimes", () => {
    const end = (now + 600_000) / 1000
    const iso = DateTime.formatIso(DateTime.unsafeMake(now + 600_000))
    const lifetimes: ReadonlyArray<readonly [string, object, number]> = [
      ["exp and iat", { token: jwt({ iat: 1000, exp: 1300 }) }, 300],
      ["exp and iat, before expires_at", { token: jwt({ iat: 1000, exp: 1300 }), expires_at: iso }, 300],
      ["exp alone", { token: jwt({ exp: end }) }, 600],
      ["exp as text", { token: jwt({ exp: String(end) }) }, 600],
      ["expires_at in ISO 8601", { token: "opaque", expires_at: iso }, 600],
      ["expires_at with an offset", { token: "opaque", expires_at: "2026-01-01T02:10:00+0200" }, 600],
      ["expires_at in seconds", { token: "opaque", expires_at: end }, 600],
      ["expires_at in milliseconds", { token: "opaque", expires_at: end * 1000 }, 600],
      ["expires_at as text", { token: "opaque", expires_at: String(end) }, 600],
      ["expires_at of nonsense", { token: jwt({ exp: end }), expires_at: "soon" }, 600],
      ["expires_at of null", { token: jwt({ exp: end }), expires_at: null }, 600],
      ["expires_at of an object", { token: jwt({ exp: end }), expires_at: {} }, 600],
      ["expires_at in the past", { token: jwt({ exp: end }), expires_at: 1 }, 600],
      ["no end at all", { token: "opaque" }, 86_400],
      ["exp of null", { token: jwt({ exp: null }) }, 86_400],
      ["exp of nonsense", { token: jwt({ exp: "soon" }) }, 86_400],
      ["exp in the past", { token: jwt({ exp: 1 }) }, 86_400],
      ["a broken JWT", { token: "e30.%%%.sig" }, 86_400]
    ]
    for (const [name, body, expected] of lifetimes) {
      it.effect(`law 4: ${name}: ${expected} seconds, from log in and refresh alike`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(now)
          const { login, refresh } = yield* scripted(() => body, { headers: { date: httpDate(now) } })
          assert.strictEqual(seconds((yield* login).lifetime), expected)
          assert.strictEqual(seconds((yield* refresh).lifetime), expected)
        })
      )
    }

    for (const hours of [-2, 0, 2]) {
      const clockOffset = hours * 3_600_000
      for (const [name, sandbox] of Object.entries<VioletSandbox.Options>({
        "exp alone": { iat: false },
        "exp and iat": {},
        expires_at: { iat: false, expiresAt: true }
      })) {
        it.scoped(`law 4: a server whose clock differs by ${hours} hours, ${name}`, () =>
          Effect.gen(function* () {
            yield* TestClock.setTime(now + 567)
            const {
              api,
              sandbox: server,
              session
            } = yield* setup({
              sandbox: { clockOffset, lifetime: "10 minutes", ...sandbox },
              leeway: 0
            })
            yield* session.accessToken
            yield* TestClock.adjust("598 seconds")
            assert.strictEqual((yield* api.get("/merchants")).status, 200)
            assert.strictEqual((yield* server.report).tokenRequests, 1, "used to its end, but for a second")
            yield* TestClock.adjust("3 seconds")
            assert.strictEqual((yield* api.get("/merchants")).status, 200)
            const { tokenRequests, rejections } = yield* server.report
            assert.deepStrictEqual({ tokenRequests, rejections }, { tokenRequests: 2, rejections: 0 })
          })
        )
      }
    }

    it.scoped("a token whose exp cannot be read is used for 24 hours", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ sandbox: { lifetime: "3 days" }, leeway: 0 })
        yield* sandbox.faults.inject("login", Faults.Expiry({ claims: { exp: undefined } }))
        yield* api.get("/merchants")
        yield* TestClock.adjust("23 hours")
        yield* api.get("/merchants")
        assert.strictEqual((yield* sandbox.report).tokenRequests, 1)
        yield* TestClock.adjust("61 minutes")
        yield* api.get("/merchants")
        assert.strictEqual((yield* sandbox.report).tokenRequests, 2)
      })
    )
  })

  describe("rotation", () => {
    it.effect("law 22: a new refresh token is handed on, also beside a broken access token", () =>
      Effect.gen(function* () {
        for (const token of ["test-access", null, 7, "", undefined, "with space"]) {
          const { refresh } = yield* scripted(() => ({ token, refresh_token: "test-rotated" }))
          const tokens = yield* refresh
          assert.strictEqual(Redacted.value(Option.getOrThrow(tokens.refreshToken)), "test-rotated")
          assert.strictEqual(Option.isSome(tokens.accessToken), token === "test-access")
        }
      })
    )

    for (const [name, fields] of Object.entries({
      omitted: {},
      null: { refresh_token: null },
      empty: { refresh_token: "" },
      "a number": { refresh_token: 7 }
    })) {
      it.scoped(`law 22: a refresh token that is ${name} in the answer keeps the old one`, () =>
        Effect.gen(function* () {
          let n = 0
          const { sent, session } = yield* setup({
            seed: Token.make({ refreshToken: Redacted.make("test-first") }),
            client: HttpClient.make((request) =>
              Effect.sync(() => HttpClientResponse.fromWeb(request, Response.json({ token: `test-${++n}`, ...fields })))
            )
          })
          yield* session.refresh
          yield* session.refresh
          assert.deepStrictEqual(
            sent.map(({ headers }) => headers["x-violet-token"]),
            ["test-first", "test-first"]
          )
        })
      )
    }

    it.scoped("law 22: a rotated refresh token is the one used next, even when its access token was broken", () =>
      Effect.gen(function* () {
        const responses = [
          { token: "test-1", refresh_token: "test-second" },
          { token: null, refresh_token: "test-third" },
          { token: "test-3" }
        ]
        const { sent, session } = yield* setup({
          patience: 0,
          seed: Token.make({ refreshToken: Redacted.make("test-first") }),
          client: HttpClient.make((request) =>
            Effect.sync(() => HttpClientResponse.fromWeb(request, Response.json(responses.shift())))
          )
        })
        assert.strictEqual(Redacted.value(yield* session.refresh), "test-1")
        assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(Redacted.value(yield* session.refresh), "test-3")
        assert.deepStrictEqual(
          sent.map(({ headers }) => headers["x-violet-token"]),
          ["test-first", "test-second", "test-third"]
        )
      })
    )
  })

  describe("refusals", () => {
    const documented = (status: number, error_code?: number) =>
      Response.json({ status, message: "test-message", error_code, timestamp: 1 }, { status })
    const page = (status: number) => new Response("<html>test-message", { status })
    const cases: ReadonlyArray<readonly [string, () => Response, object, object]> = [
      [
        "401 with code 11",
        () => documented(401, 11),
        { _tag: "InvalidCredentials", status: 401 },
        { _tag: "TokenExpired", token: "refresh" }
      ],
      [
        "401 with code 10",
        () => documented(401, 10),
        { _tag: "InvalidCredentials" },
        { _tag: "InvalidRefreshToken", reason: "invalid" }
      ],
      [
        "401 without a code",
        () => documented(401),
        { _tag: "InvalidCredentials" },
        { _tag: "InvalidRefreshToken", reason: "invalid" }
      ],
      [
        "400",
        () => documented(400, 1),
        { _tag: "InvalidCredentials", status: 400 },
        { _tag: "InvalidRefreshToken", reason: "invalid" }
      ],
      ["403", () => documented(403, 3), { _tag: "Misconfigured" }, { _tag: "Misconfigured" }],
      ["404", () => documented(404, 4), { _tag: "MalformedResponse" }, { _tag: "MalformedResponse" }],
      [
        "a 401 page",
        () => page(401),
        { _tag: "MalformedResponse", status: 401 },
        { _tag: "MalformedResponse", status: 401 }
      ],
      [
        "a 403 page",
        () => page(403),
        { _tag: "MalformedResponse", status: 403 },
        { _tag: "MalformedResponse", status: 403 }
      ],
      [
        "a 401 of another form",
        () => Response.json({ error: "x" }, { status: 401 }),
        { _tag: "MalformedResponse" },
        { _tag: "MalformedResponse" }
      ],
      [
        "a 401 of null",
        () => Response.json(null, { status: 401 }),
        { _tag: "MalformedResponse" },
        { _tag: "MalformedResponse" }
      ]
    ]
    for (const [name, answer, login, refresh] of cases) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const client = yield* scripted(answer)
          const errors: ReadonlyArray<AuthError> = [
            yield* Effect.flip(client.login),
            yield* Effect.flip(client.refresh)
          ]
          assert.deepInclude({ ...errors[0] }, login)
          assert.deepInclude({ ...errors[1] }, refresh)
          assert.notMatch(JSON.stringify(errors) + errors.join(), /test-message|test-refresh|test-password/)
        })
      )
    }

    it.scoped("a 403 page in front of Violet passes, and needs no new sign in", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ patience: 0 })
        yield* sandbox.faults.inject("login", Faults.Status({ status: 403 }))
        assert.strictEqual((yield* Effect.flip(api.get("/merchants")))._tag, "MalformedResponse")
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* api.get("/merchants")).status, 200)
      })
    )

    it.scoped("a refused application asks the server once only", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ sandbox: { appSecret: "test-another" } })
        for (let i = 0; i < 3; i++) {
          assert.strictEqual((yield* Effect.flip(api.get("/merchants")))._tag, "Misconfigured")
          yield* TestClock.adjust("1 minute")
        }
        assert.strictEqual((yield* sandbox.report).tokenRequests, 1)
      })
    )

    it.scoped("a refused password is not sent again at once", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        yield* sandbox.setPassword("test-changed")
        for (let i = 0; i < 10; i++) {
          assert.strictEqual((yield* Effect.flip(api.get("/merchants")))._tag, "InvalidCredentials")
          yield* TestClock.adjust("2 seconds")
        }
        assert.strictEqual((yield* sandbox.report).logins, 1)
      })
    )
  })

  describe("damaged answers", () => {
    for (const kind of ["missing", "number", "null"] as const) {
      for (const endpoint of ["login", "refresh"] as const) {
        it.scoped(`law 12: a token that is ${kind} in a ${endpoint}: typed, and better after the cool-down`, () =>
          Effect.gen(function* () {
            const { api, sandbox } = yield* setup({ patience: 0 })
            if (endpoint === "refresh") {
              yield* api.get("/merchants")
              yield* TestClock.adjust("6 minutes")
            }
            yield* sandbox.faults.inject(endpoint, Faults.Token({ kind }))
            const error = yield* Effect.flip(api.get("/merchants"))
            assert.deepInclude({ ...error }, { _tag: "MalformedResponse", outcome: "unknown" })
            yield* TestClock.adjust("250 millis")
            assert.strictEqual((yield* api.get("/merchants")).status, 200)
            const { complaints, logins } = yield* sandbox.report
            assert.deepStrictEqual({ complaints, logins }, { complaints: 0, logins: endpoint === "login" ? 2 : 1 })
          })
        )
      }
    }

    for (const body of [null, [], "text", 7, {}, { token: "" }, { token: "a b" }, { token: "a\nb" }, { token: {} }]) {
      it.effect(`law 12: ${JSON.stringify(body)} is no answer`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* scripted(() => body)
          assert.strictEqual((yield* Effect.flip(login))._tag, "MalformedResponse")
          assert.strictEqual((yield* Effect.flip(refresh))._tag, "MalformedResponse")
        })
      )
    }

    it.effect("a login without a refresh token is still a login", () =>
      Effect.gen(function* () {
        const { login } = yield* scripted(() => ({ token: "test-access" }))
        const tokens = yield* login
        assert.isTrue(Option.isSome(tokens.accessToken))
        assert.isTrue(Option.isNone(tokens.refreshToken))
      })
    )
  })
})
