import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type { AuthError } from "../../../src/common/AuthError.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import {
  about,
  code,
  devLogin,
  issued,
  login,
  pathOf,
  refresh,
  scripted,
  seed,
  server,
  setup,
  user,
  verify
} from "./harness.js"

describe("Freddy", () => {
  describe("refusals", () => {
    const older = (detail: unknown, status = 401) => Response.json({ detail }, { status })
    const newer = (message: string, status: number, responded = status) =>
      Response.json(
        { success: false, error: { code: "AUTHENTICATION_REQUIRED", message, status, trace_id: "test-trace" } },
        { status: responded }
      )
    const invalid = { _tag: "InvalidRefreshToken", reason: "invalid" }
    const expired = { _tag: "TokenExpired", token: "refresh" }
    const refused = { _tag: "InvalidCredentials", reason: "refused" }
    const malformed = { _tag: "MalformedResponse", outcome: "unknown" }
    const cases: ReadonlyArray<readonly [string, () => Response, login: object, refresh: object]> = [
      ["Invalid refresh token", () => older("Invalid refresh token"), refused, invalid],
      ["Refresh token has expired", () => older("Refresh token has expired"), refused, expired],
      ["Refresh token has expired, with 400", () => older("Refresh token has expired", 400), refused, expired],
      ["Refresh token has expired, with 403", () => older("Refresh token has expired", 403), refused, expired],
      ["Invalid refresh token, with 403", () => older("Invalid refresh token", 403), refused, invalid],
      ["Invalid refresh token, with 200", () => older("Invalid refresh token", 200), refused, invalid],
      ["Refresh token has expired, with 200", () => older("Refresh token has expired", 200), refused, expired],
      ["another 401", () => older("test-message"), { ...refused, status: 401 }, invalid],
      ["another 400", () => older("test-message", 400), { ...refused, status: 400 }, invalid],
      ["the newer form", () => newer("test-message", 401), refused, invalid],
      ["the newer form of an expired one", () => newer("Refresh token has expired", 401), refused, expired],
      ["the newer form with HTTP 200", () => newer("test-message", 401, 200), refused, invalid],
      ["the newer form of a 403", () => newer("test-message", 403), malformed, malformed],
      [
        "the newer form of a 500 with HTTP 200",
        () => newer("test-message", 500, 200),
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown", status: 200 },
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown", status: 200 }
      ],
      [
        "the newer form of a 429 with HTTP 200",
        () => newer("test-message", 429, 200),
        { _tag: "NetworkFailure", outcome: "not-spent" },
        { _tag: "NetworkFailure", outcome: "not-spent" }
      ],
      [
        "the newer form of a 503 with HTTP 200",
        () => newer("test-message", 503, 200),
        { _tag: "NetworkFailure", outcome: "not-spent" },
        { _tag: "NetworkFailure", outcome: "not-spent" }
      ],
      ["404 of FastAPI", () => older("Not Found", 404), { ...malformed, status: 404 }, { ...malformed, status: 404 }],
      ["405 of FastAPI", () => older("Method Not Allowed", 405), malformed, malformed],
      [
        "422 of FastAPI",
        () => older([{ loc: ["body", "refresh_token"], msg: "test-message", type: "missing" }], 422),
        { ...malformed, status: 422 },
        { ...malformed, status: 422 }
      ],
      ["a detail with HTTP 200", () => older("test-message", 200), malformed, malformed],
      ["a 401 page", () => new Response("<html>test-message", { status: 401 }), malformed, malformed],
      ["a 401 of another form", () => Response.json({ error: "test-message" }, { status: 401 }), malformed, malformed],
      ["a 401 of null", () => Response.json(null, { status: 401 }), malformed, malformed],
      [
        "500",
        () => new Response("test-message", { status: 500 }),
        { _tag: "NetworkFailure", outcome: "unknown" },
        { _tag: "NetworkFailure", outcome: "unknown" }
      ],
      [
        "429",
        () => Response.json({ detail: "test-message" }, { status: 429, headers: { "retry-after": "7" } }),
        { _tag: "NetworkFailure", reason: "rate-limited", outcome: "not-spent" },
        { _tag: "NetworkFailure", reason: "rate-limited", outcome: "not-spent" }
      ]
    ]
    for (const [name, response, login, refresh] of cases) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const client = yield* scripted(response)
          const errors: ReadonlyArray<AuthError> = [
            yield* Effect.flip(client.login),
            yield* Effect.flip(client.mailed),
            yield* Effect.flip(client.refresh)
          ]
          assert.deepInclude(about(errors[0] as AuthError), login)
          assert.deepInclude(about(errors[1] as AuthError), login)
          assert.deepInclude(about(errors[2] as AuthError), refresh)
          assert.notMatch(JSON.stringify(errors) + errors.join(), /test-(message|trace|stored|password)/)
        })
      )
    }

    for (const [detail, tag] of [
      ["Invalid refresh token", "InvalidRefreshToken"],
      ["Refresh token has expired", "TokenExpired"]
    ] as const) {
      it.scoped(`law 14: ${detail}: with credentials and a code, log in`, () =>
        Effect.gen(function* () {
          const freddy = server({ [refresh]: () => older(detail) })
          const { session } = yield* setup(freddy, { seed, code })
          assert.strictEqual(value(yield* session.accessToken), issued(1))
          assert.deepStrictEqual(freddy.sent.map(pathOf), [refresh, login, verify])
        })
      )

      for (const [name, options, credentials] of [
        ["without credentials", { seed, code }, "none"],
        ["without a way to log in", { seed }, user]
      ] as const) {
        it.scoped(`law 14: ${detail}: ${name} it is ${tag}, and no one asks again`, () =>
          manually(function* (clock) {
            const freddy = server({ [refresh]: () => older(detail) })
            const { session } = yield* setup(freddy, { ...options, renewal: "background" }, credentials)
            for (let i = 0; i < 20; i++) {
              const error = yield* Effect.flip(session.accessToken)
              assert.strictEqual(error._tag, tag)
              if (error._tag === "TokenExpired") assert.strictEqual(error.token, "refresh")
              yield* clock.advance("10 minutes")
            }
            assert.deepStrictEqual(freddy.sent.map(pathOf), [refresh])
            assert.strictEqual((yield* Effect.flip(session.login))._tag, "Misconfigured")
            assert.strictEqual(freddy.sent.length, 1)
          })
        )
      }
    }

    it.scoped("law 12: a 422 passes, and needs no new sign in", () =>
      manually(function* (clock) {
        const replies = [older([{ msg: "test-message" }], 422), older("Not Found", 404)]
        const freddy = server({
          [devLogin]: () => replies.shift() ?? Response.json({ access_token: "test-then" })
        })
        const { session } = yield* setup(freddy, { development: true })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-then")
        assert.strictEqual(freddy.count(devLogin), 3)
      })
    )

    it.scoped("a token that Freddy's API rejects is refreshed, and the request sent once more", () =>
      Effect.gen(function* () {
        const freddy = server({
          "/v1/models": ({ headers }) =>
            headers.authorization === `Bearer ${issued(1)}`
              ? Response.json({ detail: "test-message" }, { status: 401 })
              : Response.json([])
        })
        const { api } = yield* setup(freddy, { development: true })
        assert.strictEqual((yield* api.get("/v1/models")).status, 200)
        assert.deepStrictEqual(freddy.sent.map(pathOf), [devLogin, "/v1/models", refresh, "/v1/models"])
        assert.deepStrictEqual(freddy.sent[2]?.body, { refresh_token: "test-developed-1" })
      })
    )
  })
})
