import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  ConfigProvider,
  Context,
  DateTime,
  Deferred,
  Duration,
  Effect,
  Fiber,
  Layer,
  Option,
  Redacted
} from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Session from "../../../src/session/Session.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import * as Token from "../../../src/token/Token.js"
import { herd, secret, user, value } from "../../support/harness.js"
import { type ManualClock, manually } from "../../support/ManualClock.js"
import * as Records from "../../support/records.js"

interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}
type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>
type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

const login = "/auth/login"
const refresh = "/auth/refresh"
const calls = "/calls"

const hours = (n: number) => n * 3_600_000
const days = (n: number) => n * 24

/** A date as TeleTracker writes it. */
const iso = (millis: number) => DateTime.formatIso(DateTime.unsafeMake(millis)).replace(/\.\d+Z$/, "+00:00")

/** What TeleTracker documents, by a clock that differs from ours by some hours. */
const granted = (name: string, changes: object = {}, offset = 0) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const theirs = now + hours(offset)
    return Response.json({
      success: true,
      guid: "test-guid",
      token: `test-access-${name}`,
      tokenExpiration: iso(theirs + hours(1)),
      tokenLifetime: 3600,
      refreshToken: `test-refresh-${name}`,
      refreshTokenExpiration: iso(theirs + hours(days(30))),
      ...changes
    })
  })

const refused = (status = 200) => Response.json({ success: false, message: "test-message" }, { status })
const page = (status: number) =>
  new Response("<html>test-message", { status, headers: { "content-type": "text/html" } })

/** A client that answers as documented unless the test says otherwise, and what it was sent. */
const server = (replies: Replies = {}, changes: object = {}, offset = 0) => {
  const documented: Replies = {
    [login]: (_, nth) => granted(`login-${nth}`, changes, offset),
    [refresh]: (_, nth) => granted(`refresh-${nth}`, changes, offset)
  }
  const sent: Array<Sent> = []
  const count = (path: string) => sent.filter(({ url }) => new URL(url).pathname === path).length
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { body, headers, method } = request
      const text = body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(body.body)) : undefined
      const one: Sent = { method, url: url.href, headers, body: text }
      sent.push(one)
      const reply = { ...documented, ...replies }[url.pathname]?.(one, count(url.pathname)) ?? Response.json({})
      return Effect.map(reply instanceof Response ? Effect.succeed(reply) : reply, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { client, count, sent }
}

type Server = ReturnType<typeof server>

/** An answer that was lost on its way, after TeleTracker has acted. */
const lost = () =>
  Effect.fail(
    new HttpClientError.RequestError({
      request: HttpClientRequest.post("https://api.teletracker.net/"),
      reason: "Transport",
      cause: Object.assign(new Error("test-message"), { code: "ECONNRESET" })
    })
  )

