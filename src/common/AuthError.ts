/**
 * The errors of this library: one closed union, split by what the caller can do about each.
 *
 * Every field is safe to log: a status, a URL without its query, a documented code. No error holds a request, a response, a
 * cause, or free text from a server.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * The schema of {@link Outcome}.
 *
 * @since 0.1.0
 * @category models
 */
export const Outcome = Schema.Literal("not-spent", "unknown")

/**
 * The outcome of a failed token request.
 *
 * - `"not-spent"`: the server certainly did not act on it. It was never sent, or it was turned away unread (429, 503).
 * - `"unknown"`: the server may have acted on it, so a single-use refresh token may be spent.
 *
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
 * The access token or the refresh token has expired, and there is no way to obtain another one. A refresh token counts as
 * expired when its known lifetime is over or when the server says so.
 *
 * Permanent: sign in again, with `login` or `adopt`.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenExpired extends Schema.TaggedError<TokenExpired>("effect-auth/TokenExpired")("TokenExpired", {
  /** The name of the provider. */
  provider: Schema.String,
  /** The token that expired: `"refresh"` if the refresh token has expired, otherwise `"access"`. */
  token: Schema.Literal("access", "refresh")
}) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `${this.provider}: the ${this.token} token has expired and cannot be renewed; sign in again`
  }
}

/**
 * The refresh token was refused, and no login is possible without new credentials. With the reason `"invalid"` it may
 * also be one whose fate stayed unknown after it was presented twice (law 13), or there was none to send.
 *
 * Permanent: sign in again, with `login` or `adopt`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 * @since 0.1.0
 * @category errors
 */
export class InvalidRefreshToken extends Schema.TaggedError<InvalidRefreshToken>("effect-auth/InvalidRefreshToken")(
  "InvalidRefreshToken",
  {
    /** The name of the provider. */
    provider: Schema.String,
    /** The server's reason: `"revoked"`, `"reused"` (a single-use token was sent twice), or `"invalid"` without a closer one. */
    reason: Schema.Literal("invalid", "revoked", "reused")
  }
) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `${this.provider}: the refresh token was refused (${this.reason}); sign in again`
  }
}

/**
 * The server refused a login.
 *
 * Permanent for these credentials: change them, or call `login` to get another verification code. Refused credentials are not
 * sent again before a cool-down ends, which grows from one minute to one hour. After a failed verification code, `login` sends
 * them at once.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidCredentials extends Schema.TaggedError<InvalidCredentials>("effect-auth/InvalidCredentials")(
  "InvalidCredentials",
  {
    /** The name of the provider. */
    provider: Schema.String,
    /**
     * The step that failed: the credentials were refused (`"refused"`), the verification code was refused
     * (`"code-refused"`), or no verification code came in time (`"no-code"`). Default: `"refused"`.
     */
    reason: Schema.optionalWith(Schema.Literal("refused", "code-refused", "no-code"), {
      default: () => "refused" as const
    }),
    /** The HTTP status of the response, if there was one. */
    status: Schema.optional(Schema.Number)
  }
) {
  /** A sentence that is safe to log. */
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
 * The session is signed out: `logout` was called, or it has neither tokens nor credentials yet.
 *
 * Permanent until `login` or `adopt` is called.
 *
 * @since 0.1.0
 * @category errors
 */
export class SignedOut extends Schema.TaggedError<SignedOut>("effect-auth/SignedOut")("SignedOut", {
  /** The name of the provider. */
  provider: Schema.String
}) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `${this.provider}: the session is signed out; call login or adopt`
  }
}

/**
 * An option is missing or wrong, the API refuses the application itself, or the layer has closed.
 *
 * Permanent: correct what `field` names.
 *
 * @since 0.1.0
 * @category errors
 */
export class Misconfigured extends Schema.TaggedError<Misconfigured>("effect-auth/Misconfigured")("Misconfigured", {
  /** The option or the environment variable to correct. */
  field: Schema.String,
  /** The problem, without the value. */
  problem: Schema.String
}) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

/**
 * The token endpoint is unreachable, did not respond in time, or refused the request for now.
 *
 * Transient: retry with a `Schedule`. The session backs off by itself, so retrying is harmless.
 *
 * @since 0.1.0
 * @category errors
 */
