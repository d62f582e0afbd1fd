/**
 * What callers ask of a session, and what each is told, as pure functions: state × question × now → answer × state.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import type * as Token from "../../token/Token.js"
import type { Landing } from "../runtime/waiters.js"
import {
  eager,
  type Flight,
  minute,
  type Now,
  nanos,
  type Rules,
  recent,
  renewalDelay,
  ripensLater,
  type State,
  tooHasty
} from "./state.js"
import * as Held from "./tokens.js"

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

/** Starts the renewal that is due, if it still is. */
export const renew = (rules: Rules, state: State, now: Now, landing: Landing): readonly [Flight | undefined, State] =>
  renewalDelay(rules, state, now) === 0 ? takeOff(rules, state, true, now, landing) : [undefined, state]
