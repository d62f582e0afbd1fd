import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as Renewal from "../../src/renewal/Renewal.js"
import * as Engine from "../../src/session/runtime/engine.js"
import * as Key from "../../src/store/key.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import { Keyed } from "../../src/tenants/keyMap.js"
import { engine, held, provider, session, user, watchedStore } from "../support/harness.js"
import { manually, settle } from "../support/ManualClock.js"
import { yielding } from "../support/yielding.js"

describe("a closing session, a beat and a late answer", () => {
  it.scoped("law 20: a beat on its way arrives before the lease is given back", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const inner = yield* TokenStore.makeMemory
      let leases = 0
      const order: Array<string> = []
      // The second lease is a beat; its request is on the wire for 300 ms, and cannot be called back.
      const store: TokenStore.Service = {
        ...inner,
        lease: (key, owner, duration) => {
          const asked = Effect.tap(inner.lease(key, owner, duration), (ok) =>
            Effect.sync(() => order.push(`lease ${ok}`))
          )
          return ++leases === 2
            ? Effect.flatMap(Effect.forkDaemon(Effect.delay(asked, "300 millis")), Fiber.join)
            : asked
        },
        release: (key, owner) => Effect.tap(inner.release(key, owner), () => Effect.sync(() => order.push("release")))
      }
      const s = yield* session(p, { store, key: "key" })
      const flight = yield* held
      p.next(flight.exchange)
      const asked = yield* Effect.fork(s.accessToken)
      yield* flight.sent
      yield* clock.advance("2600 millis") // the beat is on its way
      yield* flight.answer
      yield* clock.advance("1 second")
      yield* Fiber.join(asked)
      const free = yield* inner.lease("key", "other", Duration.seconds(10))
      assert.deepStrictEqual([order, free], [["lease true", "lease true", "release"], true])
    })
  )

  it.effect("law 8: what the closing session gave up is not sent", () =>
    manually(function* (clock) {
      const p = provider({ latency: "1 second" })
      const inner = yield* TokenStore.makeMemory
      const store: TokenStore.Service = { ...inner, load: () => Effect.never }
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { store, key: "key", shutdownDeadline: "1 second" }), scope)
      yield* Effect.fork(Effect.either(s.login))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("1 minute")
      yield* Fiber.join(closing)
      assert.strictEqual(p.count().login, 0)
    })
  )

  it.effect("law 31: a log in whose credentials come after the close is not sent", () =>
    manually(function* (clock) {
      const p = provider()
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(
        session(p, {
          credentials: Effect.delay(Effect.succeed(user), "5 seconds"),
          shutdownDeadline: "1 second"
        }),
        scope
      )
      yield* Effect.fork(Effect.either(s.login))
      yield* settle
      yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("1 minute")
      assert.strictEqual(p.count().login, 0)
    })
  )

  it.effect("law 32: the changes of a closed session end", () =>
    manually(function* (clock) {
      const p = provider()
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p), scope)
      const watching = yield* Effect.fork(Stream.runDrain(s.changes))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 minute")
      assert.isNotNull(watching.unsafePoll(), "the first ended")
      const late = yield* Effect.fork(Stream.runDrain(s.changes))
      yield* clock.advance("1 minute")
      assert.isNotNull(late.unsafePoll(), "the late one ended")
    })
  )
})

