import * as Duration from "effect/Duration"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import { toNanos } from "../../common/duration.js"
import * as Moment from "../../common/Moment.js"
import type { StoredRecord } from "../../store/record.js"
import * as TokenStore from "../../store/TokenStore.js"
import * as Token from "../../token/Token.js"
import * as Gate from "./gate.js"
import { noVersion, version } from "./persistence.js"
import * as RefreshToken from "./refreshToken.js"
import { earlierRefusal } from "./signIn.js"
import {
  complete,
  type Event,
  type Flight,
  type FlightId,
  type FlightResult,
  type Now,
  type Obtained,
  type Rules,
  readCredentials,
  type State,
  type Step,
  superseded
} from "./state.js"
import * as Tokens from "./tokens.js"

/**
 * Advances a flight by one event: the next command and the state from then on. The runner carries out the command and
 * comes back with its result.
 */
export const advance = (rules: Rules, state: State, id: FlightId, event: Event, now: Now): Step => {
  const flight = state.flight
  if (flight === undefined || flight.id !== id) return cleanUp(state, event, now)
  switch (event._tag) {
    case "Started":
      return state.loaded && flight.recheckFailure === undefined
        ? choose(rules, state, flight, now)
        : [{ _tag: "Load" }, state]
    case "Loaded":
      return loaded(rules, state, flight, event, now)
    case "LeaseAwaited": {
      const leased: Flight = event.acquired ? { ...flight, lease: "held" } : flight
      return loaded(rules, { ...state, flight: leased }, leased, event, now)
    }
    case "LeaseFailed": {
      if (event.busy) return Gate.fail(state, event.failure, now)
      const unleased: Flight = { ...flight, lease: event.failure }
      return choose(rules, { ...state, flight: unleased }, unleased, now)
    }
    case "RefreshStateRecorded":
      return RefreshToken.recorded(state, flight, event, now)
    case "LoadFailed":
      if (flight.obtained !== undefined) return publish(state, flight.obtained, undefined, now)
      if (flight.recheckFailure !== undefined)
        return complete(state, { _tag: "Failed", failure: flight.recheckFailure })
      // A login or adopt by name does not depend on what the store has.
      if (flight.goal !== "obtain") return choose(rules, state, flight, now)
      return flight.refreshRefusal === undefined ? Gate.fail(state, event.failure, now) : [readCredentials, state]
    case "CredentialsRead":
      return credentialsRead(rules, state, flight, event, now)
    case "Refreshed":
      return refreshed(rules, state, flight, event.tokens, now)
    case "LoggedIn":
      return Option.isNone(event.tokens.accessToken)
        ? Gate.fail(state, missingAccessToken(rules), now)
        : // Nothing of the old set survives a login, least of all a refused refresh token (law 14).
          save({ ...state, refusedLogins: undefined }, flight, {
            tokens: Tokens.received(event.tokens, state.generation + 1, now)
          })
    case "RefreshFailed":
      return RefreshToken.refreshFailed(state, flight, event.failure, now)
    case "CredentialsFailed":
      return Gate.fail(state, event.failure, now)
    case "LoginFailed":
      return Gate.fail(Gate.rememberRefusedLogin(state, event, now), event.failure, now)
    case "Saved":
      if (event.result === "conflict" && flight.storeConflict !== true) {
        return [{ _tag: "Load" }, { ...state, flight: { ...flight, storeConflict: true } }]
      }
      return publish(
        state,
        flight.obtained ?? { tokens: event.tokens },
        event.result === "saved" ? event.at : undefined,
        now
      )
    case "Revoked":
      return complete(state, superseded)
  }
}

/** A superseded flight only cleans up: its late response is revoked and never seen (law 30). */
const cleanUp = (state: State, event: Event, now: Now): Step => {
  switch (event._tag) {
    case "Refreshed":
    case "LoggedIn":
      return [{ _tag: "Revoke", tokens: event.tokens }, state]
    // The store may have this set until its successor is saved, or for good if there is none.
    case "Saved":
      return [{ _tag: "Revoke", tokens: event.tokens.tokens }, state]
    case "LoginFailed":
      return [{ _tag: "Complete", result: superseded }, Gate.rememberRefusedLogin(state, event, now)]
    default:
      return [{ _tag: "Complete", result: superseded }, state]
  }
}

/** Chooses the way to another token (laws 13, 15 and 17): adopt, log in by name, refresh, or log in. */
const choose = (rules: Rules, state: State, flight: Flight, now: Now): Step => {
  if (flight.adopting !== undefined) return commit(state, flight, flight.adopting, now)
  if (flight.credentials !== undefined) {
    return [
      { _tag: "Login", credentials: flight.credentials },
      // The old set no longer needs saving; a logout before this login still may.
      { ...state, current: undefined, saved: state.saved || !state.signedOut }
    ]
  }
  const { current } = state
  // Law 20: what follows makes a token request, and only one process at a time may.
  if (flight.lease === undefined) return [{ _tag: "AcquireLease", known: version(state) }, state]
  if (current === undefined || current.refreshState._tag === "Refused") return [readCredentials, state]
  if (Option.isNone(current.tokens.refreshToken) || Tokens.isRefreshTokenExpired(current, now))
    return [readCredentials, state]
  if (current.refreshState._tag === "InDoubt" && !Gate.isWithinReuseWindow(rules, current.refreshState, now))
    return [readCredentials, state]
  return RefreshToken.send(rules, state, flight, current, now)
}

