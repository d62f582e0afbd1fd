import * as AuthError from "../../common/AuthError.js"
import { fail } from "./gate.js"
import {
  complete,
  type Event,
  type Flight,
  type Now,
  type Recording,
  type Rules,
  readCredentials,
  type State,
  type Step,
  superseded
} from "./state.js"
import * as Tokens from "./tokens.js"

/**
 * Law 21: a single-use refresh token is in doubt from before it is sent until its response says otherwise, and the
 * store has that on record. If the store cannot record it, the token is not sent.
 */
export const send = (rules: Rules, state: State, flight: Flight, current: Tokens.CurrentTokens, now: Now): Step => {
  if (rules.provider.rotation === "none") return [{ _tag: "Refresh", tokens: current.tokens }, state]
  if (flight.lease !== undefined && flight.lease !== "held") return fail(state, flight.lease, now)
  const { refreshState: before } = current
  const { random: intentId } = now
  const inDoubt: Tokens.RefreshTokenState =
    before._tag === "InDoubt"
      ? { ...before, presentedAgain: true, intentId }
      : { _tag: "InDoubt", since: now, presentedAgain: false, intentId }
  return record(state, flight, Tokens.withRefreshState(current, inDoubt), { _tag: "Intent", before, intentId })
}

const record = (state: State, flight: Flight, current: Tokens.CurrentTokens, recording: Recording): Step => [
  { _tag: "RecordRefreshState", tokens: current },
  { ...state, current, flight: { ...flight, recording } }
]

/** Continues once the store has recorded that the refresh token is being sent, was not spent, or was refused. */
export const recorded = (
  state: State,
  flight: Flight,
  { at, result }: Event & { readonly _tag: "RefreshStateRecorded" },
  now: Now
): Step => {
  const { current } = state
  const { recording } = flight
  if (current === undefined || recording === undefined) return complete(state, superseded)
  // After a conflict, the record that another process wrote under this revision has to count as newer.
  const ours = result === "conflict" ? Tokens.previousRevision(current) : current
  const storeView = result === "saved" ? { at, version: current } : state.storeView
  const known: State = {
    ...state,
    current: ours,
    storeView,
    saved: result === "failed" ? false : state.saved || result === "saved"
  }
  switch (recording._tag) {
    case "Intent": {
      const before = { ...Tokens.previousRevision(current), refreshState: recording.before }
      if (result === "saved") return [{ _tag: "Refresh", tokens: current.tokens }, known]
      if (result === "failed" || flight.storeConflict === true) {
        // The store may have the intent all the same, and it would look as if another process had sent this token.
        return fail({ ...state, current: before, unconfirmedIntent: recording }, notRecorded, now)
      }
      // Another process holds the lease now. Its record is read before anything is sent.
      const next: Flight = { ...flight, recording: undefined, lease: undefined, storeConflict: true }
      return [{ _tag: "Load" }, { ...state, current: before, flight: next }]
    }
    case "NotSpent":
      return fail(known, recording.failure, now)
    case "Refused":
      // Law 14: before this is the end, the store is read again; if it took the record, it has nothing newer.
      return [result === "saved" ? readCredentials : { _tag: "Load" }, known]
  }
}

const notRecorded = new AuthError.StoreFailure({
  operation: "save",
  problem: "the refresh token was not sent, because the store could not record first that it is being sent"
})

/** Applies the failure of a refresh to the state of the refresh token (laws 12 to 14). */
export const refreshFailed = (state: State, flight: Flight, failure: AuthError.AuthError, now: Now): Step => {
  const { current } = state
  if (current === undefined) return fail(state, failure, now)
  if (failure._tag === "InvalidRefreshToken" || failure._tag === "TokenExpired") {
    const refused = Tokens.withRefreshState(current, { _tag: "Refused", failure })
    return record(state, { ...flight, refreshRefusal: failure }, refused, { _tag: "Refused" })
  }
  // It is in doubt already. Without rotation, or if it was not spent, it is as usable as before.
  const { recording } = flight
  if (recording?._tag !== "Intent" || AuthError.isUnknown(failure)) return fail(state, failure, now)
  return record(state, flight, Tokens.withRefreshState(current, recording.before), { _tag: "NotSpent", failure })
}
