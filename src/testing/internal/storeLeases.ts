/**
 * The laws of leases: a lease has one owner at a time, until that owner releases it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { version } from "./storeEntry.js"
import { type Law, law, long, together } from "./storeLaw.js"

/**
 * The laws of leases, except those about their end by themselves.
 *
 * @since 0.1.0
 * @category testing
 */
export const leaseLaws: ReadonlyArray<Law> = [
  law(
    "of concurrent owners exactly one gets the lease",
    Effect.fnUntraced(function* ({ expect, key, lease, store }) {
      const owners = Array.from({ length: 12 }, (_, index) => `owner ${index}`)
      const results = yield* together(owners.map((owner) => store.lease(key, owner, long)))
      const winners = owners.filter((_, index) => results[index])
      yield* expect(winners.length === 1, "one owner gets the lease", `${winners.length} did`)
      for (const owner of owners) yield* lease(owner, winners.includes(owner), `${winners[0]} has the lease`)
      yield* store.release(key, winners[0] ?? "")
    })
  ),
  law(
    "an owner may take its lease again; another owner gets it only after its release",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      for (const [owner, other] of [
        ["a", "b"],
        ["b", "a"],
        ["a", "b"]
      ] as const) {
        yield* lease(owner, true, "the lease is free")
        yield* lease(other, false, `${owner} has the lease`)
        yield* lease(owner, true, "it has the lease")
        yield* lease(other, false, `${owner} has the lease`)
        yield* store.release(key, owner)
      }
    })
  ),
  law(
    "releasing the lease of another owner does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "b")
      yield* lease("b", false, "a has the lease")
      // Owners are compared as whole names.
      for (const stranger of ["", "A", "a ", "aa", "*"]) yield* store.release(key, stranger)
      yield* lease("c", false, "a has the lease")
      yield* lease("a", true, "it has the lease")
      yield* store.release(key, "a")
    })
  ),
  law(
    "releasing a lease twice, or one without an owner, does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* store.release(key, "a")
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "a")
      yield* store.release(key, "a")
      yield* lease("b", true, "the lease was released")
      yield* store.release(key, "a")
      yield* lease("c", false, "b has the lease")
      yield* store.release(key, "b")
      yield* store.release(key, "b")
      yield* lease("c", true, "the lease was released")
      yield* store.release(key, "c")
    })
  ),
  law(
    "leases of different keys are independent",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      const [first, second] = [`${key}/1`, `${key}/2`]
      yield* lease("a", true, "the lease is free", first)
      yield* lease("b", true, "the lease is free", second)
      yield* lease("a", false, "b has the lease", second)
      yield* store.release(second, "a")
      yield* lease("c", false, "b has the lease", second)
      yield* store.release(second, "b")
      yield* lease("a", true, "one owner may have several", second)
      yield* store.release(first, "a")
      yield* lease("c", false, "a has the lease", second)
      yield* lease("c", true, "the lease was released", first)
      yield* store.release(second, "a")
      yield* store.release(first, "c")
    })
  ),
  law(
    "saving and loading need no lease and work while there is one",
    Effect.fnUntraced(function* ({ expectStored, key, lease, save, store }) {
      yield* save(version(1), true)
      yield* lease("a", true, "the lease is free")
      yield* expectStored(version(1))
      yield* save(version(2), true)
      yield* expectStored(version(2))
      yield* lease("b", false, "saving does not end a lease")
      yield* store.release(key, "a")
      yield* expectStored(version(2))
      yield* lease("b", true, "the lease was released")
      yield* save(version(2), false)
      yield* store.release(key, "b")
    })
  )
]
