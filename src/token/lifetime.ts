/**
 * Token sets and their lifetimes: data, and pure functions of time.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Moment from "../common/Moment.js"

/**
 * What a request carries to be let in ([RFC 6749 §1.4](https://www.rfc-editor.org/rfc/rfc6749#section-1.4)).
 *
 * @since 0.1.0
 * @category models
 */
export type AccessToken = Redacted.Redacted<string>

/**
 * What another access token is obtained with ([RFC 6749 §1.5](https://www.rfc-editor.org/rfc/rfc6749#section-1.5)).
 *
 * @since 0.1.0
 * @category models
 */
export type RefreshToken = Redacted.Redacted<string>

/**
 * One answer of a token endpoint.
 *
 * `accessToken` is absent in a set that was seeded from a refresh token alone, and in an answer whose access token was
 * unreadable but whose refresh token was not. Lifetimes count from the arrival of the answer; without `lifetime` the
 * access token has no known end. `extra` holds the provider's further fields, none of them secret.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenSet {
  readonly accessToken: Option.Option<AccessToken>
  readonly lifetime: Option.Option<Duration.Duration>
  readonly refreshToken: Option.Option<RefreshToken>
  readonly refreshLifetime: Option.Option<Duration.Duration>
  readonly extra: Readonly<Record<string, unknown>>
}

/**
 * Makes a token set from what is at hand. Lifetimes are durations from now; leave out what is not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (fields: {
  readonly accessToken?: AccessToken | undefined
  readonly lifetime?: Duration.DurationInput | undefined
  readonly refreshToken?: RefreshToken | undefined
  readonly refreshLifetime?: Duration.DurationInput | undefined
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}): TokenSet => ({
  accessToken: Option.fromNullable(fields.accessToken),
  lifetime: Option.map(Option.fromNullable(fields.lifetime), Duration.decode),
  refreshToken: Option.fromNullable(fields.refreshToken),
  refreshLifetime: Option.map(Option.fromNullable(fields.refreshLifetime), Duration.decode),
  extra: fields.extra ?? {}
})

/**
 * What a refresh leaves in force: the answer, with the refresh token and the extra fields of the set before it wherever
 * the answer is silent ([RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
 *
 * @since 0.1.0
 * @category combinators
 */
export const renew = (previous: TokenSet, answer: TokenSet): TokenSet => ({
  ...answer,
  ...(Option.isSome(answer.refreshToken)
    ? {}
    : { refreshToken: previous.refreshToken, refreshLifetime: previous.refreshLifetime }),
  extra: { ...previous.extra, ...answer.extra }
})

/**
 * Lifetimes longer than this are taken for this: ten years.
 *
 * @since 0.1.0
 * @category models
 */
export const longestLifetime: Duration.Duration = Duration.days(3650)

/**
 * Lifetimes shorter than this are nonsense, and the next source is asked: one second.
 *
 * @since 0.1.0
 * @category models
 */
export const shortestLifetime: Duration.Duration = Duration.seconds(1)

/** A number, also as a text. Everything else is NaN, and so is what is reckoned with it. */
const numeric = (u: unknown): number =>
  typeof u === "number" || (typeof u === "string" && u.trim() !== "") ? Number(u) : Number.NaN

const sane = (seconds: number): Option.Option<Duration.Duration> =>
  Number.isFinite(seconds) && seconds >= Duration.toSeconds(shortestLifetime)
    ? Option.some(Duration.min(Duration.seconds(seconds), longestLifetime))
    : Option.none()

/** Instants past the year 5138 in seconds are read as milliseconds: no server means those. */
const epochSeconds = (u: unknown): number => {
  const n = numeric(u)
  if (Number.isNaN(n) && typeof u === "string") return (Moment.instant(u) ?? Number.NaN) / 1000
  return n < 1e11 ? n : n / 1000
}

/**
 * How long a token lives from the moment its answer arrived (law 4).
 *
 * Asked in this order: the seconds the answer states (`stated`), the `exp − iat` of a JWT, an absolute time
 * (`expiresAt`: seconds or milliseconds since 1970, or a date; or the JWT's `exp`) against the answer's own `Date`
 * header, or against the wall clock where there is none, and at last `fallback`. Numbers may be strings. What is absent,
 * no number, or shorter than a second is passed over; what is absurdly long is capped at ten years. `none` means that
 * the end is not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lifetime = (
  sources: {
    readonly stated?: unknown
    readonly jwt?: string | undefined
    readonly expiresAt?: unknown
    readonly date?: string | undefined
    readonly fallback?: Duration.Duration | undefined
  },
  now: Moment.Moment
): Option.Option<Duration.Duration> => {
  const claims = jwtClaims(sources.jwt ?? "")
  const exp = epochSeconds(claims.exp)
  const dated = epochSeconds(sources.date)
  const serverNow = Number.isFinite(dated) ? dated : now.millis / 1000
  return Option.firstSomeOf([
    sane(numeric(sources.stated)),
    sane(exp - epochSeconds(claims.iat)),
    sane(epochSeconds(sources.expiresAt) - serverNow),
    sane(exp - serverNow),
    Option.fromNullable(sources.fallback)
  ])
}

const Claims = Schema.parseJson(
  Schema.Struct({ exp: Schema.optional(Schema.Unknown), iat: Schema.optional(Schema.Unknown) })
)

const decodeClaims = Schema.decodeUnknownOption(Claims)

/**
 * The time claims of a JWT, unverified ([RFC 7519 §4.1](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)): a client
 * reads them for planning only, the server judges the token. Empty for anything that is no JWT.
 *
 * @since 0.1.0
 * @category constructors
 */
export const jwtClaims = (token: string): typeof Claims.Type =>
  Option.getOrElse(
    Option.flatMap(Either.getRight(Encoding.decodeBase64UrlString(token.split(".")[1] ?? "")), decodeClaims),
    () => ({})
  )

const visible = /^[\x21-\x7e]+$/

/**
 * Tells whether a secret may stand in a header.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isVisible: (secret: Redacted.Redacted<string>) => boolean = Schema.is(
  Schema.RedactedFromSelf(Schema.String.pipe(Schema.pattern(visible)))
)

/**
 * A non-empty string that may stand in a header ([RFC 6749 appendix A.12](https://www.rfc-editor.org/rfc/rfc6749#appendix-A.12)),
 * redacted as soon as it is read. What is no such string is reported without being printed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TokenFromString: Schema.Schema<Redacted.Redacted<string>, string> = Schema.Redacted(
  Schema.String.pipe(Schema.pattern(visible))
)

/**
 * Tells whether the tokens of a set can be sent: there is one at least, and each may stand in a header.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSendable = ({ accessToken, refreshToken }: TokenSet): boolean => {
  const tokens = [...Option.toArray(accessToken), ...Option.toArray(refreshToken)]
  return tokens.length > 0 && tokens.every(isVisible)
}
