import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope, Stream } from "effect"
import type * as Status from "../../src/session/machine/Status.js"
import { provider, session } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"

it.scoped("law 32: changes end when the session closes", () =>
  manually(function* (clock) {
    const scope = yield* Scope.make()
    const s = yield* Scope.extend(session(provider()), scope)
    const f = yield* Effect.fork(Stream.runDrain(s.changes))
    yield* flush
    yield* Scope.close(scope, Exit.void)
    yield* clock.advance("1 minute")
    assert.isTrue(Option.isSome(yield* Fiber.poll(f)), "still waits")
  })
)

describe("law 32: observers", () => {
  it.scoped("law 32: a late subscriber gets the current status first, then each that differs, in order", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      const seen: Array<Status.Status> = []
      const watching = yield* Effect.fork(
        Stream.runForEach(s.changes, (status) => Effect.sync(() => seen.push(status)))
      )
      yield* flush
      yield* s.refresh
      yield* flush
      yield* s.logout
      yield* clock.advance("1 second")
      yield* Fiber.interrupt(watching)
      const reported = seen.map(
        ({ inFlight, generation, state }) => `${state} ${generation}${inFlight ? " inFlight" : ""}`
      )
      assert.deepStrictEqual(
        reported.filter((one, i) => one !== reported[i - 1]),
        ["signed-in 1", "signed-in 1 inFlight", "signed-in 2", "signed-out 3"]
      )
    })
  )

  it.scoped("law 32: an observer that never ends, one that dies and one that calls back delay no one", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.never))
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.die("an observer's own fault")))
      const reentrant = yield* Effect.fork(
        s.changes.pipe(
          Stream.tap(() => s.accessToken),
          Stream.takeUntil((status) => status.generation >= 500),
          Stream.runDrain
        )
      )
      yield* flush
      for (let i = 0; i < 500; i++) yield* s.refresh
      yield* Fiber.join(reentrant)
      assert.deepStrictEqual(p.count(), { refresh: 500, login: 1, total: 501, most: 1 })
    })
  )

  it.scoped("law 32: an observer may refresh from within", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* s.changes.pipe(
        Stream.take(1),
        Stream.mapEffect(() => s.refresh),
        Stream.runDrain
      )
      assert.strictEqual(p.count().refresh, 1)
    })
  )
})
