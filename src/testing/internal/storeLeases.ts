/**
 * The laws of the exclusive section: one owner of a lease at a time, until they release it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { type Law, law, long, together } from "./storeLaw.js"
import { version } from "./storeEntry.js"

/**
 * The laws of leases, but for how they end by themselves.
 *
 * @since 0.1.0
 * @category testing
 */
export const exclusive: ReadonlyArray<Law> = [
  law(
    "of concurrent owners exactly one gets the lease",
    Effect.fnUntraced(function* ({ expect, key, lease, store }) {
      const owners = Array.from({ length: 12 }, (_, index) => `owner ${index}`)
      const answers = yield* together(owners.map((owner) => store.lease(key, owner, long)))
      const winners = owners.filter((_, index) => answers[index])
      yield* expect(winners.length === 1, "one owner gets the lease", `${winners.length} did`)
      for (const owner of owners) yield* lease(owner, winners.includes(owner), `the lease is with ${winners[0]}`)
      yield* store.release(key, winners[0] ?? "")
    })
  ),
  law(
    "a lease is its owner's, who may take it again, and nobody else's until it is released",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      for (const [owner, other] of [
        ["a", "b"],
        ["b", "a"],
        ["a", "b"]
      ] as const) {
        yield* lease(owner, true, "the lease is free")
        yield* lease(other, false, `the lease is with ${owner}`)
        yield* lease(owner, true, "the lease is its own")
        yield* lease(other, false, `the lease is with ${owner}`)
        yield* store.release(key, owner)
      }
    })
  ),
  law(
    "releasing what another holds does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "b")
      yield* lease("b", false, "the lease is with a")
      // The name of an owner is the whole of it.
      for (const stranger of ["", "A", "a ", "aa", "*"]) yield* store.release(key, stranger)
      yield* lease("c", false, "the lease is with a")
      yield* lease("a", true, "the lease is its own")
      yield* store.release(key, "a")
    })
  ),
  law(
    "releasing twice, or what nobody holds, does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* store.release(key, "a")
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "a")
      yield* store.release(key, "a")
      yield* lease("b", true, "the lease was released")
      yield* store.release(key, "a")
      yield* lease("c", false, "the lease is with b")
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
      yield* lease("a", false, "the lease is with b", second)
      yield* store.release(second, "a")
      yield* lease("c", false, "the lease is with b", second)
      yield* store.release(second, "b")
      yield* lease("a", true, "one owner may have several", second)
      yield* store.release(first, "a")
      yield* lease("c", false, "the lease is with a", second)
      yield* lease("c", true, "the lease was released", first)
      yield* store.release(second, "a")
      yield* store.release(first, "c")
    })
  ),
  law(
    "saving and loading need no lease, and none hinders them",
    Effect.fnUntraced(function* ({ keeps, key, lease, save, store }) {
      yield* save(version(1), true)
      yield* lease("a", true, "the lease is free")
      yield* keeps(version(1))
      yield* save(version(2), true)
      yield* keeps(version(2))
      yield* lease("b", false, "saving does not end a lease")
      yield* store.release(key, "a")
      yield* keeps(version(2))
      yield* lease("b", true, "the lease was released")
      yield* save(version(2), false)
      yield* store.release(key, "b")
    })
  )
]
