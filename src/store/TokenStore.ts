/**
 * The port through which sessions store their tokens, and its in-memory implementation.
 *
 * A store holds text that it does not interpret, orders it by version, and grants a lease for each key. Only the session
 * knows what the text means, so any store can be wrapped in encryption.
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
 * The version of an entry. Of two versions, the one with the higher generation is newer; within a generation, the one with the
 * higher revision.
 *
 * @since 0.1.0
 * @category models
 */
export interface Version {
  /** Grows with every token set and every logout. */
  readonly generation: number
  /** Grows each time that the entry of a generation is written again. */
  readonly revision: number
}

/**
 * The order of versions, oldest first.
 *
 * @since 0.1.0
 * @category models
 */
export const byVersion: Order.Order<Version> = Order.combine(
  Order.mapInput(Order.number, (version: Version) => version.generation),
  Order.mapInput(Order.number, (version: Version) => version.revision)
)

/**
 * Tells whether the first version is newer than the second.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isNewer: (version: Version, than: Version) => boolean = Order.greaterThan(byVersion)

/**
 * An entry as a session saves it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends Version {
  /** Secret text of any length, without a meaning to the store. */
  readonly contents: Redacted.Redacted<string>
}

/**
 * An entry as a store returns it.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredEntry extends Entry {
  /** The time since it was saved, by the store's own clock if it has one. Never negative. */
  readonly age: Duration.Duration
}

/**
 * A token store: one entry and one lease for each key. A key is any text, without a secret in it.
 *
 * To check a store of your own, run the laws of `effect-auth/testing/StoreLaws` against it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Returns the newest entry of a key, or `none` if nothing was ever saved. Fails with `StoreFailure`. */
  readonly load: (key: string) => Effect.Effect<Option.Option<StoredEntry>, StoreFailure>
  /**
   * Saves an entry if its version is newer than the stored one. Returns `false`, and changes nothing, if it is not. If several
   * processes save the same version, exactly one of them gets `true` (law 19). Fails with `StoreFailure`.
   *
   * There is no delete: a logout is saved as an entry of the next generation.
   */
  readonly save: (key: string, entry: Entry) => Effect.Effect<boolean, StoreFailure>
  /**
   * Acquires the lease of a key for `duration` from now, or extends it if the owner has it already. Returns `false` if another
   * owner has it. Fails with `StoreFailure`.
   *
   * A lease expires by itself (law 20): by the store's clock, or by the monotonic clock of the process that waits for it. The
   * wall clocks of two machines are never compared.
   */
  readonly lease: (key: string, owner: string, duration: Duration.Duration) => Effect.Effect<boolean, StoreFailure>
  /** Releases the lease of a key. Does nothing if the owner does not have it any more. Fails with `StoreFailure`. */
  readonly release: (key: string, owner: string) => Effect.Effect<void, StoreFailure>
}

/**
 * The service that stores the tokens of sessions: in memory ({@link layerMemory}), in files, on Redis, in an SQL database, or
 * in a store of your own.
 *
 * @since 0.1.0
 * @category tags
 */
export class TokenStore extends Context.Tag("effect-auth/TokenStore")<TokenStore, Service>() {}

/**
 * The location of one session's entry: a store and a key in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Location {
  /** The store that has the entry. */
  readonly store: Service
  /** The key of the entry. The session puts the provider's name, base URL and scopes before it. */
  readonly key: string
}

/**
 * Returns the location of a session in the store of the context. Pass it as the option `store` of a session.
 *
 * Sessions with the same provider, base URL, scopes and key share their tokens, so the key says whose tokens they are: a user, a
 * tenant, `"service"`. Two accounts must never have the same key: the second one would get the tokens of the first.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { TokenStore, Violet } from "effect-auth"
 *
 * const violet = Violet.layerConfig({ store: TokenStore.at("alice") }).pipe(Layer.provide(TokenStore.layerMemory))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (key: string): Effect.Effect<Location, never, TokenStore> =>
  Effect.map(TokenStore, (store) => ({ store, key }))

/**
 * Makes a store in memory. Its entries are lost when the process ends.
 *
 * For the sessions of this library, its leases do not expire: their owners live in this process, and release them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Service> = Effect.sync(() => {
  const entries = new Map<string, { readonly entry: Entry; readonly since: Moment.Moment }>()
  const leases = new Map<string, { readonly owner: string; readonly until: bigint | undefined }>()
  const load: Synchronous.SynchronousStore<Entry>["load"] = (key, now) => {
    const stored = entries.get(key)
    return stored && { entry: stored.entry, age: Moment.age(stored.since, now) }
  }
  const save = (key: string, entry: Entry, since: Moment.Moment): boolean => {
    const stored = entries.get(key)
    if (stored !== undefined && !isNewer(entry, stored.entry)) return false
    entries.set(key, { entry, since })
    return true
  }
  const lease = (key: string, owner: string, { nanos }: Moment.Moment, duration?: Duration.Duration): boolean => {
    const lease = leases.get(key)
    const isExpired = lease?.until !== undefined && nanos >= lease.until
    if (lease !== undefined && lease.owner !== owner && !isExpired) return false
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
 * Provides a store in memory. Its entries are lost when the process ends. Sessions over the same layer share their tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = /* @__PURE__ */ Layer.effect(TokenStore, makeMemory)
