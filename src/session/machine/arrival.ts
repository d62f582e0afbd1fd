import * as Option from "effect/Option"
import type * as Moment from "../../common/Moment.js"
import * as Token from "../../token/Token.js"
import { withoutAccessToken } from "./gate.js"
import type { Landed } from "./order.js"
import type { Flight, Now, Pending, Rules, State } from "./state.js"
import { askAgain, fail, land, type Step } from "./step.js"
import * as Held from "./tokens.js"

/** The answer to a refresh. */
export const refreshed = (rules: Rules, state: State, flight: Flight, tokens: Token.TokenSet, now: Now): Step => {
  const { held } = state
  if (held === undefined || Option.isSome(tokens.accessToken)) return obtained(state, flight, tokens, now)
  // Law 22: the access token is unreadable, but the refresh token that came with it is the one in force now.
  const rotated = { refreshToken: tokens.refreshToken, refreshLifetime: tokens.refreshLifetime }
  const generation = state.generation + 1
  const kept: Held.Held = {
    ...held,
    generation,
    tokens: { ...held.tokens, ...rotated },
    refreshArrived: now,
    refresh: Held.usable
  }
  return save(state, flight, { held: kept, failure: withoutAccessToken(rules) })
}

/** Laws 8 and 18: what arrived counts from here on, and is saved before anyone sees it. */
export const obtained = (state: State, flight: Flight, tokens: Token.TokenSet, now: Now): Step => {
  const previous = flight.task === "renew" ? state.held : undefined
  const generation = state.generation + 1
  if (previous === undefined) return save(state, flight, { held: Held.arriving(tokens, generation, now) })
  const held = Held.arriving(Token.renew(previous.tokens, tokens), generation, now)
  const refreshArrived = Option.isNone(tokens.refreshToken) ? previous.refreshArrived : now
  return save(state, flight, { held: { ...held, refreshArrived } })
}

/** What arrived goes to the store. */
export const save = (state: State, flight: Flight, pending: Pending): Step => [
  { _tag: "Save", held: pending.held },
  {
    ...state,
    generation: pending.held.generation,
    // A conflict about the intent was another one.
    flight: { ...flight, pending, conflict: flight.pending !== undefined && flight.conflict }
  }
]

/** What was saved, or could not be, is in force and seen. */
export const publish = (state: State, pending: Pending, savedAt: Moment.Moment | undefined, now: Now): Step => {
  const next: State = {
    ...state,
    held: pending.held,
    seed: undefined,
    signedOut: false,
    saved: savedAt !== undefined,
    looked: savedAt === undefined ? state.looked : { at: savedAt, version: pending.held }
  }
  return pending.failure === undefined
    ? land({ ...next, block: undefined }, seenBy(pending.held))
    : fail(next, pending.failure, now)
}

/** What the callers of a flight get of a set. */
export const seenBy = (held: Held.Held): Landed =>
  Option.match(held.tokens.accessToken, { onNone: () => askAgain, onSome: (token) => ({ _tag: "Token", token }) })

/** The same set under another number; what is older than its set stays so. */
export const renumbered = (pending: Pending, generation: number): Pending => {
  const { held } = pending
  const issued = held.issued === held.generation ? generation : held.issued
  return { ...pending, held: { ...held, generation, issued } }
}
