import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, FiberId, FiberRef, Option, Scope, Stream } from "effect"
import { settle as bound } from "../../src/common/bounded.js"
import * as Engine from "../../src/session/runtime/engine.js"
import { Landing } from "../../src/session/runtime/waiters.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import { engine, held, provider, secret, session } from "../support/harness.js"
import { manually, settle } from "../support/ManualClock.js"
import { metrics } from "../support/observed.js"
import { yielding } from "../support/yielding.js"

describe("a fiber of the session that is interrupted before it began", () => {
  it.scoped("law 31: what is begun for it is late, and is not begun", () =>
    manually(function* () {
      const made = yield* engine
      let sent = false
      let interrupted: boolean | undefined
      const fiber = yield* Effect.uninterruptible(
        Engine.own(
          made,
          Effect.zipRight(
            Effect.withFiberRuntime<void>((self) => {
              interrupted = !Cause.isEmpty(self.getFiberRef(FiberRef.interruptedCause))
              return Effect.void
            }),
            Effect.asVoid(
              bound<void, { readonly message: string }>(
                "test",
                () =>
                  Effect.sync(() => {
                    sent = true
                  }),
                Duration.seconds(10),
                { late: () => ({ message: "late" }), broken: () => ({ message: "broken" }) }
              )
            )
          )
        ).pipe(
          // Before it has taken a step.
          Effect.tap((fiber) =>
            Effect.sync(() => (fiber as Fiber.RuntimeFiber<void>).unsafeInterruptAsFork(FiberId.none))
          )
        )
      )
      yield* Fiber.await(fiber)
      assert.deepStrictEqual({ interrupted, sent }, { interrupted: true, sent: false })
    })
  )
})

describe("a store in memory whose methods somebody replaced", () => {
  it.scoped("what stands in it is what is asked", () =>
    manually(function* () {
      const store = yield* TokenStore.makeMemory
      let saves = 0
      const { save } = store
      // What `vi.spyOn(store, "save")` does.
      const spy: typeof save = (...args) => {
        saves++
        return save(...args)
      }
      Object.assign(store, { save: spy })
      const s = yield* session(provider(), { store, key: "key" })
      yield* s.accessToken
      assert.strictEqual(saves, 1)
    })
  )
})

describe("landing, torn", () => {
  it.effect("gauge, answers, and the map of callers, over many interleavings", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 400; run++) {
        const name = "review-landing"
        const at = new Landing({ provider: { name }, label: undefined })
        const body = Effect.gen(function* () {
          const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
          for (let i = 0; i < 12; i++) {
            const wait = i % 4 === 3 ? Effect.uninterruptible(at.token) : at.token
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
          const landing = yield* Effect.fork(Effect.sync(() => at.land(Exit.succeed(Option.some(secret("t"))))))
          yield* Fiber.await(landing)
          yield* Fiber.await(killing)
          for (const f of fibers) yield* Fiber.await(f)
        })
        yield* Effect.withScheduler(body, yielding(run, [0, 0.02, 0.05, 0.05][run % 4] ?? 0))
        const all = yield* metrics(name)
        assert.strictEqual(all.waiting ?? 0, 0, `run ${run}`)
        assert.strictEqual((at as unknown as { readonly callers: Map<unknown, unknown> }).callers.size, 0)
      }
    })
  )
})

describe("two sessions over one store in memory", () => {
  for (const deadline of ["0 seconds", "1 second"] as const) {
    it.scoped(`law 20: one that hangs and closes after ${deadline} gives its lease back`, () =>
      manually(function* (clock) {
        const store = yield* TokenStore.makeMemory
        const a = provider({ rotation: "single-use" })
        const b = provider({ rotation: "single-use" })
        a.always((yield* held).exchange)
        const scope = yield* Scope.make()
        const sa = yield* Scope.extend(session(a, { store, key: "key", shutdownDeadline: deadline }), scope)
        const sb = yield* session(b, { store, key: "key", patience: "1 hour" })
        const asking = yield* Effect.fork(sa.accessToken)
        yield* settle
        const other = yield* Effect.fork(sb.accessToken)
        yield* settle
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* clock.advance("3 seconds")
        assert.isNotNull(closing.unsafePoll())
        assert.isNotNull(asking.unsafePoll())
        const exit = other.unsafePoll()
        assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
        assert.isTrue(yield* store.lease("key", "third", Duration.seconds(1)))
      })
    )
  }
})

describe("a session that has closed while somebody still watches", () => {
  it.scoped("law 30: logout always ends signed out, and ends", () =>
    manually(function* (clock) {
      const p = provider()
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p), scope)
      yield* s.accessToken
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.never))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 second")
      const out = yield* Effect.fork(s.logout)
      yield* clock.advance("1 minute")
      const exit = out.unsafePoll()
      assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
    })
  )
})

describe("a log out while the session closes, torn", () => {
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
        for (let i = 0; i < 20; i++) yield* settle
        yield* clock.advance("1 second")
        if (closing.unsafePoll() === null) late++
        yield* clock.advance("1 minute")
      }
      assert.strictEqual(late, 0)
    })
  )
})

describe("a provider written by hand whose token cannot be sent", () => {
  it.scoped("law 27: loading what a store in memory keeps prints no token", () =>
    manually(function* (clock) {
      const p = provider()
      const tokens = {
        accessToken: Option.some(secret("hush-access\n")),
        refreshToken: Option.none(),
        lifetime: Option.some(Duration.minutes(5)),
        refreshLifetime: Option.none(),
        extra: {}
      }
      const service = { ...p.service, login: () => Option.some(Effect.succeed(tokens)) }
      const store = yield* TokenStore.makeMemory
      const s = yield* session({ ...p, service }, { store, key: "key" })
      yield* Effect.fork(Effect.either(s.accessToken))
      yield* clock.advance("1 second")
      const loaded = yield* Effect.exit(store.load("key"))
      assert.notInclude(JSON.stringify(loaded) + String(loaded), "hush")
    })
  )
})

describe("a herd, torn", () => {
  it.scoped("law 6: the gauge ends at zero, whoever is interrupted, supersedes or logs out meanwhile", () =>
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

describe("a lease in memory whose holder cannot be interrupted", () => {
  it.scoped("law 20: it is given back when the exchange is given up", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      const a = provider({ rotation: "single-use" })
      const stuck = { ...a.service, login: () => Option.some(Effect.uninterruptible(Effect.never)) }
      const sa = yield* session({ ...a, service: stuck }, { store, key: "key" })
      const sb = yield* session(provider({ rotation: "single-use" }), { store, key: "key", patience: "1 hour" })
      yield* Effect.fork(Effect.either(sa.accessToken))
      yield* settle
      const other = yield* Effect.fork(sb.accessToken)
      yield* clock.advance("12 seconds")
      const exit = other.unsafePoll()
      assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
    })
  )
})
