// A store of your own, and the laws that it has to keep.
import { it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Option, Ref, TestClock } from "effect"
import { TokenStore } from "effect-auth"
import { laws } from "effect-auth/testing/StoreLaws"

interface Row {
  readonly entry: TokenStore.Entry
  readonly savedAt: number
}

interface Lease {
  readonly owner: string
  readonly until: number
}

/** Has a row for each entry and each lease, and changes a row in one step only. */
const make: Effect.Effect<TokenStore.Service> = Effect.gen(function* () {
  const rows = yield* Ref.make<ReadonlyMap<string, Row>>(new Map())
  const leases = yield* Ref.make<ReadonlyMap<string, Lease>>(new Map())
  return {
    load: Effect.fnUntraced(function* (key) {
      const now = yield* Clock.currentTimeMillis
      const row = (yield* Ref.get(rows)).get(key)
      return Option.map(Option.fromNullable(row), ({ entry, savedAt }) => ({
        ...entry,
        age: Duration.millis(Math.max(0, now - savedAt))
      }))
    }),
    save: Effect.fnUntraced(function* (key, entry) {
      const savedAt = yield* Clock.currentTimeMillis
      return yield* Ref.modify(rows, (all) => {
        const stored = all.get(key)
        if (stored !== undefined && !TokenStore.isNewer(entry, stored.entry)) return [false, all]
        return [true, new Map(all).set(key, { entry, savedAt })]
      })
    }),
    lease: Effect.fnUntraced(function* (key, owner, duration) {
      const now = yield* Clock.currentTimeMillis
      return yield* Ref.modify(leases, (all) => {
        const lease = all.get(key)
        if (lease !== undefined && lease.owner !== owner && now < lease.until) return [false, all]
        return [true, new Map(all).set(key, { owner, until: now + Duration.toMillis(duration) })]
      })
    }),
    release: (key, owner) =>
      Ref.update(leases, (all) => {
        if (all.get(key)?.owner !== owner) return all
        const rest = new Map(all)
        rest.delete(key)
        return rest
      })
  }
})

const layer = Layer.effect(TokenStore.TokenStore, make)

for (const { check, name } of laws({ wait: TestClock.adjust })) {
  it.effect(name, () => Effect.provide(check, layer))
}
