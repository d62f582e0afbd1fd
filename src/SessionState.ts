/**
 * The session as pure data, and what it answers: state × question × now → answer × state. It neither waits nor talks to
 * anyone; `Session` does, and `Flight` says what a flight does next.
 *
 * @since 0.1.0
 */
import type * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "./AuthError.js"
import type * as AuthProvider from "./AuthProvider.js"
import type { UserPassword } from "./Credentials.js"
import * as Held from "./internal/held.js"
import type { Amending, Intent } from "./internal/order.js"
import * as Moment from "./Moment.js"
import * as RenewalPolicy from "./RenewalPolicy.js"
import * as Token from "./Token.js"
import type * as TokenStore from "./TokenStore.js"

/** What does not change while a session lives. */
export interface Rules {
  readonly provider: Pick<AuthProvider.Service, "name" | "rotation" | "reuseWindow">
  readonly leeway: Duration.Duration
}

/** Both clocks, and a number in [0, 1) for jitter. */
export interface Now extends Moment.Moment {
  readonly random: number
}

/** What a flight leaves behind: the token, or `none` when it was superseded and its callers must ask again. */
export type Landing = Deferred.Deferred<Option.Option<Token.AccessToken>, AuthError.AuthError>

/** A set that arrived, and what was wrong with the rest of its answer. */
export interface Pending {
  readonly held: Held.Held
  readonly failure?: AuthError.AuthError | undefined
}

/** The one exchange under way, known by its landing. */
export interface Flight {
  readonly landing: Landing
  /** `login` and `adopt` were asked for by name; `renew` obtains another token in whatever way is left. */
  readonly task: "renew" | "login" | "adopt"
  /** What is being obtained: arrived, but not yet saved, so not yet seen by anyone (law 18). */
  readonly pending?: Pending | undefined
  readonly adopting?: Token.TokenSet | undefined
  /** What to log in with, when that was asked for by name. */
  readonly credentials?: Option.Option<UserPassword> | undefined
  /** Why a log in became necessary. */
  readonly because?: AuthError.AuthError | undefined
  /** The store turned out to keep something newer. */
  readonly conflict?: boolean | undefined
  /** Whether this session has the exclusive section (law 20), or why the store could not lend it. */
  readonly guard?: "held" | AuthError.StoreFailure | undefined
  readonly amending?: Amending | undefined
  /** What its callers are told unless the store keeps something newer: the flight only looks there. */
  readonly looking?: AuthError.AuthError | undefined
  /** Whether it is counted among the hasty ones. */
  readonly counted?: boolean | undefined
}

/** What keeps the session from an exchange: the last failure, and until when (for ever, if `until` is absent). */
export interface Block {
  readonly failure: AuthError.AuthError
  readonly failures: number
  readonly until: bigint | undefined
  /** When it came about, by the wall clock. */
  readonly at: number
}

/** All that a session knows. */
export interface State {
  /** Grows by one with every token set obtained, and with every log out. */
  readonly generation: number
  readonly held: Held.Held | undefined
  /** What to start from if the store turns out to keep nothing. */
  readonly seed: Held.Held | undefined
  /** From a log out until the next token set. */
  readonly signedOut: boolean
  readonly flight: Flight | undefined
  readonly block: Block | undefined
  /** Whether the store was read yet, and whether it keeps what is held. */
  readonly loaded: boolean
  readonly saved: boolean
  /** When this session last knew what the store kept, and what that was: anything newer was saved later (law 20). */
  readonly looked: { readonly at: Moment.Moment; readonly version: TokenStore.Version } | undefined
  /** An intent that was not followed by a request, though the store may have taken it. */
  readonly unsent: Intent | undefined
  readonly strikes: { readonly token: Token.AccessToken; readonly count: number; readonly until: bigint } | undefined
  readonly refused:
    | {
        readonly tried: ReadonlyArray<Option.Option<UserPassword>>
        readonly count: number
        readonly until: bigint
        readonly failure: AuthError.AuthError
      }
    | undefined
  /** When tokens that ought to have been fresh were replaced, within the last minute. */
  readonly hasty: ReadonlyArray<bigint>
}

