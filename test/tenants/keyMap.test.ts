import { assert, it } from "@effect/vitest"
import { Duration } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import { KeyMap } from "../../src/tenants/keyMap.js"

it("what is stored by a key is found by it, whatever the key is", () => {
  const keyed = new KeyMap<unknown, number>()
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
