/**
 * Ready-made failures of a token request. The name of their provider is `"test"`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as AuthError from "../../common/AuthError.js"

const provider = "test"

/**
 * Failures as a provider would report them, each under the name of its cause.
 *
 * @since 0.1.0
 * @category testing
 */
export const failure = {
  /** The refresh token was revoked. */
  refused: new AuthError.InvalidRefreshToken({ provider, reason: "revoked" }),
  /** The refresh token has expired. */
  expired: new AuthError.TokenExpired({ provider, token: "refresh" }),
  /** The user name or the password is wrong. */
  credentials: new AuthError.InvalidCredentials({ provider, status: 401 }),
  /** The server cannot be reached. Nothing was sent. */
  unreachable: new AuthError.NetworkFailure({ provider, reason: "unreachable", outcome: "not-spent" }),
  /** The connection broke before the response arrived. The server may have processed the request. */
  lost: new AuthError.NetworkFailure({ provider, reason: "interrupted", outcome: "unknown" }),
  /** The server failed (500). It may have processed the request. */
  broken: new AuthError.NetworkFailure({ provider, reason: "server-error", outcome: "unknown", status: 500 }),
  /** The response is the error page of a gateway. The server may have processed the request. */
  malformed: new AuthError.MalformedResponse({ provider, problem: "a page", outcome: "unknown" }),
  /** The server refuses the application itself. */
  misconfigured: new AuthError.Misconfigured({ field: "appSecret", problem: "is refused" }),
  /** The server refused the request (429) and asks for this long without another. */
  busy: (retryAfter: Duration.DurationInput): AuthError.NetworkFailure =>
    new AuthError.NetworkFailure({
      provider,
      reason: "rate-limited",
      outcome: "not-spent",
      status: 429,
      retryAfter: Duration.decode(retryAfter)
    })
} as const
