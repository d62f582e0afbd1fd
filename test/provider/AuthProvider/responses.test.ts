import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Duration, Effect, Encoding, Fiber, Layer, Option, Redacted, Schema } from "effect"
import * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Protocol from "../../../src/provider/Protocol.js"
import * as Session from "../../../src/session/Session.js"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import * as Token from "../../../src/token/Token.js"
import { secret, user, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets } from "../../support/secrets.js"

const Answer = Schema.Struct({
  access: Protocol.Field,
  seconds: Protocol.Field,
  ends: Protocol.Field,
  refresh: Protocol.Field,
  refreshSeconds: Protocol.Field,
  refreshEnds: Protocol.Field,
  account: Protocol.Field,
  plan: Protocol.Field
})

const Failure = Schema.Struct({ error: Schema.String })

type Acme = Protocol.Protocol<
  typeof Answer.Type,
  typeof Answer.Encoded,
  typeof Failure.Type,
  typeof Failure.Encoded,
  { readonly challenge: string },
  { readonly challenge: string }
>

const refusedClient = new AuthError.Misconfigured({ field: "apiKey", problem: "is refused" })

const refusals: Readonly<Record<string, Protocol.Refusal>> = {
  wrong: "invalid",
  withdrawn: "revoked",
  replayed: "reused",
  late: "expired",
  busy: "unavailable",
  broken: "failed",
  stranger: refusedClient
}

/** An API that nobody knows, as an application would describe it. */
const acme: Acme = {
  name: "acme",
  baseUrl: "https://api.acme.test/v2",
  login: Option.map(({ password, username }) => Protocol.json("auth/login", { username, password })),
  refresh: (refresh_token) => Protocol.form("auth/refresh", { refresh_token }),
  revoke: ({ accessToken }) => Option.map(accessToken, (token) => Protocol.json("auth/revoke", { token })),
  answer: Answer,
  tokens: (answer) => ({
    accessToken: answer.access,
    expiresIn: answer.seconds,
    expiresAt: answer.ends,
    refreshToken: answer.refresh,
    refreshExpiresIn: answer.refreshSeconds,
    refreshExpiresAt: answer.refreshEnds,
    extra: { account: answer.account, plan: answer.plan }
  }),
  failure: Failure,
  refusal: ({ error }) => refusals[error]
}

interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}
type Reply = (sent: Sent, nth: number) => Response | Effect.Effect<Response, HttpClientError.HttpClientError>

/** A client that answers so, and what it was sent. */
const server = (reply: Reply) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { body, headers, method } = request
      const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      const one: Sent = { method, url: url.href, headers, body: text }
      const answer = reply(one, sent.push(one))
      return Effect.map(answer instanceof Response ? Effect.succeed(answer) : answer, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { client, sent }
}

const make = (client: HttpClient.HttpClient, more: Partial<Acme> = {}) =>
  Effect.provideService(AuthProvider.make({ ...acme, ...more }), HttpClient.HttpClient, client)

const held = Token.make({ accessToken: secret("test-access"), refreshToken: secret("test-refresh") })

/** The provider over a client that answers so, and each of its exchanges. */
const setup = Effect.fnUntraced(function* (reply: Reply, more: Partial<Acme> = {}) {
  const { client, sent } = server(reply)
  const provider = yield* make(client, more)
  return {
    provider,
    sent,
    login: Option.getOrThrow(provider.login(Option.some(user))),
    refresh: provider.refresh(held),
    revoke: Option.getOrThrow(provider.revoke)(held)
  }
})