/** Handles a read of the store: at the start, with the lease, after a refusal, and after a conflict. */
const loaded = (
  rules: Rules,
  before: State,
  flight: Flight,
  { at, record: stored }: Pick<Event & { readonly _tag: "Loaded" }, "at" | "record">,
  now: Now
): Step => {
  const { obtained } = flight
  const { storeView } = before
  const seen = Option.getOrElse(stored, () => noVersion)
  const state: State = { ...before, loaded: true, storeView: { at, version: seen } }
  const newer = Option.getOrUndefined(
    Option.filter(stored, (record) =>
      obtained === undefined ? TokenStore.isNewer(record, version(state)) : record.generation >= state.generation
    )
  )
  if (newer !== undefined && flight.goal === "obtain") {
    // Law 20: a record saved after the last read of the store is no older than that read.
    const maxStoredFor =
      storeView && TokenStore.isNewer(newer, storeView.version) ? Moment.age(storeView.at, now) : undefined
    return adoptStored(rules, state, flight, newer, maxStoredFor ?? Number.POSITIVE_INFINITY, now)
  }
  // A login or adopt by name counts as newer than anything the store has.
  const next: State = newer === undefined ? state : { ...state, generation: newer.generation }
  if (obtained !== undefined) return save(next, flight, renumbered(obtained, next.generation + 1))
  if (flight.recheckFailure !== undefined) return complete(next, { _tag: "Failed", failure: flight.recheckFailure })
  if (flight.refreshRefusal !== undefined) return [readCredentials, next]
  const { seed } = state
  if (seed === undefined || Option.isSome(stored) || flight.goal !== "obtain") return choose(rules, next, flight, now)
  const seeded: State = { ...next, current: seed, seed: undefined }
  return Tokens.isValid(seed, rules.leeway, now) ? complete(seeded, resultOf(seed)) : choose(rules, seeded, flight, now)
}

/** Adopts a newer record of another process instead of making a token request (laws 14 and 20). */
const adoptStored = (
  rules: Rules,
  state: State,
  flight: Flight,
  newer: StoredRecord,
  maxStoredFor: number,
  now: Now
): Step => {
  const { generation, tokens } = newer
  if (Option.isNone(tokens)) {
    const signedOut: State = {
      ...state,
      generation,
      current: undefined,
      signedOut: true,
      saved: true,
      flight: undefined
    }
    return flight.obtained === undefined
      ? [{ _tag: "Complete", result: superseded }, signedOut]
      : [{ _tag: "Revoke", tokens: flight.obtained.tokens.tokens }, signedOut]
  }
  const stored = Tokens.fromRecord(newer, tokens.value, maxStoredFor, now)
  const ours = state.current
  const known = ours !== undefined && Equal.equals(ours.tokens.accessToken, stored.tokens.accessToken)
  const { unconfirmedIntent } = state
  // An intent that this session failed to record is not a doubt: it knows that it sent nothing (law 17).
  const { refreshState: recorded } = stored
  const refreshState =
    recorded._tag === "InDoubt" && recorded.intentId === unconfirmedIntent?.intentId
      ? unconfirmedIntent.before
      : recorded
  // This process knows best when a token was received that it received itself.
  const current = known
    ? { ...stored, refreshState, accessGeneration: ours.accessGeneration, receivedAt: ours.receivedAt }
    : { ...stored, refreshState }
  const continued: Flight = { ...flight, obtained: undefined, refreshRefusal: undefined, recheckFailure: undefined }
  // A token that another process obtained cost this one no token request (law 11).
  const earlyRefreshes = flight.isEarly === true ? state.earlyRefreshes.slice(0, -1) : state.earlyRefreshes
  const next: State = {
    ...state,
    generation,
    current,
    signedOut: false,
    saved: true,
    gate: undefined,
    seed: undefined,
    flight: continued
  }
  return Tokens.isValid(current, rules.leeway, now) && !known
    ? complete({ ...next, earlyRefreshes }, resultOf(current))
    : choose(rules, next, continued, now)
}

const credentialsRead = (
  rules: Rules,
  state: State,
  flight: Flight,
  event: Event & { readonly _tag: "CredentialsRead" },
  now: Now
): Step => {
  if (!event.sufficient) return withoutCredentials(rules, state, flight, now)
  const failure = earlierRefusal(state, event.credentials, now)
  return failure === undefined
    ? [{ _tag: "Login", credentials: event.credentials }, state]
    : Gate.fail(state, failure, now)
}

