/**
 * The failures that an exchange may end in, ready-made. They call their provider `"test"`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as AuthError from "../../common/AuthError.js"

const provider = "test"

/**
 * Failures as a provider would tell them, each under the name of what happened.
 *
 * @since 0.1.0
 * @category testing
 */
export const failure = {
  /** The refresh token was revoked. */
  refused: new AuthError.InvalidRefreshToken({ provider, reason: "revoked" }),
  /** The refresh token has ended. */
  ended: new AuthError.TokenExpired({ provider, token: "refresh" }),
  /** User name or password is wrong. */
  credentials: new AuthError.InvalidCredentials({ provider, status: 401 }),
  /** The server cannot be reached; nothing was sent. */
  unreachable: new AuthError.NetworkFailure({ provider, reason: "unreachable", outcome: "not-spent" }),
  /** The connection broke; the server may have acted. */
  lost: new AuthError.NetworkFailure({ provider, reason: "interrupted", outcome: "unknown" }),
  /** The server broke down (500); it may have acted. */
  broken: new AuthError.NetworkFailure({ provider, reason: "server-error", outcome: "unknown", status: 500 }),
  /** The answer is a gateway's page; the server may have acted. */
  malformed: new AuthError.MalformedResponse({ provider, problem: "a page", outcome: "unknown" }),
  /** The application itself is refused. */
  misconfigured: new AuthError.Misconfigured({ field: "appSecret", problem: "is refused" }),
  /** The server turned the request away (429) and asks to be left alone for so long. */
  busy: (retryAfter: Duration.DurationInput): AuthError.NetworkFailure =>
    new AuthError.NetworkFailure({
      provider,
      reason: "rate-limited",
      outcome: "not-spent",
      status: 429,
      retryAfter: Duration.decode(retryAfter)
    })
} as const
