import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { calls, days, granted, hours, iso, login, paths, refresh, scripted, server, setup } from "./harness.js"

const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))

describe("TeleTracker", () => {
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

    it.scoped("law 11: an API that rejects every token costs a handful of token requests a minute", () =>
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
})
