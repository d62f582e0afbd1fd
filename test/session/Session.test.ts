import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  Deferred,
  type Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Option,
  Random,
  Scheduler,
  Scope,
  TestClock
} from "effect"
import * as Token from "../../src/token/Token.js"
import {
  fails,
  failure,
  herd,
  paused,
  provider,
  secret,
  session,
  until,
  value,
  watchedStore
} from "../support/harness.js"
import { manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"

const yieldingAtRandom = (seed: number): Scheduler.Scheduler => {
  let random = 7919 * (seed + 1)
  const inner = new Scheduler.MixedScheduler(2048)
  return {
    shouldYield: () => {
      random = (random * 16_807) % 2_147_483_647
      return random < 0.01 * 2_147_483_647 ? 0 : false
    },
    scheduleTask: (task, priority, fiber) => inner.scheduleTask(task, priority, fiber)
  }
}

const atExpiry = TestClock.adjust("10 minutes")

describe("reading", () => {
  it.scoped("law 1: a fresh token is answered without lock, network, store or fork", () =>
    Effect.gen(function* () {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service })
      yield* s.accessToken
      const before = { ...p.count(), loads: store.state.loads, saves: store.state.saves }
      const clock = yield* Effect.clock
      // Synchronously, that is without a single yield to another fiber.
      for (let i = 0; i < 1000; i++) {
        const exit = Effect.runSyncExit(Effect.withClock(s.accessToken, clock))
        assert.deepStrictEqual(Exit.map(exit, value), Exit.succeed("test-access-1"))
      }
      assert.deepStrictEqual({ ...p.count(), loads: store.state.loads, saves: store.state.saves }, before)
    })
  )

  it.scoped("law 1: reading a fresh token takes a handful of operations, whatever the machine", () =>
    Effect.gen(function* () {
      const s = yield* session(provider())
      yield* s.accessToken
      const clock = yield* Effect.clock
      const operations = (effect: Effect.Effect<unknown, unknown>) => {
        let count = 0
        const counting: Scheduler.Scheduler = {
          shouldYield: () => {
            count++
            return false
          },
          scheduleTask: (task) => task()
        }
        const fiber = Effect.runFork(Effect.withClock(effect, clock), { scheduler: counting })
        assert.isTrue(Option.exists(Option.fromNullable(fiber.unsafePoll()), Exit.isSuccess))
        return count
      }
      assert.isAtMost(operations(s.accessToken) - operations(Effect.clock), 2)
    })
  )

  it.scoped("law 1: a fresh token is answered while the state is locked by another process", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const refreshing = yield* Effect.fork(s.refresh)
      yield* flight.sent
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      yield* flight.respond
      assert.strictEqual(value(yield* Fiber.join(refreshing)), "test-access-2")
    })
  )

  it.scoped("law 2: a stale token is answered at once, and exactly one refresh runs behind", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* TestClock.adjust("4 minutes")
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const tokens = yield* herd(100, s.accessToken)
      assert.isTrue(tokens.every((one) => Either.isRight(one) && value(one.right) === "test-access-1"))
      yield* flight.sent
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      yield* flight.respond
      yield* Effect.repeat(s.accessToken, { until: (token) => value(token) === "test-access-2" })
      assert.deepStrictEqual(p.count(), { refresh: 1, login: 1, total: 2, most: 1 })
    })
  )

  it.scoped("law 2: readers in a tight loop do not keep the refresh from ending", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* TestClock.adjust("4 minutes")
      yield* Effect.repeat(s.accessToken, { until: (token) => value(token) === "test-access-2" })
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped("law 2: an expired token is never answered; its reader waits for the token request", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* TestClock.adjust("5 minutes")
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const reader = yield* Effect.fork(s.accessToken)
      yield* flight.sent
      assert.isTrue(Option.isNone(yield* Fiber.poll(reader)))
      yield* flight.respond
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-2")
    })
  )
})

