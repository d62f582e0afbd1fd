import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Either, Exit, Fiber, Option } from "effect"
import { manually } from "../../support/ManualClock.js"
import { application, flush, herd, manners, polite, signedIn, statusOf, tagOf, value, world } from "./harness.js"
import { entries } from "./table.js"

describe.each(entries)("reading, with $name", (entry) => {
  const { name } = entry

  it.scoped(`law 1: ${name}: a fresh token is answered without lock, network, store or fork`, () =>
    manually(function* (clock) {
      const { session, store, wire } = yield* signedIn(entry)
      const token = value(yield* session.accessToken)
      const before = { sent: wire.sent.length, loads: store.state.loads, saves: store.state.saves }
      for (let i = 0; i < 500; i++) {
        // Synchronously, that is without a single yield to another fiber.
        const exit = Effect.runSyncExit(Effect.withClock(session.accessToken, clock.clock))
        assert.deepStrictEqual(Exit.map(exit, value), Exit.succeed(token))
      }
      const after = { sent: wire.sent.length, loads: store.state.loads, saves: store.state.saves }
      assert.deepStrictEqual(after, before)
    })
  )

  it.scoped(`law 2: ${name}: a stale token is answered at once, and exactly one token request runs behind`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry)
      const old = value(yield* session.accessToken)
      yield* clock.advance("4 minutes")
      const paused = yield* wire.hold(entry.refreshes ? "refresh" : "login")
      const all = yield* herd(100, session.accessToken)
      assert.isTrue(all.every((one) => Either.isRight(one) && value(one.right) === old))
      yield* paused.arrived
      assert.strictEqual(value(yield* session.accessToken), old)
      yield* paused.respond
      yield* flush
      assert.notStrictEqual(value(yield* session.accessToken), old)
      assert.strictEqual(wire.tokenRequests(), 2)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 2: ${name}: an expired token is never answered; its reader waits for the token request`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* signedIn(entry)
      const old = value(yield* session.accessToken)
      yield* clock.advance("5 minutes")
      const paused = yield* wire.hold(entry.refreshes ? "refresh" : "login")
      const reader = yield* Effect.fork(session.accessToken)
      yield* paused.arrived
      yield* flush
      assert.isTrue(Option.isNone(yield* Fiber.poll(reader)))
      yield* paused.respond
      assert.notStrictEqual(value(yield* Fiber.join(reader)), old)
    })
  )

  it.scoped(`law 3: ${name}: a 5-minute token with a leeway of 5 minutes is used for 4 minutes, to the second`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* signedIn(entry, { leeway: "5 minutes" })
      for (let second = 0; second < 240; second++) {
        yield* session.accessToken
        yield* clock.advance("1 second")
      }
      assert.strictEqual(wire.tokenRequests(), 1)
      yield* session.accessToken
      yield* flush
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )

  it.scoped(`law 3: ${name}: in the background it is renewed after 234 to 240 seconds, each time`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry, { leeway: "5 minutes", renewal: true })
      for (let i = 0; i < 360; i++) {
        assert.strictEqual((yield* session.status).token, "fresh")
        yield* clock.advance("10 seconds")
      }
      const at = wire.sent.flatMap(({ at, kind }) => (kind === "login" || kind === "refresh" ? [at] : []))
      const gaps = at.slice(1).map((one, i) => one - (at[i] ?? 0))
      assert.isTrue(gaps.every((gap) => gap >= 234_000 && gap <= 240_000))
      assert.strictEqual(gaps.length, 15)
      assert.isAbove(new Set(gaps).size, 5, "jitter")
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  for (const { fault, seconds, title } of entry.lifetimes) {
    it.scoped(`law 4: ${name}: ${title}, whatever the clock of the server says`, () =>
      manually(function* () {
        for (const clockOffset of [0, 7_200_000, -7_200_000]) {
          const { sandbox, session } = yield* world(entry, { sandbox: { clockOffset } })
          const odd = fault((yield* Clock.currentTimeMillis) + clockOffset)
          const lifetime = Effect.map(Effect.all([session.status, DateTime.now]), ([{ expiresAt }, now]) =>
            Option.map(expiresAt, (end) => DateTime.distance(now, end) / 1000)
          )
          yield* sandbox.faults.inject("login", odd, entry.steps)
          yield* session.accessToken
          assert.deepStrictEqual(yield* lifetime, Option.fromNullable(seconds), `log in, ${clockOffset}`)
          if (!entry.refreshes || clockOffset !== 0) continue
          yield* sandbox.faults.inject("refresh", odd)
          yield* session.refresh
          assert.deepStrictEqual(yield* lifetime, Option.fromNullable(seconds), "refresh")
        }
      })
    )
  }

  it.scoped(`law 4: ${name}: a token that says nothing of its end is refreshed once the API rejects it`, () =>
    manually(function* (clock) {
      const silent = entry.lifetimes.find(({ seconds }) => seconds === undefined || seconds === 86_400)
      const { api, sandbox, session, wire } = yield* application(entry, { leeway: 0 })
      assert.isDefined(silent)
      yield* sandbox.faults.inject("login", silent.fault(0), entry.steps)
      const old = value(yield* session.accessToken)
      yield* clock.advance("5 minutes")
      assert.strictEqual(value(yield* session.accessToken), old)
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
      assert.notStrictEqual(value(yield* session.accessToken), old)
      assert.strictEqual((yield* sandbox.report).rejections, 1)
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )

  it.scoped(`law 5: ${name}: a wall clock set back does not make a dead token look alive`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* signedIn(entry)
      const old = value(yield* session.accessToken)
      yield* clock.setWall("1 hour", -1)
      yield* clock.advance("5 minutes")
      assert.notStrictEqual(value(yield* session.accessToken), old)
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )

  it.scoped(`law 5: ${name}: a machine that slept past the end serves no dead token`, () =>
    manually(function* (clock) {
      const { api, sandbox, session } = yield* application(entry)
      const old = value(yield* session.accessToken)
      yield* clock.setWall("8 hours")
      assert.notStrictEqual(value(yield* session.accessToken), old)
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
      assert.strictEqual((yield* sandbox.report).rejections, 0)
    })
  )

  it.scoped(`${name}: the API accepts what is answered, from the first moment to the last`, () =>
    manually(function* (clock) {
      const { api, sandbox, session } = yield* application(entry, { leeway: 0 })
      assert.strictEqual(yield* tagOf(session.accessToken), "success")
      yield* clock.advance("4 minutes")
      yield* clock.advance("59999 millis")
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
      yield* clock.advance("1 milli")
      assert.strictEqual(yield* statusOf(api.get(entry.list)), 200)
      const { api: calls, rejections } = yield* sandbox.report
      assert.deepStrictEqual({ calls, rejections }, { calls: 2, rejections: 0 })
    })
  )
})
