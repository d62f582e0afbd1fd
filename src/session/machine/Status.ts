/**
 * What a session looks like from outside.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Equivalence from "effect/Equivalence"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import { type Rules, renewalDelay, type State } from "./state.js"
import * as Held from "./tokens.js"

/**
 * What a session looks like from outside, without a secret in it. Instants are by this machine's wall clock, for people to
 * read; nothing is decided by them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  readonly provider: string
  /** `failed` lasts until `login`, `adopt` or, for refused credentials, their change. */
  readonly state: "signed-in" | "signed-out" | "failed"
  /** Since when it is in that state. */
  readonly since: DateTime.Utc
  readonly token: Held.Phase
  /** How old the access token is, by the clock that says more. */
  readonly age: Option.Option<Duration.Duration>
  /** When the access token ends, if its end is known. */
  readonly expiresAt: Option.Option<DateTime.Utc>
  /** When it is renewed next, by the renewal fiber or by whoever uses it then; none when nothing is to be renewed. */
  readonly renewsAt: Option.Option<DateTime.Utc>
  readonly generation: number
  /** Whether an exchange is under way. */
  readonly exchanging: boolean
  /**
   * `ends-soon` in the last fifth of its lifetime, three days at most: without credentials, somebody has to sign in before
   * `refreshExpiresAt`.
   */
  readonly refreshToken: Held.RefreshPhase
  readonly refreshAge: Option.Option<Duration.Duration>
  readonly refreshExpiresAt: Option.Option<DateTime.Utc>
  /** The last failure, until an exchange succeeds. */
  readonly failure: Option.Option<AuthError.AuthError>
  readonly failedAt: Option.Option<DateTime.Utc>
  /** How many failures that may pass there were in a row. */
  readonly failures: number
  /** Whether the store was read yet. */
  readonly loaded: boolean
  /** Whether the store keeps what is in force; saving is tried again while it does not. */
  readonly saved: boolean
}

/**
 * A state by name, and since when, in milliseconds by the wall clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Since {
  readonly state: Status["state"]
  readonly at: number
}

/**
 * Which of its states a session is in.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stateOf = (rules: Rules, { block, held, signedOut }: State, now: Moment.Moment): Status["state"] => {
  const ended = block !== undefined && !AuthError.isTransient(block.failure) && block.failure._tag !== "SignedOut"
  const over = ended && !isAlive(Held.phase(held, rules.leeway, now)) && !signedOut
  return over ? "failed" : held === undefined ? "signed-out" : "signed-in"
}

const isAlive = (phase: Held.Phase): boolean => phase === "fresh" || phase === "stale"

/**
 * The status of a state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (rules: Rules, state: State, now: Moment.Moment, since?: Since): Status => {
  const { block, held } = state
  const kept = Option.fromNullable(held)
  const token = Held.phase(held, rules.leeway, now)
  const is = stateOf(rules, state, now)
  const wall = (millis: number) => DateTime.unsafeMake(Math.round(millis))
  const age = (from: Moment.Moment) => Duration.millis(Moment.age(from, now))
  const delay = renewalDelay(rules, state, now)
  // That nothing can obtain another token is no failure before the one in hand has ended.
  const early = isAlive(token) && block?.failure._tag === "TokenExpired"
  const told = early ? Option.none() : Option.fromNullable(block)
  const phase = Held.refreshPhase(held, now)
  // While it is being used, that is no doubt yet.
  const refreshToken = phase === "in-doubt" && state.flight?.amending?._tag === "Intent" ? "usable" : phase
  const expiresAt = Option.flatMap(kept, Held.endsAt)
  return {
    provider: rules.provider.name,
    state: is,
    // That a token has ended is no event: its session failed at that moment, if it did.
    since: since?.state === is ? wall(since.at) : Option.getOrElse(expiresAt, () => wall(now.millis)),
    token,
    age: token === "none" ? Option.none() : Option.map(kept, ({ arrived }) => age(arrived)),
    expiresAt,
    renewsAt: Option.map(Option.fromNullable(delay), (delay) => wall(now.millis + delay)),
    // What is being saved is not seen yet, nor is its generation.
    generation: held?.generation ?? state.generation - (state.flight?.pending === undefined ? 0 : 1),
    exchanging: state.flight !== undefined,
    refreshToken,
    refreshAge: refreshToken === "none" ? Option.none() : Option.map(kept, ({ refreshArrived }) => age(refreshArrived)),
    refreshExpiresAt: Option.flatMap(kept, Held.refreshEndsAt),
    failure: Option.map(told, ({ failure }) => failure),
    failedAt: Option.map(told, ({ at }) => wall(at)),
    failures: block?.failures ?? 0,
    loaded: state.loaded,
    saved: state.saved
  }
}

/**
 * Whether two statuses say the same. What changes with time alone (ages, and when to renew) says nothing new.
 *
 * @since 0.1.0
 * @category predicates
 */
export const equivalence: Equivalence.Equivalence<Status> = Equivalence.mapInput(
  Equivalence.struct({
    state: Equivalence.strict<Status["state"]>(),
    token: Equivalence.strict<Held.Phase>(),
    generation: Equivalence.number,
    exchanging: Equivalence.boolean,
    expiresAt: Option.getEquivalence(DateTime.Equivalence),
    refreshToken: Equivalence.strict<Held.RefreshPhase>(),
    refreshExpiresAt: Option.getEquivalence(DateTime.Equivalence),
    failure: Option.getEquivalence(Equivalence.strict<AuthError.AuthError>()),
    loaded: Equivalence.boolean,
    saved: Equivalence.boolean
  }),
  (status: Status) => status
)

/**
 * What a readiness probe wants to know. `ready`: there is a valid token and nothing to see to. `degraded`: there is one,
 * and somebody should look at `problems` before it ends. `unready`: there is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  readonly health: "ready" | "degraded" | "unready"
  /** Sentences without a secret in them. */
  readonly problems: ReadonlyArray<string>
}

const lacks = (state: Status["state"], token: Held.Phase): string | undefined => {
  if (isAlive(token)) return undefined
  if (token === "expired") return "the access token has ended"
  return state === "signed-out" ? "nobody is signed in" : "there is no access token yet"
}

/**
 * The health of a session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const health = (status: Status): Health => {
  const { exchanging, failure, refreshToken, saved, state, token } = status
  const tag = Option.getOrUndefined(failure)?._tag
  const worries: Partial<Record<Held.RefreshPhase, string>> = {
    "ends-soon": "the refresh token ends soon",
    "in-doubt": "it is not known whether the refresh token was used",
    // The failure says that as well.
    ...(tag === "TokenExpired" || tag === "InvalidRefreshToken"
      ? {}
      : { ended: "the refresh token has ended", refused: "the refresh token was refused" })
  }
  const problems = [
    lacks(state, token),
    exchanging && !isAlive(token) ? "an exchange is under way" : undefined,
    tag === "SignedOut" ? undefined : Option.getOrUndefined(failure)?.message,
    worries[refreshToken],
    saved ? undefined : "the token store does not keep the tokens in force"
  ].filter((problem) => problem !== undefined)
  return { health: !isAlive(token) ? "unready" : problems.length === 0 ? "ready" : "degraded", problems }
}