describe("the flight", () => {
  for (const size of [1, 1000, 10_000]) {
    it.scoped(`law 6: ${size} callers at expiry make 1 token request`, () =>
      Effect.gen(function* () {
        const p = provider()
        const s = yield* session(p)
        yield* s.accessToken
        yield* atExpiry
        const tokens = yield* herd(size, s.accessToken)
        assert.isTrue(tokens.every((one) => Either.isRight(one) && value(one.right) === "test-access-2"))
        assert.deepStrictEqual(p.count(), { refresh: 1, login: 1, total: 2, most: 1 })
      })
    )
  }

  it.scoped("law 6: 1000 callers make 1 log in at the start", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* herd(1000, s.accessToken)
      assert.deepStrictEqual(p.count(), { refresh: 0, login: 1, total: 1, most: 1 })
    })
  )

  it.scoped("law 6: readers, refreshers and rejecters of the same token share one token request", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      const token = yield* s.accessToken
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const all = yield* Effect.fork(herd(100, Effect.all([s.refresh, s.reject(token)], { concurrency: 2 })))
      yield* flight.sent
      yield* flight.respond
      for (const one of yield* Fiber.join(all)) {
        assert.deepStrictEqual(Either.getOrThrow(one).map(value), ["test-access-2", "test-access-2"])
      }
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped("law 6: a token request under way is joined by all, and its lasting failure shared by all", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* atExpiry
      p.next(fails(failure.misconfigured))
      const results = yield* herd(100, s.accessToken)
      assert.isTrue(results.every((one) => Either.isLeft(one) && one.left._tag === "Misconfigured"))
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped("law 7: the first caller, interrupted at any point, neither ends nor doubles the token request", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 60; steps++) {
        const p = provider()
        const s = yield* session(p)
        yield* s.accessToken
        yield* atExpiry
        const flight = yield* paused
        p.always(flight.tokenRequest)
        const first = yield* Effect.fork(s.accessToken)
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        const second = yield* Effect.fork(s.accessToken)
        yield* flight.sent
        yield* flight.respond
        assert.strictEqual(value(yield* Fiber.join(second)), "test-access-2", `after ${steps} steps`)
        assert.strictEqual(p.count().refresh, 1, `after ${steps} steps`)
      }
    })
  )

  it.scoped("law 7: interrupted at any operation, it still makes 1 token request", () =>
    manually(function* (clock) {
      // A scheduler that makes fibers yield at random, so that interruption can rejected retry between any two operations.
      for (let run = 0; run < 200; run++) {
        const steps = run % 50
        const scheduler = yieldingAtRandom(run)
        const p = provider()
        const s = yield* session(p)
        yield* s.accessToken
        yield* clock.advance("10 minutes")
        const first = yield* Effect.fork(Effect.withScheduler(s.accessToken, scheduler))
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        assert.strictEqual(value(yield* s.accessToken), "test-access-2", `after ${steps} steps, run ${run}`)
        assert.strictEqual(p.count().refresh, 1, `after ${steps} steps, run ${run}`)
      }
    })
  )

  it.scoped("law 8: with every caller gone, the answer is still committed and saved", () =>
    Effect.gen(function* () {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service })
      yield* s.accessToken
      yield* atExpiry
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const callers = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.fork(s.accessToken))
      yield* flight.sent
      yield* Fiber.interruptAll(callers)
      yield* flight.respond
      yield* until(() => store.state.saves === 2)
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.effect("law 8 and 31: the closing scope waits for the answer, and commits it", () =>
    Effect.gen(function* () {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(
        session(p, { store: store.service, key: "key", shutdownDeadline: "10 seconds" }),
        scope
      )
      yield* s.accessToken
      const flight = yield* paused
      p.next(flight.tokenRequest)
      yield* Effect.fork(s.refresh)
      yield* flight.sent
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* flight.respond
      yield* Fiber.join(closing)
      const stored = yield* Records.stored(store.inner, "key")
      assert.strictEqual(stored.generation, 2)
      assert.deepStrictEqual(
        Option.map(
          Option.flatMap(stored.tokens, (tokens) => tokens.refreshToken),
          value
        ),
        Option.some("test-refresh-2")
      )
    })
  )

  it.effect("law 31: a hung token request holds the closing scope up to the deadline and no longer", () =>
    Effect.gen(function* () {
      const p = provider()
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { timeout: "1 hour", shutdownDeadline: "10 seconds" }), scope)
      yield* s.accessToken
      const sent = yield* Deferred.make<void>()
      p.next(() => Effect.zipRight(Deferred.succeed(sent, void 0), Effect.uninterruptible(Effect.never)))
      const caller = yield* Effect.fork(s.refresh)
      yield* Deferred.await(sent)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Effect.flip(Fiber.join(caller)))._tag, "Misconfigured")
      assert.strictEqual((yield* Effect.flip(s.refresh))._tag, "Misconfigured")
    })
  )
})

