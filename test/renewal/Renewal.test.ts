import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Random, Scope } from "effect"
import * as Renewal from "../../src/renewal/Renewal.js"
import * as Renewer from "../../src/renewal/renewer.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, provider, secret, session, value } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"

/** Records at which moments a provider is asked. */
const timed = (p: ReturnType<typeof provider>) => {
  const at: Array<number> = []
  p.always((honest) =>
    Effect.zipRight(
      Effect.map(Clock.currentTimeMillis, (now) => at.push(now)),
      honest
    )
  )
  return at
}

const gaps = (at: ReadonlyArray<number>) => at.slice(1).map((one, i) => one - (at[i] ?? 0))

describe("law 3: the leeway", () => {
  it.scoped("law 3: a 5-minute token with a 5-minute leeway, used once a second, is renewed 15 times an hour", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const at = timed(p)
      const s = yield* session(p, { renewal: true, leeway: "5 minutes" })
      for (let second = 0; second < 3600; second++) {
        yield* s.accessToken
        yield* clock.advance("1 second")
      }
      assert.strictEqual(p.count().login, 1)
      assert.isAtLeast(p.count().refresh, 14)
      assert.isAtMost(p.count().refresh, 16)
      for (const gap of gaps(at)) {
        assert.isAtMost(gap, 240_000)
        assert.isAtLeast(gap, 240_000 - 6_000)
      }
    })
  )

  it.scoped("law 3: without the fiber, it is renewed when it is 4 minutes old, and not a second earlier", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.advance("239 seconds")
      yield* s.accessToken
      yield* flush
      assert.strictEqual(p.count().refresh, 0)
      yield* clock.advance("1 second")
      yield* s.accessToken
      yield* flush
      assert.strictEqual(p.count().refresh, 1)
    })
  )
})

describe("law 5: clocks", () => {
  it.scoped("law 5: a wall clock set back does not make a dead token look alive", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.setWall("1 hour", -1)
      yield* clock.advance("5 minutes")
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
    })
  )

  it.scoped("law 5: a machine that slept past the end does not serve the dead token", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p)
      yield* s.accessToken
      yield* clock.setWall("1 hour")
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
      assert.strictEqual(p.count().refresh, 1)
    })
  )

  it.scoped("law 5: after the machine slept, renewal catches up within one slice, once", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 hour" })
      const s = yield* session(p, { renewal: true })
      yield* s.accessToken
      yield* clock.advance("1 minute")
      yield* clock.setWall("8 hours")
      yield* clock.advance("5 minutes")
      assert.strictEqual(p.count().refresh, 1)
      yield* clock.advance("10 minutes")
      assert.strictEqual(p.count().refresh, 1)
      assert.strictEqual((yield* s.status).token, "fresh")
    })
  )

  it.scoped("law 11: a wall clock that leaps an hour each second costs a handful of token requests a minute", () =>
    manually(function* (clock) {
      for (const renewal of [true, false]) {
        const p = provider({ lifetime: "30 minutes" })
        const s = yield* session(p, { renewal })
        for (let second = 0; second < 600; second++) {
          assert.isString(value(yield* s.accessToken))
          yield* clock.setWall("1 hour")
          yield* clock.advance("1 second")
        }
        assert.isAtMost(p.count().total, 60)
      }
    })
  )

  it.scoped("law 11: a wall clock that swings by an hour costs no storm either", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "30 minutes" })
      const s = yield* session(p, { renewal: true })
      for (let second = 0; second < 600; second++) {
        yield* s.accessToken
        yield* clock.setWall("1 hour", second % 2 === 0 ? 1 : -1)
        yield* clock.advance("1 second")
      }
      assert.isAtMost(p.count().total, 10)
    })
  )
})

