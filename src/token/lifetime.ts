import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { longest } from "../common/duration.js"
import * as Moment from "../common/Moment.js"

/** The shortest lifetime that is believed: one second. With a shorter one, the next source is used. */
export const shortest: Duration.Duration = Duration.seconds(1)

/** Reads a number, also from text. Anything else is NaN, and so is any result computed from it. */
const numeric = (u: unknown): number =>
  typeof u === "number" || (typeof u === "string" && u.trim() !== "") ? Number(u) : Number.NaN

const believed = (seconds: number): Option.Option<Duration.Duration> =>
  Number.isFinite(seconds) && seconds >= Duration.toSeconds(shortest)
    ? Option.some(Duration.min(Duration.seconds(seconds), longest))
    : Option.none()

/** Reads an instant in seconds since 1970. A number past the year 5138 is read as milliseconds. */
const epochSeconds = (u: unknown): number => {
  const n = numeric(u)
  if (Number.isNaN(n) && typeof u === "string") return (Moment.instant(u) ?? Number.NaN) / 1000
  return n < 1e11 ? n : n / 1000
}

/** The places where a token response says how long a token lives. Each may be missing or nonsense. */
export interface Sources {
  /** Seconds, as a number or as text. */
  readonly stated?: unknown
  /** The token itself, if it may be a JWT. */
  readonly jwt?: string | undefined
  /** Seconds or milliseconds since 1970, or a date. */
  readonly expiresAt?: unknown
  /** The `Date` header of the response. */
  readonly date?: string | undefined
  /** The provider's default. */
  readonly fallback?: Duration.Duration | undefined
}

/**
 * Returns how long a token lives from the moment its response was received (law 4); `none` if its end is not known.
 *
 * The sources, in this order: the seconds the response states, `exp − iat` of a JWT, an absolute time (`expiresAt`, then
 * the JWT's `exp`) against the response's `Date`, or against the wall clock if it has none, and the provider's default. A
 * source that is absent, not a number or shorter than a second is skipped. The result is capped at ten years.
 */
export const from = (sources: Sources, now: Moment.Moment): Option.Option<Duration.Duration> => {
  const claims = jwtClaims(sources.jwt ?? "")
  const exp = epochSeconds(claims.exp)
  const dated = epochSeconds(sources.date)
  const serverNow = Number.isFinite(dated) ? dated : now.millis / 1000
  return Option.firstSomeOf([
    believed(numeric(sources.stated)),
    believed(exp - epochSeconds(claims.iat)),
    believed(epochSeconds(sources.expiresAt) - serverNow),
    believed(exp - serverNow),
    Option.fromNullable(sources.fallback)
  ])
}

const Claims = Schema.parseJson(
  Schema.Struct({ exp: Schema.optional(Schema.Unknown), iat: Schema.optional(Schema.Unknown) })
)

const decodeClaims = Schema.decodeUnknownOption(Claims)

/**
 * Reads the time claims of a JWT without verifying it: they only serve for planning, and the server decides. Empty for
 * anything that is not a JWT.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7519#section-4.1
 */
const jwtClaims = (token: string): typeof Claims.Type =>
  Option.getOrElse(
    Option.flatMap(Either.getRight(Encoding.decodeBase64UrlString(token.split(".")[1] ?? "")), decodeClaims),
    () => ({})
  )