/** A session that has asked for nothing yet; `seed` is what it starts from if the store keeps nothing. */
export const starting = (seed: Token.TokenSet | undefined, now: Now): State => ({
  generation: 0,
  held: undefined,
  seed: seed && Held.arriving(seed, 0, now),
  signedOut: false,
  flight: undefined,
  block: undefined,
  loaded: false,
  saved: true,
  looked: undefined,
  unsent: undefined,
  strikes: undefined,
  refused: undefined,
  hasty: []
})

/** A duration on the monotonic clock. */
export const nanos = (duration: Duration.Duration): bigint =>
  BigInt(Math.round(Duration.toMillis(Duration.min(duration, Token.longestLifetime)) * 1e6))

const minute = nanos(Duration.minutes(1))

/** What a caller wants: a token of a generation newer than `newerThan`. */
export interface Question {
  readonly newerThan: number
  readonly cause: "use" | "refresh" | "reject"
}

/** A question, and the moment on the monotonic clock at which the caller's patience ends. */
export interface Ask extends Question {
  readonly deadline: bigint
}

/** Any token that is valid now. */
export const anyToken: Question = { newerThan: -1, cause: "use" }

/** A token newer than the one current now. */
export const newer = (state: State): readonly [Question, State] => [
  { newerThan: state.held?.issued ?? -1, cause: "refresh" },
  state
]

/** What a caller is to do. */
export type Answer =
  | {
      readonly _tag: "Serve"
      readonly token: Token.AccessToken
      readonly stale?: boolean | undefined
      readonly launch?: Flight | undefined
    }
  | { readonly _tag: "Join"; readonly flight: Flight; readonly launch?: Flight | undefined }
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Fail"; readonly failure: AuthError.AuthError }

/** Answers a caller: serve, join the flight, start one, wait for the end of a cool-down, or fail (laws 1, 2, 6, 9). */
export const ask = (rules: Rules, state: State, ask: Ask, now: Now, landing: Landing): readonly [Answer, State] => {
  const { flight, held } = state
  const phase = Held.phase(held, rules.leeway, now)
  const token = held === undefined ? undefined : Option.getOrUndefined(held.tokens.accessToken)
  const cooling = whileCooling(state, ask.deadline, now)
  const hasty = ask.cause !== "refresh" && tooHasty(rules, state, now)
  const launch = () => takeOff(rules, state, ask.cause !== "refresh", now, landing)
  if (held !== undefined && token !== undefined && held.issued > ask.newerThan && phase !== "expired") {
    const stale = phase === "stale"
    const renews = stale && !flight && !cooling && !hasty && eager(rules, held, now)
    if (!renews) return [{ _tag: "Serve", token, stale }, state]
    const [launched, next] = launch()
    return [{ _tag: "Serve", token, stale, launch: launched }, next]
  }
  if (flight !== undefined) return [{ _tag: "Join", flight }, state]
  const over = state.signedOut ? isSignedOut(rules) : lasting(state)
  if (over !== undefined) return look(state, over, now, landing)
  if (cooling !== undefined) return [cooling, state]
  if (token !== undefined && hasty) return [{ _tag: "Serve", token }, state]
  const [launched, next] = launch()
  return [{ _tag: "Join", flight: launched, launch: launched }, next]
}

/** A failure that waiting does not mend. */
const lasting = ({ block }: State) => (block !== undefined && block.until === undefined ? block.failure : undefined)

/**
 * Law 20: somebody else may have signed in since. The store is looked at again before this is the answer, though not
 * more than once a second, nor before it has taken what it is to keep; the server is not asked.
 */
const look = (state: State, over: AuthError.AuthError, now: Now, landing: Landing): readonly [Answer, State] => {
  const looked = state.looked === undefined ? Number.POSITIVE_INFINITY : Moment.monotonicAge(state.looked.at, now)
  if (!state.saved || looked < Duration.toMillis(RenewalPolicy.storeLook)) {
    return [{ _tag: "Fail", failure: over }, state]
  }
  const flight: Flight = { landing, task: "renew", looking: over }
  return [
    { _tag: "Join", flight, launch: flight },
    { ...state, flight }
  ]
}

const isSignedOut = (rules: Rules) => new AuthError.SignedOut({ provider: rules.provider.name })

