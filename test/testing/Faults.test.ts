import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Faults from "../../src/testing/Faults.js"

describe("Faults", () => {
  it.effect("take is first in first out for each endpoint, and counts down", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.make<"login" | "api">()
      const first = Faults.Status({ status: 500 })
      const second = Faults.Drop({ when: "after" })
      yield* faults.inject("api", first, 2)
      yield* faults.inject("login", Faults.Body({ kind: "html" }))
      yield* faults.inject("api", second)
      assert.deepStrictEqual(yield* faults.take("api"), Option.some(first))
      assert.deepStrictEqual(yield* faults.take("api"), Option.some(first))
      assert.deepStrictEqual(yield* faults.take("api"), Option.some(second))
      assert.deepStrictEqual(yield* faults.take("api"), Option.none())
      assert.isTrue(Option.isSome(yield* faults.take("login")))
    })
  )

  it.effect("an endless fault lasts until clear, zero times is never", () =>
    Effect.gen(function* () {
      const faults = yield* Faults.make()
      yield* faults.inject("api", Faults.Status({ status: 503 }), Number.POSITIVE_INFINITY)
      yield* faults.inject("login", Faults.Status({ status: 503 }), 0)
      for (let i = 0; i < 10; i++) assert.isTrue(Option.isSome(yield* faults.take("api")))
      assert.isTrue(Option.isNone(yield* faults.take("login")))
      yield* faults.clear
      assert.isTrue(Option.isNone(yield* faults.take("api")))
    })
  )

  it("a dropped connection looks like Node's", () => {
    const dropped = new Faults.Dropped()
    assert.instanceOf(dropped, Error)
    assert.strictEqual(dropped.code, "ECONNRESET")
  })
})
