/**
 * What a flight does next, as a pure function: state × event × now → command × state. `internal/pilot` carries the
 * commands out and feeds back what became of them.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import type { Found } from "../../store/record.js"
import * as TokenStore from "../../store/TokenStore.js"
import type { Landing } from "../runtime/waiters.js"
import { obtained, publish, refreshed, renumbered, save, seenBy } from "./arrival.js"
import { blocked, refusedLogin, withoutAccessToken } from "./gate.js"
import type { Event, Landed } from "./order.js"
import { nothingKept, version } from "./persistence.js"
import { refreshFailed, send, written } from "./refreshToken.js"
import { refusal } from "./signIn.js"
import { type Flight, type Now, nanos, type Rules, type State, withinReuseWindow } from "./state.js"
import { askAgain, fail, land, readCredentials, type Step } from "./step.js"
import * as Held from "./tokens.js"

/** One step of the flight that lands on `landing`. */
export const step = (rules: Rules, state: State, landing: Landing, event: Event, now: Now): Step => {
  const flight = state.flight
  if (flight === undefined || flight.landing !== landing) return superseded(state, event, now)
  switch (event._tag) {
    case "Started":
      return state.loaded && flight.looking === undefined
        ? choose(rules, state, flight, now)
        : [{ _tag: "Load" }, state]
    case "Loaded":
      return loaded(rules, state, flight, event, now)
    case "Locked": {
      const guarded: Flight = event.mine ? { ...flight, guard: "held" } : flight
      return loaded(rules, { ...state, flight: guarded }, guarded, event, now)
    }
    case "LockFailed": {
      if (event.taken) return fail(state, event.failure, now)
      const unguarded: Flight = { ...flight, guard: event.failure }
      return choose(rules, { ...state, flight: unguarded }, unguarded, now)
    }
    case "Amended":
      return written(state, flight, event, now)
    case "LoadFailed":
      if (flight.pending !== undefined) return publish(state, flight.pending, undefined, now)
      if (flight.looking !== undefined) return land(state, { _tag: "Failure", failure: flight.looking })
      // What was asked for by name does not depend on what the store keeps.
      if (flight.task !== "renew") return choose(rules, state, flight, now)
      return flight.because === undefined ? fail(state, event.failure, now) : [readCredentials, state]
    case "CredentialsRead":
      return credentialsRead(rules, state, flight, event, now)
    case "Refreshed":
      return refreshed(rules, state, flight, event.tokens, now)
    case "LoggedIn":
      return Option.isNone(event.tokens.accessToken)
        ? fail(state, withoutAccessToken(rules), now)
        : // A log in begins anew: nothing of the set before it is kept, least of all a refused refresh token (law 14).
          save({ ...state, refused: undefined }, flight, {
            held: Held.arriving(event.tokens, state.generation + 1, now)
          })
    case "RefreshFailed":
      return refreshFailed(state, flight, event.failure, now)
    case "CredentialsFailed":
      return fail(state, event.failure, now)
    case "LoginFailed":
      return fail(refusedLogin(state, event, now), event.failure, now)
    case "Saved":
      if (event.result === "older" && flight.conflict !== true) {
        return [{ _tag: "Load" }, { ...state, flight: { ...flight, conflict: true } }]
      }
      return publish(
        state,
        flight.pending ?? { held: event.held },
        event.result === "saved" ? event.at : undefined,
        now
      )
    case "Revoked":
      return land(state, askAgain)
  }
}

/** A flight in whose place another or a log out came only cleans up: its late answer is revoked, never seen (law 30). */
const superseded = (state: State, event: Event, now: Now): Step => {
  switch (event._tag) {
    case "Refreshed":
    case "LoggedIn":
      return [{ _tag: "Revoke", tokens: event.tokens }, state]
    // The store may keep this set until what came in its place is saved, or for good if that comes to nothing.
    case "Saved":
      return [{ _tag: "Revoke", tokens: event.held.tokens }, state]
    case "LoginFailed":
      return [{ _tag: "Land", result: askAgain }, refusedLogin(state, event, now)]
    default:
      return [{ _tag: "Land", result: askAgain }, state]
  }
}

/** The way to another token that is left (laws 13, 15 and 17). */
const choose = (rules: Rules, state: State, flight: Flight, now: Now): Step => {
  if (flight.adopting !== undefined) return obtained(state, flight, flight.adopting, now)
  if (flight.credentials !== undefined) {
    return [
      { _tag: "Login", credentials: flight.credentials },
      // Nothing is left to save of the old set; of a log out before it, there may be.
      { ...state, held: undefined, saved: state.saved || !state.signedOut }
    ]
  }
  const { held } = state
  // Law 20: from here on there will be an exchange, and only one process at a time may have one.
  if (flight.guard === undefined) return [{ _tag: "Lock", known: version(state) }, state]
  if (held === undefined || held.refresh._tag === "Dead") return [readCredentials, state]
  if (Option.isNone(held.tokens.refreshToken) || Held.refreshEnded(held, now)) return [readCredentials, state]
  if (held.refresh._tag === "Doubtful" && !withinReuseWindow(rules, held.refresh, now)) return [readCredentials, state]
  return send(rules, state, flight, held, now)
}

