import { assert, describe, it } from "@effect/vitest"
import { Effect, Encoding, Option } from "effect"
import type * as Auth from "../../../src/Auth.js"
import type * as OAuth2 from "../../../src/providers/OAuth2.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import {
  about,
  byPassword,
  byRefresh,
  client,
  issue,
  make,
  presented,
  seconds,
  seed,
  server,
  setup
} from "./harness.js"

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

describe("OAuth2", () => {
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
          for (const tokenRequest of [login, refresh]) {
            assert.deepInclude(about(yield* Effect.flip(tokenRequest)), {
              _tag: "MalformedResponse",
              outcome: "unknown"
            })
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
        const responses = [
          { refresh_token: "test-second" },
          { access_token: null, refresh_token: "test-third" },
          { access_token: "test-b" }
        ]
        const as = server({ "/token": () => access(responses.shift() ?? {}) })
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
})
