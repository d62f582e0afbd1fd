import { assert, describe, it } from "@effect/vitest"
import { Exit, Scope } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import * as Token from "../../../src/token/Token.js"
import { secret } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { application, manners, passwordless, polite, signedIn, statusOf, tagOf, value, world } from "./harness.js"
import { type Entry, entries, refreshing } from "./table.js"

/** The token request that renews. */
const renewing = (entry: Entry) => (entry.refreshes ? "refresh" : "login")

describe.each(entries)("life, with $name", (entry) => {
  const { name } = entry

  for (const [reported, clockOffset] of [
    ["2 hours ahead", 7_200_000],
    ["2 hours behind", -7_200_000]
  ] as const) {
    it.scoped(
      `law 4 and 5: ${name}: with the server ${reported}, a token is used for its full life, to the second`,
      () =>
        manually(function* (clock) {
          const options = { sandbox: { lifetime: "1 hour", clockOffset }, renewal: "on-use", leeway: 0 } as const
          const { api, sandbox, wire } = yield* application(entry, options)
          const latest = () => wire.sent.reduce((at, one) => (one.kind === "api" ? at : one.at), 0)
          assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
          for (let life = 1; life <= 2; life++) {
            const start = latest()
            yield* clock.advance("3597 seconds")
            for (let second = 0; second < 5 && wire.tokenRequests() === life; second++) {
              yield* clock.advance("1 second")
              assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
            }
            assert.isAtLeast(latest() - start, 3_599_000)
            assert.isAtMost(latest() - start, 3_601_000)
            assert.strictEqual(wire.tokenRequests(), life + 1)
          }
          assert.strictEqual((yield* sandbox.report).rejections, 0)
          assert.deepStrictEqual(yield* polite(sandbox), manners)
        })
    )

    it.scoped(
      `law 29: ${name}: a day of 1-hour tokens, the server ${reported}: no rejection, one token request a lifetime`,
      () =>
        manually(function* (clock) {
          const options = { sandbox: { lifetime: "1 hour", clockOffset }, renewal: "background" } as const
          const { api, sandbox, session, wire } = yield* application(entry, options)
          for (let i = 0; i < 48; i++) {
            assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
            assert.strictEqual((yield* session.status).token, "fresh")
            yield* clock.advance("30 minutes")
          }
          const { logins, refreshes, rejections } = yield* sandbox.report
          assert.strictEqual(rejections, 0)
          // Renewed after 54.5 to 55 minutes each.
          assert.isAtLeast(wire.tokenRequests(), 27)
          assert.isAtMost(wire.tokenRequests(), 28)
          assert.strictEqual(entry.refreshes ? logins : refreshes, entry.refreshes ? entry.steps : 0)
          assert.deepStrictEqual(yield* polite(sandbox), manners)
        })
    )
  }

  it.scoped(
    `law 29: ${name}: a token of 26 days is renewed once, at the right moment, whatever a timer can wait for`,
    () =>
      manually(function* (clock) {
        const sandbox = { lifetime: "26 days", refreshLifetime: "90 days" } as const
        const { session, wire } = yield* signedIn(entry, { sandbox, renewal: true })
        const token = value(yield* session.accessToken)
        yield* clock.advance("25 days")
        yield* clock.advance("1410 minutes")
        assert.strictEqual(wire.tokenRequests(), 1)
        yield* clock.advance("26 minutes")
        assert.strictEqual(wire.tokenRequests(), 2)
        assert.notStrictEqual(value(yield* session.accessToken), token)
      })
  )

  it.scoped(`law 29: ${name}: renewal survives what passes, also past the end of the token`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry, { renewal: true })
      yield* sandbox.faults.inject(renewing(entry), Faults.Status({ status: 503 }), Number.POSITIVE_INFINITY)
      yield* clock.advance("10 minutes")
      // 6 minutes of attempts: half a minute apart, but for the first few.
      assert.isAtLeast(wire.tokenRequests(), 12)
      assert.isAtMost(wire.tokenRequests(), 26)
      yield* sandbox.faults.clear
      yield* clock.advance("30 seconds")
      assert.strictEqual((yield* session.status).token, "fresh")
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 29: ${name}: it stops at a logout, starts again with a login, and ends with its scope`, () =>
    manually(function* (clock) {
      const scope = yield* Scope.make()
      const { session, wire } = yield* Scope.extend(signedIn(entry, { renewal: true }), scope)
      yield* session.logout
      yield* clock.advance("1 hour")
      assert.strictEqual(wire.tokenRequests(), 1)
      yield* session.login
      yield* clock.advance("9 minutes")
      assert.strictEqual(wire.tokenRequests(), 4)
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 day")
      assert.strictEqual(wire.tokenRequests(), 4)
    })
  )

  it.scoped(`law 29: ${name}: with renewal on use, nothing is sent that no one asked for`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* application(entry, { renewal: "on-use" })
      yield* session.accessToken
      yield* clock.advance("1 day")
      assert.strictEqual(wire.tokenRequests(), 1)
      assert.strictEqual(yield* tagOf(session.accessToken), "success")
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )
})

describe.each(refreshing)("life, with $name", (entry) => {
  it.scoped(`law 29: ${entry.name}: it stops at what is lasting, and starts again with other tokens`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* passwordless(entry, { renewal: true })
      yield* sandbox.revokeRefreshTokens
      const before = wire.tokenRequests()
      yield* clock.advance("6 hours")
      assert.strictEqual(wire.tokenRequests(), before + 1)
      assert.strictEqual((yield* session.status).state, "failed")
      yield* session.adopt(Token.make({ refreshToken: secret(yield* sandbox.mintRefreshToken) }))
      yield* session.accessToken
      yield* clock.advance("9 minutes")
      assert.strictEqual(wire.tokenRequests(), before + 4)
    })
  )

  it.scoped(`law 15 and 29: ${entry.name}: a month away, it logs in once, without presenting what has ended`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* world(entry)
      yield* session.accessToken
      yield* clock.advance("31 days")
      assert.strictEqual(yield* tagOf(session.accessToken), "success")
      assert.deepStrictEqual([wire.count("login"), wire.count("refresh")], [2, 0])
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )
})
