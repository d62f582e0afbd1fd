import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import { minuteNanos, toNanos } from "../../common/duration.js"
import type * as Moment from "../../common/Moment.js"
import type { UserPassword } from "../../provider/Credentials.js"
import * as Backoff from "../../token/backoff.js"
import { complete, type Gate, type Now, type Rules, type State, type Step } from "./state.js"
import * as Tokens from "./tokens.js"

/** Closes the gate after a failure, for as long as that failure demands (laws 9, 14 and 16). */
export const close = (state: State, failure: AuthError.AuthError, now: Now): State => {
  const failures = AuthError.isTransient(failure) ? (state.gate?.failures ?? 0) + 1 : 0
  const pause = AuthError.isTransient(failure)
    ? Backoff.coolDown(
        failures,
        now.random,
        Option.getOrElse(AuthError.retryAfter(failure), () => Duration.zero)
      )
    : failure._tag === "InvalidCredentials" && state.refusedLogins !== undefined
      ? Backoff.credentialsRecheckInterval
      : undefined
  const until = pause === undefined ? undefined : now.nanos + toNanos(pause)
  return { ...state, gate: { failure, failures, until, at: now.millis } }
}

/** Ends the flight with a failure, and closes the gate. */
export const fail = (state: State, failure: AuthError.AuthError, now: Now): Step =>
  complete(close(state, failure, now), { _tag: "Failed", failure })

/** The failure that waiting does not change, if the gate holds one. */
export const permanentFailure = ({ gate }: State): AuthError.AuthError | undefined =>
  gate !== undefined && gate.until === undefined ? gate.failure : undefined

/** The decision for a caller without a token while the gate is closed: wait for it to open, or fail (law 9). */
export const whileCoolingDown = (
  { gate }: State,
  deadline: bigint,
  now: Now
):
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Fail"; readonly failure: AuthError.AuthError }
  | undefined => {
  if (!isClosed(gate, now)) return undefined
  return gate.until !== undefined && AuthError.isTransient(gate.failure) && gate.until <= deadline
    ? { _tag: "Wait", millis: Number(gate.until - now.nanos) / 1e6 }
    : { _tag: "Fail", failure: gate.failure }
}

const isClosed = (gate: Gate | undefined, now: Now): gate is Gate =>
  gate !== undefined && (gate.until === undefined || now.nanos < gate.until)

/** Remembers refused credentials (the last ten), and how often in a row that happened (law 16). */
export const rememberRefusedLogin = (
  state: State,
  event: { readonly failure: AuthError.AuthError; readonly credentials: Option.Option<UserPassword> },
  now: Now
): State => {
  const { failure } = event
  if (failure._tag !== "InvalidCredentials") return state
  const count = (state.refusedLogins?.count ?? 0) + 1
  const until = now.nanos + toNanos(Backoff.credentialsCoolDown(count))
  const credentials = [...(state.refusedLogins?.credentials ?? []), event.credentials].slice(-10)
  return { ...state, refusedLogins: { credentials, count, until, failure } }
}

/** Counts a rejected retry, after which rejections refresh nothing for a while (law 10). */
export const countRejection = (state: State, token: NonNullable<State["rejections"]>["token"], now: Now): State => {
  const { rejections } = state
  const follows = rejections !== undefined && now.nanos < rejections.until + minuteNanos
  const count = follows ? rejections.count + 1 : 1
  const until = now.nanos + toNanos(Backoff.rejectionCoolDown(count))
  return { ...state, rejections: { token, count, until } }
}

/** Tells whether refreshing now would be early (law 11). */
export const isEarly = (rules: Rules, state: State, now: Moment.Moment): boolean =>
  state.current !== undefined && Tokens.isEarly(state.current, rules.leeway, now)

/** The early refreshes within the last minute. */
export const recentEarlyRefreshes = (state: State, now: Moment.Moment): ReadonlyArray<bigint> =>
  state.earlyRefreshes.filter((at) => now.nanos - at < minuteNanos)

/** Law 11: tells whether refreshing now would be early and the budget of this minute is used up. */
export const isOverEarlyBudget = (rules: Rules, state: State, now: Moment.Moment): boolean =>
  isEarly(rules, state, now) && recentEarlyRefreshes(state, now).length >= Backoff.earlyRefreshBudget

/** Tells whether a set may be renewed before it expires: not while its refresh token is in doubt (law 13). */
export const mayRenewEarly = (rules: Rules, { refreshState }: Tokens.CurrentTokens, now: Moment.Moment): boolean =>
  refreshState._tag !== "InDoubt" || isWithinReuseWindow(rules, refreshState, now)

/** Tells whether the server accepts one more presentation of a refresh token in doubt (law 13). */
export const isWithinReuseWindow = (
  rules: Rules,
  doubt: Tokens.RefreshTokenState & { _tag: "InDoubt" },
  now: Moment.Moment
): boolean =>
  !doubt.presentedAgain &&
  rules.provider.reuseWindow !== undefined &&
  now.nanos - doubt.since.nanos < toNanos(rules.provider.reuseWindow)

/** Milliseconds until the current tokens are renewed; `undefined` if there is nothing to renew (law 29). */
export const renewalDelay = (rules: Rules, state: State, now: Moment.Moment): number | undefined => {
  const { current, gate } = state
  if (current === undefined || state.flight !== undefined) return undefined
  if (gate !== undefined && (gate.until === undefined || !AuthError.isTransient(gate.failure))) return undefined
  const due = Tokens.renewalDelay(current, rules.leeway, mayRenewEarly(rules, current, now), now)
  if (due === Number.POSITIVE_INFINITY) return undefined
  const gateOpens = gate?.until ?? now.nanos
  const budgetReturns = isOverEarlyBudget(rules, state, now)
    ? (recentEarlyRefreshes(state, now)[0] ?? now.nanos) + minuteNanos
    : now.nanos
  const millisUntil = (at: bigint) => Number(at - now.nanos) / 1e6
  return Math.ceil(Math.max(due, millisUntil(gateOpens), millisUntil(budgetReturns), 0))
}
