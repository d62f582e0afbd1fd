import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import * as Gate from "./gate.js"
import type { Status } from "./Status.js"
import type { Rules, State } from "./state.js"
import * as Tokens from "./tokens.js"

/** The state after a transition, and since when the public state has been the same. */
export interface Snapshot {
  readonly state: State
  readonly since: Since
}

/** A public state, and the moment it began, in milliseconds of the wall clock. */
export interface Since {
  readonly state: Status["state"]
  readonly at: number
}

/** The public state of a session. */
export const publicState = (rules: Rules, { current, gate, signedOut }: State, now: Moment.Moment): Status["state"] => {
  const isPermanent = gate !== undefined && !AuthError.isTransient(gate.failure) && gate.failure._tag !== "SignedOut"
  const hasFailed = isPermanent && !Tokens.isValid(current, rules.leeway, now) && !signedOut
  return hasFailed ? "failed" : current === undefined ? "signed-out" : "signed-in"
}

/** The status of a session at a moment. */
export const status = (rules: Rules, state: State, now: Moment.Moment, since?: Since): Status => {
  const { current, gate } = state
  const tokens = Option.fromNullable(current)
  const token = Tokens.phase(current, rules.leeway, now)
  const inState = publicState(rules, state, now)
  const wallClock = (millis: number) => DateTime.unsafeMake(Math.round(millis))
  const age = (from: Moment.Moment) => Duration.millis(Moment.age(from, now))
  const delay = Gate.renewalDelay(rules, state, now)
  // A token that cannot be renewed is not a failure while it is still valid.
  const isPremature = Tokens.isValid(current, rules.leeway, now) && gate?.failure._tag === "TokenExpired"
  const failed = isPremature ? Option.none() : Option.fromNullable(gate)
  const phase = Tokens.refreshTokenPhase(current, now)
  // While it is being sent, its fate is not in doubt yet.
  const refreshToken = phase === "in-doubt" && state.flight?.recording?._tag === "Intent" ? "usable" : phase
  const expiresAt = Option.flatMap(tokens, Tokens.expiresAt)
  return {
    provider: rules.provider.name,
    state: inState,
    // Expiry is not a transition: a session that failed because its token expired failed at that moment.
    since: since?.state === inState ? wallClock(since.at) : Option.getOrElse(expiresAt, () => wallClock(now.millis)),
    token,
    age: token === "none" ? Option.none() : Option.map(tokens, ({ receivedAt }) => age(receivedAt)),
    expiresAt,
    renewsAt: Option.map(Option.fromNullable(delay), (delay) => wallClock(now.millis + delay)),
    // A set that is being saved is not visible yet, and neither is its generation.
    generation: current?.generation ?? state.generation - (state.flight?.obtained === undefined ? 0 : 1),
    inFlight: state.flight !== undefined,
    refreshToken,
    refreshAge:
      refreshToken === "none" ? Option.none() : Option.map(tokens, ({ refreshReceivedAt }) => age(refreshReceivedAt)),
    refreshExpiresAt: Option.flatMap(tokens, Tokens.refreshExpiresAt),
    failure: Option.map(failed, ({ failure }) => failure),
    failedAt: Option.map(failed, ({ at }) => wallClock(at)),
    failures: gate?.failures ?? 0,
    loaded: state.loaded,
    saved: state.saved
  }
}
