import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { InvalidRefreshToken, StoreFailure, TokenExpired } from "../common/AuthError.js"
import * as Token from "../token/Token.js"
import type { Entry, Kept, Version } from "./TokenStore.js"

/**
 * All that outlives a process: what an entry of the store says. The ages are as of the moment it was written, so that
 * no two machines' clocks are ever compared (law 20).
 */
export interface Record extends Version {
  /** None after a log out. */
  readonly tokens: Option.Option<Token.TokenSet>
  /** How old the access token was, in milliseconds. */
  readonly age: number
  /** How old the refresh token was, in milliseconds. */
  readonly refreshAge: number
  readonly refresh: RefreshRecord
}

/** What is known of the refresh token. `Doubtful` is also the intent of law 21: written before the token is sent. */
export type RefreshRecord = typeof Refresh.Type

/** A record, and how many milliseconds the store has kept it. */
export interface Found extends Record {
  readonly kept: number
}

const Lifetime = Schema.OptionFromNullOr(Schema.DurationFromMillis)

const Secret = Schema.OptionFromNullOr(Token.TokenFromString)

const Refresh = Schema.Union(
  Schema.TaggedStruct("Usable", {}),
  Schema.TaggedStruct("Doubtful", { age: Schema.NonNegative, again: Schema.Boolean, mark: Schema.Finite }),
  Schema.TaggedStruct("Dead", { failure: Schema.Union(InvalidRefreshToken, TokenExpired) })
)

/** Not `Schema.Record`, which would set the prototype of what it makes when a key says so. */
const Extra = Schema.declare(
  (u): u is Readonly<globalThis.Record<string, unknown>> => typeof u === "object" && u !== null && !Array.isArray(u)
)

const Tokens = Schema.Struct({
  accessToken: Secret,
  lifetime: Lifetime,
  refreshToken: Secret,
  refreshLifetime: Lifetime,
  extra: Extra
})

/** The version of the format, as every version will write it. */
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

/** A duration that JSON can hold. */
const finite = (duration: Duration.Duration) => Duration.min(duration, Token.longestLifetime)

/** The longest age there is, in milliseconds. */
export const longest = Duration.toMillis(Token.longestLifetime)

const write = (key: string, { age, generation, refresh, refreshAge, revision, tokens }: Record) =>
  Either.getOrThrowWith(
    encodeContents({
      format,
      key,
      generation,
      revision,
      tokens: Option.map(tokens, (set) => ({
        ...set,
        lifetime: Option.map(set.lifetime, finite),
        refreshLifetime: Option.map(set.refreshLifetime, finite)
      })),
      age: Math.min(age, longest),
      refreshAge: Math.min(refreshAge, longest),
      refresh: refresh._tag === "Doubtful" ? { ...refresh, age: Math.min(refresh.age, longest) } : refresh
    }),
    // Not the error itself, which quotes what it could not write (law 27).
    () => new Error("a token set that cannot be written")
  )

/** What is given to the store. */
export const encode = (key: string, record: Record): Entry => ({
  generation: record.generation,
  revision: record.revision,
  contents: Redacted.make(write(key, record))
})

/** What is given to a store in memory: its text is written when somebody asks for it, and sessions never do. */
export class Unwritten implements Entry {
  readonly key: string
  readonly record: Record

  constructor(key: string, record: Record) {
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

/** What a store in memory handed out, which it kept for so many milliseconds. */
export const found = (
  key: string,
  kept: { readonly entry: Entry; readonly age: number } | undefined
): Either.Either<Option.Option<Found>, StoreFailure> => {
  if (kept === undefined) return Either.right(Option.none())
  const { age, entry } = kept
  return Either.map(
    entry instanceof Unwritten
      ? Either.right({ ...entry.record, kept: age })
      : decode(key, { ...entry, age: Duration.millis(age) }),
    Option.some
  )
}

/** What the store handed out. What cannot be read is told by the field, never by what stands in it. */
export const decode = (key: string, kept: Kept): Either.Either<Found, StoreFailure> => {
  const text = Redacted.value(kept.contents)
  return decodeContents(text).pipe(
    Either.mapLeft((error) =>
      unreadable(
        key,
        Option.match(readFormat(text), {
          onNone: () =>
            text.startsWith("effect-auth:encrypted:")
              ? "what it keeps is encrypted; put Encrypted around this store"
              : "what it keeps is no record of this library",
          onSome: (found) =>
            found.format > format
              ? `its record has the format ${found.format}, and this version of effect-auth reads ${format}; upgrade it`
              : `its record is damaged at: ${place(error)}`
        })
      )
    ),
    Either.filterOrLeft(
      (record) => record.key === key,
      () => unreadable(key, "it handed out the record of another key")
    ),
    Either.filterOrLeft(
      ({ generation, revision }) => generation === kept.generation && revision === kept.revision,
      () => unreadable(key, "it handed out the record under another version than its own")
    ),
    Either.map((record) => ({ ...record, kept: Duration.toMillis(kept.age) }))
  )
}

const place = (error: ParseResult.ParseError) =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ path }) => path.join("."))
    .join(", ")

const unreadable = (key: string, problem: string) =>
  new StoreFailure({
    operation: "load",
    problem: `${problem} (for ${JSON.stringify(key)}; nothing was changed; if it is to go, remove it by hand)`
  })
