import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import type { UserPassword } from "../../provider/Credentials.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import { type Now, nanos, type Rules, type State } from "./state.js"

/** Notes a failure, and until when it keeps the session from trying again (laws 9, 14 and 16). */
export const blocked = (state: State, failure: AuthError.AuthError, now: Now): State => {
  const failures = AuthError.isTransient(failure) ? (state.block?.failures ?? 0) + 1 : 0
  const pause = AuthError.isTransient(failure)
    ? RenewalPolicy.coolDown(
        failures,
        now.random,
        Option.getOrElse(AuthError.retryAfter(failure), () => Duration.zero)
      )
    : failure._tag === "InvalidCredentials" && state.refused !== undefined
      ? RenewalPolicy.credentialsLook
      : undefined
  const until = pause === undefined ? undefined : now.nanos + nanos(pause)
  return { ...state, block: { failure, failures, until, at: now.millis } }
}

/** Law 16: what was refused is remembered, the last few of it, and how often that happened in a row. */
export const refusedLogin = (
  state: State,
  event: { readonly failure: AuthError.AuthError; readonly credentials: Option.Option<UserPassword> },
  now: Now
): State => {
  const { failure } = event
  if (failure._tag !== "InvalidCredentials") return state
  const count = (state.refused?.count ?? 0) + 1
  const until = now.nanos + nanos(RenewalPolicy.credentialsCoolDown(count))
  const tried = [...(state.refused?.tried ?? []), event.credentials].slice(-10)
  return { ...state, refused: { tried, count, until, failure } }
}

/** Whether nobody can know if the token that was sent is spent (law 12). */
export const isUnknown = (failure: AuthError.AuthError): boolean =>
  "outcome" in failure && failure.outcome === "unknown"

/** The answer of a token endpoint without the one thing it is for. */
export const withoutAccessToken = (rules: Rules): AuthError.AuthError =>
  new AuthError.MalformedResponse({
    provider: rules.provider.name,
    problem: "the access token is missing or unusable",
    outcome: "unknown"
  })