/** A session of it, and its authorized client. */
const application = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  more: Partial<Acme> = {},
  options: Auth.Options = {}
) {
  const context = yield* Layer.build(
    // Nobody moves the clock while a test ends.
    Auth.layer(AuthProvider.make({ ...acme, ...more }), { renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
      Layer.provide([Credentials.layer(user), Layer.succeed(HttpClient.HttpClient, client)])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

const granted = () => Response.json({ access: "test-granted", refresh: "test-rotated" })

const never = () => Effect.dieMessage("nothing is sent")

const about = (error: AuthError.AuthError) => ({ ...error })

const maybe = <A>(option: Option.Option<Redacted.Redacted<A>>) =>
  Option.getOrUndefined(Option.map(option, Redacted.value))

const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

describe("AuthProvider.make", () => {
  describe("requests", () => {
    it.effect("each exchange sends what the description says, asks for JSON, and carries no access token", () =>
      Effect.gen(function* () {
        const { login, refresh, revoke, sent } = yield* setup(granted)
        yield* login
        yield* refresh
        yield* revoke
        assert.deepStrictEqual(
          sent.map(({ body, headers, method, url }) => [method, url, headers["content-type"], body]),
          [
            [
              "POST",
              "https://api.acme.test/v2/auth/login",
              "application/json",
              '{"username":"test-user","password":"test-password"}'
            ],
            [
              "POST",
              "https://api.acme.test/v2/auth/refresh",
              "application/x-www-form-urlencoded",
              "refresh_token=test-refresh"
            ],
            ["POST", "https://api.acme.test/v2/auth/revoke", "application/json", '{"token":"test-access"}']
          ]
        )
        for (const { headers } of sent) {
          assert.strictEqual(headers.accept, "application/json")
          assert.isUndefined(headers.authorization)
        }
      })
    )

    const urls: ReadonlyArray<readonly [string, string]> = [
      ["auth/token", "https://api.acme.test/v2/auth/token"],
      ["/auth/token", "https://api.acme.test/v2/auth/token"],
      ["/auth:token", "https://api.acme.test/v2/auth:token"],
      ["auth/token?tenant=1", "https://api.acme.test/v2/auth/token?tenant=1"],
      ["../v3/token", "https://api.acme.test/v3/token"],
      ["https://login.acme.test/token", "https://login.acme.test/token"],
      ["http://127.0.0.1:8080/token", "http://127.0.0.1:8080/token"],
      ["http://[::1]/token", "http://[::1]/token"],
      ["http://localhost/token", "http://localhost/token"]
    ]
    for (const [url, href] of urls) {
      it.effect(`an exchange with ${url} goes to ${href}`, () =>
        Effect.gen(function* () {
          for (const baseUrl of ["https://api.acme.test/v2", new URL("https://api.acme.test/v2/")]) {
            const to = Protocol.json(url, {})
            const { login, refresh, revoke, sent } = yield* setup(granted, {
              baseUrl,
              login: () => Option.some(to),
              refresh: () => to,
              revoke: () => Option.some(to)
            })
            yield* login
            yield* refresh
            yield* revoke
            assert.deepStrictEqual(
              sent.map(({ url }) => url),
              [href, href, href]
            )
          }
        })
      )
    }

    for (const url of [
      "http://api.acme.test/v2/token",
      "http://127.0.0.1.evil.test/token",
      "http://localhost.evil.test/token",
      "ftp://api.acme.test/token",
      "data:text/plain,token",
      "auth:token",
      "https://",
      "http://[",
      "https://api acme.test/token"
    ]) {
      it.effect(`an exchange with ${url} is Misconfigured, and nothing is sent`, () =>
        Effect.gen(function* () {
          const to = Protocol.json(url, {})
          const { login, refresh, revoke, sent } = yield* setup(granted, {
            login: () => Option.some(to),
            refresh: () => to,
            revoke: () => Option.some(to)
          })
          const exchanges: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const exchange of exchanges) {
            assert.deepInclude(about(yield* Effect.flip(exchange)), { _tag: "Misconfigured", field: "acme" })
          }
          assert.deepStrictEqual(sent, [])
        })
      )
    }

    it.effect("law 27: an exchange to an address with a password in it is Misconfigured, and nothing is sent", () =>
      Effect.gen(function* () {
        const { refresh, sent } = yield* setup(() => new Response(null, { status: 500 }), {
          refresh: () => Protocol.json("https://acme:test-secret@login.acme.test/token", {})
        })
        const error = yield* Effect.flip(refresh)
        assert.notMatch(JSON.stringify(error), /test-secret/)
        assert.strictEqual(error._tag, "Misconfigured")
        assert.deepStrictEqual(sent, [])
      })
    )

    it.effect("a second step elsewhere without encryption is Misconfigured, and nothing more is sent", () =>
      Effect.gen(function* () {
        const { login, sent } = yield* setup(() => Response.json({ challenge: "test-challenge" }), {
          verification: {
            asked: Schema.Struct({ challenge: Schema.String }),
            respond: () => Effect.succeed(Protocol.json("http://api.acme.test/verify", { code: "4711" })),
            within: "1 minute"
          }
        })
        assert.strictEqual((yield* Effect.flip(login))._tag, "Misconfigured")
        assert.strictEqual(sent.length, 1)
      })
    )

    it.effect("headers go with every exchange and every request, in place of others of their name", () =>
      Effect.gen(function* () {
        const { login, provider, refresh, revoke, sent } = yield* setup(granted, {
          headers: { "X-Client": "acme-app/1.0", "X-Api-Key": secret("test-api-key") },
          refresh: () => HttpClientRequest.get("auth/refresh", { headers: { "x-client": "another" } })
        })
        yield* login
        yield* refresh
        yield* revoke
        const request = provider.authorize(
          HttpClientRequest.get("/orders", { headers: { "x-api-key": "test-another" } }),
          secret("test-access")
        )
        for (const { headers } of [...sent, request]) {
          assert.deepInclude(headers, { "x-client": "acme-app/1.0", "x-api-key": "test-api-key" })
        }
      })
    )

    const placements: ReadonlyArray<readonly [Acme["token"], string, string]> = [
      [undefined, "authorization", "Bearer test-access"],
      [{ header: "Authorization", scheme: "Token" }, "authorization", "Token test-access"],
      [{ header: "X-Acme-Token" }, "x-acme-token", "test-access"],
      [{ header: "X-Acme-Token", scheme: "DPoP" }, "x-acme-token", "DPoP test-access"]
    ]
    for (const [token, header, placed] of placements) {
      it.effect(`the token stands as "${header}: ${placed}", in place of one that the caller put there`, () =>
        Effect.gen(function* () {
          const provider = yield* make(server(never).client, { token })
          const request = HttpClientRequest.get("/orders", { headers: { [header]: "test-another", "x-own": "kept" } })
          const { headers } = provider.authorize(request, secret("test-access"))
          assert.deepStrictEqual({ ...headers }, { [header]: placed, "x-own": "kept" })
          assert.deepStrictEqual(
            provider.redactedHeaders.map((name) => name.toLowerCase()),
            [header]
          )
        })
      )
    }

    it.effect("what cannot be asked for is not: no log in, nothing to refresh with, nothing to revoke", () =>
      Effect.gen(function* () {
        const { client, sent } = server(granted)
        const { login, refresh, revoke, ...rest } = acme
        assert.isDefined(login)
        assert.isDefined(refresh)
        assert.isDefined(revoke)
        const least = yield* Effect.provideService(AuthProvider.make(rest), HttpClient.HttpClient, client)
        assert.isTrue(Option.isNone(least.login(Option.some(user))))
        assert.isTrue(Option.isNone(least.revoke))
        assert.strictEqual((yield* Effect.flip(least.refresh(held)))._tag, "InvalidRefreshToken")

        const whole = yield* make(client)
        assert.isTrue(Option.isNone(whole.login(Option.none())))
        const without = Token.make({ accessToken: secret("test-access") })
        assert.deepInclude(about(yield* Effect.flip(whole.refresh(without))), {
          _tag: "InvalidRefreshToken",
          reason: "invalid"
        })
        yield* Option.getOrThrow(whole.revoke)(Token.make({ refreshToken: secret("test-refresh") }))
        assert.deepStrictEqual(sent, [])
      })
    )

    it.effect("a log in without credentials is one where the description can do without", () =>
      Effect.gen(function* () {
        const { client, sent } = server(granted)
        const provider = yield* make(client, { login: () => Option.some(Protocol.json("auth/anonymous", {})) })
        yield* Option.getOrThrow(provider.login(Option.none()))
        assert.deepStrictEqual(
          sent.map(({ body, url }) => [url, body]),
          [["https://api.acme.test/v2/auth/anonymous", "{}"]]
        )
      })
    )

    it.effect("a provider is what its description says, and single-use where that is silent", () =>
      Effect.gen(function* () {
        const { client } = server(never)
        const least = yield* make(client)
        assert.deepInclude(least, { name: "acme", rotation: "single-use", reuseWindow: undefined })
        assert.strictEqual(least.baseUrl.href, "https://api.acme.test/v2/")
        assert.deepStrictEqual(least.origins, ["https://api.acme.test"])
        assert.isUndefined(least.loginPause)
        const most = yield* make(client, {
          rotation: "optional",
          reuseWindow: "30 seconds",
          origins: ["https://files.acme.test/a/b", new URL("http://localhost:1")]
        })
        assert.strictEqual(most.rotation, "optional")
        assert.strictEqual(most.reuseWindow && Duration.toSeconds(most.reuseWindow), 30)
        assert.deepStrictEqual(most.origins, ["https://api.acme.test", "https://files.acme.test", "http://localhost:1"])
      })
    )
  })

  describe("law 25: rejections", () => {
    const cases: ReadonlyArray<readonly [Partial<Acme>, number, string | undefined, boolean]> = [
      [{}, 401, undefined, true],
      [{}, 401, "Bearer", true],
      [{}, 401, 'bearer realm="acme", error="invalid_token"', true],
      [{}, 401, 'Basic realm="a", Bearer realm="b"', true],
      [{}, 401, 'Basic realm="acme"', false],
      [{}, 401, "Negotiate", false],
      [{}, 401, 'BearerX realm="acme"', false],
      [{}, 401, 'Bearer error="insufficient_scope", scope="admin"', false],
      [{}, 401, "Bearer error=insufficient_scope", false],
      [{}, 401, 'Bearer realm="acme", Error = "insufficient_scope"', false],
      [{}, 403, undefined, false],
      [{}, 403, 'Bearer error="invalid_token"', false],
      [{}, 400, undefined, false],
      [{}, 200, undefined, false],
      [{ rejections: [401, 403] }, 403, undefined, true],
      [{ rejections: [401, 403] }, 403, 'Bearer error="insufficient_scope"', false],
      [{ rejections: [419] }, 419, undefined, true],
      [{ rejections: [419] }, 401, undefined, false],
      [{ rejections: [] }, 401, undefined, false],
      [{ token: { header: "authorization", scheme: "Token" } }, 401, "Token", true],
      [{ token: { header: "authorization", scheme: "Token" } }, 401, "Bearer", false],
      [{ token: { header: "x-acme-token" } }, 401, undefined, true],
      [{ token: { header: "x-acme-token" } }, 401, "Basic", false]
    ]
    for (const [more, status, challenge, expected] of cases) {
      const name = `${JSON.stringify(more)}: ${status} ${challenge ?? "without a challenge"}`
      it.effect(`law 25: ${name} is ${expected ? "a" : "no"} rejection`, () =>
        Effect.gen(function* () {
          const { rejects } = yield* make(server(never).client, more)
          const response = HttpClientResponse.fromWeb(
            HttpClientRequest.get("/"),
            new Response(null, { status, headers: challenge === undefined ? {} : { "www-authenticate": challenge } })
          )
          assert.strictEqual(rejects(status, response.headers), expected)
        })
      )
    }

    it.scoped("law 24: a rejection of the described kind costs one refresh, and the request is sent once more", () =>
      Effect.gen(function* () {
        const { client, sent } = server(({ headers, url }, nth) =>
          url.endsWith("/orders")
            ? new Response(null, { status: headers["x-acme-token"] === "test-granted-1" ? 419 : 200 })
            : Response.json({ access: `test-granted-${nth}`, refresh: `test-rotated-${nth}` })
        )
        const { api } = yield* application(client, { rejections: [419], token: { header: "X-Acme-Token" } })
        assert.strictEqual((yield* api.get("/orders")).status, 200)
        assert.deepStrictEqual(
          sent.map(({ body, headers, url }) => [new URL(url).pathname, headers["x-acme-token"] ?? body]),
          [
            ["/v2/auth/login", '{"username":"test-user","password":"test-password"}'],
            ["/v2/orders", "test-granted-1"],
            ["/v2/auth/refresh", "refresh_token=test-rotated-1"],
            ["/v2/orders", "test-granted-3"]
          ]
        )
      })
    )
  })

  describe("law 12: refusals", () => {
    const place = { url: "https://api.acme.test/v2/auth/login" }
    const kinds: ReadonlyArray<readonly [string, object, object]> = [
      ["wrong", { _tag: "InvalidCredentials", reason: "refused" }, { _tag: "InvalidRefreshToken", reason: "invalid" }],
      [
        "withdrawn",
        { _tag: "InvalidCredentials", reason: "refused" },
        { _tag: "InvalidRefreshToken", reason: "revoked" }
      ],
      [
        "replayed",
        { _tag: "InvalidCredentials", reason: "refused" },
        { _tag: "InvalidRefreshToken", reason: "reused" }
      ],
      ["late", { _tag: "InvalidCredentials", reason: "refused" }, { _tag: "TokenExpired", token: "refresh" }],
      [
        "busy",
        { _tag: "NetworkFailure", reason: "server-error", outcome: "not-spent", ...place },
        { _tag: "NetworkFailure", reason: "server-error", outcome: "not-spent" }
      ],
      [
        "broken",
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown", ...place },
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown" }
      ],
      [
        "stranger",
        { _tag: "Misconfigured", field: "apiKey", problem: "is refused" },
        { _tag: "Misconfigured", field: "apiKey", problem: "is refused" }
      ]
    ]
    for (const [error, ofLogin, ofRefresh] of kinds) {
      it.effect(`law 12: "${error}", whatever the status, is the error that says what the caller can do`, () =>
        Effect.gen(function* () {
          for (const status of [200, 400, 401, 403, 404, 422]) {
            const { login, refresh, revoke } = yield* setup(() =>
              Response.json({ error, access: "test-granted", message: "test-message" }, { status })
            )
            const errors = [yield* Effect.flip(login), yield* Effect.flip(refresh), yield* Effect.flip(revoke)] as const
            assert.deepInclude(about(errors[0]), ofLogin)
            assert.deepInclude(about(errors[1]), ofRefresh)
            assert.deepInclude(about(errors[2]), ofRefresh)
            for (const error of errors) {
              if ("status" in error) assert.strictEqual(error.status, status)
              if ("provider" in error) assert.strictEqual(error.provider, "acme")
            }
            assert.notMatch(JSON.stringify(errors) + errors.join(), /test-/)
          }
        })
      )
    }

    it.effect("law 12: the status is told to the description, which decides", () =>
      Effect.gen(function* () {
        const told: Array<readonly [string, number]> = []
        const { refresh } = yield* setup(() => Response.json({ error: "wrong" }, { status: 409 }), {
          refusal: ({ error }, status) => {
            told.push([error, status])
            return status === 409 ? "reused" : undefined
          }
        })
        assert.deepInclude(about(yield* Effect.flip(refresh)), { _tag: "InvalidRefreshToken", reason: "reused" })
        assert.deepStrictEqual(told, [["wrong", 409]])
      })
    )

    it.effect("law 12: above 499 the description is not asked", () =>
      Effect.gen(function* () {
        for (const [status, outcome] of [
          [500, "unknown"],
          [503, "not-spent"],
          [429, "not-spent"]
        ] as const) {
          const { login, refresh, revoke } = yield* setup(() => Response.json({ error: "wrong" }, { status }))
          const exchanges: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const exchange of exchanges) {
            assert.deepInclude(about(yield* Effect.flip(exchange)), { _tag: "NetworkFailure", status, outcome })
          }
        }
      })
    )

    const undocumented: Record<string, (status: number) => Response> = {
      "a page": (status) => new Response("<html>test-message", { status }),
      "an empty body": (status) => new Response(null, { status }),
      "a form of its own": (status) => Response.json({ problem: "test-message" }, { status }),
      "an error that is no text": (status) => Response.json({ error: { code: 7 } }, { status }),
      "an unknown error": (status) => Response.json({ error: "test-message" }, { status }),
      null: (status) => Response.json(null, { status }),
      "a list": (status) => Response.json([{ error: "wrong" }], { status }),
      tokens: (status) => Response.json({ access: "test-granted", refresh: "test-rotated" }, { status })
    }
    for (const [name, answer] of Object.entries(undocumented)) {
      it.effect(`law 12: a refusal of ${name} is malformed, outcome unknown`, () =>
        Effect.gen(function* () {
          for (const status of [400, 401, 403, 404, 418]) {
            const { login, refresh, revoke } = yield* setup(() => answer(status))
            const exchanges: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
            for (const exchange of exchanges) {
              const error = yield* Effect.flip(exchange)
              assert.deepInclude(about(error), { _tag: "MalformedResponse", outcome: "unknown", status })
              assert.notMatch(JSON.stringify(error) + error.message, /test-(message|granted)/)
            }
          }
        })
      )
    }

    it.effect("an error that the description does not know, in an answer with tokens, costs nothing", () =>
      Effect.gen(function* () {
        const { refresh } = yield* setup(() => Response.json({ error: "none", access: "test-granted" }))
        assert.strictEqual(maybe((yield* refresh).accessToken), "test-granted")
      })
    )

    it.effect("what a revocation answers is of no interest, unless it refuses", () =>
      Effect.gen(function* () {
        for (const answer of [
          () => new Response(null, { status: 204 }),
          () => new Response(""),
          () => new Response("<html>"),
          () => Response.json(null),
          () => Response.json({ access: 7 })
        ]) {
          const { revoke } = yield* setup(answer)
          assert.isUndefined(yield* revoke)
        }
      })
    )
  })

  describe("law 22: each field on its own", () => {
    const broken: Record<string, unknown> = {
      null: null,
      empty: "",
      "a number": 7,
      true: true,
      "a list": ["test-token"],
      "an object": { token: "test-token" },
      "with a space": "test token",
      "with a line break": "test\ntoken",
      "with a carriage return at its end": "test-token\r",
      "with a letter that is no ASCII": "test-tokén",
      missing: undefined
    }
    for (const [name, token] of Object.entries(broken)) {
      it.effect(`law 22: a refresh token counts beside an access token that is ${name}`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* setup(() =>
            Response.json({ access: token, refresh: "test-rotated", seconds: 60, refreshSeconds: 3600 })
          )
          const tokens = yield* refresh
          assert.isTrue(Option.isNone(tokens.accessToken))
          assert.strictEqual(maybe(tokens.refreshToken), "test-rotated")
          assert.strictEqual(seconds(tokens.refreshLifetime), 3600)
          assert.deepInclude(about(yield* Effect.flip(login)), {
            _tag: "MalformedResponse",
            outcome: "unknown",
            status: 200
          })
        })
      )

      it.effect(`law 22: an access token counts beside a refresh token that is ${name}`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* setup(() =>
            Response.json({ access: "test-granted", refresh: token, seconds: "60" })
          )
          for (const tokens of [yield* login, yield* refresh]) {
            assert.strictEqual(maybe(tokens.accessToken), "test-granted")
            assert.strictEqual(seconds(tokens.lifetime), 60)
            assert.isTrue(Option.isNone(tokens.refreshToken))
          }
        })
      )

      it.effect(`law 12: two tokens that are ${name} are no answer, and are not shown`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* setup(() => Response.json({ access: token, refresh: token, seconds: 60 }))
          for (const exchange of [login, refresh]) {
            const error = yield* Effect.flip(exchange)
            assert.deepInclude(about(error), { _tag: "MalformedResponse", outcome: "unknown", status: 200 })
            assert.notMatch(JSON.stringify(error) + error.message, /test.tok/)
          }
        })
      )
    }

    it.scoped("law 22: a refresh token that came with a broken access token is the one presented next", () =>
      manually(function* (clock) {
        const answers = [
          { access: "test-1", refresh: "test-first" },
          { access: null, refresh: "test-second" },
          { access: "test-3", refresh: null },
          { access: "test-4" }
        ]
        const { client, sent } = server(() => Response.json(answers.shift()))
        const { session } = yield* application(client, {}, { patience: 0 })
        assert.strictEqual(value(yield* session.accessToken), "test-1")
        assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* session.refresh), "test-3")
        assert.strictEqual(value(yield* session.refresh), "test-4")
        assert.deepStrictEqual(
          sent.slice(1).map(({ body }) => body),
          ["refresh_token=test-first", "refresh_token=test-second", "refresh_token=test-second"]
        )
      })
    )

    it.effect("law 22: extra fields are told, and what is null or missing is not", () =>
      Effect.gen(function* () {
        const answers: ReadonlyArray<readonly [object, object]> = [
          [
            { account: "a1", plan: 0 },
            { account: "a1", plan: 0 }
          ],
          [
            { account: "", plan: false },
            { account: "", plan: false }
          ],
          [{ account: null, plan: "gold" }, { plan: "gold" }],
          [{}, {}]
        ]
        for (const [fields, extra] of answers) {
          const { login, refresh } = yield* setup(() => Response.json({ access: "test-granted", ...fields }))
          assert.deepStrictEqual((yield* login).extra, extra)
          const tokens = yield* refresh
          assert.deepStrictEqual(tokens.extra, extra)
          const before = { ...held, extra: { account: "old", plan: "old" } }
          assert.deepStrictEqual(Token.renew(before, tokens).extra, { account: "old", plan: "old", ...extra })
        }
      })
    )

    it.effect("a description that keeps nothing else keeps nothing else", () =>
      Effect.gen(function* () {
        const { login } = yield* setup(granted, { tokens: ({ access }) => ({ accessToken: access }) })
        const tokens = yield* login
        assert.deepStrictEqual(tokens.extra, {})
        assert.isTrue(Option.isNone(tokens.refreshToken))
      })
    )
  })

  describe("law 4: lifetimes", () => {
    const now = Date.UTC(2026, 0, 1)
    const end = now / 1000 + 600
    const hour = 3600
    const cases: ReadonlyArray<readonly [string, object, number | undefined, number | undefined]> = [
      [
        "the stated seconds, before all else",
        { access: jwt({ iat: 1, exp: 301 }), seconds: 100, ends: end },
        100,
        undefined
      ],
      [
        "stated seconds as text, for both tokens",
        { access: "test-a", seconds: "100", refresh: "test-r", refreshSeconds: "200" },
        100,
        200
      ],
      ["a JWT's own span, before an absolute end", { access: jwt({ iat: 1, exp: 301 }), ends: end }, 300, undefined],
      [
        "an absolute end against the answer's Date",
        { access: "test-a", ends: end + hour, refresh: "test-r", refreshEnds: end + hour },
        600,
        600
      ],
      ["a JWT's end against the answer's Date", { access: jwt({ exp: end + hour }) }, 600, undefined],
      [
        "an absolute end before the JWT's",
        { access: jwt({ exp: end + hour + 5 }), ends: (end + hour) * 1000 },
        600,
        undefined
      ],
      ["zero seconds: the next source", { access: jwt({ iat: 1, exp: 301 }), seconds: 0 }, 300, undefined],
      ["negative seconds: the next source", { access: "test-a", seconds: -5, ends: end + hour }, 600, undefined],
      [
        "nonsense in all sources: the description's own",
        { access: "test-a", seconds: "soon", ends: {} },
        7200,
        undefined
      ],
      [
        "no source: the description's own, for the access token alone",
        { access: "test-a", refresh: "test-r" },
        7200,
        undefined
      ],
      ["absurd seconds: capped", { access: "test-a", seconds: 1e12 }, 3650 * 86_400, undefined],
      [
        "a refresh token that is a JWT",
        { access: "test-a", seconds: 60, refresh: jwt({ iat: 1, exp: 901 }), refreshEnds: end },
        60,
        900
      ],
      [
        "stated seconds of a refresh token before its own span",
        { access: "test-a", seconds: 60, refresh: jwt({ iat: 1, exp: 901 }), refreshSeconds: 50 },
        60,
        50
      ],
      [
        "an access token's claims say nothing of the refresh token",
        { access: jwt({ iat: 1, exp: 301 }), refresh: "test-r" },
        300,
        undefined
      ]
    ]
    for (const [name, body, access, refreshes] of cases) {
      it.effect(`law 4: ${name}`, () =>
        manually(function* (clock) {
          yield* clock.setWall(Duration.millis(now - clock.clock.unsafeCurrentTimeMillis()))
          const { login, refresh } = yield* setup(
            // The server's clock is an hour ahead.
            () => Response.json(body, { headers: { date: httpDate(now + hour * 1000) } }),
            { lifetime: "2 hours" }
          )
          for (const tokens of [yield* login, yield* refresh]) {
            assert.strictEqual(seconds(tokens.lifetime), access)
            assert.strictEqual(seconds(tokens.refreshLifetime), refreshes)
          }
        })
      )
    }

    it.effect("law 4: with no source at all the end is not known", () =>
      Effect.gen(function* () {
        const { login } = yield* setup(() => Response.json({ access: "test-a", refresh: "test-r" }))
        const tokens = yield* login
        assert.isTrue(Option.isNone(tokens.lifetime))
        assert.isTrue(Option.isNone(tokens.refreshLifetime))
      })
    )
  })

  describe("law 12: answers that are none", () => {
    for (const body of [
      "null",
      "7",
      '"test-granted"',
      "[]",
      '[{"access":"test-granted"}]',
      "true",
      "{}",
      '{"access"',
      "<html>",
      ""
    ]) {
      it.effect(
        `law 12: a log in and a refresh answered with ${body || "nothing"} are malformed, outcome unknown`,
        () =>
          Effect.gen(function* () {
            const { login, refresh } = yield* setup(() => new Response(body))
            for (const exchange of [login, refresh]) {
              assert.deepInclude(about(yield* Effect.flip(exchange)), {
                _tag: "MalformedResponse",
                provider: "acme",
                outcome: "unknown",
                status: 200
              })
            }
          })
      )
    }

    for (const status of [301, 302, 303, 307, 308]) {
      it.effect(`law 23: a redirect with ${status} is followed by no exchange`, () =>
        Effect.gen(function* () {
          const headers = { location: "https://evil.test/?token=test-secret" }
          const { login, refresh, revoke, sent } = yield* setup(() => new Response(null, { status, headers }))
          const exchanges: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const exchange of exchanges) {
            const error = yield* Effect.flip(exchange)
            assert.deepInclude(about(error), { _tag: "MalformedResponse", outcome: "unknown", status })
            assert.notMatch(JSON.stringify(error) + error.message, /evil|test-secret/)
          }
          assert.strictEqual(sent.length, 3)
        })
      )
    }

    const throws = (): never => {
      throw new TypeError("test-secret of the description")
    }

    for (const [name, more, requests] of [
      ["tokens", { tokens: throws }, 2],
      ["refusal", { refusal: throws }, 2],
      ["refresh", { refresh: throws }, 0]
    ] as const) {
      it.scoped(`law 13: a ${name} that throws fails typed, shows nothing, and spends no refresh token in a loop`, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of ["test-secret", "test-refresh", "test-rotated"]) secrets.add(one)
          const exhibit = exhibits(secrets)
          const { client, sent } = server(() => Response.json({ error: "x", refresh: "test-rotated" }))
          yield* Effect.gen(function* () {
            const { session } = yield* application(
              client,
              { login: () => Option.none(), ...more },
              { patience: 0, seed: Token.make({ refreshToken: secret("test-refresh") }) }
            )
            for (let i = 0; i < 60; i++) {
              const exit = yield* Effect.exit(session.accessToken)
              yield* exhibit.showExit("accessToken", exit)
              assert.isTrue(AuthError.isAuthError(yield* Effect.flip(exit)))
              yield* clock.advance("1 minute")
            }
          }).pipe(Effect.provide(exhibit.layer))
          assert.strictEqual(sent.length, requests)
          assert.deepStrictEqual(yield* exhibit.leaks, [])
        })
      )
    }

    it.effect("law 12: an answer longer than maxBytes is refused while it arrives, outcome unknown", () =>
      Effect.gen(function* () {
        const seen = { pulled: 0, cancelled: 0 }
        const endless = () =>
          new Response(
            new ReadableStream<Uint8Array>({
              pull: (controller) => {
                seen.pulled++
                controller.enqueue(new Uint8Array(100).fill(32))
              },
              cancel: () => {
                seen.cancelled++
              }
            })
          )
        const { login, refresh, revoke } = yield* setup(endless, { maxBytes: 1000 })
        const exchanges: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
        for (const exchange of exchanges) {
          assert.deepInclude(about(yield* Effect.flip(exchange)), {
            _tag: "MalformedResponse",
            outcome: "unknown",
            status: 200
          })
        }
        assert.strictEqual(seen.cancelled, 3)
        // Eleven are too many, and a stream fetches one or two ahead.
        assert.isAtMost(seen.pulled, 3 * 13)
      })
    )

    it.effect("law 12: maxBytes counts bytes, and an answer of just so many is read", () =>
      Effect.gen(function* () {
        const text = JSON.stringify({ access: "test-granted", account: "żółć" })
        const bytes = new TextEncoder().encode(text).length
        assert.isAbove(bytes, text.length)
        const { login } = yield* setup(() => new Response(text), { maxBytes: bytes })
        assert.strictEqual(maybe((yield* login).accessToken), "test-granted")
        const { login: longer } = yield* setup(() => new Response(text), { maxBytes: bytes - 1 })
        assert.strictEqual((yield* Effect.flip(longer))._tag, "MalformedResponse")
      })
    )
  })

  describe("options", () => {
    const odd = <A>(value: unknown) => value as A
    const wrong: ReadonlyArray<readonly [string, string, Partial<Acme>]> = [
      ["no name", "name", { name: "" }],
      ["a name of spaces", "name", { name: " " }],
      ["a base URL that is none", "baseUrl", { baseUrl: "api.acme.test" }],
      ["a base URL without encryption", "baseUrl", { baseUrl: "http://api.acme.test" }],
      ["a base URL with a query", "baseUrl", { baseUrl: "https://api.acme.test/?key=test-secret" }],
      ["a base URL with a fragment", "baseUrl", { baseUrl: "https://api.acme.test/#test-secret" }],
      ["a base URL with a password", "baseUrl", { baseUrl: new URL("https://u:test-secret@api.acme.test") }],
      ["an origin that is none", "origins", { origins: ["https://files.acme.test", "files"] }],
      ["an origin without encryption", "origins", { origins: ["http://files.acme.test"] }],
      ["a header with a bad name", "headers", { headers: { "x api": "1" } }],
      ["a header without a name", "headers", { headers: { "": "1" } }],
      ["a header without a value", "headers.x-api", { headers: { "x-api": "" } }],
      ["a header with a line break", "headers.x-api", { headers: { "x-api": "1\r\nx-evil: test-secret" } }],
      ["a secret header with a line break", "headers.x-api", { headers: { "x-api": secret("test-secret\n") } }],
      ["a secret header that is empty", "headers.x-api", { headers: { "x-api": secret("") } }],
      ["a token header with a bad name", "token.header", { token: { header: "x token" } }],
      ["a token header without a name", "token.header", { token: { header: "" } }],
      ["a scheme of two words", "token.scheme", { token: { header: "authorization", scheme: "Bearer x" } }],
      ["an empty scheme", "token.scheme", { token: { header: "authorization", scheme: "" } }],
      ["an unknown rotation", "rotation", { rotation: odd("sometimes") }],
      ["a lifetime of zero", "lifetime", { lifetime: 0 }],
      ["a negative lifetime", "lifetime", { lifetime: -1 }],
      ["a lifetime that is none", "lifetime", { lifetime: odd("soon") }],
      ["a negative reuse window", "reuseWindow", { reuseWindow: -1 }],
      ["a reuse window that is none", "reuseWindow", { reuseWindow: odd("soon") }],
      ["no bytes", "maxBytes", { maxBytes: 0 }],
      ["half a byte", "maxBytes", { maxBytes: 0.5 }],
      ["NaN bytes", "maxBytes", { maxBytes: Number.NaN }]
    ]
    for (const [name, field, more] of wrong) {
      it.effect(`${name} is Misconfigured, which names ${field} and shows no value`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(make(server(never).client, more))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(JSON.stringify(error) + error.message, /test-secret/)
        })
      )
    }

    for (const [name, within] of [
      ["no time", 0],
      ["a negative time", "-1 minute"],
      ["a time that is none", "soon"]
    ] as const) {
      it.effect(`${name} for the second step is Misconfigured, which names verification.within`, () =>
        Effect.gen(function* () {
          const verification = {
            asked: Schema.Struct({ challenge: Schema.String }),
            respond: never,
            within: odd<0>(within)
          }
          const error = yield* Effect.flip(make(server(never).client, { verification }))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: "verification.within" })
        })
      )
    }
  })

  describe("verification", () => {
    const asked = Schema.Struct({ challenge: Schema.String })
    const asks = () => Response.json({ challenge: "test-challenge" })
    const path = ({ url }: Sent) => new URL(url).pathname
    const steps: Reply = (sent) => (path(sent) === "/v2/auth/login" ? asks() : granted())
    const respond = ({ challenge }: { readonly challenge: string }) =>
      Effect.succeed(Protocol.json("auth/verify", { challenge, code: secret("4711") }))
    const verification = { asked, respond, within: "2 minutes" } as const

    it.effect("an answer that asks for it is followed by the request of the second step", () =>
      Effect.gen(function* () {
        const { login, provider, sent } = yield* setup(steps, {
          headers: { "x-api-key": secret("test-api-key") },
          verification
        })
        const tokens = yield* login
        assert.strictEqual(maybe(tokens.accessToken), "test-granted")
        assert.strictEqual(maybe(tokens.refreshToken), "test-rotated")
        assert.deepStrictEqual(
          sent.map((one) => [path(one), one.body, one.headers["x-api-key"]]),
          [
            ["/v2/auth/login", '{"username":"test-user","password":"test-password"}', "test-api-key"],
            ["/v2/auth/verify", '{"challenge":"test-challenge","code":"4711"}', "test-api-key"]
          ]
        )
        assert.strictEqual(provider.loginPause && Duration.toSeconds(provider.loginPause), 130)
      })
    )

    it.effect("any other answer is judged at once, and nobody is asked", () =>
      Effect.gen(function* () {
        const asksNobody = { ...verification, respond: () => Effect.dieMessage("nobody is asked") }
        const given = yield* setup(granted, { verification: asksNobody })
        assert.strictEqual(maybe((yield* given.login).accessToken), "test-granted")
        const refused = yield* setup(() => Response.json({ error: "wrong" }, { status: 401 }), {
          verification: asksNobody
        })
        assert.deepInclude(about(yield* Effect.flip(refused.login)), {
          _tag: "InvalidCredentials",
          reason: "refused",
          status: 401
        })
        const other = yield* setup(() => Response.json({ challenge: 7 }), { verification: asksNobody })
        assert.strictEqual((yield* Effect.flip(other.login))._tag, "MalformedResponse")
        assert.deepStrictEqual([given.sent.length, refused.sent.length, other.sent.length], [1, 1, 1])
      })
    )

    it.effect("a refresh is never followed by a second step", () =>
      Effect.gen(function* () {
        const { refresh, sent } = yield* setup(asks, {
          verification: { ...verification, respond: () => Effect.dieMessage("nobody is asked") }
        })
        assert.strictEqual((yield* Effect.flip(refresh))._tag, "MalformedResponse")
        assert.strictEqual(sent.length, 1)
      })
    )

    for (const [error, expected] of Object.entries<object>({
      wrong: { _tag: "InvalidCredentials", reason: "code-refused", status: 400 },
      late: { _tag: "InvalidCredentials", reason: "code-refused", status: 400 },
      busy: { _tag: "NetworkFailure", outcome: "not-spent" },
      stranger: { _tag: "Misconfigured", field: "apiKey" },
      other: { _tag: "MalformedResponse", outcome: "unknown" }
    })) {
      it.effect(`a second step that answers "${error}" is told apart from a refused password`, () =>
        Effect.gen(function* () {
          const { login, sent } = yield* setup(
            (one) => (path(one) === "/v2/auth/login" ? asks() : Response.json({ error }, { status: 400 })),
            { verification }
          )
          assert.deepInclude(about(yield* Effect.flip(login)), expected)
          assert.strictEqual(sent.length, 2)
        })
      )
    }

    it.effect("a second step that asks once more is malformed: there is no third", () =>
      Effect.gen(function* () {
        const { login, sent } = yield* setup(asks, { verification })
        assert.strictEqual((yield* Effect.flip(login))._tag, "MalformedResponse")
        assert.strictEqual(sent.length, 2)
      })
    )

    const noCodes: Record<string, () => Effect.Effect<HttpClientRequest.HttpClientRequest, unknown>> = {
      fails: () => Effect.fail({ code: "test-app-secret" }),
      "fails with nothing": () => Effect.fail(undefined),
      "fails as this library does": () => Effect.fail(new AuthError.SignedOut({ provider: "test-app-secret" })),
      dies: () => Effect.die(new Error("test-app-secret")),
      throws: () => {
        throw new Error("test-app-secret")
      },
      "interrupts itself": () => Effect.interrupt,
      "takes too long": () => Effect.never,
      "takes too long and cannot be interrupted": () => Effect.uninterruptible(Effect.never)
    }
    for (const [name, respond] of Object.entries(noCodes)) {
      it.effect(`a second step that ${name} is InvalidCredentials of reason no-code, and nothing of it shows`, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of ["test-app-secret", "test-challenge", "test-password"]) secrets.add(one)
          const exhibit = exhibits(secrets)
          const { login, sent } = yield* setup(steps, { verification: { ...verification, respond } })
          const caller = yield* Effect.fork(Effect.provide(Effect.withSpan(login, "login"), exhibit.layer))
          yield* clock.advance("2 minutes")
          const exit = yield* Fiber.await(caller)
          yield* exhibit.showExit("login", exit)
          assert.deepInclude(about(yield* Effect.flip(exit)), { _tag: "InvalidCredentials", reason: "no-code" })
          assert.strictEqual(sent.length, 1)
          assert.deepStrictEqual(yield* exhibit.leaks, [])
          assert.isAbove(exhibit.count("span"), 0)
        })
      )
    }

    it.effect("the second step is waited for as long as the description says, and no longer", () =>
      manually(function* (clock) {
        for (const [delay, tag] of [
          ["119 seconds", "granted"],
          ["121 seconds", "InvalidCredentials"]
        ] as const) {
          const { login } = yield* setup(steps, {
            verification: { ...verification, respond: (one) => Effect.delay(respond(one), delay) }
          })
          const caller = yield* Effect.fork(
            Effect.match(login, { onFailure: ({ _tag }) => _tag, onSuccess: () => "granted" })
          )
          yield* clock.advance("118 seconds")
          assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
          yield* clock.advance("2 seconds")
          assert.strictEqual(yield* Fiber.join(caller), tag)
        }
      })
    )

    for (const slow of ["/v2/auth/login", "/v2/auth/verify"]) {
      it.effect(`law 9: ${slow} may take 10 seconds of its own, and no more`, () =>
        manually(function* (clock) {
          const late =
            (delay: Duration.DurationInput): Reply =>
            (one, nth) => {
              const answer = Effect.suspend(() => Effect.succeed(steps(one, nth) as Response))
              return path(one) === slow ? Effect.delay(answer, delay) : answer
            }
          const inTime = yield* setup(late("9 seconds"), { verification })
          const first = yield* Effect.fork(inTime.login)
          yield* clock.advance("9 seconds")
          assert.strictEqual(maybe((yield* Fiber.join(first)).accessToken), "test-granted")

          const tooLate = yield* setup(late("11 seconds"), { verification })
          const second = yield* Effect.fork(Effect.flip(tooLate.login))
          yield* clock.advance("9 seconds")
          assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
          yield* clock.advance("1 second")
          assert.deepInclude(about(yield* Fiber.join(second)), {
            _tag: "NetworkFailure",
            reason: "timeout",
            outcome: "unknown"
          })
        })
      )
    }

    it.scoped("a session waits for both steps and the person between them", () =>
      manually(function* (clock) {
        const slowly: Reply = (one, nth) =>
          Effect.delay(
            Effect.suspend(() => Effect.succeed(steps(one, nth) as Response)),
            "9 seconds"
          )
        const { client } = server(slowly)
        const { session } = yield* application(client, {
          verification: { ...verification, respond: (one) => Effect.delay(respond(one), "119 seconds") }
        })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("136 seconds")
        assert.isTrue((yield* session.status).exchanging)
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-granted")
      })
    )
  })

  describe("law 27: no secret shows", () => {
    const headers = { "X-Acme-Key": secret("test-api-key-7f3a"), "X-Client": "acme-app/1.0" }
    const token = { header: "X-Acme-Token" }
    const granting: Reply = ({ url }, nth) =>
      url.includes("/auth/")
        ? Response.json({ access: `test-granted-${nth}`, refresh: `test-rotated-${nth}` })
        : new Response(null, { status: nth % 2 === 0 ? 401 : 200 })
    const replies: Record<string, Reply> = {
      "while all is well": granting,
      "when all is refused, with the request quoted": (sent) =>
        Response.json({ error: "wrong", echo: sent }, { status: 401 }),
      "when the client is refused, with the request quoted": (sent) =>
        Response.json({ error: "stranger", echo: sent }, { status: 403 }),
      "when nothing is as described, with the request quoted": (sent) => Response.json([sent], { status: 422 }),
      "when tokens cannot stand in a header": ({ headers, body }) =>
        Response.json({ access: `${headers["x-acme-key"]}\n${body}`, refresh: ` ${body}` }),
      "when a redirect quotes the request": (sent) =>
        Response.json(sent, { status: 307, headers: { location: "https://evil.test/" } }),
      "when the network quotes the request": ({ body, headers, url }) =>
        Effect.fail(
          new HttpClientError.RequestError({
            request: HttpClientRequest.post(url, { headers: { "x-acme-key": String(headers["x-acme-key"]) } }),
            reason: "Transport",
            description: `${body} ${headers["x-acme-key"]} ${headers["x-acme-token"]}`
          })
        )
    }
    for (const [name, reply] of Object.entries(replies)) {
      it.scoped(`law 27: ${name}`, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of ["test-api-key-7f3a", "test-password", "test-stored"]) secrets.add(one)
          for (let n = 1; n < 30; n++) for (const kind of ["granted", "rotated"]) secrets.add(`test-${kind}-${n}`)
          const exhibit = exhibits(secrets)
          const { client, sent } = server(reply)
          for (const seed of [undefined, Token.make({ refreshToken: secret("test-stored") })]) {
            yield* Effect.gen(function* () {
              const { api, session } = yield* application(client, { headers, token }, { patience: 0, seed })
              const ways: Record<string, Effect.Effect<unknown, unknown>> = {
                accessToken: session.accessToken,
                api: api.get("/orders"),
                again: api.get("/orders"),
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
            }).pipe(Effect.provide(exhibit.layer), Effect.scoped)
          }
          assert.isAbove(sent.filter(({ headers }) => headers["x-acme-key"] === "test-api-key-7f3a").length, 1)
          assert.isAbove(exhibit.count("span"), 0)
          // The bare client fails with what it was given; only its own span shows that.
          assert.deepStrictEqual(
            (yield* exhibit.leaks).filter((leak) => !leak.startsWith("span of the bare client")),
            []
          )
        })
      )
    }
  })

  describe("types", () => {
    // What is checked here, tsc checks: nothing of it does anything.
    const described = () =>
      AuthProvider.make({
        name: "acme",
        baseUrl: "https://api.acme.test",
        answer: Schema.Struct({ token: Schema.String, seconds: Schema.NumberFromString }),
        tokens: (answer) => {
          expectTypeOf(answer).toEqualTypeOf<{ readonly token: string; readonly seconds: number }>()
          return { accessToken: answer.token, expiresIn: answer.seconds }
        },
        failure: Schema.Struct({ code: Schema.Literal(1, 2) }),
        refusal: (failure, status) => {
          expectTypeOf(failure).toEqualTypeOf<{ readonly code: 1 | 2 }>()
          expectTypeOf(status).toBeNumber()
          return failure.code === 1 ? "invalid" : undefined
        },
        verification: {
          asked: Schema.Struct({ key: Schema.DateFromString }),
          respond: (asked) => {
            expectTypeOf(asked).toEqualTypeOf<{ readonly key: Date }>()
            return Effect.succeed(Protocol.json("verify", {}))
          },
          within: "1 minute"
        },
        login: (credentials) => {
          expectTypeOf(credentials).toEqualTypeOf<Option.Option<Credentials.UserPassword>>()
          return Option.none()
        },
        refresh: (token, tokens) => {
          expectTypeOf(token).toEqualTypeOf<Redacted.Redacted<string>>()
          expectTypeOf(tokens).toEqualTypeOf<Token.TokenSet>()
          return Protocol.form("refresh", { token })
        }
      })

    it("a description infers what its Schemas say, and needs an HttpClient alone", () => {
      expectTypeOf(described).returns.toEqualTypeOf<
        Effect.Effect<AuthProvider.Service, AuthError.Misconfigured, HttpClient.HttpClient>
      >()
      expectTypeOf(() => Auth.layer(described())).returns.toEqualTypeOf<
        Layer.Layer<Auth.Services, AuthError.Misconfigured, Credentials.Credentials | HttpClient.HttpClient>
      >()
    })

    it("a description that contradicts its Schemas does not compile", () => {
      const { tokens, refusal, ...rest } = acme
      class Service extends Context.Tag("effect-auth/test/provider/AuthProvider/responses.test/Service")<
        Service,
        string
      >() {}
      const needy = Schema.transformOrFail(Schema.String, Schema.String, {
        decode: (text) => Effect.as(Service, text),
        encode: (text) => Effect.succeed(text)
      })
      const wrong = () => [
        // @ts-expect-error there is no such field in the answer
        AuthProvider.make({ ...rest, refusal, tokens: (answer) => ({ accessToken: answer.tokem }) }),
        // @ts-expect-error there is no such field in the failure
        AuthProvider.make({ ...rest, tokens, refusal: (failure) => (failure.code === 1 ? "invalid" : undefined) }),
        // @ts-expect-error there is no such refusal
        AuthProvider.make({ ...rest, tokens, refusal: () => "forbidden" }),
        // @ts-expect-error there is no such rotation
        AuthProvider.make({ ...rest, tokens, refusal, rotation: "sometimes" }),
        // @ts-expect-error tokens cannot be found in no answer
        AuthProvider.make({ ...rest, refusal }),
        // @ts-expect-error a Schema has nobody to give it a service
        AuthProvider.make({ ...rest, refusal, answer: Schema.Struct({ access: needy }), tokens: () => ({}) }),
        // @ts-expect-error a field of a body is text, a number, or redacted
        Protocol.json("auth/login", { remember: true })
      ]
      expectTypeOf(wrong).toBeFunction()
    })
  })
})
