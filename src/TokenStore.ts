/**
 * The port to where a token set rests, and the layer that keeps it in memory.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { StoreFailure } from "./AuthError.js"
import * as Moment from "./Moment.js"
import type * as Token from "./Token.js"

/**
 * What is kept of a session: its generation, and the token set, or none when it is signed out.
 *
 * Both ages are as of the moment the record is handed over, in either direction, so that no two machines' clocks are
 * ever compared: a store adds the time it kept a record, by its own clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Record {
  readonly generation: number
  readonly tokens: Option.Option<Token.TokenSet>
  /** How long ago the answer with the access token arrived. */
  readonly age: Duration.Duration
  /** How long ago the answer with the refresh token arrived. */
  readonly refreshAge: Duration.Duration
}

/**
 * The record that a log out leaves behind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const signedOut = (generation: number): Record => ({
  generation,
  tokens: Option.none(),
  age: Duration.zero,
  refreshAge: Duration.zero
})

/**
 * Keeps one record for each key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The record of a key, with its ages as of now. */
  readonly load: (key: string) => Effect.Effect<Option.Option<Record>, StoreFailure>
  /**
   * Keeps a record if its generation is newer than what is kept; `false` says that it is not, and nothing changed. Atomic
   * (law 19). There is no delete: a signed-out record of the next generation takes its place.
   */
  readonly save: (key: string, record: Record) => Effect.Effect<boolean, StoreFailure>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class TokenStore extends Context.Tag("effect-auth/TokenStore")<TokenStore, Service>() {}

/**
 * A store that lives as long as the process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Service> = Effect.sync(() => {
  const kept = new Map<string, { readonly record: Record; readonly since: Moment.Moment }>()
  return {
    load: (key) =>
      Effect.map(Moment.now, (now) => {
        const entry = kept.get(key)
        return Option.map(Option.fromNullable(entry), ({ record, since }) => {
          const elapsed = Duration.millis(Moment.age(since, now))
          return {
            ...record,
            age: Duration.sum(record.age, elapsed),
            refreshAge: Duration.sum(record.refreshAge, elapsed)
          }
        })
      }),
    save: (key, record) =>
      Effect.map(Moment.now, (since) => {
        const entry = kept.get(key)
        if (entry !== undefined && entry.record.generation >= record.generation) return false
        kept.set(key, { record, since })
        return true
      })
  }
})

/**
 * A store that lives as long as the process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<TokenStore> = Layer.effect(TokenStore, makeMemory)
