import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as AuthError from "../../../src/common/AuthError.js"
import { about, maybe, setup } from "./harness.js"

describe("AuthProvider.make", () => {
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
        const reported: Array<readonly [string, number]> = []
        const { refresh } = yield* setup(() => Response.json({ error: "wrong" }, { status: 409 }), {
          errorMeaning: ({ error }, status) => {
            reported.push([error, status])
            return status === 409 ? "reused" : undefined
          }
        })
        assert.deepInclude(about(yield* Effect.flip(refresh)), { _tag: "InvalidRefreshToken", reason: "reused" })
        assert.deepStrictEqual(reported, [["wrong", 409]])
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
          const tokenRequests: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const tokenRequest of tokenRequests) {
            assert.deepInclude(about(yield* Effect.flip(tokenRequest)), { _tag: "NetworkFailure", status, outcome })
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
    for (const [name, response] of Object.entries(undocumented)) {
      it.effect(`law 12: a refusal of ${name} is malformed, outcome unknown`, () =>
        Effect.gen(function* () {
          for (const status of [400, 401, 403, 404, 418]) {
            const { login, refresh, revoke } = yield* setup(() => response(status))
            const tokenRequests: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
            for (const tokenRequest of tokenRequests) {
              const error = yield* Effect.flip(tokenRequest)
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
        for (const response of [
          () => new Response(null, { status: 204 }),
          () => new Response(""),
          () => new Response("<html>"),
          () => Response.json(null),
          () => Response.json({ access: 7 })
        ]) {
          const { revoke } = yield* setup(response)
          assert.isUndefined(yield* revoke)
        }
      })
    )
  })
})
