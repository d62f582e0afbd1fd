import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Fiber, Option, Stream, TestClock } from "effect"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Status from "../../../src/session/machine/Status.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"
import { fails, failure, herd, paused, provider, secret, session, watchedStore } from "../../support/harness.js"
import * as Records from "../../support/records.js"

/** Lets whatever can run without the clock run. */
const flush = Effect.repeatN(Effect.yieldNow(), 100)

/** A status in plain values: instants and durations in seconds, which is how long the test has run. */
const plain = (status: Status.Status) => {
  const at = Option.map((instant: DateTime.Utc) => DateTime.toEpochMillis(instant) / 1000)
  const long = Option.map(Duration.toSeconds)
  return {
    ...status,
    since: DateTime.toEpochMillis(status.since) / 1000,
    age: Option.getOrUndefined(long(status.age)),
    expiresAt: Option.getOrUndefined(at(status.expiresAt)),
    renewsAt: Option.getOrUndefined(at(status.renewsAt)),
    refreshAge: Option.getOrUndefined(long(status.refreshAge)),
    refreshExpiresAt: Option.getOrUndefined(at(status.refreshExpiresAt)),
    failure: Option.getOrUndefined(status.failure)?._tag,
    failedAt: Option.getOrUndefined(at(status.failedAt))
  }
}

const look = (s: Session.Service) => Effect.map(s.status, plain)

const seed = Token.make({ accessToken: undefined, refreshToken: secret("test-seed") })

const unused: ReturnType<typeof plain> = {
  provider: "test",
  state: "signed-out",
  since: 0,
  token: "none",
  age: undefined,
  expiresAt: undefined,
  renewsAt: undefined,
  generation: 0,
  inFlight: false,
  refreshToken: "none",
  refreshAge: undefined,
  refreshExpiresAt: undefined,
  failure: undefined,
  failedAt: undefined,
  failures: 0,
  loaded: false,
  saved: true
}