/** Law 9: what a caller without a token is told while the last failure keeps the session from an exchange. */
export const whileCooling = ({ block }: State, deadline: bigint, now: Now): Answer | undefined => {
  if (block === undefined || (block.until !== undefined && now.nanos >= block.until)) return undefined
  return block.until !== undefined && AuthError.isTransient(block.failure) && block.until <= deadline
    ? { _tag: "Wait", millis: Number(block.until - now.nanos) / 1e6 }
    : { _tag: "Fail", failure: block.failure }
}

const takeOff = (rules: Rules, state: State, counts: boolean, now: Now, landing: Landing): readonly [Flight, State] => {
  const counted = counts && ripensLater(rules, state, now)
  const flight: Flight = { landing, task: "renew", counted }
  const hasty = counted ? [...recent(state, now), now.nanos] : state.hasty
  return [flight, { ...state, flight, hasty }]
}

const ripensLater = (rules: Rules, state: State, now: Now): boolean =>
  state.held !== undefined && Held.ripensLater(state.held, rules.leeway, now)

const recent = (state: State, now: Now): ReadonlyArray<bigint> => state.hasty.filter((at) => now.nanos - at < minute)

/** Law 11: whether this token ought to be fresh and too many such were replaced within a minute already. */
const tooHasty = (rules: Rules, state: State, now: Now): boolean =>
  ripensLater(rules, state, now) && recent(state, now).length >= RenewalPolicy.hastyExchanges

/** Whether a set that is still valid may be renewed: not while its refresh token is in doubt (law 13). */
const eager = (rules: Rules, held: Held.Held, now: Now): boolean =>
  held.refresh._tag !== "Doubtful" || withinReuseWindow(rules, held.refresh, now)

/** Whether the server has promised to forgive one more presentation of a refresh token in doubt (law 13). */
export const withinReuseWindow = (rules: Rules, doubt: Held.RefreshState & { _tag: "Doubtful" }, now: Now): boolean =>
  !doubt.again &&
  rules.provider.reuseWindow !== undefined &&
  now.nanos - doubt.since.nanos < nanos(rules.provider.reuseWindow)

/** A rejection by the API (law 10): what to ask for, and the strike noted when the retry was rejected as well. */
export const reject = (
  state: State,
  token: Token.AccessToken,
  retried: boolean,
  now: Now
): readonly [Question, State] => {
  const { held, strikes } = state
  if (held === undefined || !Option.contains(held.tokens.accessToken, token)) {
    return [anyToken, state]
  }
  if (retried && !(strikes !== undefined && Equal.equals(strikes.token, token))) {
    const follows = strikes !== undefined && now.nanos < strikes.until + minute
    const count = follows ? strikes.count + 1 : 1
    const until = now.nanos + nanos(RenewalPolicy.strikeCoolDown(count))
    return [anyToken, { ...state, strikes: { token, count, until } }]
  }
  const struck = strikes !== undefined && now.nanos < strikes.until
  return [retried || struck ? anyToken : { newerThan: held.issued, cause: "reject" }, state]
}

/** How many milliseconds from now the set in hand is to be renewed; undefined when nothing is to be renewed (law 29). */
export const renewalDelay = (rules: Rules, state: State, now: Now): number | undefined => {
  const { block, held } = state
  if (held === undefined || state.flight !== undefined) return undefined
  if (block !== undefined && (block.until === undefined || !AuthError.isTransient(block.failure))) return undefined
  const due = Held.renewalDelay(held, rules.leeway, eager(rules, held, now), now)
  if (due === Number.POSITIVE_INFINITY) return undefined
  const cool = block?.until ?? now.nanos
  const calm = tooHasty(rules, state, now) ? (recent(state, now)[0] ?? now.nanos) + minute : now.nanos
  const millisUntil = (at: bigint) => Number(at - now.nanos) / 1e6
  return Math.ceil(Math.max(due, millisUntil(cool), millisUntil(calm), 0))
}

/** Starts the renewal that is due, if it still is. */
export const renew = (rules: Rules, state: State, now: Now, landing: Landing): readonly [Flight | undefined, State] =>
  renewalDelay(rules, state, now) === 0 ? takeOff(rules, state, true, now, landing) : [undefined, state]