describe("failures", () => {
  const attemptsAtDeadEndpoint = (callers: number, hours: Duration.DurationInput) =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.advance("10 minutes")
      p.always(fails(failure.unspent))
      const all = yield* Effect.fork(Effect.withRandom(herd(callers, s.accessToken), Random.fixed([0])))
      yield* clock.advance(hours)
      const results = yield* Fiber.join(all)
      assert.isTrue(results.every((one) => Either.isLeft(one) && one.left._tag === "NetworkFailure"))
      return p.count().refresh
    })

  it.scoped("law 9: the attempts at a dead endpoint are the same for 1 caller and for 1000", () =>
    Effect.gen(function* () {
      const one = yield* attemptsAtDeadEndpoint(1, "3 seconds")
      const thousand = yield* attemptsAtDeadEndpoint(1000, "3 seconds")
      // After 0, 0.25, 0.75 and 1.75 seconds, as there is no jitter here; the next would come after patience has ended.
      assert.strictEqual(one, 4)
      assert.strictEqual(thousand, 4)
    })
  )

  it.scoped("law 9: a caller within its patience gets the token once the endpoint is back", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.advance("10 minutes")
      p.next(fails(failure.unspent), fails(failure.unknown))
      const all = yield* Effect.fork(herd(1000, s.accessToken))
      yield* clock.advance("3 seconds")
      const results = yield* Fiber.join(all)
      assert.isTrue(results.every((one) => Either.isRight(one) && value(one.right) === "test-access-2"))
      assert.strictEqual(p.count().refresh, 3)
      assert.strictEqual(p.count().login, 1)
    })
  )

  it.scoped("law 9: during the cool-down a caller with a valid token is served it, and no one asks the server", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.advance("4 minutes")
      p.always(fails(failure.busy("40 seconds")))
      yield* s.accessToken
      yield* until(() => p.count().refresh === 1)
      for (let i = 0; i < 39; i++) {
        assert.strictEqual(value(yield* s.accessToken), "test-access-1")
        yield* clock.advance("1 second")
      }
      assert.strictEqual(p.count().refresh, 1)
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      yield* until(() => p.count().refresh === 2)
    })
  )

  it.scoped("law 9: Retry-After longer than the patience fails at once; an absurd one is capped at an hour", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.advance("10 minutes")
      p.next(fails(failure.busy("3000 days")))
      const first = yield* Effect.flip(s.accessToken)
      assert.strictEqual(first._tag, "NetworkFailure")
      yield* clock.advance("59 minutes")
      yield* Effect.flip(s.accessToken)
      assert.strictEqual(p.count().refresh, 1)
      yield* clock.advance("1 minute")
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
    })
  )

  it.scoped("law 9: the cool-down doubles to 30 seconds, and starts again after a success", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p, { patience: "0 seconds" })
      yield* s.accessToken
      yield* clock.advance("10 minutes")
      const attempts: Array<number> = []
      p.always(() =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          attempts.push(now)
          return Effect.fail(failure.unspent)
        })
      )
      for (let i = 0; i < 1200; i++) {
        yield* Effect.ignore(s.accessToken)
        yield* clock.advance("125 millis")
      }
      const gaps = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0))
      gaps.forEach((gap, i) => {
        const full = Math.min(250 * 2 ** i, 30_000)
        assert.isAtLeast(gap, full * 0.75)
        assert.isAtMost(gap, full + 125)
      })
      assert.isAtLeast(gaps.length, 9)
    })
  )

  it.scoped("law 9: a token request is one attempt of bounded time", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { timeout: "10 seconds", patience: "0 seconds" })
      yield* s.accessToken
      yield* atExpiry
      p.next(() => Effect.never)
      const caller = yield* Effect.fork(Effect.flip(s.accessToken))
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(caller)
      assert.deepInclude(error, { _tag: "NetworkFailure", reason: "timeout", outcome: "unknown" })
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped("a defect in the provider is a typed failure, and the next call recovers", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: "0 seconds" })
      p.next(() => Effect.die(new TypeError("test-secret in a defect")))
      const error = yield* Effect.flip(s.accessToken)
      assert.strictEqual(error._tag, "MalformedResponse")
      assert.notInclude(error.message, "test-secret")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
    })
  )
})

