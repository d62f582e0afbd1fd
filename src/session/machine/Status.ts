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
 * The phase of an access token: `none` while there is none, `fresh` outside the leeway, `stale` within it, `expired` past
 * its end.
 *
 * @since 0.1.0
 * @category models
 */
export type TokenPhase = "none" | "fresh" | "stale" | "expired"

/**
 * The phase of a refresh token.
 *
 * - `none`: there is none.
 * - `usable`: it may be sent.
 * - `ends-soon`: it is in the last fifth of its lifetime, at most three days before its end. Without credentials, a person
 *   has to sign in before `refreshExpiresAt`.
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
  /** `failed` lasts until `login`, `adopt` or, for refused credentials, until they change. */
  readonly state: "signed-in" | "signed-out" | "failed"
  /** Since when the session is in that state. */
  readonly since: DateTime.Utc
  readonly token: TokenPhase
  /** The age of the access token, by the clock that says more. */
  readonly age: Option.Option<Duration.Duration>
  /** When the access token expires, if its end is known. */
  readonly expiresAt: Option.Option<DateTime.Utc>
  /** When the token is renewed next: in the background, or by the first caller after that. `none`: nothing will be renewed. */
  readonly renewsAt: Option.Option<DateTime.Utc>
  /** Grows by one with every token set and every logout. */
  readonly generation: number
  /** Whether a flight is under way. */
  readonly inFlight: boolean
  readonly refreshToken: RefreshTokenPhase
  /** The age of the refresh token, by the clock that says more. */
  readonly refreshAge: Option.Option<Duration.Duration>
  /** When the refresh token expires, if its end is known. */
  readonly refreshExpiresAt: Option.Option<DateTime.Utc>
  /** The last failure, until a token request succeeds. */
  readonly failure: Option.Option<AuthError.AuthError>
  /** When that failure happened. */
  readonly failedAt: Option.Option<DateTime.Utc>
  /** The number of transient failures in a row. */
  readonly failures: number
  /** Whether the store was read yet. */
  readonly loaded: boolean
  /** Whether the store has what is in force. While it does not, saving is retried. */
  readonly saved: boolean
}

/**
 * Tells whether two statuses differ in nothing but time. Ages and `renewsAt` are ignored.
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
 * The answer to a readiness probe.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  /**
   * `ready`: there is a valid token and no problem. `degraded`: there is one, and `problems` should be looked at before it
   * expires. `unready`: there is none.
   */
  readonly health: "ready" | "degraded" | "unready"
  /** Sentences without a secret in them. */
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
    // The failure says that as well.
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
