// A token store of your own, and the laws that every store has to keep.
import { it } from "@effect/vitest"
import { Duration, Effect, Layer, Option, TestClock } from "effect"
import { Moment, TokenStore } from "effect-auth"
import { laws } from "effect-auth/testing/StoreLaws"

/** Has entries and leases in two maps. Any database with a compare-and-set can do the same. */
const mine = Layer.sync(TokenStore.TokenStore, (): TokenStore.Service => {
  const entries = new Map<string, TokenStore.Entry & { readonly since: Moment.Moment }>()
  const leases = new Map<string, { readonly owner: string; readonly until: number }>()
  const monotonic = (now: Moment.Moment) => Number(now.nanos) / 1e6
  return {
    load: (key) =>
      Effect.map(Moment.now, (now) =>
        Option.map(Option.fromNullable(entries.get(key)), ({ since, ...entry }) => ({
          ...entry,
          age: Duration.millis(Moment.age(since, now))
        }))
      ),
    // False if it is not newer than the stored entry. In a store of several processes, compare and write in one step.
    save: (key, entry) =>
      Effect.map(Moment.now, (since) => {
        const stored = entries.get(key)
        if (stored !== undefined && !TokenStore.isNewer(entry, stored)) return false
        entries.set(key, { ...entry, since })
        return true
      }),
    // A lease expires by itself, because its owner may be dead.
    lease: (key, owner, duration) =>
      Effect.map(Moment.now, (now) => {
        const lease = leases.get(key)
        if (lease !== undefined && lease.owner !== owner && monotonic(now) < lease.until) return false
        leases.set(key, { owner, until: monotonic(now) + Duration.toMillis(duration) })
        return true
      }),
    release: (key, owner) =>
      Effect.sync(() => {
        if (leases.get(key)?.owner === owner) leases.delete(key)
      })
  }
})

// Under TestClock, `wait` moves the clock. For a store on a server, use `it.live` and `laws()`, which wait in real time.
for (const { check, name } of laws({ wait: TestClock.adjust })) it.effect(name, () => Effect.provide(check, mine))
