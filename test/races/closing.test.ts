import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, FiberId, FiberRef, Option, Scope, Stream } from "effect"
import { runBounded } from "../../src/common/bounded.js"
import * as Engine from "../../src/session/runtime/engine.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import { unsaved } from "../laws/harness.js"
import { engine, paused, provider, session, user, watchedStore } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"

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
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const asked = yield* Effect.fork(s.accessToken)
      yield* flight.sent
      yield* clock.advance("2600 millis") // the beat is on its way
      yield* flight.respond
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
      yield* flush
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("1 minute")
      yield* Fiber.join(closing)
      assert.strictEqual(p.count().login, 0)
    })
  )

  it.effect("law 31: a login whose credentials come after the close is not sent", () =>
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
      yield* flush
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
      yield* flush
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 minute")
      assert.isNotNull(watching.unsafePoll(), "the first ended")
      const late = yield* Effect.fork(Stream.runDrain(s.changes))
      yield* clock.advance("1 minute")
      assert.isNotNull(late.unsafePoll(), "the late one ended")
    })
  )
})

it.scoped("law 31: closing in an interrupted fiber saves what is unsaved", () =>
  manually(function* (clock) {
    const p = provider()
    const store = yield* watchedStore
    const ready = yield* Deferred.make<void>()
    store.state.save = Effect.fail(unsaved)
    const slow: TokenStore.Service = {
      ...store.service,
      save: (k, r) => Effect.delay(store.service.save(k, r), "500 millis")
    }
    const app = yield* Effect.fork(
      Effect.scoped(
        Effect.gen(function* () {
          const s = yield* session(p, { store: slow, key: "key" })
          yield* s.accessToken
          store.state.save = undefined
          yield* Deferred.succeed(ready, void 0)
          return yield* Effect.never
        })
      )
    )
    yield* clock.advance("501 millis")
    yield* Deferred.await(ready)
    const before = store.state.saves
    const i = yield* Effect.fork(Fiber.interrupt(app))
    yield* flush
    const doneAtOnce = Option.isSome(yield* Fiber.poll(i))
    yield* clock.advance("2 seconds")
    assert.deepStrictEqual(
      [doneAtOnce, Option.isSome(yield* store.inner.load("key")), Option.isSome(yield* Fiber.poll(i))],
      [false, true, true],
      `${before} ${store.state.saves}`
    )
  })
)

describe("a fiber of the session that is interrupted before it began", () => {
  it.scoped("law 31: what is begun for it is late, and is not begun", () =>
    manually(function* () {
      const made = yield* engine
      let sent = false
      let interrupted: boolean | undefined
      const fiber = yield* Effect.uninterruptible(
        Engine.forkOwned(
          made,
          Effect.zipRight(
            Effect.withFiberRuntime<void>((self) => {
              interrupted = !Cause.isEmpty(self.getFiberRef(FiberRef.interruptedCause))
              return Effect.void
            }),
            Effect.asVoid(
              runBounded<void, { readonly message: string }>(
                "test",
                () =>
                  Effect.sync(() => {
                    sent = true
                  }),
                Duration.seconds(10),
                { onTimeout: () => ({ message: "late" }), onDefect: () => ({ message: "broken" }) }
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

describe("a session that has closed while someone still watches", () => {
  it.scoped("law 30: logout always ends signed out, and ends", () =>
    manually(function* (clock) {
      const p = provider()
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p), scope)
      yield* s.accessToken
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.never))
      yield* flush
      yield* Scope.close(scope, Exit.void)
      yield* clock.advance("1 second")
      const out = yield* Effect.fork(s.logout)
      yield* clock.advance("1 minute")
      const exit = out.unsafePoll()
      assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
    })
  )
})
