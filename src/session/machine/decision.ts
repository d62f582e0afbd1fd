import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import { storeRecheckInterval } from "../../token/backoff.js"
import type * as Token from "../../token/Token.js"
import * as Gate from "./gate.js"
import type { Flight, FlightId, Now, Rules, State } from "./state.js"
import * as Tokens from "./tokens.js"

/** The demand of a caller: a token of a generation newer than `newerThan`. */
export interface Demand {
  readonly newerThan: number
  readonly cause: "use" | "refresh" | "reject"
}

/** A demand, and the moment on the monotonic clock at which the caller's patience ends. */
export interface TimedDemand extends Demand {
  readonly deadline: bigint
}

/** The demand for any token that is valid now. */
export const anyToken: Demand = { newerThan: -1, cause: "use" }

/** The demand for a token newer than the current one. */
export const newer = (state: State): readonly [Demand, State] => [
  { newerThan: state.current?.accessGeneration ?? -1, cause: "refresh" },
  state
]

/** The next action of a caller. `claimed` is a flight that this caller claimed and has to start. */
export type Decision =
  | {
      readonly _tag: "Serve"
      readonly token: Token.AccessToken
      readonly stale?: boolean | undefined
      readonly claimed?: Flight | undefined
    }
  | { readonly _tag: "Join"; readonly flight: Flight; readonly claimed?: Flight | undefined }
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Fail"; readonly failure: AuthError.AuthError }

/**
 * Decides what a caller does: use a token, join the flight, start one, wait for a cool-down to end, or fail (laws 1, 2,
 * 6, 9).
 */
export const decide = (
  rules: Rules,
  state: State,
  demand: TimedDemand,
  now: Now,
  id: FlightId
): readonly [Decision, State] => {
  const { current, flight } = state
  const phase = Tokens.phase(current, rules.leeway, now)
  const token = current === undefined ? undefined : Option.getOrUndefined(current.tokens.accessToken)
  const coolingDown = Gate.whileCoolingDown(state, demand.deadline, now)
  const overBudget = demand.cause !== "refresh" && Gate.isOverEarlyBudget(rules, state, now)
  const start = () => startFlight(rules, state, demand.cause !== "refresh", now, id)
  if (
    current !== undefined &&
    token !== undefined &&
    current.accessGeneration > demand.newerThan &&
    phase !== "expired"
  ) {
    const stale = phase === "stale"
    const refreshes = stale && !flight && !coolingDown && !overBudget && Gate.mayRenewEarly(rules, current, now)
    if (!refreshes) return [{ _tag: "Serve", token, stale }, state]
    const [claimed, next] = start()
    return [{ _tag: "Serve", token, stale, claimed }, next]
  }
  if (flight !== undefined) return [{ _tag: "Join", flight }, state]
  const permanent = state.signedOut ? signedOut(rules) : Gate.permanentFailure(state)
  if (permanent !== undefined) return recheckStore(state, permanent, now, id)
  if (coolingDown !== undefined) return [coolingDown, state]
  if (token !== undefined && overBudget) return [{ _tag: "Serve", token }, state]
  const [claimed, next] = start()
  return [{ _tag: "Join", flight: claimed, claimed }, next]
}

/**
 * Before a permanent failure is reported, the store is read again in case another process has signed in (law 20): at
 * most once a second, never while something is unsaved, and without a token request.
 */
const recheckStore = (
  state: State,
  failure: AuthError.AuthError,
  now: Now,
  id: FlightId
): readonly [Decision, State] => {
  const { storeView } = state
  const age = storeView === undefined ? Number.POSITIVE_INFINITY : Moment.monotonicAge(storeView.at, now)
  if (!state.saved || age < Duration.toMillis(storeRecheckInterval)) return [{ _tag: "Fail", failure }, state]
  const flight: Flight = { id, goal: "obtain", recheckFailure: failure }
  return [
    { _tag: "Join", flight, claimed: flight },
    { ...state, flight }
  ]
}

const signedOut = (rules: Rules) => new AuthError.SignedOut({ provider: rules.provider.name })

const startFlight = (
  rules: Rules,
  state: State,
  countsAsEarly: boolean,
  now: Now,
  id: FlightId
): readonly [Flight, State] => {
  const isEarly = countsAsEarly && Gate.isEarly(rules, state, now)
  const flight: Flight = { id, goal: "obtain", isEarly }
  const earlyRefreshes = isEarly ? [...Gate.recentEarlyRefreshes(state, now), now.nanos] : state.earlyRefreshes
  return [flight, { ...state, flight, earlyRefreshes }]
}

/** The demand after a rejection by the API (law 10). `retried`: the rejected request was a retry, which is counted. */
export const reject = (
  state: State,
  token: Token.AccessToken,
  retried: boolean,
  now: Now
): readonly [Demand, State] => {
  const { current, rejections } = state
  if (current === undefined || !Option.contains(current.tokens.accessToken, token)) return [anyToken, state]
  if (retried && !(rejections !== undefined && Equal.equals(rejections.token, token))) {
    return [anyToken, Gate.countRejection(state, token, now)]
  }
  const coolingDown = rejections !== undefined && now.nanos < rejections.until
  return [retried || coolingDown ? anyToken : { newerThan: current.accessGeneration, cause: "reject" }, state]
}

/** Starts the renewal that is due, if it still is. */
export const renew = (rules: Rules, state: State, now: Now, id: FlightId): readonly [Flight | undefined, State] =>
  Gate.renewalDelay(rules, state, now) === 0 ? startFlight(rules, state, true, now, id) : [undefined, state]
