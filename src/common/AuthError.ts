/**
 * The closed union of everything that can go wrong, told apart by what the caller can do about it.
 *
 * Every field is safe to log: statuses, addresses without their query, documented codes. No error holds a request, a
 * response, a cause or anything a server wrote freely.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * Whether the server may have acted on what was sent: `"not-spent"` means it surely has not (never sent, or turned away
 * unread), `"unknown"` means nobody can tell, so that a single-use refresh token may be used up.
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome = Schema.Literal("not-spent", "unknown")

/**
 * @since 0.1.0
 * @category models
 */
export type Outcome = typeof Outcome.Type

/**
 * Tells whether the outcome of a failed token request is unknown, so that a single-use refresh token may be spent.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isUnknown = (error: AuthError): boolean => "outcome" in error && error.outcome === "unknown"

/**
 * The access token ended, or the refresh token did (its known end passed, or the server says so), and nothing is left to
 * obtain another with. Permanent: sign in again.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenExpired extends Schema.TaggedError<TokenExpired>("effect-auth/TokenExpired")("TokenExpired", {
  provider: Schema.String,
  token: Schema.Literal("access", "refresh")
}) {
  override get message(): string {
    return `${this.provider}: the ${this.token} token has ended and cannot be renewed; sign in again`
  }
}

/**
 * The server refused the refresh token and no log in is possible. Permanent: sign in again.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidRefreshToken extends Schema.TaggedError<InvalidRefreshToken>("effect-auth/InvalidRefreshToken")(
  "InvalidRefreshToken",
  { provider: Schema.String, reason: Schema.Literal("invalid", "revoked", "reused") }
) {
  override get message(): string {
    return `${this.provider}: the refresh token was refused (${this.reason}); sign in again`
  }
}

/**
 * A log in was refused: its user name and password (`reason` `"refused"`, the default), the code of its second step
 * (`"code-refused"`), or there was no such code in time (`"no-code"`). It is not tried again by itself before a growing
 * cool-down ends, unless the credentials change.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidCredentials extends Schema.TaggedError<InvalidCredentials>("effect-auth/InvalidCredentials")(
  "InvalidCredentials",
  {
    provider: Schema.String,
    reason: Schema.optionalWith(Schema.Literal("refused", "code-refused", "no-code"), {
      default: () => "refused" as const
    }),
    status: Schema.optional(Schema.Number)
  }
) {
  override get message(): string {
    return `${this.provider}: ${refusedLogins[this.reason]}`
  }
}

const refusedLogins = {
  refused: "the credentials were refused; change them, or wait until they may be tried again",
  "code-refused": "the verification code was refused; log in again to get another",
  "no-code": "no verification code came in time; log in again to get another"
}

/**
 * Nobody is signed in: `logout` was called, or the session has neither tokens nor credentials yet. Lasts until `login`
 * or `adopt`.
 *
 * @since 0.1.0
 * @category errors
 */
export class SignedOut extends Schema.TaggedError<SignedOut>("effect-auth/SignedOut")("SignedOut", {
  provider: Schema.String
}) {
  override get message(): string {
    return `${this.provider}: nobody is signed in; call login or adopt`
  }
}

/**
 * The client itself is refused, or its options are missing, malformed or contradict each other. Lasts until fixed.
 *
 * @since 0.1.0
 * @category errors
 */
export class Misconfigured extends Schema.TaggedError<Misconfigured>("effect-auth/Misconfigured")("Misconfigured", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

/**
 * The token endpoint could not be reached, did not answer in time, or turned the request away for now. Transient.
 *
 * `retryAfter` is how long the server asked to be left alone.
 *
 * @since 0.1.0
 * @category errors
 */
export class NetworkFailure extends Schema.TaggedError<NetworkFailure>("effect-auth/NetworkFailure")("NetworkFailure", {
  provider: Schema.String,
  reason: Schema.Literal("unreachable", "interrupted", "timeout", "rate-limited", "server-error"),
  outcome: Outcome,
  url: Schema.optional(Schema.String),
  status: Schema.optional(Schema.Number),
  code: Schema.optional(Schema.String),
  retryAfter: Schema.optional(Schema.DurationFromSelf)
}) {
  override get message(): string {
    const detail = [
      this.status === undefined ? undefined : `status ${this.status}`,
      this.code,
      this.retryAfter === undefined ? undefined : `asked to wait ${Duration.format(this.retryAfter)}`
    ].filter((part) => part !== undefined)
    const place = this.url === undefined ? "" : ` at ${this.url}`
    return `${this.provider}: ${this.reason}${place}${detail.length === 0 ? "" : ` (${detail.join(", ")})`}`
  }
}

/**
 * The token endpoint gave an answer that is not what the protocol says: a gateway's page, a cut body, a token that is
 * not a string, a redirect. Transient, and the server may have acted.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedResponse extends Schema.TaggedError<MalformedResponse>("effect-auth/MalformedResponse")(
  "MalformedResponse",
  {
    provider: Schema.String,
    problem: Schema.String,
    outcome: Outcome,
    url: Schema.optional(Schema.String),
    status: Schema.optional(Schema.Number)
  }
) {
  override get message(): string {
    const place = this.url === undefined ? "" : ` from ${this.url}`
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return `${this.provider}: malformed answer${place}${status}: ${this.problem}`
  }
}

/**
 * The store cannot load, save or lend its exclusive section, or what it keeps cannot be read. Transient. Nothing that it
 * keeps was changed or erased.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreFailure extends Schema.TaggedError<StoreFailure>("effect-auth/StoreFailure")("StoreFailure", {
  operation: Schema.Literal("load", "save", "lease"),
  problem: Schema.String
}) {
  override get message(): string {
    return `the token store cannot ${this.operation}: ${this.problem}`
  }
}

/**
 * A request would have carried the token to an origin the provider does not own. It was not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class UntrustedOrigin extends Schema.TaggedError<UntrustedOrigin>("effect-auth/UntrustedOrigin")(
  "UntrustedOrigin",
  { provider: Schema.String, origin: Schema.String, trusted: Schema.Array(Schema.String) }
) {
  override get message(): string {
    return `${this.provider}: ${this.origin} is not an origin of this provider (${this.trusted.join(", ")}); the request was not sent`
  }
}

/**
 * Any failure of this library.
 *
 * @since 0.1.0
 * @category errors
 */
export const AuthError = Schema.Union(
  TokenExpired,
  InvalidRefreshToken,
  InvalidCredentials,
  SignedOut,
  Misconfigured,
  NetworkFailure,
  MalformedResponse,
  StoreFailure,
  UntrustedOrigin
)

/**
 * @since 0.1.0
 * @category errors
 */
export type AuthError = typeof AuthError.Type

/**
 * Tells whether a value is one of this library's errors.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAuthError: (u: unknown) => u is AuthError = Schema.is(AuthError)

/**
 * Tells whether waiting can help: true for `NetworkFailure`, `MalformedResponse` and `StoreFailure`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTransient = (error: AuthError): error is NetworkFailure | MalformedResponse | StoreFailure =>
  error._tag === "NetworkFailure" || error._tag === "MalformedResponse" || error._tag === "StoreFailure"

/**
 * How long the server asked to be left alone, when it said so.
 *
 * @since 0.1.0
 * @category predicates
 */
export const retryAfter = (error: AuthError): Option.Option<Duration.Duration> =>
  error._tag === "NetworkFailure" ? Option.fromNullable(error.retryAfter) : Option.none()
