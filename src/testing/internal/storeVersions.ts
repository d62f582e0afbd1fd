/**
 * The laws of entries and versions: a store has the newest version of each key, exact and whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Version } from "../../store/TokenStore.js"
import { isNewer } from "../../store/TokenStore.js"
import { edgeContents, edgeKeys, inheritedNames } from "./storeEdgeCases.js"
import { contentsOf, describeEntry, describeVersion, entry, isExactly, version } from "./storeEntry.js"
import { type Law, law, together } from "./storeLaw.js"

/**
 * The laws of entries and versions, in the order of their checks.
 *
 * @since 0.1.0
 * @category testing
 */
export const versionLaws: ReadonlyArray<Law> = [
  law(
    "a key without a save has no entry",
    Effect.fnUntraced(function* ({ expect, key, store }) {
      const stored = yield* store.load(key)
      yield* expect(Option.isNone(stored), "nothing is stored", describeEntry(stored))
    })
  ),
  law(
    "an entry is loaded exactly as it was saved",
    Effect.fnUntraced(function* ({ expectStored, save }) {
      for (const [index, contents] of edgeContents.entries()) {
        yield* save(version(index + 1), true, contents)
        yield* expectStored(version(index + 1), contents)
      }
    })
  ),
  law(
    "a newer generation is accepted; an older and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ expectStored, save }) {
      yield* save(version(2), true)
      yield* save(version(2), false, "equal")
      yield* expectStored(version(2))
      yield* save(version(1, 9), false, "older")
      yield* expectStored(version(2))
      yield* save(version(3), true)
      yield* expectStored(version(3))
      yield* save(version(2, 9), false, "older")
      yield* expectStored(version(3))
    })
  ),
  law(
    "of one generation a higher revision is accepted; a lower and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ expectStored, save }) {
      yield* save(version(1, 1), true)
      yield* save(version(1, 1), false, "equal")
      yield* expectStored(version(1, 1))
      yield* save(version(1, 0), false, "lower")
      yield* expectStored(version(1, 1))
      yield* save(version(1, 2), true)
      yield* expectStored(version(1, 2))
      yield* save(version(2, 0), true)
      yield* expectStored(version(2, 0))
    })
  ),
  law(
    "versions are compared as numbers, from zero to the largest integer",
    Effect.fnUntraced(function* ({ expectStored, save }) {
      const largest = Number.MAX_SAFE_INTEGER
      const rising = [0, 9, 10, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 99_999_999_999_999, largest - 1, largest]
      for (const number of rising) {
        yield* save(version(number), true)
        yield* expectStored(version(number))
      }
      for (const number of rising.slice(1)) {
        yield* save(version(largest, number), true)
        yield* expectStored(version(largest, number))
      }
      yield* save(version(9, largest), false)
      yield* save(version(largest, largest - 1), false)
      yield* expectStored(version(largest, largest))
    })
  ),
  law(
    "any order of saves leaves the newest",
    Effect.fnUntraced(function* ({ expectStored, save }) {
      let newest = version(0, 0)
      yield* save(newest, true)
      for (const [generation, revision] of [
        [3, 1],
        [1, 0],
        [3, 0],
        [3, 2],
        [2, 9],
        [5, 0],
        [5, 0],
        [4, 7],
        [5, 1],
        [10, 0],
        [9, 99],
        [10, 0],
        [10, 2],
        [10, 1],
        [100, 0],
        [20, 20]
      ] as const) {
        const next = version(generation, revision)
        const accepted = isNewer(next, newest)
        yield* save(next, accepted)
        if (accepted) newest = next
        yield* expectStored(newest)
      }
    })
  ),
  law(
    "of concurrent saves of one version exactly one is accepted, and that one is stored",
    Effect.fnUntraced(function* ({ expect, expectStored, key, store }) {
      // The first version replaces nothing, which is another path in most stores.
      for (const next of [version(1), version(1, 1), version(2), version(3)]) {
        const contents = Array.from({ length: 12 }, (_, index) => `${contentsOf(next)} by ${index}`)
        const results = yield* together(contents.map((text) => store.save(key, entry(next, text))))
        const winners = contents.filter((_, index) => results[index])
        yield* expect(
          winners.length === 1,
          `one save of ${describeVersion(next)} is accepted`,
          `${winners.length} were`
        )
        yield* expectStored(next, winners[0])
      }
    })
  ),
  law(
    "concurrent saves of different versions leave the newest; readers meanwhile see whole entries that never go back",
    Effect.fnUntraced(function* ({ expect, expectStored, key, save, store }) {
      // Long enough that a half-written one would be seen.
      const whole = (version: Version) => `${`${contentsOf(version)}, `.repeat(1500)}and no more`
      const first = version(1)
      const versions = Array.from({ length: 24 }, (_, index) => version(2 + ((index * 7) % 24), index % 3))
      const newest = versions.reduce((a, b) => (isNewer(b, a) ? b : a))
      let writing = true
      yield* save(first, true, whole(first))
      const writers = Effect.ensuring(
        together(versions.map((version) => store.save(key, entry(version, whole(version))))),
        Effect.sync(() => {
          writing = false
        })
      )
      const reader = Effect.suspend(() => {
        let last = first
        return Effect.gen(function* () {
          const stored = yield* store.load(key)
          yield* expect(
            Option.exists(stored, (found) => isExactly(stored, found, whole(found))),
            "a reader sees a whole entry at any time",
            describeEntry(stored)
          )
          if (Option.isNone(stored)) return
          yield* expect(
            !isNewer(last, stored.value),
            `a reader that saw ${describeVersion(last)} never sees an older one`,
            `it saw ${describeVersion(stored.value)}`
          )
          last = version(stored.value.generation, stored.value.revision)
          yield* Effect.yieldNow()
        }).pipe(Effect.repeat({ while: () => writing }))
      })
      const [results] = yield* Effect.all([writers, reader, reader], { concurrency: "unbounded" })
      yield* expect(
        results[versions.indexOf(newest)] === true,
        `saving the newest, ${describeVersion(newest)}, is accepted`,
        "it was refused"
      )
      yield* expectStored(newest, whole(newest))
    })
  ),
  law(
    "keys do not collide",
    Effect.fnUntraced(function* ({ expect, expectStored, key, lease, save, store }) {
      const keys = edgeKeys(key)
      for (const [index, key] of keys.entries()) yield* save(version(1, index), true, key, key)
      for (const [index, key] of keys.entries()) yield* expectStored(version(1, index), key, key)
      for (const [index, key] of keys.entries()) {
        yield* lease(`owner ${index}`, true, "this key's lease is free", key)
        yield* expectStored(version(1, index), key, key)
      }
      for (const [index, key] of keys.entries()) {
        yield* lease("another", false, `owner ${index} has the lease`, key)
        yield* store.release(key, `owner ${index}`)
      }
      for (const name of inheritedNames) {
        const stored = yield* store.load(name)
        yield* expect(
          Option.isNone(stored) || Redacted.isRedacted(stored.value.contents),
          `there is nothing under ${JSON.stringify(name)}, or an entry`,
          "it handed out something else"
        )
      }
    })
  )
]
