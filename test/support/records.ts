import { Duration, Effect, Either, Option } from "effect"
import type { StoreFailure } from "../../src/common/AuthError.js"
import * as Record from "../../src/store/record.js"
import type * as TokenStore from "../../src/store/TokenStore.js"

/** A record with the given fields, and nothing remarkable about the others. */
export const record = (fields: Partial<Record.SessionRecord>): Record.SessionRecord => ({
  generation: 1,
  revision: 0,
  tokens: Option.none(),
  age: 0,
  refreshAge: 0,
  refreshState: { _tag: "Usable" },
  ...fields
})

/** Saves a record as another session would. */
export const save = (store: TokenStore.Service, key: string, fields: Partial<Record.SessionRecord>) =>
  store.save(key, Record.encode(key, record(fields)))

/** What the store keeps, read as another session would. */
export const load = (
  store: Pick<TokenStore.Service, "load">,
  key: string
): Effect.Effect<Option.Option<Record.StoredRecord>, StoreFailure> =>
  Effect.flatMap(
    store.load(key),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (stored) => Effect.asSome(Record.decode(key, stored))
    })
  )

/** What the store keeps, which must be something. */
export const stored = (store: Pick<TokenStore.Service, "load">, key: string) =>
  Effect.map(load(store, key), Option.getOrThrow)

/** Whether an entry that is being saved holds tokens. */
export const holdsTokens = (key: string, entry: TokenStore.Entry): boolean =>
  Option.exists(Either.getRight(Record.decode(key, { ...entry, age: Duration.zero })), ({ tokens }) =>
    Option.isSome(tokens)
  )