describe("the status", () => {
  it.scoped(
    "tells all of a session's life: before its use, during the first token request, fresh, stale, renewed, out",
    () =>
      Effect.gen(function* () {
        const p = provider({ refreshLifetime: "1 hour" })
        const s = yield* session(p).pipe(Effect.withRandomFixed([0]))
        assert.deepStrictEqual(yield* look(s), unused)

        yield* TestClock.adjust("10 seconds")
        const flight = yield* paused
        p.next(flight.tokenRequest)
        const first = yield* Effect.fork(s.accessToken.pipe(Effect.withRandomFixed([0])))
        yield* flight.sent
        assert.deepStrictEqual(yield* look(s), { ...unused, inFlight: true, loaded: true })
        yield* flight.respond
        yield* Fiber.join(first)

        const signedIn: ReturnType<typeof plain> = {
          ...unused,
          state: "signed-in",
          since: 10,
          token: "fresh",
          age: 0,
          expiresAt: 310,
          generation: 1,
          refreshToken: "usable",
          refreshAge: 0,
          refreshExpiresAt: 3610,
          loaded: true
        }
        const { renewsAt, ...fresh } = yield* look(s)
        assert.deepStrictEqual({ ...fresh, renewsAt: undefined }, signedIn)
        assert.isTrue(renewsAt !== undefined && renewsAt >= 10 + 180 && renewsAt <= 10 + 240, `renews at ${renewsAt}`)

        yield* TestClock.adjust("4 minutes")
        assert.deepStrictEqual(yield* look(s), {
          ...signedIn,
          token: "stale",
          age: 240,
          refreshAge: 240,
          renewsAt: 250
        })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* look(s), {
          ...signedIn,
          token: "expired",
          age: 300,
          refreshAge: 300,
          renewsAt: 310
        })

        yield* TestClock.adjust("1 minute")
        yield* s.accessToken
        const renewed: ReturnType<typeof plain> = { ...signedIn, generation: 2, expiresAt: 670, refreshAge: 360 }
        assert.deepStrictEqual({ ...(yield* look(s)), renewsAt: undefined }, renewed)

        yield* TestClock.adjust("30 seconds")
        yield* s.logout
        assert.deepStrictEqual(yield* look(s), { ...unused, since: 400, generation: 3, loaded: true })
      })
  )

  it.scoped("failures that may pass are counted and dated, and change no state", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: 0 })
      yield* s.accessToken
      yield* TestClock.adjust("4 minutes")
      p.always(fails(failure.unspent))
      for (const [failures, failedAt] of [
        [1, 240],
        [2, 300],
        [3, 360]
      ] as const) {
        yield* Effect.exit(s.refresh)
        const { renewsAt, ...now } = yield* look(s)
        assert.deepInclude(now, { state: "signed-in", since: 0, failure: "NetworkFailure", failures, failedAt })
        // Not before the end of the cool-down.
        assert.isTrue(renewsAt !== undefined && renewsAt > failedAt && renewsAt < failedAt + 2, `renews at ${renewsAt}`)
        yield* TestClock.adjust("1 minute")
      }
      p.always(undefined)
      yield* s.accessToken
      assert.deepInclude(yield* look(s), { failure: undefined, failures: 0, failedAt: undefined, since: 0 })
    })
  )

  it.scoped("it has failed since its token ended and nothing could obtain another, until it is signed in again", () =>
    Effect.gen(function* () {
      const p = provider({ refreshable: false })
      let there = true
      const credentials = Effect.suspend(() =>
        there
          ? Effect.succeed({ username: secret("test-user"), password: secret("test-password") })
          : failure.misconfigured
      )
      const s = yield* session(p, { credentials })
      yield* s.accessToken
      there = false
      yield* TestClock.adjust("4 minutes")
      yield* s.accessToken
      yield* flush
      // While the token is good, it is signed in, and the failure stands beside it.
      assert.deepInclude(yield* look(s), { state: "signed-in", token: "stale", failure: "Misconfigured", since: 0 })
      yield* TestClock.adjust("3 minutes")
      const failed = { state: "failed", token: "expired", failure: "Misconfigured", failures: 0 } as const
      // That it ended was no event; it is dated back all the same.
      assert.deepInclude(yield* look(s), { ...failed, since: 300, failedAt: 240 })
      there = true
      yield* s.login
      assert.deepInclude(yield* look(s), { state: "signed-in", since: 420, failure: undefined, failedAt: undefined })
    })
  )

  it.scoped("that nothing can obtain another token is no failure before the one in force has ended", () =>
    Effect.gen(function* () {
      const s = yield* session(provider(), { credentials: "none" })
      yield* s.adopt(Token.make({ accessToken: secret("test-adopted"), lifetime: "5 minutes" }))
      yield* TestClock.adjust("4 minutes")
      yield* s.accessToken
      yield* flush
      assert.deepInclude(yield* look(s), {
        state: "signed-in",
        token: "stale",
        failure: undefined,
        failedAt: undefined
      })
      assert.strictEqual((yield* Session.health(s)).health, "ready")
      yield* TestClock.adjust("1 minute")
      yield* Effect.exit(s.accessToken)
      assert.deepInclude(yield* look(s), { state: "failed", since: 300, failure: "TokenExpired", failedAt: 300 })
    })
  )

  it.scoped("what the store keeps: saved, not saved, saved at last", () =>
    Effect.gen(function* () {
      const store = yield* watchedStore
      const s = yield* session(provider(), { store: store.service })
      store.state.save = Effect.fail(new AuthError.StoreFailure({ operation: "save", problem: "full" }))
      yield* s.accessToken
      assert.deepInclude(yield* look(s), { loaded: true, saved: false, generation: 1 })
      store.state.save = undefined
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* look(s), { saved: true, generation: 1 })
    })
  )

  it.scoped("a token without a known end neither ends nor is renewed", () =>
    Effect.gen(function* () {
      const s = yield* session(provider({ lifetime: "unstated" }))
      yield* s.accessToken
      yield* TestClock.adjust("365 days")
      assert.deepInclude(yield* look(s), { token: "fresh", expiresAt: undefined, renewsAt: undefined, age: 31_536_000 })
    })
  )
})

