/**
 * What the laws of stores are checked with.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { StoreFailure } from "../../common/AuthError.js"
import type { Service, Version } from "../../store/TokenStore.js"
import { TokenStore } from "../../store/TokenStore.js"
import { contentsOf, entry, excerpt, isExactly, told, toldStoredEntry } from "./storeEntry.js"

/**
 * A store does not do what the port promises.
 *
 * @since 0.1.0
 * @category testing
 */
export class LawBroken extends Schema.TaggedError<LawBroken>("effect-auth/testing/LawBroken")("LawBroken", {
  law: Schema.String,
  expected: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `${this.law}: expected that ${this.expected}, but ${this.found}`
  }
}

/**
 * One thing that a store must do, and the check of it over the store of the context.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Law {
  readonly name: string
  readonly check: Effect.Effect<void, StoreFailure | LawBroken, TokenStore>
}

/**
 * For leases whose end no check waits for.
 *
 * @since 0.1.0
 * @category testing
 */
export const long: Duration.Duration = Duration.minutes(1)

/**
 * Runs effects all at once.
 *
 * @since 0.1.0
 * @category testing
 */
export const together = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.all(effects, { concurrency: "unbounded" })

/**
 * What a check works with: the store, a key of its own, and its expectations.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Bench {
  readonly store: Service
  readonly key: string
  readonly expect: (condition: boolean, expected: string, found: string) => Effect.Effect<void, LawBroken>
  /** Saves a version and expects an answer. */
  readonly save: (
    version: Version,
    answer: boolean,
    contents?: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Expects that exactly this is kept. */
  readonly keeps: (version: Version, contents?: string, key?: string) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Asks for the lease and expects an answer. */
  readonly lease: (
    owner: string,
    answer: boolean,
    why: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
}

const bench = (law: string, store: Service, key: string): Bench => {
  const expect: Bench["expect"] = (condition, expected, found) =>
    condition ? Effect.void : new LawBroken({ law, expected, found })
  return {
    store,
    key,
    expect,
    save: (version, answer, contents, at = key) =>
      Effect.flatMap(store.save(at, entry(version, contents)), (saved) =>
        expect(
          saved === answer,
          `saving ${told(version)} is answered ${answer}`,
          `it was ${saved} (key ${JSON.stringify(at)})`
        )
      ),
    keeps: (version, contents = contentsOf(version), at = key) =>
      Effect.flatMap(store.load(at), (kept) =>
        expect(
          isExactly(kept, version, contents),
          `it keeps ${told(version)} with ${excerpt(contents)}`,
          `${toldStoredEntry(kept)} (key ${JSON.stringify(at)})`
        )
      ),
    lease: (owner, answer, why, at = key) =>
      Effect.flatMap(store.lease(at, owner, long), (taken) =>
        expect(taken === answer, `${owner} is told ${answer}, as ${why}`, `it was ${taken} (key ${JSON.stringify(at)})`)
      )
  }
}

/**
 * A law over a bench of its own.
 *
 * @since 0.1.0
 * @category testing
 */
export const law = (name: string, body: (bench: Bench) => Effect.Effect<void, StoreFailure | LawBroken>): Law => ({
  name,
  check: Effect.flatMap(TokenStore, (store) =>
    Effect.suspend(() => body(bench(name, store, `laws-${globalThis.crypto.randomUUID()}`)))
  )
})
