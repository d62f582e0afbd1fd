import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Fiber } from "effect"
import * as Token from "../../../src/token/Token.js"
import { herd, secret, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import {
  about,
  days,
  granted,
  hours,
  iso,
  login,
  lost,
  page,
  paths,
  presented,
  type Reply,
  read,
  refresh,
  refused,
  server,
  setup
} from "./harness.js"

/** A server that knows what it was last given: a refresh token is accepted once. */
const strict = (response: (nth: number) => Reply | "honest" = () => "honest") => {
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
      const reply = response(nth)
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

describe("TeleTracker", () => {
  describe("law 13: a refresh whose answer is lost", () => {
    it.scoped("law 13: with a password, the valid token is served to its end, and one login follows", () =>
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

    for (const [name, response] of Object.entries({
      "a lost answer": lost,
      "a page with 200": () => page(200),
      "a page with 401": () => page(401),
      "502": () => page(502)
    })) {
      it.scoped(`law 13: without, ${name} each time is two presentations, and never a third`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: response })
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

    it.scoped("law 13: a token that is rejected meanwhile leads to a login, not to the token in doubt", () =>
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
      it.scoped(`law 14: with ${status}: one login, in the same flight, for 50 callers`, () =>
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

      it.scoped(`law 14: with ${status} and without a password: the end, and no one asks again`, () =>
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

    for (const [law, name, response] of [
      ["law 14", "refused", () => refused()],
      ["law 13", "in doubt", lost]
    ] as const) {
      it.scoped(`${law}: a refresh token that is ${name} does not come back with a login that brings none`, () =>
        manually(function* (clock) {
          const tele = server({
            [login]: (_, nth) => granted(`login-${nth}`, nth === 1 ? {} : { refreshToken: null }),
            [refresh]: response
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
      it.scoped(`law 15: is not sent, by a server's clock ${offset} hours off; a login follows`, () =>
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

    it.scoped("law 15: each refresh token has an end of its own, so that background renewal never needs a login", () =>
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

  it.scoped("law 7: a caller that gives up does not lose the rotated refresh token", () =>
    manually(function* () {
      const sent = yield* Deferred.make<void>()
      const response = yield* Deferred.make<void>()
      const tele = server({
        [refresh]: (_, nth) =>
          Deferred.succeed(sent, void 0).pipe(
            Effect.zipRight(Deferred.await(response)),
            Effect.zipRight(granted(`refresh-${nth}`))
          )
      })
      const { session } = yield* setup(tele)
      yield* session.accessToken
      const caller = yield* Effect.fork(session.refresh)
      yield* Deferred.await(sent)
      yield* Fiber.interrupt(caller)
      const other = yield* Effect.fork(session.refresh)
      yield* Deferred.succeed(response, void 0)
      assert.strictEqual(value(yield* Fiber.join(other)), "test-access-refresh-1")
      yield* session.refresh
      assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-refresh-1"])
    })
  )
})
