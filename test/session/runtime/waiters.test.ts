import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import { Landing } from "../../../src/session/runtime/waiters.js"
import { failure, secret } from "../../support/harness.js"
import { metrics } from "../../support/observed.js"

const token = secret("test-access")
const isToken = Option.contains<unknown>(token)
const landed = Exit.succeed(Option.some(token))

/** Lets whatever can run do so. */
const settled = Effect.repeatN(Effect.yieldNow(), 20)

/** A landing, and how many wait there. */
const landing = (name: string) => {
  const at = new Landing({ provider: { name }, label: undefined })
  return { at, waiting: Effect.map(metrics(name), (all) => all.waiting) }
}

describe("where a flight lands", () => {
  it.effect("law 6: all who wait there are answered the same, and so is who comes later", () =>
    Effect.gen(function* () {
      const { at, waiting } = landing("landing-same")
      const callers = yield* Effect.forkAll(Array.from({ length: 3 }, () => at.token))
      yield* settled
      assert.strictEqual(yield* waiting, 3)
      at.land(landed)
      assert.strictEqual(yield* waiting, 0)
      assert.isTrue((yield* Fiber.join(callers)).every(isToken))
      assert.isTrue(isToken(yield* at.token))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("law 30: what lands first is what counts", () =>
    Effect.gen(function* () {
      const { at } = landing("landing-first")
      at.land(Exit.succeed(Option.none()))
      at.land(landed)
      assert.isTrue(Option.isNone(yield* at.token))
    })
  )

  it.effect("a failure is no less an answer", () =>
    Effect.gen(function* () {
      const { at, waiting } = landing("landing-failure")
      const caller = yield* Effect.fork(Effect.flip(at.token))
      yield* settled
      at.land(Exit.fail(failure.unspent))
      assert.strictEqual(yield* Fiber.join(caller), failure.unspent)
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("law 7: who is interrupted leaves at once, however long it takes to end, and the others stay", () =>
    Effect.gen(function* () {
      const { at, waiting } = landing("landing-leave")
      const cleanedUp = yield* Deferred.make<void>()
      const leaving = yield* Effect.fork(Effect.ensuring(at.token, Deferred.await(cleanedUp)))
      const staying = yield* Effect.fork(at.token)
      yield* settled
      assert.strictEqual(yield* waiting, 2)
      yield* Fiber.interruptFork(leaving)
      yield* settled
      assert.strictEqual(yield* waiting, 1)
      at.land(landed)
      assert.isTrue(isToken(yield* Fiber.join(staying)))
      assert.strictEqual(yield* waiting, 0)
      yield* Deferred.succeed(cleanedUp, undefined)
    })
  )

  it.effect("who cannot be interrupted waits to the end, and is counted that long", () =>
    Effect.gen(function* () {
      const { at, waiting } = landing("landing-uninterruptible")
      let answer: Option.Option<unknown> = Option.none()
      const caller = yield* Effect.fork(
        Effect.uninterruptible(Effect.tap(at.token, (found) => Effect.sync(() => (answer = found))))
      )
      yield* settled
      yield* Fiber.interruptFork(caller)
      yield* settled
      assert.strictEqual(yield* waiting, 1)
      at.land(landed)
      yield* Fiber.await(caller)
      assert.isTrue(isToken(answer))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("who only waits for the end, as `adopt` does, is not counted among those without a token", () =>
    Effect.gen(function* () {
      const { at, waiting } = landing("landing-end")
      const adopting = yield* Effect.fork(at.end)
      const caller = yield* Effect.fork(at.token)
      yield* settled
      assert.strictEqual(yield* waiting, 1)
      at.land(landed)
      yield* Fiber.join(adopting)
      yield* Fiber.join(caller)
      assert.strictEqual(yield* waiting, 0)
    })
  )
})