describe("law 29: background renewal", () => {
  it.scoped("law 29: a 90-day token is renewed once, at the right moment, whatever a timer can wait for", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "90 days" })
      const at = timed(p)
      const s = yield* session(p, { renewal: true })
      yield* s.accessToken
      const end = 90 * 86_400_000
      yield* clock.advance(Duration.millis(end - 300_000 - 30_001))
      assert.strictEqual(p.count().refresh, 0)
      yield* clock.advance(Duration.millis(30_001))
      assert.strictEqual(p.count().refresh, 1)
      const [gap = 0] = gaps(at)
      assert.isAtMost(gap, end - 300_000)
      assert.isAtLeast(gap, end - 330_000)
    })
  )

  it.scoped("law 29: a year of 24-hour tokens, read each 10 minutes, makes one token request a lifetime", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "24 hours" })
      const s = yield* session(p, { renewal: true })
      let expired = 0
      for (let i = 0; i < 365 * 144; i++) {
        yield* s.accessToken
        if ((yield* s.status).token !== "fresh") expired++
        yield* clock.advance("10 minutes")
      }
      assert.strictEqual(expired, 0)
      assert.strictEqual(p.count().login, 1)
      assert.isAtLeast(p.count().refresh, 365)
      assert.isAtMost(p.count().refresh, 367)
    })
  )

  it.scoped("law 29: it survives every transient failure, also past the end of the token", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p, { renewal: true })
      yield* s.accessToken
      p.always(fails(failure.unknown))
      yield* clock.advance("1 hour")
      const attempts = p.count().refresh
      assert.isAtLeast(attempts, 56 * 2)
      assert.isAtMost(attempts, 56 * 3 + 8)
      p.always(undefined)
      yield* clock.advance("30 seconds")
      assert.strictEqual((yield* s.status).token, "fresh")
    })
  )

  it.scoped("law 29: it stops on a permanent failure, and starts again after a login", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p, { renewal: true })
      yield* s.accessToken
      p.always(fails(failure.misconfigured))
      yield* clock.advance("1 hour")
      assert.strictEqual(p.count().refresh, 1)
      p.always(undefined)
      yield* s.login
      yield* clock.advance("1 hour")
      assert.isAtLeast(p.count().refresh, 14)
    })
  )

  it.scoped("law 29: it stops at a logout", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p, { renewal: true })
      yield* s.accessToken
      yield* s.logout
      yield* clock.advance("1 day")
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 29: it ends with its scope", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "5 minutes" })
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { renewal: true }), scope)
      yield* s.accessToken
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 day")
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("one fiber renews many sessions, each at its own moment", () =>
    manually(function* (clock) {
      const renewer = yield* Renewer.make
      const order: Array<number> = []
      const sessions = Array.from({ length: 50 }, (_, i) => {
        let left: number | undefined = (50 - i) * 1000
        return {
          renewalDelay: () => left,
          renew: Effect.sync(() => {
            left = undefined
            order.push(50 - i)
          })
        }
      })
      yield* Effect.forEach(sessions, renewer.schedule)
      yield* clock.advance("49500 millis")
      assert.deepStrictEqual(
        order,
        Array.from({ length: 49 }, (_, i) => i + 1)
      )
      yield* clock.advance("1 second")
      assert.strictEqual(order.length, 50)
    })
  )

  it.scoped("law 29: a session whose scope has closed is no longer renewed by a fiber that goes on", () =>
    manually(function* (clock) {
      const renewal = yield* Renewal.make
      const p = provider({ lifetime: "5 minutes" })
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { watchedBy: renewal }), scope)
      yield* s.accessToken
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 hour")
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("a session that is watched twice is renewed once, and by the last renewal that watches it", () =>
    manually(function* (clock) {
      const scope = yield* Scope.make()
      const first = yield* Scope.extend(Renewal.make, scope)
      const second = yield* Renewal.make
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p, { watchedBy: first })
      yield* first.watch(s)
      yield* s.accessToken
      yield* clock.advance("6 minutes")
      assert.strictEqual(p.count().refresh, 1)
      yield* second.watch(s)
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 hour")
      assert.isAtLeast(p.count().refresh, 14)
    })
  )

  it.scoped("a session that another renewal watches since is left alone by the first one", () =>
    manually(function* (clock) {
      const first = yield* Renewal.make
      const scope = yield* Scope.make()
      const second = yield* Scope.extend(Renewal.make, scope)
      const p = provider({ lifetime: "5 minutes" })
      const s = yield* session(p, { watchedBy: first })
      yield* s.accessToken
      yield* second.watch(s)
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 hour")
      assert.strictEqual(p.count().refresh, 0)
    })
  )

  it.scoped("a session that hangs in its token request does not keep another from being renewed", () =>
    manually(function* (clock) {
      const renewal = yield* Renewal.make
      const slow = provider({ lifetime: "5 minutes" })
      const quick = provider({ lifetime: "5 minutes" })
      const a = yield* session(slow, { watchedBy: renewal, timeout: "1 day" })
      const b = yield* session(quick, { watchedBy: renewal })
      yield* Effect.all([a.accessToken, b.accessToken])
      slow.always(() => Effect.never)
      yield* clock.advance("1 hour")
      assert.isAtLeast(quick.count().refresh, 14)
      assert.strictEqual(slow.count().refresh, 1)
    })
  )
})

it.scoped("jitter spreads 50 sessions, and only makes them earlier", () =>
  manually(function* (clock) {
    const moments = yield* Effect.forEach(Array.from({ length: 50 }), (_, i) =>
      Effect.gen(function* () {
        const p = provider({ lifetime: "5 minutes" })
        const at = timed(p)
        const s = yield* Effect.withRandom(session(p, { renewal: true }), Random.make(`test-${i}`))
        yield* Effect.withRandom(s.accessToken, Random.make(`test-${i}`))
        return at
      })
    )
    yield* clock.advance("5 minutes")
    const first = moments.map((at) => gaps(at)[0] ?? 0)
    assert.isTrue(first.every((gap) => gap <= 240_000 && gap >= 234_000))
    assert.isAtLeast(new Set(first).size, 40)
  })
)

it.scoped("law 29: a seeded session is renewed in the background after its first use", () =>
  manually(function* (clock) {
    const p = provider()
    const s = yield* session(p, {
      renewal: true,
      seed: Token.make({ accessToken: secret("seed"), refreshToken: secret("r"), lifetime: "1 hour" })
    })
    assert.strictEqual(value(yield* s.accessToken), "seed")
    yield* clock.advance("2 hours")
    assert.isAtLeast(p.count().total, 1)
  })
)
