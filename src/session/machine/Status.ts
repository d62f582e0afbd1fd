/**
 * The status and the health of a session, without a secret in them.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Equivalence from "effect/Equivalence"
import * as Option from "effect/Option"
import type * as AuthError from "../../common/AuthError.js"

/**
 * The phase of an access token. The words are those of RFC 9111.
 *
 * - `none`: there is no access token.
 * - `fresh`: it is valid, and its end is further away than the leeway.
 * - `stale`: it is valid, and its end is within the leeway. It is still used while another one is obtained.
 * - `expired`: its end has passed.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9111#section-4.2
 * @since 0.1.0
 * @category models
 */
export type TokenPhase = "none" | "fresh" | "stale" | "expired"

/**
 * The phase of a refresh token.
 *
 * - `none`: there is no refresh token.
 * - `usable`: it may be sent.
 * - `ends-soon`: it is in the last fifth of its lifetime, at most three days before its end. Without credentials, a
 *   person has to sign in before `refreshExpiresAt`.
 * - `in-doubt`: it was sent, and its fate is unknown.
 * - `ended`: its known end has passed, or the server says that it expired.
 * - `refused`: the server refused it.
 *
 * @since 0.1.0
 * @category models
 */
export type RefreshTokenPhase = "none" | "usable" | "ends-soon" | "in-doubt" | "ended" | "refused"

/**
 * The status of a session. Instants are by this machine's wall clock and only for display: no decision uses them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** The name of the provider. */
  readonly provider: string
  /**
   * The state of the session.
   *
   * - `signed-in`: there is a token set, even if its access token has expired.
   * - `signed-out`: there is none.
   * - `failed`: there is no valid access token, and waiting does not help. It lasts until `login`, `adopt`, another
   *   process signs in, or, if the credentials were refused, until they change.
   */
  readonly state: "signed-in" | "signed-out" | "failed"
  /** The moment at which the session entered that state. */
  readonly since: DateTime.Utc
  /** The phase of the access token. */
  readonly token: TokenPhase
  /** The age of the access token, by the clock that says more; `none` if there is no access token. */
  readonly age: Option.Option<Duration.Duration>
  /** The moment at which the access token expires; `none` if it has no known end. */
  readonly expiresAt: Option.Option<DateTime.Utc>
  /**
   * The moment of the next renewal: in the background, or by the first caller after it. `none` if there is nothing to
   * renew, and during a flight.
   */
  readonly renewsAt: Option.Option<DateTime.Utc>
  /** Grows by one with every token set and every logout. */
  readonly generation: number
  /** Tells whether a flight is under way. */
  readonly inFlight: boolean
  /** The phase of the refresh token. */
  readonly refreshToken: RefreshTokenPhase
  /** The age of the refresh token, by the clock that says more; `none` if there is no refresh token. */
  readonly refreshAge: Option.Option<Duration.Duration>
  /** The moment at which the refresh token expires; `none` if it has no known end. */
  readonly refreshExpiresAt: Option.Option<DateTime.Utc>
  /** The last failure, until tokens are obtained or adopted; `none` if there was none since. */
  readonly failure: Option.Option<AuthError.AuthError>
  /** The moment of that failure. */
  readonly failedAt: Option.Option<DateTime.Utc>
  /** The number of transient failures in a row; 0 after a success or a permanent failure. */
  readonly failures: number
  /** Tells whether the store was read yet. */
  readonly loaded: boolean
  /** Tells whether the store has what is in force. While it does not, saving is retried. */
  readonly saved: boolean
}

/**
 * Tells whether two statuses are the same apart from time: `since`, `age`, `renewsAt`, `refreshAge`, `failedAt` and
 * `failures` are ignored.
 *
 * @since 0.1.0
 * @category predicates
 */
export const equivalence: Equivalence.Equivalence<Status> = Equivalence.mapInput(
  Equivalence.struct({
    state: Equivalence.strict<Status["state"]>(),
    token: Equivalence.strict<TokenPhase>(),
    generation: Equivalence.number,
    inFlight: Equivalence.boolean,
    expiresAt: Option.getEquivalence(DateTime.Equivalence),
    refreshToken: Equivalence.strict<RefreshTokenPhase>(),
    refreshExpiresAt: Option.getEquivalence(DateTime.Equivalence),
    failure: Option.getEquivalence(Equivalence.strict<AuthError.AuthError>()),
    loaded: Equivalence.boolean,
    saved: Equivalence.boolean
  }),
  (status: Status) => status
)

/**
 * The health of a session, for a readiness probe.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  /**
   * The health in one word.
   *
   * - `ready`: there is a valid access token and no problem.
   * - `degraded`: there is a valid access token, and a problem that should be solved before it expires.
   * - `unready`: there is no valid access token.
   */
  readonly health: "ready" | "degraded" | "unready"
  /** The problems, as phrases without a secret in them. Empty if the session is `ready`. */
  readonly problems: ReadonlyArray<string>
}

/** Tells whether an access token in this phase can be used. */
const isValid = (phase: TokenPhase): boolean => phase === "fresh" || phase === "stale"

const missingToken = (state: Status["state"], token: TokenPhase): string | undefined => {
  if (isValid(token)) return undefined
  if (token === "expired") return "the access token has expired"
  return state === "signed-out" ? "the session is signed out" : "there is no access token yet"
}

/**
 * Returns the health of a session from its status.
 *
 * @since 0.1.0
 * @category constructors
 */
export const health = (status: Status): Health => {
  const { failure, inFlight, refreshToken, saved, state, token } = status
  const tag = Option.getOrUndefined(failure)?._tag
  const refreshProblems: Partial<Record<RefreshTokenPhase, string>> = {
    "ends-soon": "the refresh token expires soon",
    "in-doubt": "the refresh token was sent, and it is not known whether it was used",
    // The failure says the same.
    ...(tag === "TokenExpired" || tag === "InvalidRefreshToken"
      ? {}
      : { ended: "the refresh token has expired", refused: "the refresh token was refused" })
  }
  const problems = [
    missingToken(state, token),
    inFlight && !isValid(token) ? "a token request is under way" : undefined,
    tag === "SignedOut" ? undefined : Option.getOrUndefined(failure)?.message,
    refreshProblems[refreshToken],
    saved ? undefined : "the token store does not have the current tokens"
  ].filter((problem) => problem !== undefined)
  return { health: !isValid(token) ? "unready" : problems.length === 0 ? "ready" : "degraded", problems }
}