describe("the refresh token is", () => {
  const phase = (s: Session.Service) => Effect.map(s.status, ({ refreshToken }) => refreshToken)

  it.scoped("none, when there is none", () =>
    Effect.gen(function* () {
      const s = yield* session(provider({ refreshable: false }))
      yield* s.accessToken
      assert.deepInclude(yield* look(s), { refreshToken: "none", refreshAge: undefined, refreshExpiresAt: undefined })
    })
  )

  it.scoped("usable, ends-soon in its last fifth or three days, and ended", () =>
    Effect.gen(function* () {
      for (const [lifetime, soon] of [
        ["10 hours", "8 hours"],
        ["30 days", "27 days"]
      ] as const) {
        const s = yield* session(provider({ lifetime: "60 days", refreshLifetime: lifetime }))
        yield* s.accessToken
        yield* TestClock.adjust(Duration.subtract(Duration.decode(soon), "1 second"))
        assert.strictEqual(yield* phase(s), "usable")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* phase(s), "ends-soon")
        yield* TestClock.adjust(Duration.subtract(Duration.decode(lifetime), soon))
        assert.strictEqual(yield* phase(s), "ended")
      }
    })
  )

  it.scoped("in doubt after an unknown outcome of its one use, and not while it is being used", () =>
    Effect.gen(function* () {
      const p = provider({ rotation: "single-use" })
      const s = yield* session(p, { patience: 0 })
      yield* s.accessToken
      const flight = yield* paused
      p.next((_, asked) => flight.tokenRequest(Effect.fail(failure.unknown), asked))
      const caller = yield* Effect.fork(Effect.exit(s.refresh))
      yield* flight.sent
      assert.strictEqual(yield* phase(s), "usable")
      yield* flight.respond
      yield* Fiber.join(caller)
      assert.strictEqual(yield* phase(s), "in-doubt")
    })
  )

  it.scoped("refused, or ended, when the server says so", () =>
    Effect.gen(function* () {
      const ended = new AuthError.TokenExpired({ provider: "test", token: "refresh" })
      for (const [error, expected] of [
        [failure.refused, "refused"],
        [ended, "ended"]
      ] as const) {
        const p = provider()
        const s = yield* session(p, { credentials: "none", seed })
        yield* s.accessToken
        assert.strictEqual(yield* phase(s), "usable")
        p.next(fails(error))
        yield* Effect.exit(s.refresh)
        assert.strictEqual(yield* phase(s), expected)
      }
    })
  )
})

describe("changes", () => {
  /** What is told while an effect runs, in short. */
  const reported = <A, E>(s: Session.Service, effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const seen: Array<Status.Status> = []
      const reading = yield* Effect.fork(Stream.runForEach(s.changes, (one) => Effect.sync(() => seen.push(one))))
      yield* flush
      yield* Effect.exit(effect)
      yield* flush
      yield* Fiber.interrupt(reading)
      return seen
    })

  it.scoped("tells each status that differs, once and in order", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: 0 })
      const seen = yield* reported(
        s,
        Effect.gen(function* () {
          yield* herd(50, s.accessToken)
          p.next(fails(failure.unspent))
          yield* Effect.exit(s.refresh)
          yield* TestClock.adjust("1 second")
          yield* s.refresh
          yield* s.logout
        })
      )
      const short = seen.map(({ inFlight, failures, generation, state }) =>
        [state, generation, inFlight ? "inFlight" : "at rest", failures].join(" ")
      )
      assert.deepStrictEqual(
        short.filter((one, i) => one !== short[i - 1]),
        [
          "signed-out 0 at rest 0",
          "signed-out 0 inFlight 0",
          "signed-in 1 at rest 0",
          "signed-in 1 inFlight 0",
          "signed-in 1 at rest 1",
          "signed-in 1 inFlight 1",
          "signed-in 2 at rest 0",
          "signed-out 3 at rest 0"
        ]
      )
      for (const [i, one] of seen.entries()) {
        const next = seen[i + 1]
        assert.isFalse(next !== undefined && Status.equivalence(one, next))
      }
    })
  )

  it.scoped("tells nothing because time passes, or because someone reads", () =>
    Effect.gen(function* () {
      const s = yield* session(provider({ lifetime: "unstated" }))
      yield* s.accessToken
      const passing = Effect.gen(function* () {
        for (let i = 0; i < 10; i++) {
          yield* TestClock.adjust("1 hour")
          yield* herd(10, s.accessToken)
          yield* herd(10, s.status)
        }
      })
      assert.strictEqual((yield* reported(s, passing)).length, 1)
    })
  )

  it.scoped("two statuses that differ in ages and the next renewal only say the same", () =>
    Effect.gen(function* () {
      const s = yield* session(provider())
      yield* s.accessToken
      const before = yield* s.status
      yield* TestClock.adjust("1 minute")
      const after = yield* s.status
      assert.notDeepEqual(plain(before), plain(after))
      assert.isTrue(Status.equivalence(before, after))
      yield* TestClock.adjust("3 minutes")
      assert.isFalse(Status.equivalence(before, yield* s.status))
    })
  )
})

