import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Token from "../../../src/token/Token.js"
import { secret, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets } from "../../support/secrets.js"
import { about, application, granted, maybe, paused, seconds, server, setup } from "./harness.js"

describe("AuthProvider.make", () => {
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
          for (const tokenRequest of [login, refresh]) {
            const error = yield* Effect.flip(tokenRequest)
            assert.deepInclude(about(error), { _tag: "MalformedResponse", outcome: "unknown", status: 200 })
            assert.notMatch(JSON.stringify(error) + error.message, /test.tok/)
          }
        })
      )
    }

    it.scoped("law 22: a refresh token that came with a broken access token is the one presented next", () =>
      manually(function* (clock) {
        const responses = [
          { access: "test-1", refresh: "test-first" },
          { access: null, refresh: "test-second" },
          { access: "test-3", refresh: null },
          { access: "test-4" }
        ]
        const { client, sent } = server(() => Response.json(responses.shift()))
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
        const responses: ReadonlyArray<readonly [object, object]> = [
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
        for (const [fields, extra] of responses) {
          const { login, refresh } = yield* setup(() => Response.json({ access: "test-granted", ...fields }))
          assert.deepStrictEqual((yield* login).extra, extra)
          const tokens = yield* refresh
          assert.deepStrictEqual(tokens.extra, extra)
          const before = { ...paused, extra: { account: "old", plan: "old" } }
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
      it.effect(`law 12: a login and a refresh answered with ${body || "nothing"} are malformed, outcome unknown`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* setup(() => new Response(body))
          for (const tokenRequest of [login, refresh]) {
            assert.deepInclude(about(yield* Effect.flip(tokenRequest)), {
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
      it.effect(`law 23: a redirect with ${status} is followed by no token request`, () =>
        Effect.gen(function* () {
          const headers = { location: "https://evil.test/?token=test-secret" }
          const { login, refresh, revoke, sent } = yield* setup(() => new Response(null, { status, headers }))
          const tokenRequests: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const tokenRequest of tokenRequests) {
            const error = yield* Effect.flip(tokenRequest)
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
      ["errorMeaning", { errorMeaning: throws }, 2],
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
        const tokenRequests: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
        for (const tokenRequest of tokenRequests) {
          assert.deepInclude(about(yield* Effect.flip(tokenRequest)), {
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
})
