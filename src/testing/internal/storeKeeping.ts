/**
 * The laws of what a store keeps: the newest version of each key, exactly and whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Version } from "../../store/TokenStore.js"
import { isNewer } from "../../store/TokenStore.js"
import { type Law, law, together } from "./storeLaw.js"
import { contentsOf, entry, isExactly, told, toldStoredEntry, version } from "./storeEntry.js"
import { bornNames, oddContents, oddKeys } from "./storeOddities.js"

/**
 * The laws of keeping, in the order of their checks.
 *
 * @since 0.1.0
 * @category testing
 */
export const keeping: ReadonlyArray<Law> = [
  law(
    "a key that nothing was saved under has nothing",
    Effect.fnUntraced(function* ({ expect, key, store }) {
      const kept = yield* store.load(key)
      yield* expect(Option.isNone(kept), "it keeps nothing", toldStoredEntry(kept))
    })
  ),
  law(
    "what is saved is loaded exactly",
    Effect.fnUntraced(function* ({ keeps, save }) {
      for (const [index, contents] of oddContents.entries()) {
        yield* save(version(index + 1), true, contents)
        yield* keeps(version(index + 1), contents)
      }
    })
  ),
  law(
    "a newer generation is accepted; an older and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ keeps, save }) {
      yield* save(version(2), true)
      yield* save(version(2), false, "equal")
      yield* keeps(version(2))
      yield* save(version(1, 9), false, "older")
      yield* keeps(version(2))
      yield* save(version(3), true)
      yield* keeps(version(3))
      yield* save(version(2, 9), false, "older")
      yield* keeps(version(3))
    })
  ),
  law(
    "of one generation a higher revision is accepted; a lower and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ keeps, save }) {
      yield* save(version(1, 1), true)
      yield* save(version(1, 1), false, "equal")
      yield* keeps(version(1, 1))
      yield* save(version(1, 0), false, "lower")
      yield* keeps(version(1, 1))
      yield* save(version(1, 2), true)
      yield* keeps(version(1, 2))
      yield* save(version(2, 0), true)
      yield* keeps(version(2, 0))
    })
  ),
  law(
    "versions are compared as numbers, from zero to the largest integer",
    Effect.fnUntraced(function* ({ keeps, save }) {
      const largest = Number.MAX_SAFE_INTEGER
      const rising = [0, 9, 10, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 99_999_999_999_999, largest - 1, largest]
      for (const number of rising) {
        yield* save(version(number), true)
        yield* keeps(version(number))
      }
      for (const number of rising.slice(1)) {
        yield* save(version(largest, number), true)
        yield* keeps(version(largest, number))
      }
      yield* save(version(9, largest), false)
      yield* save(version(largest, largest - 1), false)
      yield* keeps(version(largest, largest))
    })
  ),
  law(
    "any order of saves leaves the newest",
    Effect.fnUntraced(function* ({ keeps, save }) {
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
        yield* keeps(newest)
      }
    })
  ),
  law(
    "of concurrent saves of one version exactly one is accepted, and it is what is kept",
    Effect.fnUntraced(function* ({ expect, keeps, key, store }) {
      // The first version finds nothing to replace, which is another path in most stores.
      for (const next of [version(1), version(1, 1), version(2), version(3)]) {
        const contents = Array.from({ length: 12 }, (_, index) => `${contentsOf(next)} by ${index}`)
        const answers = yield* together(contents.map((text) => store.save(key, entry(next, text))))
        const winners = contents.filter((_, index) => answers[index])
        yield* expect(winners.length === 1, `one save of ${told(next)} is accepted`, `${winners.length} were`)
        yield* keeps(next, winners[0])
      }
    })
  ),
  law(
    "concurrent saves of different versions leave the newest; readers meanwhile see whole entries that never go back",
    Effect.fnUntraced(function* ({ expect, keeps, key, save, store }) {
      // Long enough that half of it would show.
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
          const kept = yield* store.load(key)
          yield* expect(
            Option.exists(kept, (found) => isExactly(kept, found, whole(found))),
            "a reader sees a whole entry at any time",
            toldStoredEntry(kept)
          )
          if (Option.isNone(kept)) return
          yield* expect(
            !isNewer(last, kept.value),
            `a reader that saw ${told(last)} never sees an older one`,
            `it saw ${told(kept.value)}`
          )
          last = version(kept.value.generation, kept.value.revision)
          yield* Effect.yieldNow()
        }).pipe(Effect.repeat({ while: () => writing }))
      })
      const [answers] = yield* Effect.all([writers, reader, reader], { concurrency: "unbounded" })
      yield* expect(
        answers[versions.indexOf(newest)] === true,
        `saving the newest, ${told(newest)}, is accepted`,
        "it was refused"
      )
      yield* keeps(newest, whole(newest))
    })
  ),
  law(
    "keys do not meet",
    Effect.fnUntraced(function* ({ expect, keeps, key, lease, save, store }) {
      const keys = oddKeys(key)
      for (const [index, key] of keys.entries()) yield* save(version(1, index), true, key, key)
      for (const [index, key] of keys.entries()) yield* keeps(version(1, index), key, key)
      for (const [index, key] of keys.entries()) {
        yield* lease(`owner ${index}`, true, "this key's lease is free", key)
        yield* keeps(version(1, index), key, key)
      }
      for (const [index, key] of keys.entries()) {
        yield* lease("another", false, `the lease is with owner ${index}`, key)
        yield* store.release(key, `owner ${index}`)
      }
      for (const name of bornNames) {
        const kept = yield* store.load(name)
        yield* expect(
          Option.isNone(kept) || Redacted.isRedacted(kept.value.contents),
          `there is nothing under ${JSON.stringify(name)}, or an entry`,
          "it handed out something else"
        )
      }
    })
  )
]