/** An application that uses TeleTracker. */
const setup = Effect.fnUntraced(function* (
  tele: Server,
  options: TeleTracker.Options & Auth.Options = {},
  credentials: Credentials.UserPassword | "none" = user
) {
  const context = yield* Layer.build(
    // Nobody moves the clock while a test ends.
    TeleTracker.layer({ renewal: "on-use", shutdownDeadline: 0, patience: 0, ...options }).pipe(
      Layer.provide([
        credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
        Layer.succeed(HttpClient.HttpClient, tele.client)
      ])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

const held = Token.make({ accessToken: secret("test-access"), refreshToken: secret("test-refresh") })

/** The provider alone, over a client that always answers so. */
const scripted = Effect.fnUntraced(function* (answer: () => Reply) {
  const tele = server({ [login]: answer, [refresh]: answer })
  const provider = yield* Effect.provideService(TeleTracker.make(), HttpClient.HttpClient, tele.client)
  return {
    login: Option.getOrThrow(provider.login(Option.some(user))),
    refresh: provider.refresh(held)
  }
})

const about = (error: AuthError) => ({ ...error })
const pathOf = ({ url }: Sent) => new URL(url).pathname
const paths = ({ sent }: Server) => sent.map(pathOf)
const presented = ({ sent }: Server) =>
  sent.filter((one) => pathOf(one) === refresh).map(({ body }) => Object(body).refresh_token)

const maybe = (token: Option.Option<Redacted.Redacted<string>>) =>
  Option.getOrUndefined(Option.map(token, Redacted.value))

const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))

describe("TeleTracker", () => {
  describe("requests", () => {
    const plain = ({ body, headers, method, url }: Sent) => ({
      method,
      url,
      type: headers["content-type"],
      accept: headers.accept,
      authorization: headers.authorization,
      body
    })
    const json = { method: "POST", type: "application/json", accept: "application/json", authorization: undefined }

    it.scoped("log in, API call and refresh are exactly as documented", () =>
      manually(function* () {
        const tele = server()
        const { api, session } = yield* setup(tele)
        yield* api.get("/calls?page=2")
        yield* session.refresh
        yield* api.get("calls")
        assert.deepStrictEqual(tele.sent.map(plain), [
          {
            ...json,
            url: "https://api.teletracker.net/auth/login",
            body: { username: "test-user", password: "test-password" }
          },
          {
            method: "GET",
            url: "https://api.teletracker.net/calls?page=2",
            type: undefined,
            accept: undefined,
            authorization: "Bearer test-access-login-1",
            body: undefined
          },
          {
            ...json,
            url: "https://api.teletracker.net/auth/refresh",
            body: { refresh_token: "test-refresh-login-1" }
          },
          {
            method: "GET",
            url: "https://api.teletracker.net/calls",
            type: undefined,
            accept: undefined,
            authorization: "Bearer test-access-refresh-1",
            body: undefined
          }
        ])
      })
    )

    it.scoped("the account goes along as an integer, at log in alone", () =>
      manually(function* () {
        const tele = server()
        const { session } = yield* setup(tele, { accountId: 4711 })
        yield* session.accessToken
        yield* session.refresh
        assert.deepStrictEqual(
          tele.sent.map(({ body }) => body),
          [
            { username: "test-user", password: "test-password", account_id: 4711 },
            { refresh_token: "test-refresh-login-1" }
          ]
        )
      })
    )

    it.scoped("at another address, all goes there, and the token nowhere else", () =>
      manually(function* () {
        const tele = server({ "/mock/auth/login": () => granted("login") })
        const { api } = yield* setup(tele, { baseUrl: new URL("http://127.0.0.1:1/mock") })
        yield* api.get("/calls")
        assert.strictEqual((yield* Effect.flip(api.get("https://api.teletracker.net/calls")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(
          tele.sent.map(({ url }) => url),
          ["http://127.0.0.1:1/mock/auth/login", "http://127.0.0.1:1/mock/calls"]
        )
      })
    )

    it.scoped("a refresh from a stored token needs no password, and without either nothing is sent", () =>
      manually(function* () {
        const tele = server()
        const { session } = yield* setup(tele, { seed: Token.make({ refreshToken: secret("test-stored") }) }, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-refresh-1")
        assert.deepStrictEqual(presented(tele), ["test-stored"])

        const silent = server()
        const { session: signedOut } = yield* setup(silent, {}, "none")
        assert.strictEqual((yield* Effect.flip(signedOut.accessToken))._tag, "SignedOut")
        assert.deepStrictEqual(silent.sent, [])
      })
    )

    it.effect("its tokens cannot be revoked, and its refresh tokens are spent by one use", () =>
      Effect.gen(function* () {
        const { client } = server()
        const make = (options: TeleTracker.Options) =>
          Effect.provideService(TeleTracker.make(options), HttpClient.HttpClient, client)
        const { origins, redactedHeaders, reuseWindow, revoke, rotation } = yield* make({})
        assert.isTrue(Option.isNone(revoke))
        assert.deepStrictEqual([rotation, reuseWindow], ["single-use", undefined])
        assert.deepStrictEqual([origins, redactedHeaders], [["https://api.teletracker.net"], ["authorization"]])
        const declared = yield* make({ reuseWindow: "30 seconds" })
        assert.strictEqual(declared.reuseWindow && Duration.toSeconds(declared.reuseWindow), 30)
      })
    )
  })

  describe("options", () => {
    const wrong: ReadonlyArray<readonly [string, TeleTracker.Options, string]> = [
      ["account 0", { accountId: 0 }, "accountId"],
      ["a negative account", { accountId: -1 }, "accountId"],
      ["half an account", { accountId: 1.5 }, "accountId"],
      ["NaN", { accountId: Number.NaN }, "accountId"],
      ["an account beyond all integers", { accountId: 2 ** 53 }, "accountId"],
      ["plain http", { baseUrl: "http://api.teletracker.net" }, "baseUrl"],
      ["no URL", { baseUrl: "" }, "baseUrl"],
      ["a negative reuse window", { reuseWindow: -1 }, "reuseWindow"]
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name`, () =>
        Effect.gen(function* () {
          const { client } = server()
          const error = yield* Effect.flip(
            Effect.provideService(TeleTracker.make(options), HttpClient.HttpClient, client)
          )
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
        })
      )
    }

    const build = (
      tele: Server,
      values: Record<string, string>,
      options: Auth.Options & Pick<TeleTracker.Options, "reuseWindow"> = {}
    ) =>
      TeleTracker.layerConfig({ renewal: "on-use", shutdownDeadline: 0, patience: 0, ...options }).pipe(
        Layer.provide([TeleTracker.layerCredentialsConfig(), Layer.succeed(HttpClient.HttpClient, tele.client)]),
        Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))),
        Layer.build
      )
    const needed = { TELETRACKER_USERNAME: "test-name", TELETRACKER_PASSWORD: "test-pass" }

    it.scoped("layerConfig reads the environment", () =>
      manually(function* () {
        for (const [more, host, account] of [
          [{}, "api.teletracker.net", {}],
          [
            { TELETRACKER_ACCOUNT_ID: " 42 ", TELETRACKER_BASE_URL: "https://tele.test" },
            "tele.test",
            { account_id: 42 }
          ]
        ] as const) {
          const tele = server()
          const context = yield* build(tele, { ...needed, ...more })
          yield* Context.get(context, Session.Session).accessToken
          assert.strictEqual(new URL(tele.sent[0]?.url ?? "").host, host)
          assert.deepStrictEqual(tele.sent[0]?.body, { username: "test-name", password: "test-pass", ...account })
        }
      })
    )

    for (const [name, text] of [
      ["TELETRACKER_ACCOUNT_ID", "x"],
      ["TELETRACKER_ACCOUNT_ID", ""],
      ["TELETRACKER_ACCOUNT_ID", "0"],
      ["TELETRACKER_ACCOUNT_ID", "-1"],
      ["TELETRACKER_ACCOUNT_ID", "1.5"],
      ["TELETRACKER_ACCOUNT_ID", "0x10"],
      ["TELETRACKER_ACCOUNT_ID", "1e3"],
      ["TELETRACKER_ACCOUNT_ID", "99999999999999999999"],
      ["TELETRACKER_BASE_URL", "x"],
      ["TELETRACKER_BASE_URL", ""],
      ["TELETRACKER_BASE_URL", "http://tele.test"],
      ["TELETRACKER_USERNAME", ""],
      ["TELETRACKER_PASSWORD", ""],
      ["TELETRACKER_USERNAME", undefined],
      ["TELETRACKER_PASSWORD", undefined]
    ] as const) {
      it.scoped(`${name} ${text === undefined ? "not set" : `of "${text}"`} is Misconfigured, by that name`, () =>
        Effect.gen(function* () {
          const tele = server()
          const values = Object.entries({ ...needed, [name]: text }).flatMap(([key, text]) =>
            text === undefined ? [] : [[key, text] as const]
          )
          const error = yield* Effect.flip(build(tele, Object.fromEntries(values)))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: name })
          assert.deepStrictEqual(tele.sent, [])
        })
      )
    }

    it.scoped("layerConfig takes a reuse window, and names it when it is none", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(build(server(), needed, { reuseWindow: -1 }))
        assert.deepInclude(about(error), { _tag: "Misconfigured", field: "reuseWindow" })
      })
    )
  })

  describe("law 4: lifetimes", () => {
    const month = days(30) * 3600
    for (const offset of [-days(29.5), -48, -2, 0, 2, 48, days(40)]) {
      it.effect(`law 4: a server whose clock differs by ${offset} hours, and says so nowhere`, () =>
        manually(function* () {
          const { login, refresh } = yield* scripted(() => granted("1", {}, offset))
          for (const tokens of [yield* login, yield* refresh]) {
            assert.strictEqual(seconds(tokens.lifetime), 3600)
            assert.strictEqual(seconds(tokens.refreshLifetime), month)
          }
        })
      )
    }

    for (const offset of [-48, 48]) {
      it.scoped(`law 4: with a clock ${offset} hours off, a token is used to its end and not beyond`, () =>
        manually(function* (clock) {
          const tele = server({}, {}, offset)
          const { session } = yield* setup(tele, { leeway: 0 })
          assert.strictEqual(value(yield* session.accessToken), "test-access-login-1")
          yield* clock.advance("3599 seconds")
          assert.strictEqual(value(yield* session.accessToken), "test-access-login-1")
          assert.deepStrictEqual(paths(tele), [login])
          yield* clock.advance("1 second")
          assert.strictEqual(value(yield* session.accessToken), "test-access-refresh-1")
          assert.deepStrictEqual(paths(tele), [login, refresh])
        })
      )
    }

    const now = 1_700_000_000_000
    const theirs = now + hours(48)
    const cases: ReadonlyArray<readonly [string, object, number | undefined, number | undefined]> = [
      ["tokenLifetime as text", { tokenLifetime: "1800", tokenExpiration: iso(theirs + hours(0.5)) }, 1800, month],
      ["no tokenLifetime", { tokenLifetime: undefined }, 3600, month - 3600],
      ["tokenLifetime of null", { tokenLifetime: null }, 3600, month - 3600],
      ["tokenLifetime of nonsense", { tokenLifetime: "soon" }, 3600, month - 3600],
      ["tokenLifetime of zero", { tokenLifetime: 0 }, 3600, month - 3600],
      ["no tokenExpiration", { tokenExpiration: null }, 3600, month],
      ["tokenExpiration of nonsense", { tokenExpiration: "soon" }, 3600, month],
      ["no refreshTokenExpiration", { refreshTokenExpiration: undefined }, 3600, undefined],
      ["refreshTokenExpiration of nonsense", { refreshTokenExpiration: {} }, 3600, undefined],
      ["a refresh token that has ended", { refreshTokenExpiration: iso(now) }, 3600, undefined],
      ["ends with other offsets", { tokenExpiration: "2023-11-17T02:13:20+0300" }, 3600, month],
      ["nothing", { tokenLifetime: null, tokenExpiration: null, refreshTokenExpiration: null }, undefined, undefined]
    ]
    for (const [name, changes, access, refreshes] of cases) {
      it.effect(`law 4: ${name}`, () =>
        manually(function* () {
          const dated = Effect.map(granted("1", changes, 48), (response) => {
            response.headers.set("date", httpDate(theirs))
            return response
          })
          const { login, refresh } = yield* scripted(() => dated)
          assert.strictEqual(seconds((yield* login).lifetime), access)
          assert.strictEqual(seconds((yield* login).refreshLifetime), refreshes)
          assert.strictEqual(seconds((yield* refresh).lifetime), access)
          assert.strictEqual(seconds((yield* refresh).refreshLifetime), refreshes)
        })
      )
    }

    it.effect(
      "law 4: without tokenLifetime and Date, the refresh token's end is still told by the server's clock",
      () =>
        manually(function* () {
          for (const tokenLifetime of [undefined, null, "soon", {}]) {
            const { login } = yield* scripted(() => granted("1", { tokenLifetime }, -days(29.9)))
            assert.strictEqual(seconds((yield* login).refreshLifetime), month - 3600)
          }
        })
    )

    for (const [name, changes] of Object.entries({
      "of zero": { tokenLifetime: 0, tokenExpiration: "2018-04-01T21:39:12+00:00" },
      "below zero": { tokenLifetime: -3600, tokenExpiration: null },
      "of one second": { tokenLifetime: 1 },
      "of a fraction": { tokenLifetime: 0.001 },
      "of nonsense": { tokenLifetime: "NaN", tokenExpiration: "NaN" }
    })) {
      it.scoped(`law 11: a lifetime ${name} makes no endless loop, in the background or in use`, () =>
        manually(function* (clock) {
          const tele = server({}, changes)
          const { api } = yield* setup(tele, { renewal: "background" })
          for (let i = 0; i < 120; i++) {
            yield* Effect.exit(api.get("/calls"))
            yield* clock.advance("500 millis")
          }
          assert.isAtMost(tele.count(login) + tele.count(refresh), changes.tokenLifetime === 1 ? 80 : 10)
        })
      )
    }

    it.scoped("law 11: an API that rejects every token costs a handful of exchanges a minute", () =>
      manually(function* (clock) {
        const tele = server({ [calls]: () => new Response(null, { status: 401 }) })
        const { api } = yield* setup(tele, { renewal: "background" })
        for (let minute = 0; minute < 3; minute++) {
          const before = tele.count(login) + tele.count(refresh)
          for (let i = 0; i < 120; i++) {
            assert.strictEqual((yield* api.get("/calls")).status, 401)
            yield* clock.advance("500 millis")
          }
          assert.isAtMost(tele.count(login) + tele.count(refresh) - before, 10)
        }
      })
    )
  })

  describe("rejections", () => {
    for (const status of [401, 403]) {
      it.scoped(`law 24: ${status} is refreshed once, and the request is sent once more`, () =>
        manually(function* () {
          const tele = server({
            [calls]: ({ headers }) =>
              headers.authorization === "Bearer test-access-login-1"
                ? refused(status)
                : Response.json({ calls: [headers.authorization] })
          })
          const { api } = yield* setup(tele)
          const answer = yield* api.get("/calls")
          assert.deepStrictEqual(yield* answer.json, { calls: ["Bearer test-access-refresh-1"] })
          assert.deepStrictEqual(paths(tele), [login, calls, refresh, calls])
          yield* api.get("/calls")
          assert.deepStrictEqual(paths(tele).slice(4), [calls])
        })
      )

      it.scoped(`law 24: a second ${status} goes to the caller, with its body`, () =>
        manually(function* () {
          const tele = server({ [calls]: (_, nth) => Response.json({ nth }, { status }) })
          const { api } = yield* setup(tele)
          const answer = yield* api.get("/calls")
          assert.deepStrictEqual([answer.status, yield* answer.json], [status, { nth: 2 }])
          assert.deepStrictEqual(paths(tele), [login, calls, refresh, calls])
        })
      )

      it.scoped(`law 25: ${status} for want of a scope, or with a challenge of another scheme, refreshes nothing`, () =>
        manually(function* () {
          for (const challenge of ['Bearer error="insufficient_scope"', 'Basic realm="proxy"']) {
            const tele = server({
              [calls]: () => new Response(null, { status, headers: { "www-authenticate": challenge } })
            })
            const { api } = yield* setup(tele)
            assert.strictEqual((yield* api.get("/calls")).status, status)
            assert.deepStrictEqual(paths(tele), [login, calls])
          }
        })
      )
    }

    it.scoped("law 6: 50 rejected requests are one refresh", () =>
      manually(function* (clock) {
        const tele = server({
          [calls]: ({ headers }) =>
            Effect.delay(
              Effect.succeed(
                new Response(null, { status: headers.authorization === "Bearer test-access-login-1" ? 403 : 200 })
              ),
              "1 second"
            )
        })
        const { api } = yield* setup(tele)
        const callers = yield* Effect.fork(herd(50, api.get("/calls")))
        yield* clock.advance("3 seconds")
        const results = yield* Fiber.join(callers)
        assert.isTrue(results.every((one) => one._tag === "Right" && one.right.status === 200))
        assert.deepStrictEqual([tele.count(login), tele.count(refresh), tele.count(calls)], [1, 1, 100])
      })
    )
  })

  describe("law 12: outcomes", () => {
    const malformed = (status: number): object => ({ _tag: "MalformedResponse", outcome: "unknown", status })
    const failed = (status: number, reason: string, outcome: string) => ({
      _tag: "NetworkFailure",
      status,
      reason,
      outcome
    })
    const denied = (status: number) => ({ _tag: "InvalidCredentials", reason: "refused", status })
    const invalid = { _tag: "InvalidRefreshToken", reason: "invalid" }
    const json =
      (body: unknown, status = 200) =>
      () =>
        Response.json(body, { status })
    const cases: ReadonlyArray<readonly [string, () => Reply, object, object]> = [
      ["200 with success false", () => refused(), denied(200), invalid],
      ["200 with success false beside tokens", () => granted("1", { success: false }), denied(200), invalid],
      ["400 with success false", () => refused(400), denied(400), invalid],
      ["422 with success false", () => refused(422), denied(422), invalid],
      ["401 with success false", () => refused(401), denied(401), invalid],
      ["403 with success false", () => refused(403), denied(403), invalid],
      ["401 with another object", json({ message: "test-message" }, 401), denied(401), invalid],
      ["403 with another object", json({ message: "test-message" }, 403), denied(403), invalid],
      ["400 with another object", json({ message: "test-message" }, 400), malformed(400), malformed(400)],
      ["404 with success true", json({ success: true }, 404), malformed(404), malformed(404)],
      ['400 with success "false"', json({ success: "false" }, 400), malformed(400), malformed(400)],
      ["a page with 401", () => page(401), malformed(401), malformed(401)],
      ["a page with 403", () => page(403), malformed(403), malformed(403)],
      ["a page with 404", () => page(404), malformed(404), malformed(404)],
      ["a page with 200", () => page(200), malformed(200), malformed(200)],
      ["401 without a body", () => new Response(null, { status: 401 }), malformed(401), malformed(401)],
      ["401 with null", json(null, 401), malformed(401), malformed(401)],
      ["401 with text", json("test-message", 401), malformed(401), malformed(401)],
      ["401 with a list", json([], 401), malformed(401), malformed(401)],
      ["200 with null", json(null), malformed(200), malformed(200)],
      ["200 with an empty object", json({}), malformed(200), malformed(200)],
      ["200 with success and nothing else", json({ success: true }), malformed(200), malformed(200)],
      ["429", () => refused(429), failed(429, "rate-limited", "not-spent"), failed(429, "rate-limited", "not-spent")],
      ["503", () => page(503), failed(503, "server-error", "not-spent"), failed(503, "server-error", "not-spent")],
      ["500", () => refused(500), failed(500, "server-error", "unknown"), failed(500, "server-error", "unknown")],
      ["502", () => page(502), failed(502, "server-error", "unknown"), failed(502, "server-error", "unknown")],
      [
        "a lost answer",
        lost,
        { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", code: "ECONNRESET" },
        { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", code: "ECONNRESET" }
      ]
    ]
    for (const [name, answer, ofLogin, ofRefresh] of cases) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* scripted(answer)
          const errors: readonly [AuthError, AuthError] = [yield* Effect.flip(login), yield* Effect.flip(refresh)]
          assert.deepInclude(about(errors[0]), ofLogin)
          assert.deepInclude(about(errors[1]), ofRefresh)
          assert.notMatch(JSON.stringify(errors) + errors.join(), /test-(message|access|refresh|password)/)
        })
      )
    }

    it.effect("law 22: each token of an answer counts without the other, but a log in needs an access token", () =>
      Effect.gen(function* () {
        for (const broken of [undefined, null, "", 7, {}, "two words", "two\nlines"]) {
          const noAccess = yield* scripted(() => granted("1", { token: broken }))
          const rotated = yield* noAccess.refresh
          assert.deepStrictEqual(
            [maybe(rotated.accessToken), maybe(rotated.refreshToken)],
            [undefined, "test-refresh-1"]
          )
          assert.deepInclude(about(yield* Effect.flip(noAccess.login)), malformed(200))

          const noRefresh = yield* scripted(() => granted("1", { refreshToken: broken }))
          for (const tokens of [yield* noRefresh.refresh, yield* noRefresh.login]) {
            assert.deepStrictEqual(
              [maybe(tokens.accessToken), maybe(tokens.refreshToken)],
              ["test-access-1", undefined]
            )
          }

          const neither = yield* scripted(() => granted("1", { token: broken, refreshToken: broken }))
          for (const exchange of [neither.refresh, neither.login]) {
            assert.deepInclude(about(yield* Effect.flip(exchange)), malformed(200))
          }
        }
      })
    )

    it.scoped("law 22: a rotated refresh token beside a broken access token is the one presented next", () =>
      manually(function* (clock) {
        const tele = server({
          [refresh]: (_, nth) => granted(`refresh-${nth}`, nth === 1 ? { token: null } : {})
        })
        const { session } = yield* setup(tele)
        yield* session.accessToken
        assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* session.refresh), "test-access-refresh-2")
        assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-refresh-1"])
        assert.strictEqual(tele.count(login), 1)
      })
    )

    it.scoped("law 22: the guid is kept over refreshes that leave it out, and replaced by another", () =>
      manually(function* () {
        const guids = [undefined, null, "test-other"]
        const tele = server({ [refresh]: (_, nth) => granted(`refresh-${nth}`, { guid: guids[nth - 1] }) })
        const store = yield* TokenStore.makeMemory
        const provider = yield* Effect.provideService(TeleTracker.make(), HttpClient.HttpClient, tele.client)
        const session = yield* Session.make({ key: "key", shutdownDeadline: 0 }).pipe(
          Effect.provide(Credentials.layer(user)),
          Effect.provideService(AuthProvider.AuthProvider, provider),
          Effect.provideService(TokenStore.TokenStore, store)
        )
        const extra = Effect.map(Records.load(store, "key"), (record) =>
          Option.getOrUndefined(
            Option.map(
              Option.flatMap(record, ({ tokens }) => tokens),
              ({ extra }) => extra
            )
          )
        )
        yield* session.accessToken
        assert.deepStrictEqual(yield* extra, { guid: "test-guid" })
        for (const guid of ["test-guid", "test-guid", "test-other"]) {
          yield* session.refresh
          assert.deepStrictEqual(yield* extra, { guid })
        }
      })
    )

    for (const [name, answer] of Object.entries({
      "a page with 403": () => page(403),
      "a page with 200": () => page(200),
      "429": () => refused(429),
      "503": () => page(503)
    })) {
      it.scoped(`law 12: ${name} in front of the log in passes, and needs no new sign in`, () =>
        manually(function* (clock) {
          const tele = server({ [login]: (_, nth) => (nth === 1 ? answer() : granted("again")) })
          const { session } = yield* setup(tele)
          assert.match((yield* Effect.flip(session.accessToken))._tag, /^(MalformedResponse|NetworkFailure)$/)
          yield* clock.advance("1 second")
          assert.strictEqual(value(yield* session.accessToken), "test-access-again")
        })
      )
    }

    it.scoped("law 16: a password refused with status 200 is not sent again at once", () =>
      manually(function* (clock) {
        const tele = server({ [login]: () => refused() })
        const { session } = yield* setup(tele)
        for (let i = 0; i < 20; i++) {
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "InvalidCredentials")
          yield* clock.advance("2 seconds")
        }
        assert.deepStrictEqual(paths(tele), [login])
      })
    )
  })

  /** A server that knows what it was last given: a refresh token is accepted once. */
  const strict = (answer: (nth: number) => Reply | "honest" = () => "honest") => {
    let current: unknown
    const spent = (token: unknown) => token !== current
    const give = (name: string) => {
      current = `test-refresh-${name}`
      return granted(name)
    }
    return server({
      [login]: (_, nth) => give(`login-${nth}`),
      [refresh]: ({ body }, nth) => {
        const token = Object(body).refresh_token
        if (current !== undefined && spent(token)) return refused()
        const reply = answer(nth)
        if (reply === "honest") return give(`refresh-${nth}`)
        // It has acted, whatever becomes of the answer.
        if (!(reply instanceof Response)) current = `test-refresh-lost-${nth}`
        return reply
      }
    })
  }

  const adopted = Token.make({
    accessToken: secret("test-adopted"),
    lifetime: "1 hour",
    refreshToken: secret("test-refresh-adopted")
  })

  /** Reads the token each second for so long, and answers what was read, without repetitions. */
  const read = (clock: ManualClock, session: Session.Service, times: number) =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      for (let i = 0; i < times; i++) {
        const one = yield* Effect.match(session.accessToken, { onFailure: ({ _tag }) => _tag, onSuccess: value })
        if (seen.at(-1) !== one) seen.push(one)
        yield* clock.advance("1 second")
      }
      return seen
    })

  describe("law 13: a refresh whose answer is lost", () => {
    it.scoped("law 13: with a password, the valid token is served to its end, and one log in follows", () =>
      manually(function* (clock) {
        const tele = strict((nth) => (nth === 1 ? lost() : "honest"))
        const { session } = yield* setup(tele)
        yield* session.accessToken
        yield* clock.advance("56 minutes")
        assert.deepStrictEqual(yield* read(clock, session, 240), ["test-access-login-1"])
        assert.deepStrictEqual(paths(tele), [login, refresh])
        assert.deepStrictEqual(yield* read(clock, session, 600), ["test-access-login-2"])
        assert.deepStrictEqual(paths(tele), [login, refresh, login])
        yield* clock.advance("50 minutes")
        assert.strictEqual(value(yield* session.accessToken), "test-access-refresh-2")
        assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-login-2"])
      })
    )

    it.scoped("law 13: with a password and background renewal it is no loop either", () =>
      manually(function* (clock) {
        const tele = strict((nth) => (nth === 1 ? lost() : "honest"))
        const { session } = yield* setup(tele, { renewal: "background" })
        yield* session.accessToken
        yield* clock.advance("70 minutes")
        assert.strictEqual(value(yield* session.accessToken), "test-access-login-2")
        assert.deepStrictEqual(paths(tele), [login, refresh, login])
      })
    )

    it.scoped("law 13: without, it is presented once more after that end; refused, nothing is sent any more", () =>
      manually(function* (clock) {
        const tele = strict((nth) => (nth === 1 ? lost() : "honest"))
        const { session } = yield* setup(tele, {}, "none")
        yield* session.adopt(adopted)
        yield* clock.advance("56 minutes")
        assert.deepStrictEqual(yield* read(clock, session, 240), ["test-adopted"])
        assert.deepStrictEqual(paths(tele), [refresh])
        assert.deepStrictEqual(yield* read(clock, session, 3600), ["InvalidRefreshToken"])
        assert.deepStrictEqual(presented(tele), ["test-refresh-adopted", "test-refresh-adopted"])
        assert.deepStrictEqual(paths(tele), [refresh, refresh])
      })
    )

    it.scoped("law 13: without, a server that never acted is asked once more, and all goes on", () =>
      manually(function* (clock) {
        const tele = server({ [refresh]: (_, nth) => (nth === 1 ? lost() : granted(`refresh-${nth}`)) })
        const { session } = yield* setup(tele, {}, "none")
        yield* session.adopt(adopted)
        yield* clock.advance("56 minutes")
        assert.deepStrictEqual(yield* read(clock, session, 300), ["test-adopted", "test-access-refresh-2"])
        assert.deepStrictEqual(presented(tele), ["test-refresh-adopted", "test-refresh-adopted"])
      })
    )

    for (const [name, answer] of Object.entries({
      "a lost answer": lost,
      "a page with 200": () => page(200),
      "a page with 401": () => page(401),
      "502": () => page(502)
    })) {
      it.scoped(`law 13: without, ${name} each time is two presentations, and never a third`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: answer })
          const { session } = yield* setup(tele, { renewal: "background" }, "none")
          yield* session.adopt(adopted)
          yield* clock.advance("56 minutes")
          const seen = yield* read(clock, session, 3600)
          assert.deepStrictEqual([seen[0], seen.at(-1)], ["test-adopted", "InvalidRefreshToken"])
          assert.deepStrictEqual(presented(tele), ["test-refresh-adopted", "test-refresh-adopted"])
        })
      )
    }

    it.scoped("law 13: within a declared reuse window it is presented once more at once, and recovers", () =>
      manually(function* (clock) {
        const tele = server({ [refresh]: (_, nth) => (nth === 1 ? lost() : granted(`refresh-${nth}`)) })
        const { session } = yield* setup(tele, { reuseWindow: "30 seconds" })
        yield* session.accessToken
        yield* clock.advance("56 minutes")
        assert.deepStrictEqual(yield* read(clock, session, 10), ["test-access-login-1", "test-access-refresh-2"])
        assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-login-1"])
        assert.strictEqual(tele.count(login), 1)
      })
    )

    it.scoped("law 13: a token that is rejected meanwhile leads to a log in, not to the token in doubt", () =>
      manually(function* (clock) {
        const tele = strict((nth) => (nth === 1 ? lost() : "honest"))
        const { session } = yield* setup(tele)
        yield* session.accessToken
        yield* clock.advance("56 minutes")
        const [token] = yield* read(clock, session, 10)
        assert.strictEqual(value(yield* session.reject(secret(token ?? ""))), "test-access-login-2")
        assert.deepStrictEqual(paths(tele), [login, refresh, login])
      })
    )
  })

  describe("law 14: a refused refresh", () => {
    for (const status of [200, 401, 403]) {
      it.scoped(`law 14: with ${status}: one log in, in the same flight, for 50 callers`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: () => refused(status) })
          const { session } = yield* setup(tele)
          yield* session.accessToken
          yield* clock.advance("1 hour")
          const results = yield* herd(50, session.accessToken)
          assert.isTrue(results.every((one) => one._tag === "Right" && value(one.right) === "test-access-login-2"))
          assert.deepStrictEqual(paths(tele), [login, refresh, login])
        })
      )

      it.scoped(`law 14: with ${status} and without a password: the end, and nobody asks again`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: () => refused(status) })
          const { session } = yield* setup(tele, { renewal: "background" }, "none")
          yield* session.adopt(adopted)
          yield* clock.advance("56 minutes")
          assert.deepStrictEqual(yield* read(clock, session, 600), ["test-adopted", "InvalidRefreshToken"])
          yield* clock.advance("1 day")
          assert.deepStrictEqual(paths(tele), [refresh])
        })
      )
    }

    for (const [law, name, answer] of [
      ["law 14", "refused", () => refused()],
      ["law 13", "in doubt", lost]
    ] as const) {
      it.scoped(`${law}: a refresh token that is ${name} does not come back with a log in that brings none`, () =>
        manually(function* (clock) {
          const tele = server({
            [login]: (_, nth) => granted(`login-${nth}`, nth === 1 ? {} : { refreshToken: null }),
            [refresh]: answer
          })
          const { session } = yield* setup(tele)
          yield* session.accessToken
          for (let i = 0; i < 5; i++) {
            yield* clock.advance("56 minutes")
            yield* session.accessToken
            yield* clock.advance("4 minutes")
            yield* session.accessToken
          }
          assert.deepStrictEqual(presented(tele), ["test-refresh-login-1"])
        })
      )
    }
  })

  describe("law 15: a refresh token that has ended", () => {
    for (const offset of [-days(29), 0, days(29)]) {
      it.scoped(`law 15: is not sent, by a server's clock ${offset} hours off; a log in follows`, () =>
        manually(function* (clock) {
          const tele = server({}, {}, offset)
          const { session } = yield* setup(tele)
          yield* session.accessToken
          yield* clock.advance(Duration.subtract("30 days", "1 second"))
          assert.strictEqual(value(yield* session.accessToken), "test-access-refresh-1")
          yield* clock.advance("30 days")
          assert.strictEqual(value(yield* session.accessToken), "test-access-login-2")
          assert.deepStrictEqual(paths(tele), [login, refresh, login])
        })
      )
    }

    it.scoped("law 15: is not sent without a password either: sign in again", () =>
      manually(function* (clock) {
        const tele = server()
        const { session } = yield* setup(tele, { seed: Token.make({ refreshToken: secret("test-stored") }) }, "none")
        yield* session.accessToken
        yield* clock.advance("30 days")
        for (let i = 0; i < 10; i++) {
          assert.deepInclude(about(yield* Effect.flip(session.accessToken)), {
            _tag: "TokenExpired",
            token: "refresh"
          })
          yield* clock.advance("1 hour")
        }
        assert.deepStrictEqual(paths(tele), [refresh])
      })
    )

    it.scoped("law 15: each refresh token has an end of its own, so that background renewal never needs a log in", () =>
      manually(function* (clock) {
        const brief = (name: string) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            granted(name, { refreshTokenExpiration: iso(now + hours(2)) })
          )
        const tele = server({
          [login]: (_, nth) => brief(`login-${nth}`),
          [refresh]: (_, nth) => brief(`refresh-${nth}`)
        })
        const { session } = yield* setup(tele, { renewal: "background" })
        yield* session.accessToken
        yield* clock.advance("12 hours")
        assert.strictEqual(tele.count(login), 1)
        assert.isAtLeast(tele.count(refresh), 12)
        assert.isAtMost(tele.count(refresh), 14)
        assert.strictEqual(new Set(presented(tele)).size, tele.count(refresh))
      })
    )
  })

  describe("law 17: a refresh that may still succeed", () => {
    for (const [name, answer] of Object.entries<() => Reply>({
      "429": () => refused(429),
      "503": () => page(503),
      "a closed port": () =>
        Effect.mapError(lost(), ({ request }) => {
          const cause = Object.assign(new Error("test-message"), { code: "ECONNREFUSED" })
          return new HttpClientError.RequestError({ request, reason: "Transport", cause })
        })
    })) {
      it.scoped(`law 17: ${name} is no reason to log in: the same refresh token is presented until it succeeds`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: (_, nth) => (nth < 5 ? answer() : granted("late")) })
          const { session } = yield* setup(tele)
          yield* session.accessToken
          yield* clock.advance("1 hour")
          assert.deepStrictEqual(yield* read(clock, session, 60), ["NetworkFailure", "test-access-late"])
          assert.deepStrictEqual(new Set(presented(tele)), new Set(["test-refresh-login-1"]))
          assert.deepStrictEqual([tele.count(login), tele.count(refresh)], [1, 5])
        })
      )
    }

    it.scoped("law 9: Retry-After is waited out", () =>
      manually(function* (clock) {
        const tele = server({
          [refresh]: (_, nth) =>
            nth === 1 ? new Response(null, { status: 429, headers: { "retry-after": "45" } }) : granted("late")
        })
        const { session } = yield* setup(tele)
        yield* session.accessToken
        yield* clock.advance("1 hour")
        assert.deepStrictEqual(yield* read(clock, session, 45), ["NetworkFailure"])
        assert.strictEqual(tele.count(refresh), 1)
        assert.deepStrictEqual(yield* read(clock, session, 1), ["test-access-late"])
      })
    )
  })

  it.scoped("law 7: a caller that gives up does not lose the rotated refresh token", () =>
    manually(function* () {
      const sent = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const tele = server({
        [refresh]: (_, nth) =>
          Deferred.succeed(sent, void 0).pipe(
            Effect.zipRight(Deferred.await(answer)),
            Effect.zipRight(granted(`refresh-${nth}`))
          )
      })
      const { session } = yield* setup(tele)
      yield* session.accessToken
      const caller = yield* Effect.fork(session.refresh)
      yield* Deferred.await(sent)
      yield* Fiber.interrupt(caller)
      const other = yield* Effect.fork(session.refresh)
      yield* Deferred.succeed(answer, void 0)
      assert.strictEqual(value(yield* Fiber.join(other)), "test-access-refresh-1")
      yield* session.refresh
      assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-refresh-1"])
    })
  )
})
