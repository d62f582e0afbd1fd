import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import { isStructural } from "../common/runtime.js"

/**
 * A mutable map whose keys are compared as Effect compares values. Text, numbers and other plain keys are found in a
 * `Map` directly, because reading a token goes through here.
 */
export class KeyMap<K, V> {
  private readonly plain = new Map<K, V>()
  private readonly structural = MutableHashMap.empty<K, V>()

  get(key: K): V | undefined {
    return isStructural(key) ? Option.getOrUndefined(MutableHashMap.get(this.structural, key)) : this.plain.get(key)
  }

  set(key: K, value: V): void {
    if (isStructural(key)) MutableHashMap.set(this.structural, key, value)
    else this.plain.set(key, value)
  }

  delete(key: K): void {
    if (isStructural(key)) MutableHashMap.remove(this.structural, key)
    else this.plain.delete(key)
  }

  clear(): void {
    this.plain.clear()
    MutableHashMap.clear(this.structural)
  }

  entries(): ReadonlyArray<readonly [K, V]> {
    return [...this.plain, ...this.structural]
  }
}
