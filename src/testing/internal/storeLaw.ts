/**
 * A law of stores, its failure, and the tools of its check.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { StoreFailure } from "../../common/AuthError.js"
import type { Service, Version } from "../../store/TokenStore.js"
import { TokenStore } from "../../store/TokenStore.js"
import { contentsOf, describeEntry, describeVersion, entry, excerpt, isExactly } from "./storeEntry.js"

/**
 * The failure of a store that does not keep a law.
 *
 * @since 0.1.0
 * @category testing
 */
export class LawBroken extends Schema.TaggedError<LawBroken>("effect-auth/testing/LawBroken")("LawBroken", {
  /** The name of the law. */
  law: Schema.String,
  /** The expected behaviour of the store. */
  expected: Schema.String,
  /** The observed behaviour of the store. */
  found: Schema.String
}) {
  /** The law, and the expected and the observed behaviour. */
  override get message(): string {
    return `${this.law}: expected that ${this.expected}, but ${this.found}`
  }
}

/**
 * A law that every store has to keep, and its check.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Law {
  /** The law in one sentence, to be the title of a test. */
  readonly name: string
  /**
   * Checks the `TokenStore` of the context. Fails with `LawBroken` if it does not keep the law, and with `StoreFailure`
   * if the store itself fails.
   */
  readonly check: Effect.Effect<void, StoreFailure | LawBroken, TokenStore>
}

/**
 * The duration of a lease whose end no check waits for.
 *
 * @since 0.1.0
 * @category testing
 */
export const long: Duration.Duration = Duration.minutes(1)

/**
 * Runs effects concurrently.
 *
 * @since 0.1.0
 * @category testing
 */
export const together = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.all(effects, { concurrency: "unbounded" })

/**
 * The tools of a check: the store, a key that no other check uses, and expectations.
 *
 * @since 0.1.0
 * @category testing
 */
export interface LawContext {
  readonly store: Service
  readonly key: string
  /** Fails with `LawBroken` if the condition is false. */
  readonly expect: (condition: boolean, expected: string, found: string) => Effect.Effect<void, LawBroken>
  /** Saves a version and expects this result. */
  readonly save: (
    version: Version,
    result: boolean,
    contents?: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Expects that exactly this is stored. */
  readonly expectStored: (
    version: Version,
    contents?: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Asks for the lease and expects this result. `why` is its reason, for the message of a broken law. */
  readonly lease: (
    owner: string,
    result: boolean,
    why: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
}

const context = (law: string, store: Service, key: string): LawContext => {
  const expect: LawContext["expect"] = (condition, expected, found) =>
    condition ? Effect.void : new LawBroken({ law, expected, found })
  return {
    store,
    key,
    expect,
    save: (version, result, contents, at = key) =>
      Effect.flatMap(store.save(at, entry(version, contents)), (saved) =>
        expect(
          saved === result,
          `saving ${describeVersion(version)} returns ${result}`,
          `it returned ${saved} (key ${JSON.stringify(at)})`
        )
      ),
    expectStored: (version, contents = contentsOf(version), at = key) =>
      Effect.flatMap(store.load(at), (stored) =>
        expect(
          isExactly(stored, version, contents),
          `${describeVersion(version)} is stored with ${excerpt(contents)}`,
          `${describeEntry(stored)} (key ${JSON.stringify(at)})`
        )
      ),
    lease: (owner, result, why, at = key) =>
      Effect.flatMap(store.lease(at, owner, long), (acquired) =>
        expect(
          acquired === result,
          `asking for the lease as ${owner} returns ${result}, because ${why}`,
          `it returned ${acquired} (key ${JSON.stringify(at)})`
        )
      )
  }
}

/**
 * Makes a law. Each run of its check uses a new key.
 *
 * @since 0.1.0
 * @category testing
 */
export const law = (
  name: string,
  body: (context: LawContext) => Effect.Effect<void, StoreFailure | LawBroken>
): Law => ({
  name,
  check: Effect.flatMap(TokenStore, (store) =>
    Effect.suspend(() => body(context(name, store, `laws-${globalThis.crypto.randomUUID()}`)))
  )
})
