import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Exit, Fiber, Option, Scope, TestClock } from "effect"
import { flush, tenants } from "./harness.js"

describe("a map that closes", () => {
  it.effect("law 31: waits for all at once, and no longer than for one", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const options = { shutdownDeadline: "10 seconds", timeout: "1 hour" } as const
      const { map, of } = yield* Scope.extend(tenants(options), scope)
      for (const key of ["a", "b", "c"]) {
        of(key).always(() => Effect.never)
        yield* Effect.fork(Effect.either(map.accessToken(key)))
      }
      yield* flush
      const close = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("11 seconds")
      yield* flush
      assert.isTrue(Option.isSome(yield* Fiber.poll(close)))
    })
  )

  it.effect("needs no fiber for each session that rests, and none of them answers any more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { map } = yield* Scope.extend(tenants(), scope)
      const keys = Array.from({ length: 200 }, (_, n) => `tenant-${n}`)
      yield* Effect.forEach(keys, map.accessToken)
      yield* flush
      const born = Effect.map(Effect.fork(Effect.void), (fiber) => fiber.id().id)
      const before = yield* born
      yield* Scope.close(scope, Exit.void)
      assert.isBelow((yield* born) - before, 20)
      const after = yield* Effect.forEach(keys, (key) => Effect.either(map.accessToken(key)))
      assert.isTrue(after.every(Either.isLeft))
    })
  )
})
