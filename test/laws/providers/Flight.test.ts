import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Either, Fiber, Option } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import { manually } from "../../support/ManualClock.js"
import {
  application,
  flush,
  herd,
  manners,
  passwordless,
  polite,
  signedIn,
  statusOf,
  tagOf,
  value,
  world
} from "./harness.js"
import { type Entry, entries, refreshing } from "./table.js"

const busy = (retryAfter?: string) => Faults.Status({ status: 503, retryAfter })

/** The token request that renews. */
const renewing = (entry: Entry) => (entry.refreshes ? "refresh" : "login")

describe.each(entries)("the flight, with $name", (entry) => {
  const { name } = entry

  it.scoped(`law 6: ${name}: 100 callers make one login at the start and one token request at expiry`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* world(entry)
      for (const tokenRequests of [1, 2]) {
        const all = yield* herd(100, session.accessToken)
        const token = value(yield* session.accessToken)
        assert.isTrue(all.every((one) => Either.isRight(one) && value(one.right) === token))
        assert.strictEqual(wire.tokenRequests(), tokenRequests)
        yield* clock.advance("5 minutes")
      }
      const { logins } = yield* sandbox.report
      assert.strictEqual(logins, entry.refreshes ? entry.steps : 2)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 6: ${name}: readers, refreshers and rejecters of one token share a token request`, () =>
    manually(function* () {
      const { sandbox, session, wire } = yield* signedIn(entry)
      const token = yield* session.accessToken
      const paused = yield* wire.hold(renewing(entry))
      const ways = [session.refresh, session.reject(token)]
      const all = yield* Effect.fork(herd(20, Effect.all(ways, { concurrency: 2 })))
      yield* paused.arrived
      yield* paused.respond
      const got = (yield* Fiber.join(all)).flatMap((one) => Either.getOrThrow(one).map(value))
      assert.deepStrictEqual([...new Set(got)], [value(yield* session.accessToken)])
      assert.strictEqual(wire.tokenRequests(), 2)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(
    `law 7: ${name}: the first caller, interrupted at any point, neither ends nor doubles the token request`,
    () =>
      manually(function* (clock) {
        const { sandbox, session, wire } = yield* signedIn(entry)
        let before = value(yield* session.accessToken)
        for (let steps = 0; steps < 24; steps += 3) {
          yield* clock.advance("5 minutes")
          const tokenRequests = wire.tokenRequests()
          const first = yield* Effect.fork(session.accessToken)
          for (let i = 0; i < steps; i++) yield* Effect.yieldNow()
          yield* Fiber.interrupt(first)
          const after = value(yield* session.accessToken)
          assert.notStrictEqual(after, before, `after ${steps} steps`)
          assert.strictEqual(wire.tokenRequests(), tokenRequests + 1, `after ${steps} steps`)
          before = after
        }
        assert.deepStrictEqual(yield* polite(sandbox), manners)
      })
  )

  it.scoped(`law 8: ${name}: with every caller gone, the answer is still committed and saved`, () =>
    manually(function* (clock) {
      const { stored, sandbox, session, wire } = yield* signedIn(entry)
      const old = value(yield* session.accessToken)
      yield* clock.advance("5 minutes")
      const paused = yield* wire.hold(renewing(entry))
      const callers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(session.accessToken))
      yield* paused.arrived
      yield* Fiber.interruptAll(callers)
      yield* paused.respond
      yield* flush
      const record = yield* stored
      assert.strictEqual(record.generation, 2)
      const saved = Option.flatMap(record.tokens, (tokens) => tokens.accessToken)
      assert.notStrictEqual(value(Option.getOrThrow(saved)), old)
      assert.strictEqual(value(yield* session.accessToken), value(Option.getOrThrow(saved)))
      assert.strictEqual(wire.tokenRequests(), 2)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  const attempts = (callers: number) =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry, { patience: "2 seconds" })
      yield* clock.advance("5 minutes")
      yield* sandbox.faults.inject(renewing(entry), busy(), Number.POSITIVE_INFINITY)
      const all = yield* Effect.fork(herd(callers, session.accessToken))
      yield* clock.advance("3 seconds")
      const results = yield* Fiber.join(all)
      assert.isTrue(results.every((one) => Either.isLeft(one) && one.left._tag === "NetworkFailure"))
      return wire.tokenRequests() - 1
    })

  it.scoped(`law 9: ${name}: the attempts at a dead endpoint are the same for 1 caller and for 100`, () =>
    Effect.gen(function* () {
      // After 0, 0.25, 0.75 and 1.75 seconds, jitter aside; the next would come after patience has ended.
      assert.deepStrictEqual([yield* attempts(1), yield* attempts(100)], [4, 4])
    })
  )

  it.scoped(`law 9: ${name}: callers within their patience get the token once the endpoint is back`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry)
      yield* clock.advance("5 minutes")
      yield* sandbox.faults.inject(renewing(entry), busy(), 2)
      const all = yield* Effect.fork(herd(50, session.accessToken))
      yield* clock.advance("3 seconds")
      assert.isTrue((yield* Fiber.join(all)).every(Either.isRight))
      assert.strictEqual(wire.tokenRequests(), 4)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(
    `law 9: ${name}: the server is left alone as long as it asks, in seconds or until a date by its clock`,
    () =>
      manually(function* (clock) {
        for (const clockOffset of [undefined, 0, 7_200_000, -7_200_000]) {
          const { sandbox, session, wire } = yield* signedIn(entry, { sandbox: { clockOffset }, patience: 0 })
          yield* clock.advance("5 minutes")
          const until = httpDate((yield* Clock.currentTimeMillis) + (clockOffset ?? 0) + 40_000)
          yield* sandbox.faults.inject(renewing(entry), busy(clockOffset === undefined ? "40" : until))
          for (const pause of ["1 second", "20 seconds", "18999 millis", "1 milli"] as const) {
            assert.strictEqual(yield* tagOf(session.accessToken), "NetworkFailure")
            yield* clock.advance(pause)
          }
          assert.strictEqual(wire.tokenRequests(), 2)
          assert.strictEqual(yield* tagOf(session.accessToken), "success")
        }
      })
  )

  it.scoped(`law 9: ${name}: a token request is one attempt of bounded time`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry, { timeout: "10 seconds", patience: 0 })
      yield* clock.advance("5 minutes")
      yield* sandbox.faults.inject(renewing(entry), Faults.Delay({ duration: "1 hour" }))
      const caller = yield* Effect.fork(Effect.flip(session.accessToken))
      yield* clock.advance(entry.steps > 1 ? "10 seconds" : "9999 millis")
      if (entry.steps === 1) assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
      yield* clock.advance("1 milli")
      const failure = yield* Fiber.join(caller)
      assert.deepInclude(failure, { _tag: "NetworkFailure", reason: "timeout", outcome: "unknown" })
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )

  it.scoped(
    `law 10: ${name}: a revoked token is replaced at once, however young, and one replaced already is not`,
    () =>
      manually(function* () {
        const { api, sandbox, session, wire } = yield* application(entry)
        const old = yield* session.accessToken
        yield* sandbox.revokeAccessTokens
        assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
        assert.strictEqual(wire.tokenRequests(), 2)
        for (let i = 0; i < 100; i++) {
          assert.strictEqual(value(yield* session.reject(old)), value(yield* session.accessToken))
        }
        assert.strictEqual(wire.tokenRequests(), 2)
        assert.deepStrictEqual(yield* polite(sandbox), manners)
      })
  )

  it.scoped(`law 10: ${name}: 30 requests rejected at once cost one token request, and all succeed`, () =>
    manually(function* () {
      const { api, sandbox, session, wire } = yield* application(entry)
      yield* session.accessToken
      yield* sandbox.revokeAccessTokens
      const responses = yield* herd(30, statusOf(api.get(entry.list)))
      assert.deepStrictEqual([...new Set(responses.map(Either.getOrNull))], [200])
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )

  it.scoped(`law 10: ${name}: an API that refuses everything costs a handful of token requests a minute`, () =>
    manually(function* (clock) {
      const { api, sandbox, wire } = yield* application(entry, { sandbox: { lifetime: "1 day" } })
      yield* sandbox.faults.inject("api", Faults.Status({ status: 401 }), Number.POSITIVE_INFINITY)
      const perMinute: Array<number> = []
      for (let minute = 0; minute < 3; minute++) {
        const before = wire.tokenRequests()
        for (let i = 0; i < 15; i++) {
          assert.strictEqual(yield* statusOf(api.get(entry.list)), 401)
          yield* clock.advance("4 seconds")
        }
        perMinute.push(wire.tokenRequests() - before)
      }
      assert.isAtMost(Math.max(...perMinute), 6)
      assert.isAtMost(perMinute.at(-1) ?? 99, 2)
      assert.isAtLeast(Math.min(...perMinute), 1, "it is tried again, too")
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  for (const renewal of ["background", "on-use"] as const) {
    it.scoped(`law 11: ${name}: lifetimes that are nonsense cause no storm (${renewal})`, () =>
      manually(function* (clock) {
        for (const stated of [0, -3600, "soon"]) {
          const { sandbox, session, wire } = yield* world(entry, { renewal: renewal === "background" })
          const odd = entry.stating(stated)
          yield* sandbox.faults.inject("login", odd, Number.POSITIVE_INFINITY)
          yield* sandbox.faults.inject("refresh", odd, Number.POSITIVE_INFINITY)
          for (let i = 0; i < 30; i++) {
            assert.strictEqual(yield* tagOf(session.accessToken), "success")
            yield* clock.advance("2 seconds")
          }
          assert.strictEqual(wire.tokenRequests(), 1, `${stated}`)
        }
      })
    )
  }

  it.scoped(`law 11: ${name}: tokens that are dead on arrival cost a handful of token requests a minute`, () =>
    manually(function* (clock) {
      const { api, sandbox, wire } = yield* application(entry, { renewal: "background" })
      // What is said of their lifetime is a lie.
      const lie = entry.stating(3600)
      yield* sandbox.setLifetime(0)
      yield* sandbox.faults.inject("login", lie, Number.POSITIVE_INFINITY)
      yield* sandbox.faults.inject("refresh", lie, Number.POSITIVE_INFINITY)
      for (let i = 0; i < 30; i++) {
        assert.isTrue(entry.rejections.includes(yield* statusOf(api.get(entry.list))))
        yield* clock.advance("4 seconds")
      }
      assert.isAtMost(wire.tokenRequests(), 15)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 11: ${name}: honest tokens of 2 seconds work, at about one token request each`, () =>
    manually(function* (clock) {
      const { api, sandbox, wire } = yield* application(entry, { sandbox: { lifetime: "2 seconds" } })
      for (let i = 0; i < 40; i++) {
        assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
        yield* clock.advance("500 millis")
      }
      assert.strictEqual((yield* sandbox.report).rejections, 0)
      assert.isAtMost(wire.tokenRequests(), 13)
      assert.isAtLeast(wire.tokenRequests(), 10)
    })
  )
})

describe.each(refreshing)("the flight, with $name", (entry) => {
  it.scoped(`law 6: ${entry.name}: a lasting failure is shared by all, and asked for once`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* passwordless(entry)
      yield* sandbox.revokeRefreshTokens
      yield* clock.advance("5 minutes")
      const before = wire.tokenRequests()
      const results = yield* herd(50, session.accessToken)
      assert.isTrue(results.every((one) => Either.isLeft(one) && one.left._tag === "InvalidRefreshToken"))
      assert.strictEqual(wire.tokenRequests(), before + 1)
    })
  )
})
