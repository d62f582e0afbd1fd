import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import type { UserPassword } from "../../provider/Credentials.js"
import type * as Token from "../../token/Token.js"
import type { Decision } from "./decision.js"
import { whileCoolingDown } from "./gate.js"
import type { Flight, FlightId, Now, State } from "./state.js"

/**
 * Decides what comes before the credentials of a login by name are read: a login under way, or a
 * cool-down.
 */
export const beforeLogin = (state: State, deadline: bigint, now: Now): Decision | undefined => {
  if (state.flight?.goal === "login") return { _tag: "Join", flight: state.flight }
  return state.gate !== undefined && AuthError.isTransient(state.gate.failure)
    ? whileCoolingDown(state, deadline, now)
    : undefined
}

/** The earlier refusal of these credentials, while it keeps them from being sent again (law 16). */
export const earlierRefusal = (
  { refusedLogins }: State,
  credentials: Option.Option<UserPassword>,
  now: Now
): AuthError.AuthError | undefined =>
  refusedLogins !== undefined &&
  now.nanos < refusedLogins.until &&
  refusedLogins.credentials.some((refused) => isSame(refused, credentials))
    ? refusedLogins.failure
    : undefined

const isSame = Option.getEquivalence<UserPassword>(
  (one, other) => Equal.equals(one.username, other.username) && Equal.equals(one.password, other.password)
)

/** Starts a login by name, which supersedes the flight under way (law 30); joins one that is a login already. */
export const login = (
  state: State,
  credentials: Option.Option<UserPassword>,
  now: Now,
  id: FlightId
): readonly [Decision, State] => {
  if (state.flight?.goal === "login") return [{ _tag: "Join", flight: state.flight }, state]
  const failure = earlierRefusal(state, credentials, now)
  if (failure !== undefined && !isAboutCode(failure)) return [{ _tag: "Fail", failure }, state]
  const flight: Flight = { id, goal: "login", credentials }
  return [
    { _tag: "Join", flight, claimed: flight },
    { ...state, flight }
  ]
}

/** A login by name may ask for another code at any time; otherwise that happens only after the cool-down (law 16). */
const isAboutCode = (failure: AuthError.AuthError): boolean =>
  failure._tag === "InvalidCredentials" && failure.reason !== "refused"

/** Starts adopting tokens obtained elsewhere, which supersedes the flight under way (law 30). */
export const adopt = (state: State, tokens: Token.TokenSet, id: FlightId): readonly [Flight, State] => {
  const flight: Flight = { id, goal: "adopt", adopting: tokens }
  return [flight, { ...state, flight }]
}

/**
 * Signs out at once, which supersedes the flight under way (law 30). A cool-down goes on: the server set it, not the
 * user.
 */
export const logout = (state: State): State => ({
  ...state,
  generation: state.generation + 1,
  current: undefined,
  seed: undefined,
  signedOut: true,
  flight: undefined,
  saved: false,
  rejections: undefined
})