/** Without credentials, a refresh token in doubt is presented once more (law 13); otherwise the session has failed. */
const withoutCredentials = (rules: Rules, state: State, flight: Flight, now: Now): Step => {
  const { current } = state
  const provider = rules.provider.name
  if (current === undefined) return Gate.fail(state, new AuthError.SignedOut({ provider }), now)
  if (current.refreshState._tag === "Refused")
    return Gate.fail(state, flight.refreshRefusal ?? current.refreshState.failure, now)
  const ended = Tokens.isRefreshTokenExpired(current, now)
  if (current.refreshState._tag === "InDoubt" && !ended) {
    return current.refreshState.presentedAgain
      ? Gate.fail(state, new AuthError.InvalidRefreshToken({ provider, reason: "invalid" }), now)
      : RefreshToken.send(rules, state, flight, current, now)
  }
  const failure = new AuthError.TokenExpired({ provider, token: ended ? "refresh" : "access" })
  if (Tokens.phase(current, rules.leeway, now) === "expired") return Gate.fail(state, failure, now)
  // Credentials may appear before the current token expires.
  const left = Duration.millis(Tokens.renewalDelay(current, rules.leeway, false, now))
  return complete(
    { ...state, gate: { failure, failures: 0, until: now.nanos + toNanos(left), at: now.millis } },
    { _tag: "Failed", failure }
  )
}

/** Handles the token response of a refresh. */
const refreshed = (rules: Rules, state: State, flight: Flight, tokens: Token.TokenSet, now: Now): Step => {
  const { current } = state
  if (current === undefined || Option.isSome(tokens.accessToken)) return commit(state, flight, tokens, now)
  // Law 22: the access token is unreadable, but the refresh token beside it is in force now.
  const rotated = { refreshToken: tokens.refreshToken, refreshLifetime: tokens.refreshLifetime }
  const generation = state.generation + 1
  const withRotated: Tokens.CurrentTokens = {
    ...current,
    generation,
    tokens: { ...current.tokens, ...rotated },
    refreshReceivedAt: now,
    refreshState: Tokens.usable
  }
  return save(state, flight, { tokens: withRotated, failure: missingAccessToken(rules) })
}

/** Commits a token set: it counts from here on, and is saved before any caller sees it (laws 8 and 18). */
const commit = (state: State, flight: Flight, tokens: Token.TokenSet, now: Now): Step => {
  const previous = flight.goal === "obtain" ? state.current : undefined
  const generation = state.generation + 1
  if (previous === undefined) return save(state, flight, { tokens: Tokens.received(tokens, generation, now) })
  const current = Tokens.received(Token.renew(previous.tokens, tokens), generation, now)
  const refreshReceivedAt = Option.isNone(tokens.refreshToken) ? previous.refreshReceivedAt : now
  return save(state, flight, { tokens: { ...current, refreshReceivedAt } })
}

const save = (state: State, flight: Flight, obtained: Obtained): Step => [
  { _tag: "Save", tokens: obtained.tokens },
  {
    ...state,
    generation: obtained.tokens.generation,
    // An earlier conflict was about the intent, not about this set.
    flight: { ...flight, obtained, storeConflict: flight.obtained !== undefined && flight.storeConflict }
  }
]

/** Puts a token set in force, saved or not. */
const publish = (state: State, obtained: Obtained, savedAt: Moment.Moment | undefined, now: Now): Step => {
  const next: State = {
    ...state,
    current: obtained.tokens,
    seed: undefined,
    signedOut: false,
    saved: savedAt !== undefined,
    storeView: savedAt === undefined ? state.storeView : { at: savedAt, version: obtained.tokens }
  }
  return obtained.failure === undefined
    ? complete({ ...next, gate: undefined }, resultOf(obtained.tokens))
    : Gate.fail(next, obtained.failure, now)
}

/** The result for the waiters of a flight that obtained a set. */
const resultOf = (current: Tokens.CurrentTokens): FlightResult =>
  Option.match(current.tokens.accessToken, { onNone: () => superseded, onSome: (token) => ({ _tag: "Token", token }) })

/** The same set under another generation. An access token that is older than its set stays so. */
const renumbered = (obtained: Obtained, generation: number): Obtained => {
  const { tokens } = obtained
  const accessGeneration = tokens.accessGeneration === tokens.generation ? generation : tokens.accessGeneration
  return { ...obtained, tokens: { ...tokens, generation, accessGeneration } }
}

/** The failure of a token response without the access token that it is for. */
const missingAccessToken = (rules: Rules): AuthError.AuthError =>
  new AuthError.MalformedResponse({
    provider: rules.provider.name,
    problem: "the access token is missing or unusable",
    outcome: "unknown"
  })

/** Ends a flight that a defect brought down. It may be tried again. */
export const crash = (rules: Rules, state: State, id: FlightId, now: Now): readonly [FlightResult, State] => {
  const problem = "a defect in the session"
  const failure = new AuthError.MalformedResponse({ provider: rules.provider.name, problem, outcome: "unknown" })
  return state.flight?.id === id
    ? [
        { _tag: "Failed", failure },
        { ...Gate.close(state, failure, now), flight: undefined }
      ]
    : [superseded, state]
}
