import * as Equal from "effect/Equal"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"

const isStructural = (key: unknown): boolean => typeof key !== "string" && Equal.isEqual(key)

/**
 * Values by key, where keys are compared as Effect compares them. Text, numbers and the like are found in a `Map`, without
 * anything in between: the reading of a token is on the way.
 */
export class Keyed<K, V> {
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
