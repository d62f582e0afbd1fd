/**
 * What a session looks like from outside.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Equivalence from "effect/Equivalence"
import * as Option from "effect/Option"
import * as AuthError from "./AuthError.js"
import * as Held from "./internal/held.js"
import type * as Moment from "./Moment.js"
import type { Rules, State } from "./SessionState.js"

/**
 * What a session looks like from outside, without a secret in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** `failed` lasts until `login`, `adopt` or, for refused credentials, their change. */
  readonly state: "signed-in" | "signed-out" | "failed"
  readonly token: Held.Phase
  readonly generation: number
  /** Whether an exchange is under way. */
  readonly exchanging: boolean
  /** When the access token ends by this machine's clock, if its end is known. */
  readonly expiresAt: Option.Option<DateTime.Utc>
  /** The last failure, until an exchange succeeds. */
  readonly failure: Option.Option<AuthError.AuthError>
  /** Whether the store keeps what is in force; saving is tried again while it does not. */
  readonly saved: boolean
}

/**
 * The status of a state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (rules: Rules, state: State, now: Moment.Moment): Status => {
  const { block, held } = state
  const token = Held.phase(held, rules.leeway, now)
  const alive = token === "fresh" || token === "stale"
  const ended = block !== undefined && !AuthError.isTransient(block.failure) && block.failure._tag !== "SignedOut"
  // That nothing can obtain another token is no failure before the one in hand has ended.
  const early = alive && block?.failure._tag === "TokenExpired"
  return {
    state: ended && !alive && !state.signedOut ? "failed" : held === undefined ? "signed-out" : "signed-in",
    token,
    // What is being saved is not seen yet, nor is its generation.
    generation: held?.generation ?? state.generation - (state.flight?.pending === undefined ? 0 : 1),
    exchanging: state.flight !== undefined,
    expiresAt: Option.flatMap(Option.fromNullable(held), Held.endsAt),
    failure: early ? Option.none() : Option.map(Option.fromNullable(block), ({ failure }) => failure),
    saved: state.saved
  }
}

/**
 * Whether two statuses say the same.
 *
 * @since 0.1.0
 * @category predicates
 */
export const equivalence: Equivalence.Equivalence<Status> = Equivalence.struct({
  state: Equivalence.strict(),
  token: Equivalence.strict(),
  generation: Equivalence.strict(),
  exchanging: Equivalence.strict(),
  expiresAt: Option.getEquivalence(DateTime.Equivalence),
  failure: Option.getEquivalence(Equivalence.strict()),
  saved: Equivalence.strict()
})