/** What the store keeps, read at the start, with the lock, after a refusal, and when it would not save. */
const loaded = (
  rules: Rules,
  before: State,
  flight: Flight,
  { at, record: found }: Pick<Event & { readonly _tag: "Loaded" }, "at" | "record">,
  now: Now
): Step => {
  const { pending } = flight
  const { looked } = before
  const seen = Option.getOrElse(found, () => nothingKept)
  const state: State = { ...before, loaded: true, looked: { at, version: seen } }
  const newer = Option.getOrUndefined(
    Option.filter(found, (record) =>
      pending === undefined ? TokenStore.isNewer(record, version(state)) : record.generation >= state.generation
    )
  )
  if (newer !== undefined && flight.task === "renew") {
    // Law 20: what was saved since this session last looked is no older than that.
    const atMost = looked && TokenStore.isNewer(newer, looked.version) ? Moment.age(looked.at, now) : undefined
    return takeOver(rules, state, flight, newer, atMost ?? Number.POSITIVE_INFINITY, now)
  }
  // What was asked for by name counts as newer than whatever the store keeps.
  const next: State = newer === undefined ? state : { ...state, generation: newer.generation }
  if (pending !== undefined) return save(next, flight, renumbered(pending, next.generation + 1))
  if (flight.looking !== undefined) return land(next, { _tag: "Failure", failure: flight.looking })
  if (flight.because !== undefined) return [readCredentials, next]
  const { seed } = state
  if (seed === undefined || Option.isSome(found) || flight.task !== "renew") return choose(rules, next, flight, now)
  const seeded: State = { ...next, held: seed, seed: undefined }
  return serves(rules, seed, now) ? land(seeded, seenBy(seed)) : choose(rules, seeded, flight, now)
}

/** Laws 14 and 20: what somebody else obtained, or knows of the same set, is taken over instead of asking the server. */
const takeOver = (rules: Rules, state: State, flight: Flight, newer: Found, atMost: number, now: Now): Step => {
  const { generation, tokens } = newer
  if (Option.isNone(tokens)) {
    const out: State = { ...state, generation, held: undefined, signedOut: true, saved: true, flight: undefined }
    return flight.pending === undefined
      ? [{ _tag: "Land", result: askAgain }, out]
      : [{ _tag: "Revoke", tokens: flight.pending.held.tokens }, out]
  }
  const theirs = Held.fromRecord(newer, tokens.value, atMost, now)
  const mine = state.held
  const known = mine !== undefined && Equal.equals(mine.tokens.accessToken, theirs.tokens.accessToken)
  // When a token arrived that this process saw arrive, it knows best.
  const { unsent } = state
  // The intent that this session could not be sure of is no doubt: it knows that it sent nothing (law 17).
  const { refresh: told } = theirs
  const refresh = told._tag === "Doubtful" && told.mark === unsent?.mark ? unsent.before : told
  const held = known ? { ...theirs, refresh, issued: mine.issued, arrived: mine.arrived } : { ...theirs, refresh }
  const onwards: Flight = { ...flight, pending: undefined, because: undefined, looking: undefined }
  // What somebody else obtained has cost no exchange (law 11).
  const hasty = flight.counted === true ? state.hasty.slice(0, -1) : state.hasty
  const next: State = {
    ...state,
    generation,
    held,
    signedOut: false,
    saved: true,
    block: undefined,
    seed: undefined,
    flight: onwards
  }
  return serves(rules, held, now) && !known ? land({ ...next, hasty }, seenBy(held)) : choose(rules, next, onwards, now)
}

/** Whether a set serves its callers for now; a stale one is renewed behind their backs (law 2). */
const serves = (rules: Rules, held: Held.Held, now: Now): boolean => {
  const phase = Held.phase(held, rules.leeway, now)
  return phase === "fresh" || phase === "stale"
}

const credentialsRead = (
  rules: Rules,
  state: State,
  flight: Flight,
  event: Event & { readonly _tag: "CredentialsRead" },
  now: Now
): Step => {
  if (!event.enough) return deadEnd(rules, state, flight, now)
  const failure = refusal(state, event.credentials, now)
  return failure === undefined ? [{ _tag: "Login", credentials: event.credentials }, state] : fail(state, failure, now)
}

/** There is nothing to log in with. A refresh token in doubt is presented once more (law 13); otherwise this is the end. */
const deadEnd = (rules: Rules, state: State, flight: Flight, now: Now): Step => {
  const { held } = state
  const provider = rules.provider.name
  if (held === undefined) return fail(state, new AuthError.SignedOut({ provider }), now)
  if (held.refresh._tag === "Dead") return fail(state, flight.because ?? held.refresh.failure, now)
  const ended = Held.refreshEnded(held, now)
  if (held.refresh._tag === "Doubtful" && !ended) {
    return held.refresh.again
      ? fail(state, new AuthError.InvalidRefreshToken({ provider, reason: "invalid" }), now)
      : send(rules, state, flight, held, now)
  }
  const failure = new AuthError.TokenExpired({ provider, token: ended ? "refresh" : "access" })
  if (Held.phase(held, rules.leeway, now) === "expired") return fail(state, failure, now)
  // Until the token in hand has ended there may be credentials again.
  const left = Duration.millis(Held.renewalDelay(held, rules.leeway, false, now))
  return land(
    { ...state, block: { failure, failures: 0, until: now.nanos + nanos(left), at: now.millis } },
    { _tag: "Failure", failure }
  )
}

/** The end of a flight that a defect brought down: nobody waits for it any longer, and it may be tried again. */
export const crash = (rules: Rules, state: State, landing: Landing, now: Now): readonly [Landed, State] => {
  const problem = "a defect in the session"
  const failure = new AuthError.MalformedResponse({ provider: rules.provider.name, problem, outcome: "unknown" })
  return state.flight?.landing === landing
    ? [
        { _tag: "Failure", failure },
        { ...blocked(state, failure, now), flight: undefined }
      ]
    : [askAgain, state]
}
