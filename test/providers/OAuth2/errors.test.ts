import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import { herd, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { about, after, byPassword, byRefresh, client, issue, make, presented, seed, server, setup } from "./harness.js"

describe("OAuth2", () => {
  describe("errors", () => {
    const reported = (error: string, status: number) =>
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
            const as = server({ "/token": () => reported(code, status) })
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
    for (const [name, response] of others) {
      it.effect(`law 12: ${name} is malformed, and passes`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* make(server({ "/token": response }))
          for (const tokenRequest of [login, refresh]) {
            const error = yield* Effect.flip(tokenRequest)
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
            const as = server({ "/token": () => reported(code, 401) })
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
        const replies = [reported("test-unknown", 400), reported("test-unknown", 403)]
        const as = server({ "/token": (sent, nth) => replies.shift() ?? issue(sent, nth) })
        const { session } = yield* setup(as, client)
        assert.strictEqual(value(yield* after(clock, "1 second", session.accessToken)), "test-access-3")
      })
    )

    it.scoped("law 14: a refused refresh token is followed by a login where the grant has one", () =>
      Effect.gen(function* () {
        const as = server({
          "/token": (sent, nth) => (nth === 1 ? reported("invalid_grant", 400) : issue(sent, nth))
        })
        const { session } = yield* setup(as, { ...client, seed }, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-2")
        assert.deepStrictEqual(presented(as), ["test-stored", "client_credentials"])
      })
    )

    for (const [law, name, failed] of [
      [14, "refused", () => reported("invalid_grant", 400)],
      [13, "in doubt", () => new Response(null, { status: 500 })]
    ] as const) {
      it.scoped(`law ${law}: a refresh token that is ${name} is not sent after a login that brought no other`, () =>
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

    it.scoped("law 14: without one it is InvalidRefreshToken, and no one asks again", () =>
      manually(function* (clock) {
        const as = server({ "/token": () => reported("invalid_grant", 400) })
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
        const as = server({ "/token": () => reported("invalid_grant", 400) })
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

    it.scoped("law 9: the one who has less patience than the server asks for is told at once how long that is", () =>
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
            const response = yield* api.get("/orders")
            assert.strictEqual(response.status, retried ? 200 : status)
            assert.strictEqual(yield* response.text, "test-answer")
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

  describe("concurrency", () => {
    it.scoped("law 6: 100 callers are one token request, at first and at each renewal", () =>
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
})
