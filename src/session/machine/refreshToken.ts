import * as AuthError from "../../common/AuthError.js"
import { isUnknown } from "./gate.js"
import type { Amending, Event } from "./order.js"
import type { Flight, Now, Rules, State } from "./state.js"
import { askAgain, fail, land, readCredentials, type Step } from "./step.js"
import * as Held from "./tokens.js"

/**
 * Law 21: a refresh token that may be spent by one use is in doubt from before it is sent until its answer says
 * otherwise, and the store knows. Where the store cannot be told, it is not sent.
 */
export const send = (rules: Rules, state: State, flight: Flight, held: Held.Held, now: Now): Step => {
  if (rules.provider.rotation === "none") return [{ _tag: "Refresh", tokens: held.tokens }, state]
  if (flight.guard !== undefined && flight.guard !== "held") return fail(state, flight.guard, now)
  const { refresh: before } = held
  const { random: mark } = now
  const doubt: Held.RefreshState =
    before._tag === "Doubtful" ? { ...before, again: true, mark } : { _tag: "Doubtful", since: now, again: false, mark }
  return amend(state, flight, Held.amended(held, doubt), { _tag: "Intent", before, mark })
}

const amend = (state: State, flight: Flight, held: Held.Held, amending: Amending): Step => [
  { _tag: "Amend", held },
  { ...state, held, flight: { ...flight, amending } }
]

/** The refresh token in hand was written down as being sent, not sent or refused: what comes next. */
export const written = (
  state: State,
  flight: Flight,
  { at, result }: Event & { readonly _tag: "Amended" },
  now: Now
): Step => {
  const { held } = state
  const { amending } = flight
  if (held === undefined || amending === undefined) return land(state, askAgain)
  // What somebody else wrote under this revision is news to this session.
  const mine = result === "older" ? Held.unwritten(held) : held
  const looked = result === "saved" ? { at, version: held } : state.looked
  const known: State = {
    ...state,
    held: mine,
    looked,
    saved: result === "failed" ? false : state.saved || result === "saved"
  }
  switch (amending._tag) {
    case "Intent": {
      const before = { ...Held.unwritten(held), refresh: amending.before }
      if (result === "saved") return [{ _tag: "Refresh", tokens: held.tokens }, known]
      if (result === "failed" || flight.conflict === true) {
        // The store may have taken it all the same, and it would look as if somebody had sent this token.
        return fail({ ...state, held: before, unsent: amending }, unrecorded, now)
      }
      // Somebody else has the exclusive section now. What they wrote is read before anything is sent.
      const onwards: Flight = { ...flight, amending: undefined, guard: undefined, conflict: true }
      return [{ _tag: "Load" }, { ...state, held: before, flight: onwards }]
    }
    case "Unsent":
      return fail(known, amending.failure, now)
    case "Refused":
      // Law 14: the store is read again before this is the end. If it took the note, it keeps nothing newer.
      return [result === "saved" ? readCredentials : { _tag: "Load" }, known]
  }
}

const unrecorded = new AuthError.StoreFailure({
  operation: "save",
  problem: "the refresh token was not sent, as the store could not be told of it first"
})

/** Laws 12 to 14: what the failure of a refresh says about the refresh token. */
export const refreshFailed = (state: State, flight: Flight, failure: AuthError.AuthError, now: Now): Step => {
  const { held } = state
  if (held === undefined) return fail(state, failure, now)
  if (failure._tag === "InvalidRefreshToken" || failure._tag === "TokenExpired") {
    const onwards: Flight = { ...flight, because: failure }
    return amend(state, onwards, Held.amended(held, { _tag: "Dead", failure }), { _tag: "Refused" })
  }
  // In doubt it was from the start; without rotation, and when it was not spent, it is as good as before.
  const { amending } = flight
  if (amending?._tag !== "Intent" || isUnknown(failure)) return fail(state, failure, now)
  return amend(state, flight, Held.amended(held, amending.before), { _tag: "Unsent", failure })
}