export class NetworkFailure extends Schema.TaggedError<NetworkFailure>("effect-auth/NetworkFailure")("NetworkFailure", {
  /** The name of the provider. */
  provider: Schema.String,
  /**
   * The kind of failure: no connection (`"unreachable"`), a connection lost after sending (`"interrupted"`), no response in
   * time (`"timeout"`), status 429 (`"rate-limited"`), or a 5xx status or a documented error code (`"server-error"`).
   */
  reason: Schema.Literal("unreachable", "interrupted", "timeout", "rate-limited", "server-error"),
  /** Tells whether the server may have acted on the request. */
  outcome: Outcome,
  /** The URL of the endpoint, without its query. */
  url: Schema.optional(Schema.String),
  /** The HTTP status of the response, if there was one. */
  status: Schema.optional(Schema.Number),
  /** The error code of the connection, such as `ECONNREFUSED`. */
  code: Schema.optional(Schema.String),
  /**
   * The time that the server asked to wait before the next request.
   *
   * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
   */
  retryAfter: Schema.optional(Schema.DurationFromSelf)
}) {
  /** A sentence that is safe to log. */
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
 * The token endpoint sent a response that does not follow the protocol: a gateway's page, a truncated body, a token that is
 * not a string, a redirect.
 *
 * Transient: retry with a `Schedule`. If it stays, check the URL of the provider.
 *
 * @since 0.1.0
 * @category errors
 */
export class MalformedResponse extends Schema.TaggedError<MalformedResponse>("effect-auth/MalformedResponse")(
  "MalformedResponse",
  {
    /** The name of the provider. */
    provider: Schema.String,
    /** The problem of the response, without quoting it. */
    problem: Schema.String,
    /** Tells whether the server may have acted on the request. Usually `"unknown"`. */
    outcome: Outcome,
    /** The URL of the endpoint, without its query. */
    url: Schema.optional(Schema.String),
    /** The HTTP status of the response. */
    status: Schema.optional(Schema.Number)
  }
) {
  /** A sentence that is safe to log. */
  override get message(): string {
    const place = this.url === undefined ? "" : ` from ${this.url}`
    const status = this.status === undefined ? "" : ` (status ${this.status})`
    return `${this.provider}: malformed response${place}${status}: ${this.problem}`
  }
}

/**
 * The token store cannot load, save or lease, or it has an entry that cannot be read. No stored entry was changed or deleted.
 *
 * Transient: retry with a `Schedule`, or correct what `problem` names.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreFailure extends Schema.TaggedError<StoreFailure>("effect-auth/StoreFailure")("StoreFailure", {
  /** The operation that failed. A failed `release` is reported as `"lease"`. */
  operation: Schema.Literal("load", "save", "lease"),
  /** The problem, without quoting a stored entry. */
  problem: Schema.String
}) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `the token store cannot ${this.operation}: ${this.problem}`
  }
}

/**
 * A request would have carried the token to an origin that does not belong to the provider. It was not sent.
 *
 * Permanent for this request: correct its URL. Other requests are not affected.
 *
 * @since 0.1.0
 * @category errors
 */
export class UntrustedOrigin extends Schema.TaggedError<UntrustedOrigin>("effect-auth/UntrustedOrigin")(
  "UntrustedOrigin",
  {
    /** The name of the provider. */
    provider: Schema.String,
    /** The origin of the request, such as `https://example.com`. */
    origin: Schema.String,
    /** The origins that the token may be sent to. */
    trusted: Schema.Array(Schema.String)
  }
) {
  /** A sentence that is safe to log. */
  override get message(): string {
    return `${this.provider}: ${this.origin} is not an origin of this provider (${this.trusted.join(", ")}); the request was not sent`
  }
}

/**
 * The schema of {@link AuthError}, to send an error to another process or to recognise one.
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
 * Any error of this library. Catch one with `Effect.catchTag`.
 *
 * - Transient, wait and retry: `NetworkFailure`, `MalformedResponse`, `StoreFailure`.
 * - Sign in again: `TokenExpired`, `InvalidRefreshToken`, `SignedOut`.
 * - Change the credentials: `InvalidCredentials`.
 * - Correct the configuration or the URL: `Misconfigured`, `UntrustedOrigin`.
 *
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
 * Tells whether an error is transient, so that waiting can help: `NetworkFailure`, `MalformedResponse` or `StoreFailure`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTransient = (error: AuthError): error is NetworkFailure | MalformedResponse | StoreFailure =>
  error._tag === "NetworkFailure" || error._tag === "MalformedResponse" || error._tag === "StoreFailure"

/**
 * Returns how long the server asked to wait before the next request, or `none` if it did not say.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 * @since 0.1.0
 * @category predicates
 */
export const retryAfter = (error: AuthError): Option.Option<Duration.Duration> =>
  error._tag === "NetworkFailure" ? Option.fromNullable(error.retryAfter) : Option.none()
