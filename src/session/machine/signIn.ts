import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import type { UserPassword } from "../../provider/Credentials.js"
import type * as Token from "../../token/Token.js"
import type { Landing } from "../runtime/waiters.js"
import { type Answer, whileCooling } from "./decision.js"
import type { Flight, Now, State } from "./state.js"

/** What a log in asked for by name has to wait for, before credentials are read: one under way, or a cool-down. */
export const beforeLogin = (state: State, deadline: bigint, now: Now): Answer | undefined => {
  if (state.flight?.task === "login") return { _tag: "Join", flight: state.flight }
  return state.block !== undefined && AuthError.isTransient(state.block.failure)
    ? whileCooling(state, deadline, now)
    : undefined
}

/** Law 16: why these credentials are not sent now. */
export const refusal = (
  { refused }: State,
  credentials: Option.Option<UserPassword>,
  now: Now
): AuthError.AuthError | undefined =>
  refused !== undefined && now.nanos < refused.until && refused.tried.some((tried) => same(tried, credentials))
    ? refused.failure
    : undefined

const same = Option.getEquivalence<UserPassword>(
  (one, other) => Equal.equals(one.username, other.username) && Equal.equals(one.password, other.password)
)

/** Starts a log in asked for by name, in place of what is under way (law 30); joins one that is. */
export const login = (
  state: State,
  credentials: Option.Option<UserPassword>,
  now: Now,
  landing: Landing
): readonly [Answer, State] => {
  if (state.flight?.task === "login") return [{ _tag: "Join", flight: state.flight }, state]
  const failure = refusal(state, credentials, now)
  if (failure !== undefined && !isAboutCode(failure)) return [{ _tag: "Fail", failure }, state]
  const flight: Flight = { landing, task: "login", credentials }
  return [
    { _tag: "Join", flight, launch: flight },
    { ...state, flight }
  ]
}

/** Whoever asks by name may have another code sent; by itself that happens only after the cool-down (law 16). */
const isAboutCode = (failure: AuthError.AuthError): boolean =>
  failure._tag === "InvalidCredentials" && failure.reason !== "refused"

/** Starts taking over tokens obtained elsewhere, in place of what is under way (law 30). */
export const adopt = (state: State, tokens: Token.TokenSet, landing: Landing): readonly [Flight, State] => {
  const flight: Flight = { landing, task: "adopt", adopting: tokens }
  return [flight, { ...state, flight }]
}

/** Signs out at once, in place of what is under way (law 30). A cool-down goes on: it is the server's, not the user's. */
export const logout = (state: State): State => ({
  ...state,
  generation: state.generation + 1,
  held: undefined,
  seed: undefined,
  signedOut: true,
  flight: undefined,
  saved: false,
  strikes: undefined
})
