import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../AuthError.js"
import type { UserPassword } from "../Credentials.js"
import * as RenewalPolicy from "../RenewalPolicy.js"
import { type Flight, type Now, nanos, permanent, type Rules, type State } from "../SessionState.js"

/** Notes a failure, and until when it keeps the session from trying again (laws 9, 14 and 16). */
export const blocked = (state: State, failure: AuthError.AuthError, now: Now): State => {
  const failures = AuthError.isTransient(failure) ? (state.block?.failures ?? 0) + 1 : 0
  const pause = AuthError.isTransient(failure)
    ? RenewalPolicy.coolDown(
        failures,
        now.random,
        Option.getOrElse(AuthError.retryAfter(failure), () => Duration.zero)
      )
    : failure._tag === "InvalidCredentials"
      ? RenewalPolicy.credentialsLook
      : undefined
  const block = pause === undefined ? permanent(failure) : { failure, failures, until: now.nanos + nanos(pause) }
  return { ...state, block }
}

/** Law 14: a refused refresh token is never sent again. */
export const refusedRefresh = (state: State, flight: Flight, failure: AuthError.AuthError): State => ({
  ...state,
  flight: { ...flight, because: failure },
  held: state.held && { ...state.held, refresh: { _tag: "Dead", failure } }
})

/** Law 16: refused credentials are remembered, and how often. */
export const refusedLogin = (
  state: State,
  event: { readonly failure: AuthError.AuthError; readonly credentials: Option.Option<UserPassword> },
  now: Now
): State => {
  if (event.failure._tag !== "InvalidCredentials" || Option.isNone(event.credentials)) return state
  const credentials = event.credentials.value
  const again = state.refused !== undefined && same(event.credentials, state.refused.credentials)
  const count = again && state.refused !== undefined ? state.refused.count + 1 : 1
  const until = now.nanos + nanos(RenewalPolicy.credentialsCoolDown(count))
  return { ...state, refused: { credentials, count, until, failure: event.failure } }
}

/** Laws 12 and 13: after an unknown outcome, a refresh token that may be spent by one use is in doubt. */
export const inDoubt = (rules: Rules, state: State, failure: AuthError.AuthError, now: Now): State => {
  const { held } = state
  const unknown = "outcome" in failure && failure.outcome === "unknown"
  if (held === undefined || rules.provider.rotation === "none" || !unknown) return state
  const doubtful = held.refresh._tag === "Doubtful"
  const since = held.refresh._tag === "Doubtful" ? held.refresh.since : now
  return { ...state, held: { ...held, refresh: { _tag: "Doubtful", since, again: doubtful } } }
}

/** The answer of a token endpoint without the one thing it is for. */
export const withoutAccessToken = (rules: Rules): AuthError.AuthError =>
  new AuthError.MalformedResponse({
    provider: rules.provider.name,
    problem: "the answer holds no access token",
    outcome: "unknown"
  })

/** Whether credentials are the ones that were refused. */
export const same = (credentials: Option.Option<UserPassword>, other: UserPassword): boolean =>
  Option.exists(
    credentials,
    (one) => Equal.equals(one.username, other.username) && Equal.equals(one.password, other.password)
  )
