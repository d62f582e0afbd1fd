import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option } from "effect"
import type { FlightResult } from "../../../src/session/machine/state.js"
import { Waiters } from "../../../src/session/runtime/waiters.js"
import { failure, secret } from "../../support/harness.js"
import { metrics } from "../../support/telemetry.js"

const token = secret("test-access")
const isToken = Option.contains<unknown>(token)
const completed: FlightResult = { _tag: "Token", token }

/** Lets every fiber run that can. */
const flush = Effect.repeatN(Effect.yieldNow(), 20)

/** The waiters of a flight, and their number. */
const waitersOf = (name: string) => {
  const waiters = new Waiters({ provider: { name }, label: undefined })
  return { waiters, waiting: Effect.map(metrics(name), (all) => all.waiting) }
}

describe("the waiters of a flight", () => {
  it.effect("law 6: all who wait there are answered the same, and so is who comes later", () =>
    Effect.gen(function* () {
      const { waiters, waiting } = waitersOf("waiters-same")
      const callers = yield* Effect.forkAll(Array.from({ length: 3 }, () => waiters.awaitToken))
      yield* flush
      assert.strictEqual(yield* waiting, 3)
      waiters.complete(completed)
      assert.strictEqual(yield* waiting, 0)
      assert.isTrue((yield* Fiber.join(callers)).every(isToken))
      assert.isTrue(isToken(yield* waiters.awaitToken))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("law 30: what lands first is what counts", () =>
    Effect.gen(function* () {
      const { waiters } = waitersOf("waiters-first")
      waiters.complete({ _tag: "Superseded" })
      waiters.complete(completed)
      assert.isTrue(Option.isNone(yield* waiters.awaitToken))
    })
  )

  it.effect("a failure is no less an answer", () =>
    Effect.gen(function* () {
      const { waiters, waiting } = waitersOf("waiters-failure")
      const caller = yield* Effect.fork(Effect.flip(waiters.awaitToken))
      yield* flush
      waiters.complete({ _tag: "Failed", failure: failure.unspent })
      assert.strictEqual(yield* Fiber.join(caller), failure.unspent)
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("law 7: who is interrupted leaves at once, however long it takes to end, and the others stay", () =>
    Effect.gen(function* () {
      const { waiters, waiting } = waitersOf("waiters-leave")
      const cleanedUp = yield* Deferred.make<void>()
      const leaving = yield* Effect.fork(Effect.ensuring(waiters.awaitToken, Deferred.await(cleanedUp)))
      const staying = yield* Effect.fork(waiters.awaitToken)
      yield* flush
      assert.strictEqual(yield* waiting, 2)
      yield* Fiber.interruptFork(leaving)
      yield* flush
      assert.strictEqual(yield* waiting, 1)
      waiters.complete(completed)
      assert.isTrue(isToken(yield* Fiber.join(staying)))
      assert.strictEqual(yield* waiting, 0)
      yield* Deferred.succeed(cleanedUp, undefined)
    })
  )

  it.effect("who cannot be interrupted waits to the end, and is counted that long", () =>
    Effect.gen(function* () {
      const { waiters, waiting } = waitersOf("waiters-uninterruptible")
      let response: Option.Option<unknown> = Option.none()
      const caller = yield* Effect.fork(
        Effect.uninterruptible(Effect.tap(waiters.awaitToken, (found) => Effect.sync(() => (response = found))))
      )
      yield* flush
      yield* Fiber.interruptFork(caller)
      yield* flush
      assert.strictEqual(yield* waiting, 1)
      waiters.complete(completed)
      yield* Fiber.await(caller)
      assert.isTrue(isToken(response))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("who only waits for the end, as `adopt` does, is not counted among those without a token", () =>
    Effect.gen(function* () {
      const { waiters, waiting } = waitersOf("waiters-end")
      const adopting = yield* Effect.fork(waiters.awaitEnd)
      const caller = yield* Effect.fork(waiters.awaitToken)
      yield* flush
      assert.strictEqual(yield* waiting, 1)
      waiters.complete(completed)
      yield* Fiber.join(adopting)
      yield* Fiber.join(caller)
      assert.strictEqual(yield* waiting, 0)
    })
  )
})
