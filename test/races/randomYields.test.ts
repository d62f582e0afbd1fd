import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as Renewer from "../../src/renewal/renewer.js"
import * as Engine from "../../src/session/runtime/engine.js"
import { Waiters } from "../../src/session/runtime/waiters.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import { engine, paused, provider, secret, session, watchedStore } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"
import { metrics } from "../support/telemetry.js"
import { yielding } from "../support/yielding.js"

describe("the waiters of a flight, torn", () => {
  it.effect("gauge, answers, and the map of callers, over many interleavings", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 400; run++) {
        const name = "torn-waiters"
        const at = new Waiters({ provider: { name }, label: undefined })
        const body = Effect.gen(function* () {
          const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
          for (let i = 0; i < 12; i++) {
            const wait = i % 4 === 3 ? Effect.uninterruptible(at.awaitToken) : at.awaitToken
            fibers.push(yield* Effect.fork(wait))
          }
          const killing = yield* Effect.fork(
            Effect.forEach(
              fibers.filter((_, i) => (i + run) % 3 === 0),
              (f) => Fiber.interruptFork(f),
              { discard: true }
            )
          )
          yield* Effect.repeatN(Effect.yieldNow(), run % 9)
          const completing = yield* Effect.fork(Effect.sync(() => at.complete({ _tag: "Token", token: secret("t") })))
          yield* Fiber.await(completing)
          yield* Fiber.await(killing)
          for (const f of fibers) yield* Fiber.await(f)
        })
        yield* Effect.withScheduler(body, yielding(run, [0, 0.02, 0.05, 0.05][run % 4] ?? 0))
        const all = yield* metrics(name)
        assert.strictEqual(all.waiting ?? 0, 0, `run ${run}`)
        assert.strictEqual((at as unknown as { readonly waiters: Map<unknown, unknown> }).waiters.size, 0)
      }
    })
  )
})

describe("a logout while the session closes, torn", () => {
  it.scoped("law 31: it delays the close no longer than the deadline", () =>
    manually(function* (clock) {
      let late = 0
      for (let run = 0; run < 300; run++) {
        const p = provider()
        const service = { ...p.service, revoke: Option.some(() => Effect.sleep("5 seconds")) }
        const scope = yield* Scope.make()
        const s = yield* Scope.extend(session({ ...p, service }), scope)
        yield* s.accessToken
        const body = Effect.gen(function* () {
          const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
          for (let i = 0; i < 12; i++) {
            yield* Effect.fork(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), i), s.logout))
          }
          return closing
        })
        const closing = yield* Effect.withScheduler(body, yielding(run, 0.05))
        for (let i = 0; i < 20; i++) yield* flush
        yield* clock.advance("1 second")
        if (closing.unsafePoll() === null) late++
        yield* clock.advance("1 minute")
      }
      assert.strictEqual(late, 0)
    })
  )
})

describe("a herd, torn", () => {
  it.scoped("law 6: the gauge ends at zero, the one who is interrupted, supersedes or logs out meanwhile", () =>
    manually(function* (clock) {
      for (let run = 0; run < 60; run++) {
        const p = provider({ latency: "1 second" })
        const s = yield* session(p)
        const body = Effect.gen(function* () {
          const callers = yield* Effect.forEach(Array.from({ length: 30 }), () =>
            Effect.fork(Effect.either(s.accessToken))
          )
          yield* Effect.repeatN(Effect.yieldNow(), run % 7)
          yield* Effect.fork(Fiber.interruptAll(callers.filter((_, i) => i % 3 === run % 3)))
          yield* Effect.fork(Effect.either(run % 2 === 0 ? s.login : s.refresh))
          if (run % 5 === 0) yield* Effect.fork(s.logout)
          return callers
        })
        const callers = yield* Effect.withScheduler(body, yielding(run, 0.05))
        yield* clock.advance("1 minute")
        assert.isTrue(
          callers.every((fiber) => fiber.unsafePoll() !== null),
          `run ${run}`
        )
        assert.strictEqual((yield* metrics("test")).waiting ?? 0, 0, `run ${run}`)
      }
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
        yield* flush
        const seen: Array<number> = []
        const second = yield* Effect.fork(
          Effect.withScheduler(
            Stream.runForEach(s.changes, ({ generation }) => Effect.sync(() => seen.push(generation))),
            scheduler
          )
        )
        for (let i = 0; i < run % 20; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        yield* flush
        yield* s.refresh
        yield* flush
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
        const r = yield* Scope.extend(Renewer.make, scope)
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
        const a = yield* Effect.fork(Effect.withScheduler(r.schedule(one), scheduler))
        for (let i = 0; i < run % 5; i++) yield* Effect.yieldNow()
        delay = 1000
        const b = yield* Effect.fork(r.schedule(one))
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
        const flight = yield* paused
        p.next(flight.tokenRequest)
        yield* Effect.fork(Effect.either(Effect.withScheduler(s.accessToken, scheduler)))
        for (let i = 0; i < run % 40; i++) yield* Effect.yieldNow()
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        for (let i = 0; i < 150; i++) yield* Effect.yieldNow()
        const at = closing.unsafePoll() === null ? "waits" : "closed"
        if (at === "closed" && p.count().total > 0) late.push(run)
        yield* flush
        if (at === "closed" && p.count().total > 0) late.push(run)
        yield* flight.respond
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
