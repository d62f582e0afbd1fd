import { assert, it } from "@effect/vitest"
import { Duration } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import { KeyMap } from "../../src/tenants/keyMap.js"

it("what is stored by a key is found by it, whatever the key is", () => {
  const map = new KeyMap<unknown, number>()
  const keys = ["text", 1, Symbol.iterator, {}, TokenStore.TokenStore, Duration.seconds(1), () => 1, null, undefined]
  keys.forEach((key, place) => {
    map.set(key, place)
  })
  assert.deepStrictEqual(
    keys.map((key) => map.get(key)),
    keys.map((_, place) => place)
  )
  assert.strictEqual(map.get(Duration.millis(1000)), 5)
})