describe("rejections", () => {
  it.scoped("law 10: a rejected current token is refreshed at once, however young", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      const token = yield* s.accessToken
      assert.strictEqual(value(yield* s.reject(token)), "test-access-2")
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped(
    "law 10: a rejected token that is no longer current is answered the current one, without a token request",
    () =>
      Effect.gen(function* () {
        const p = provider()
        const s = yield* session(p)
        const old = yield* s.accessToken
        yield* s.refresh
        for (let i = 0; i < 100; i++) assert.strictEqual(value(yield* s.reject(old)), "test-access-2")
        assert.strictEqual(p.count().refresh, 1)
      })
  )

  it.scoped("law 10: an API that refuses everything costs a handful of token requests a minute", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 day" })
      const s = yield* session(p)
      const perMinute: Array<number> = []
      for (let minute = 0; minute < 10; minute++) {
        const before = p.count().refresh
        for (let i = 0; i < 600; i++) {
          const token = yield* s.accessToken
          const next = yield* s.reject(token)
          if (value(next) !== value(token)) yield* s.reject(next, { retried: true })
          yield* clock.advance("100 millis")
        }
        perMinute.push(p.count().refresh - before)
      }
      assert.isAtMost(Math.max(...perMinute), 6)
      assert.isAtMost(perMinute.at(-1) ?? 99, 2)
    })
  )

  it.scoped("law 10: 64 requests that are rejected twice count as one rejected retry, not 64", () =>
    Effect.gen(function* () {
      const p = provider({ lifetime: "1 day" })
      const s = yield* session(p)
      const token = yield* s.accessToken
      yield* herd(
        64,
        Effect.flatMap(s.reject(token), (next) => s.reject(next, { retried: true }))
      )
      assert.strictEqual(p.count().refresh, 1)
      const current = yield* s.accessToken
      yield* s.reject(current)
      assert.strictEqual(p.count().refresh, 1, "within the cool-down of the first rejected retry")
      yield* TestClock.adjust("250 millis")
      yield* s.reject(current)
      assert.strictEqual(p.count().refresh, 2, "after it")
    })
  )

  it.scoped("law 11: a resource that is always refused, beside healthy traffic, costs no more", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 hour" })
      const s = yield* session(p)
      for (let i = 0; i < 36_000; i += 5) {
        const token = yield* s.accessToken
        if (i % 50 === 0) {
          const next = yield* s.reject(token)
          if (value(next) !== value(token)) yield* s.reject(next, { retried: true })
          yield* clock.advance("5 seconds")
        }
      }
      // An hour: one token request a minute at the most once the cool-down has grown, and the growing itself.
      assert.isAtMost(p.count().refresh, 70)
    })
  )

  it.scoped("law 11: an API that accepts each token once costs a handful of token requests a minute", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 hour" })
      const s = yield* session(p)
      yield* s.accessToken
      for (let i = 0; i < 600; i++) {
        yield* s.reject(yield* s.accessToken)
        yield* clock.advance("100 millis")
      }
      assert.isAtMost(p.count().refresh, 6)
    })
  )

  it.scoped("law 11: honest tokens of one second work, at one token request each", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 second" })
      const s = yield* session(p)
      for (let i = 0; i < 600; i++) {
        yield* s.accessToken
        yield* clock.advance("100 millis")
      }
      assert.isAtMost(p.count().total, 76)
      assert.isAtLeast(p.count().total, 55)
    })
  )

  it.scoped("without a known end a token is refreshed on rejection only", () =>
    Effect.gen(function* () {
      const p = provider({ lifetime: "unstated" })
      const s = yield* session(p)
      const token = yield* s.accessToken
      yield* TestClock.adjust("9000 days")
      assert.strictEqual(value(yield* s.accessToken), value(token))
      assert.strictEqual(value(yield* s.reject(token)), "test-access-2")
      assert.isTrue(Option.isNone((yield* s.status).expiresAt))
    })
  )
})

it.scoped("a session starts from a refresh token alone", () =>
  Effect.gen(function* () {
    const p = provider()
    const seed = Token.make({ refreshToken: secret("test-seed") })
    const s = yield* session(p, { credentials: "none", seed })
    assert.strictEqual(p.count().total, 0)
    assert.strictEqual(value(yield* s.accessToken), "test-access-1")
    assert.deepStrictEqual(p.presented, ["test-seed"])
  })
)
