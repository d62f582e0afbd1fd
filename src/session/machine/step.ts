import type * as AuthError from "../../common/AuthError.js"
import { blocked } from "./gate.js"
import type { Command, Landed } from "./order.js"
import type { Now, State } from "./state.js"

/** What a flight does next, and what is known from then on. */
export type Step = readonly [Command, State]

export const land = (state: State, result: Landed): Step => [
  { _tag: "Land", result },
  { ...state, flight: undefined }
]

export const fail = (state: State, failure: AuthError.AuthError, now: Now): Step =>
  land(blocked(state, failure, now), { _tag: "Failure", failure })

export const askAgain: Landed = { _tag: "AskAgain" }

export const readCredentials: Command = { _tag: "ReadCredentials" }
