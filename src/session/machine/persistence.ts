import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Moment from "../../common/Moment.js"
import type { Record } from "../../store/record.js"
import * as TokenStore from "../../store/TokenStore.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import type * as Token from "../../token/Token.js"
import type { Saved } from "./order.js"
import { nanos, type State } from "./state.js"
import * as Held from "./tokens.js"

/** The version of what is in force. */
export const version = ({ generation, held }: State): TokenStore.Version => ({
  generation,
  revision: held?.generation === generation ? held.revision : 0
})

/** What became of saving what is in force outside of a flight; answers whether nothing is left to save. */
export const saved = (
  state: State,
  record: TokenStore.Version,
  result: Saved,
  kept: Option.Option<TokenStore.Version>
): readonly [boolean, State] => {
  const inForce = state.held ?? version(state)
  if (state.saved || TokenStore.byVersion(inForce, record) !== 0) return [state.saved, state]
  switch (result) {
    case "failed":
      return [false, state]
    case "saved":
      return [true, { ...state, saved: true }]
    case "older": {
      // A log out outlives whatever was obtained before it (law 19); tokens give way to newer ones at the next exchange.
      if (state.held !== undefined) {
        return [true, { ...state, held: Held.unwritten(state.held), saved: true, loaded: false }]
      }
      const generation = Option.match(kept, { onNone: () => 0, onSome: (record) => record.generation })
      return [false, { ...state, generation: Math.max(state.generation, generation) + 1 }]
    }
  }
}

/** What the store keeps of a state. */
export const record = (state: State, now: Moment.Moment): Record =>
  state.held === undefined ? signedOut(state.generation) : Held.toRecord(state.held, now)

/** The record that a log out leaves behind (law 19). */
const signedOut = (generation: number): Record => ({
  generation,
  revision: 0,
  tokens: Option.none(),
  age: 0,
  refreshAge: 0,
  refresh: { _tag: "Usable" }
})

/** What a log out revokes: the tokens in hand, those that another process obtained since, or those to start from. */
export const newest = (
  state: State,
  found: Either.Either<Option.Option<Record>, unknown>
): Option.Option<Token.TokenSet> => {
  const mine = Option.map(Option.fromNullable(state.held ?? state.seed), ({ tokens }) => tokens)
  return Option.match(Option.flatten(Either.getRight(found)), {
    onNone: () => mine,
    onSome: (record) => (TokenStore.isNewer(record, state.held ?? nothingKept) ? record.tokens : mine)
  })
}

/**
 * For how many milliseconds from now a session knows something that would be lost with it, as the store does not keep it:
 * an exchange under way, a set that could not be saved, or how long a server is to be left alone (laws 9, 10, 11, 16).
 * Zero when it may go, and come back as if it had never gone.
 */
export const holdsOn = (state: State, now: Moment.Moment): number => {
  if (state.flight !== undefined || !state.saved) return Number.POSITIVE_INFINITY
  const until = [
    // How often it failed in a row is worth remembering for as long as it could make the next cool-down.
    later(state.block?.until, RenewalPolicy.longestCoolDown),
    later(state.refused?.until, RenewalPolicy.longestCredentialsCoolDown),
    state.strikes?.until,
    recentHaste(state)
  ]
  return Math.max(0, ...until.map((at) => (at === undefined ? 0 : Number(at - now.nanos) / 1e6)))
}

const later = (at: bigint | undefined, by: Duration.Duration): bigint | undefined =>
  at === undefined ? undefined : at + nanos(by)

const recentHaste = ({ hasty }: State): bigint | undefined => {
  const last = hasty.at(-1)
  return last === undefined ? undefined : last + nanos(RenewalPolicy.hastyAge)
}

/** Older than anything that a store keeps. */
export const nothingKept: TokenStore.Version = { generation: -1, revision: 0 }
