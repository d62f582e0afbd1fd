import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { InvalidRefreshToken, StoreFailure, TokenExpired } from "../common/AuthError.js"
import { longest, longestMillis } from "../common/duration.js"
import { parseErrorFields } from "../common/foreignErrors.js"
import { TokenFromString } from "../common/secret.js"
import type * as Token from "../token/Token.js"
import type { Entry, StoredEntry, Version } from "./TokenStore.js"

/**
 * The record of a session: everything of it that outlives a process. Ages are as of the moment it was written, so that the
 * clocks of two machines are never compared (law 20).
 */
export interface SessionRecord extends Version {
  /** `none` after a logout. */
  readonly tokens: Option.Option<Token.TokenSet>
  /** The age of the access token in milliseconds. */
  readonly age: number
  /** The age of the refresh token in milliseconds. */
  readonly refreshAge: number
  readonly refreshState: RecordedRefreshState
}

/** The state of the refresh token. `InDoubt` is also the intent of law 21, written before the token is sent. */
export type RecordedRefreshState =
  | { readonly _tag: "Usable" }
  | { readonly _tag: "InDoubt"; readonly age: number; readonly presentedAgain: boolean; readonly intentId: number }
  | { readonly _tag: "Refused"; readonly failure: InvalidRefreshToken | TokenExpired }

/** A record, and for how many milliseconds the store has had it. */
export interface StoredRecord extends SessionRecord {
  readonly storedFor: number
}

const Lifetime = Schema.OptionFromNullOr(Schema.DurationFromMillis)

const Secret = Schema.OptionFromNullOr(TokenFromString)

/** The state of the refresh token in the words of format 1, which are older than those of this library. */
const Refresh = Schema.Union(
  Schema.TaggedStruct("Usable", {}),
  Schema.TaggedStruct("Doubtful", { age: Schema.NonNegative, again: Schema.Boolean, mark: Schema.Finite }),
  Schema.TaggedStruct("Dead", { failure: Schema.Union(InvalidRefreshToken, TokenExpired) })
)

const toFormat1 = (state: RecordedRefreshState): typeof Refresh.Type =>
  state._tag === "Usable"
    ? state
    : state._tag === "Refused"
      ? { ...state, _tag: "Dead" }
      : { _tag: "Doubtful", age: Math.min(state.age, longestMillis), again: state.presentedAgain, mark: state.intentId }

const fromFormat1 = (state: typeof Refresh.Type): RecordedRefreshState =>
  state._tag === "Usable"
    ? state
    : state._tag === "Dead"
      ? { ...state, _tag: "Refused" }
      : { _tag: "InDoubt", age: state.age, presentedAgain: state.again, intentId: state.mark }

/** Not `Schema.Record`, which sets the prototype of the object it makes if a key says so. */
const Extra = Schema.declare(
  (u): u is Readonly<Record<string, unknown>> => typeof u === "object" && u !== null && !Array.isArray(u)
)

const Tokens = Schema.Struct({
  accessToken: Secret,
  lifetime: Lifetime,
  refreshToken: Secret,
  refreshLifetime: Lifetime,
  extra: Extra
})

/** The version of the format. Every version writes it in the same place. */
const format = 1

const Contents = Schema.parseJson(
  Schema.Struct({
    format: Schema.Literal(format),
    key: Schema.String,
    generation: Schema.NonNegativeInt,
    revision: Schema.NonNegativeInt,
    tokens: Schema.OptionFromNullOr(Tokens),
    age: Schema.NonNegative,
    refreshAge: Schema.NonNegative,
    refresh: Refresh
  })
)

const readFormat = Schema.decodeUnknownOption(Schema.parseJson(Schema.Struct({ format: Schema.Number })))
const decodeContents = Schema.decodeUnknownEither(Contents)
const encodeContents = Schema.encodeEither(Contents)

/** Caps a duration, because JSON has no infinity. */
const capped = (duration: Duration.Duration) => Duration.min(duration, longest)

const write = (key: string, { age, generation, refreshAge, refreshState, revision, tokens }: SessionRecord) =>
  Either.getOrThrowWith(
    encodeContents({
      format,
      key,
      generation,
      revision,
      tokens: Option.map(tokens, (set) => ({
        ...set,
        lifetime: Option.map(set.lifetime, capped),
        refreshLifetime: Option.map(set.refreshLifetime, capped)
      })),
      age: Math.min(age, longestMillis),
      refreshAge: Math.min(refreshAge, longestMillis),
      refresh: toFormat1(refreshState)
    }),
    // Not the error itself: it quotes the value that could not be written (law 27).
    () => new Error("a token set that cannot be written")
  )

/** The entry for a record. */
export const encode = (key: string, record: SessionRecord): Entry => ({
  generation: record.generation,
  revision: record.revision,
  contents: Redacted.make(write(key, record))
})

/** The entry for a record in a synchronous store. Its contents are written only when they are read, which sessions never do. */
export class LazyEntry implements Entry {
  readonly key: string
  readonly record: SessionRecord

  constructor(key: string, record: SessionRecord) {
    this.key = key
    this.record = record
  }

  get generation() {
    return this.record.generation
  }

  get revision() {
    return this.record.revision
  }

  get contents() {
    return Redacted.make(write(this.key, this.record))
  }
}

/** Reads an entry of a synchronous store, with its age in milliseconds. */
export const fromMemory = (
  key: string,
  stored: { readonly entry: Entry; readonly age: number } | undefined
): Either.Either<Option.Option<StoredRecord>, StoreFailure> => {
  if (stored === undefined) return Either.right(Option.none())
  const { age, entry } = stored
  return Either.map(
    entry instanceof LazyEntry
      ? Either.right({ ...entry.record, storedFor: age })
      : decode(key, { ...entry, age: Duration.millis(age) }),
    Option.some
  )
}

/** Reads an entry. A `StoreFailure` names the fields that cannot be read, never their values. */
export const decode = (key: string, stored: StoredEntry): Either.Either<StoredRecord, StoreFailure> => {
  const text = Redacted.value(stored.contents)
  return decodeContents(text).pipe(
    Either.mapLeft((error) =>
      unreadable(
        key,
        Option.match(readFormat(text), {
          onNone: () =>
            text.startsWith("effect-auth:encrypted:")
              ? "the stored entry is encrypted; put Encrypted around this store"
              : "the stored entry is not a record of this library",
          onSome: (found) =>
            found.format > format
              ? `the stored record has format ${found.format}, and this version of effect-auth reads ${format}; upgrade it`
              : `the stored record is damaged at: ${parseErrorFields(error)}`
        })
      )
    ),
    Either.filterOrLeft(
      (record) => record.key === key,
      () => unreadable(key, "the store returned the record of another key")
    ),
    Either.filterOrLeft(
      ({ generation, revision }) => generation === stored.generation && revision === stored.revision,
      () => unreadable(key, "the store returned the record under a version that is not its own")
    ),
    Either.map(({ format: _format, key: _key, refresh, ...record }) => ({
      ...record,
      refreshState: fromFormat1(refresh),
      storedFor: Duration.toMillis(stored.age)
    }))
  )
}

const unreadable = (key: string, problem: string) =>
  new StoreFailure({
    operation: "load",
    problem: `${problem} (for ${JSON.stringify(key)}; nothing was changed; to start over, remove it by hand)`
  })