describe("health", () => {
  const soon = { lifetime: "29 days", refreshLifetime: "30 days" } as const

  it.scoped("is ready with a valid token, for which it asks if there is none", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      assert.deepStrictEqual(Status.health(yield* s.status), {
        health: "unready",
        problems: ["the session is signed out"]
      })
      assert.deepStrictEqual(yield* Session.health(s), { health: "ready", problems: [] })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(Status.health(yield* s.status), {
        health: "unready",
        problems: ["the access token has expired"]
      })
      assert.deepStrictEqual(yield* Session.health(s), { health: "ready", problems: [] })
      assert.strictEqual(p.count().total, 2)
    })
  )

  it.scoped("says so when there is no token yet", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const probe = yield* Effect.fork(Session.health(s))
      yield* flight.sent
      assert.deepStrictEqual(Status.health(yield* s.status), {
        health: "unready",
        problems: ["the session is signed out", "a token request is under way"]
      })
      yield* flight.respond
      assert.deepStrictEqual((yield* Fiber.join(probe)).health, "ready")
    })
  )

  it.scoped("never leaves an unready session without a problem", () =>
    Effect.gen(function* () {
      const store = yield* watchedStore
      // Kept by a version of yesterday: a refresh token, and no access token.
      yield* Records.save(store.inner, "test https://api.test/v1/", { tokens: Option.some(seed) })
      const p = provider()
      p.always(fails(failure.unspent))
      const s = yield* session(p, { store: store.service, patience: 0 })
      assert.deepStrictEqual(yield* Session.health(s), {
        health: "unready",
        problems: ["there is no access token yet", "test: unreachable"]
      })
    })
  )

  it.scoped("is degraded while a valid token has something to see to", () =>
    Effect.gen(function* () {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { patience: 0, store: store.service })
      store.state.save = Effect.fail(new AuthError.StoreFailure({ operation: "save", problem: "full" }))
      assert.deepStrictEqual(yield* Session.health(s), {
        health: "degraded",
        problems: ["the token store does not have the current tokens"]
      })
      store.state.save = undefined
      yield* TestClock.adjust("1 minute")
      p.next(fails(failure.busy("10 seconds")))
      yield* Effect.exit(s.refresh)
      assert.deepStrictEqual(yield* Session.health(s), {
        health: "degraded",
        problems: ["test: rate-limited (status 429, asked to wait 10s)"]
      })
      const ending = yield* session(provider(soon))
      yield* ending.accessToken
      yield* TestClock.adjust("28 days")
      assert.deepStrictEqual(Status.health(yield* ending.status), {
        health: "degraded",
        problems: ["the refresh token expires soon"]
      })
    })
  )

  it.scoped("is unready without a token, and says why", () =>
    Effect.gen(function* () {
      const out = yield* session(provider(), { credentials: "none" })
      assert.deepStrictEqual(yield* Session.health(out), { health: "unready", problems: ["the session is signed out"] })
      const p = provider()
      const refused = yield* session(p, { credentials: "none", seed })
      yield* refused.accessToken
      p.always(fails(failure.refused))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Session.health(refused), {
        health: "unready",
        problems: ["the access token has expired", "test: the refresh token was refused (revoked); sign in again"]
      })
    })
  )

  it.scoped("laws 6 and 9: a thousand probes during an outage cost no more token requests than one caller", () =>
    Effect.gen(function* () {
      const tokenRequests = (probes: number) =>
        Effect.gen(function* () {
          const p = provider()
          const s = yield* session(p, { patience: 0 })
          p.always(fails(failure.unspent))
          for (let i = 0; i < 10; i++) {
            const all = yield* herd(probes, Session.health(s))
            assert.isTrue(all.every((one) => one._tag === "Right" && one.right.health === "unready"))
            yield* TestClock.adjust("1 second")
          }
          return p.count().total
        }).pipe(Effect.withRandomFixed([0]))
      assert.strictEqual(yield* tokenRequests(100), yield* tokenRequests(1))
    })
  )

  it.scoped("and wait no longer than any other caller", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: "3 seconds" })
      p.always(fails(failure.busy("10 minutes")))
      const probe = yield* Effect.fork(Session.health(s))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(probe)).health, "unready")
      assert.strictEqual(p.count().total, 1)
    })
  )
})