describe("torn between any two operations", () => {
  it.scoped("law 32: who comes while the last watcher leaves misses nothing", () =>
    manually(function* (_clock) {
      let stranded = 0
      for (let run = 0; run < 100; run++) {
        const p = provider()
        const s = yield* session(p)
        yield* s.accessToken
        const scheduler = yielding(run, 0.05)
        const first = yield* Effect.fork(Effect.withScheduler(Stream.runDrain(s.changes), scheduler))
        yield* settle
        const seen: Array<number> = []
        const second = yield* Effect.fork(
          Effect.withScheduler(
            Stream.runForEach(s.changes, ({ generation }) => Effect.sync(() => seen.push(generation))),
            scheduler
          )
        )
        for (let i = 0; i < run % 20; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        yield* settle
        yield* s.refresh
        yield* settle
        if (!seen.includes(2)) stranded++
        yield* Fiber.interruptFork(second)
      }
      assert.strictEqual(stranded, 0)
    })
  )

  it.scoped("law 29: a look that was overtaken puts no renewal to a later moment", () =>
    manually(function* (clock) {
      let wrong = 0
      for (let run = 0; run < 100; run++) {
        const scope = yield* Scope.make()
        const r = yield* Scope.extend(Renewal.make, scope)
        let delay = 3_600_000
        let renewed = 0
        const one = {
          renewalDelay: () => delay,
          renew: Effect.sync(() => {
            renewed++
            delay = 3_600_000
          })
        }
        const scheduler = yielding(run, 0.05)
        const a = yield* Effect.fork(Effect.withScheduler(r.watch(one), scheduler))
        for (let i = 0; i < run % 5; i++) yield* Effect.yieldNow()
        delay = 1000
        const b = yield* Effect.fork(r.watch(one))
        yield* Fiber.await(a)
        yield* Fiber.await(b)
        yield* clock.advance("2 seconds")
        if (renewed !== 1) wrong++
        yield* Scope.close(scope, Exit.void)
      }
      assert.strictEqual(wrong, 0)
    })
  )

  it.effect("law 31: nothing is saved again and again after the close", () =>
    manually(function* (clock) {
      let leaked = 0
      for (let run = 0; run < 100; run++) {
        const p = provider()
        const store = yield* watchedStore
        store.state.save = Effect.fail(new StoreFailure({ operation: "save", problem: "down" }))
        const scope = yield* Scope.make()
        const s = yield* Scope.extend(session(p, { store: store.service, shutdownDeadline: "10 seconds" }), scope)
        const scheduler = yielding(run, 0.05)
        yield* Effect.fork(Effect.withScheduler(s.accessToken, scheduler))
        for (let i = 0; i < run % 60; i++) yield* Effect.yieldNow()
        yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* clock.advance("20 seconds")
        const before = store.state.saves
        yield* clock.advance("5 minutes")
        if (store.state.saves !== before) leaked++
      }
      assert.strictEqual(leaked, 0)
    })
  )

  it.effect("law 31: nothing is sent once the close has ended", () =>
    manually(function* (clock) {
      const late: Array<number> = []
      for (let run = 0; run < 100; run++) {
        const p = provider()
        const scope = yield* Scope.make()
        const s = yield* Scope.extend(session(p, { shutdownDeadline: "10 seconds" }), scope)
        const scheduler = yielding(run, 0.05)
        const flight = yield* held
        p.next(flight.exchange)
        yield* Effect.fork(Effect.either(Effect.withScheduler(s.accessToken, scheduler)))
        for (let i = 0; i < run % 40; i++) yield* Effect.yieldNow()
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        for (let i = 0; i < 150; i++) yield* Effect.yieldNow()
        const at = closing.unsafePoll() === null ? "waits" : "closed"
        if (at === "closed" && p.count().total > 0) late.push(run)
        yield* settle
        if (at === "closed" && p.count().total > 0) late.push(run)
        yield* flight.answer
        yield* clock.advance("20 seconds")
      }
      assert.deepStrictEqual(late, [])
    })
  )

  it.scoped("law 20: no beat outlives its flights", () =>
    manually(function* (clock) {
      const leftovers: Array<number> = []
      for (let run = 0; run < 100; run++) {
        const p = provider({ rotation: "single-use" })
        const inner = yield* TokenStore.makeMemory
        let leases = 0
        const store = {
          ...inner,
          lease: (...a: Parameters<TokenStore.Service["lease"]>) => {
            leases++
            return inner.lease(...a)
          }
        }
        const s = yield* session(p, { store, key: "key", shutdownDeadline: 0 })
        const scheduler = yielding(run, 0.05)
        yield* Effect.fork(Effect.withScheduler(s.accessToken, scheduler))
        for (let i = 0; i < run % 30; i++) yield* Effect.yieldNow()
        yield* Effect.fork(Effect.withScheduler(s.refresh, scheduler))
        yield* Effect.fork(Effect.withScheduler(s.logout, scheduler))
        yield* Effect.fork(Effect.either(Effect.withScheduler(s.login, scheduler)))
        yield* clock.advance("20 seconds")
        const n = leases
        yield* clock.advance("20 seconds")
        const free = yield* inner.lease("key", "other", Duration.seconds(1))
        if (leases !== n || !free) leftovers.push(run)
      }
      assert.deepStrictEqual(leftovers, [])
    })
  )
})

it("law 33: no two identities share a key", () => {
  const baseUrl = new URL("https://api.test/")
  assert.notStrictEqual(
    Key.identity({ name: "x", baseUrl }, "[s] alice"),
    Key.identity({ name: "x", baseUrl, scope: ["s"] }, "alice")
  )
})

it("what is stored by a key is found by it, whatever the key is", () => {
  const keyed = new Keyed<unknown, number>()
  const keys = ["text", 1, Symbol.iterator, {}, TokenStore.TokenStore, Duration.seconds(1), () => 1, null, undefined]
  keys.forEach((key, place) => {
    keyed.set(key, place)
  })
  assert.deepStrictEqual(
    keys.map((key) => keyed.get(key)),
    keys.map((_, place) => place)
  )
  assert.strictEqual(keyed.get(Duration.millis(1000)), 5)
})

it.scoped("a change that was looked up before another came is made upon that", () =>
  Effect.gen(function* () {
    for (let run = 0; run < 20; run++) {
      const made = yield* engine
      const grow = Engine.transition(made, (state) => [
        state.generation,
        { ...state, generation: state.generation + 1 }
      ])
      const seen = yield* Effect.withScheduler(
        Effect.all(
          Array.from({ length: 20 }, () => grow),
          { concurrency: "unbounded" }
        ),
        yielding(run, 0.05)
      )
      assert.sameMembers(
        seen,
        Array.from({ length: 20 }, (_, n) => n)
      )
      assert.isTrue(made.work === undefined)
    }
  })
)
