/**
 * The port to where a token set rests, and the layer that keeps it in memory.
 *
 * A store keeps text that it does not look into, orders it by its version, and lends an exclusive section for each key.
 * What the text says is the session's affair, so that any store can be wrapped in encryption.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import type * as Redacted from "effect/Redacted"
import type { StoreFailure } from "../common/AuthError.js"
import * as Moment from "../common/Moment.js"
import * as Synchronous from "./synchronous.js"

/**
 * What entries of one key are ordered by: first the generation, which grows with every token set and every log out, then
 * the revision, which grows each time the entry of a generation is written again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Version {
  readonly generation: number
  readonly revision: number
}

/**
 * The order of versions.
 *
 * @since 0.1.0
 * @category models
 */
export const byVersion: Order.Order<Version> = Order.combine(
  Order.mapInput(Order.number, (version: Version) => version.generation),
  Order.mapInput(Order.number, (version: Version) => version.revision)
)

/**
 * Tells whether one version is newer than another.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNewer: (version: Version, than: Version) => boolean = Order.greaterThan(byVersion)

/**
 * What a store is given to keep. The contents are secret: text of any length, without a meaning to the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends Version {
  readonly contents: Redacted.Redacted<string>
}

/**
 * What a store hands out.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredEntry extends Entry {
  /** How long ago it was saved, by the store's own clock where it has one. */
  readonly age: Duration.Duration
}

/**
 * Keeps one entry for each key. A key is any text, without a secret in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The newest entry of a key. */
  readonly load: (key: string) => Effect.Effect<Option.Option<StoredEntry>, StoreFailure>
  /**
   * Keeps an entry if its version is newer than what is kept; `false` says that it is not, and that nothing changed. Of
   * several processes that save the same version, one is told `true` (law 19). There is no delete: a signed-out entry of
   * the next generation takes the place of the last one.
   */
  readonly save: (key: string, entry: Entry) => Effect.Effect<boolean, StoreFailure>
  /**
   * Takes the exclusive section of a key for an owner, or keeps it if the owner has it already, for as long as
   * `duration` from now; `false` says that somebody else has it. It ends by itself (law 20), by the clock of the store
   * or by the monotonic clock of whoever waits for it, and never by comparing the wall clocks of two machines.
   */
  readonly lease: (key: string, owner: string, duration: Duration.Duration) => Effect.Effect<boolean, StoreFailure>
  /** Gives the exclusive section back. Does nothing if the owner does not have it any more. */
  readonly release: (key: string, owner: string) => Effect.Effect<void, StoreFailure>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class TokenStore extends Context.Tag("effect-auth/TokenStore")<TokenStore, Service>() {}

/**
 * A place in a store: where one session is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface Location {
  readonly store: Service
  readonly key: string
}

/**
 * The place of a session in the store of the context. Sessions with the same provider and the same key share their
 * tokens, so the key names whose they are: a user, a tenant, `"service"`. Nothing notices when two accounts are given the
 * same key: the second one gets the tokens of the first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (key: string): Effect.Effect<Location, never, TokenStore> =>
  Effect.map(TokenStore, (store) => ({ store, key }))

/**
 * A store that lives as long as the process. Sessions that share it are in one process, so that what they lease of it does
 * not end by itself: each gives it back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Service> = Effect.sync(() => {
  const entries = new Map<string, { readonly entry: Entry; readonly since: Moment.Moment }>()
  const leases = new Map<string, { readonly owner: string; readonly until: bigint | undefined }>()
  const load: Synchronous.SynchronousStore<Entry>["load"] = (key, now) => {
    const kept = entries.get(key)
    return kept && { entry: kept.entry, age: Moment.age(kept.since, now) }
  }
  const save = (key: string, entry: Entry, since: Moment.Moment): boolean => {
    const kept = entries.get(key)
    if (kept !== undefined && !isNewer(entry, kept.entry)) return false
    entries.set(key, { entry, since })
    return true
  }
  const lease = (key: string, owner: string, { nanos }: Moment.Moment, duration?: Duration.Duration): boolean => {
    const lease = leases.get(key)
    const ended = lease?.until !== undefined && nanos >= lease.until
    if (lease !== undefined && lease.owner !== owner && !ended) return false
    const until = duration && nanos + BigInt(Math.round(Duration.toMillis(duration) * 1e6))
    leases.set(key, { owner, until })
    return true
  }
  const release = (key: string, owner: string): void => {
    if (leases.get(key)?.owner === owner) leases.delete(key)
  }
  const store: Service = {
    load: (key) =>
      Effect.map(Moment.now, (now) =>
        Option.map(Option.fromNullable(load(key, now)), ({ age, entry: { contents, generation, revision } }) => ({
          generation,
          revision,
          contents,
          age: Duration.millis(age)
        }))
      ),
    save: (key, entry) => Effect.map(Moment.now, (now) => save(key, entry, now)),
    lease: (key, owner, duration) => Effect.map(Moment.now, (now) => lease(key, owner, now, duration)),
    release: (key, owner) => Effect.sync(() => release(key, owner))
  }
  return Synchronous.register<Entry, Service>(store, { load, save, lease, release })
})

/**
 * A store that lives as long as the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = /* @__PURE__ */ Layer.effect(TokenStore, makeMemory)
