import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { toNanos } from "../../common/duration.js"
import type * as Moment from "../../common/Moment.js"
import type { SessionRecord } from "../../store/record.js"
import * as TokenStore from "../../store/TokenStore.js"
import * as Backoff from "../../token/backoff.js"
import type * as Token from "../../token/Token.js"
import type { SaveResult, State } from "./state.js"
import * as Tokens from "./tokens.js"

/** The version of what is in force. */
export const version = ({ current, generation }: State): TokenStore.Version => ({
  generation,
  revision: current?.generation === generation ? current.revision : 0
})

/** Applies the result of a save outside of a flight. Returns whether nothing is left to save, and the next state. */
export const afterSave = (
  state: State,
  tried: TokenStore.Version,
  result: SaveResult,
  stored: Option.Option<TokenStore.Version>
): readonly [boolean, State] => {
  const inForce = state.current ?? version(state)
  if (state.saved || TokenStore.byVersion(inForce, tried) !== 0) return [state.saved, state]
  switch (result) {
    case "failed":
      return [false, state]
    case "saved":
      return [true, { ...state, saved: true }]
    case "conflict": {
      // A logout outlives all tokens that were obtained before it (law 19); tokens give way to newer ones at the next
      // flight.
      if (state.current !== undefined) {
        return [true, { ...state, current: Tokens.previousRevision(state.current), saved: true, loaded: false }]
      }
      const generation = Option.match(stored, { onNone: () => 0, onSome: (version) => version.generation })
      return [false, { ...state, generation: Math.max(state.generation, generation) + 1 }]
    }
  }
}

/** The record of a state. */
export const toRecord = (state: State, now: Moment.Moment): SessionRecord =>
  state.current === undefined ? signedOutRecord(state.generation) : Tokens.toRecord(state.current, now)

/** The record that a logout leaves behind (law 19). */
const signedOutRecord = (generation: number): SessionRecord => ({
  generation,
  revision: 0,
  tokens: Option.none(),
  age: 0,
  refreshAge: 0,
  refreshState: { _tag: "Usable" }
})

/** The tokens that a logout revokes: the current ones, newer ones that another process obtained, or the seed. */
export const tokensToRevoke = (
  state: State,
  loaded: Either.Either<Option.Option<SessionRecord>, unknown>
): Option.Option<Token.TokenSet> => {
  const ours = Option.map(Option.fromNullable(state.current ?? state.seed), ({ tokens }) => tokens)
  return Option.match(Option.flatten(Either.getRight(loaded)), {
    onNone: () => ours,
    onSome: (record) => (TokenStore.isNewer(record, state.current ?? noVersion) ? record.tokens : ours)
  })
}

/**
 * Milliseconds until the session can be evicted without losing state that the store does not have: a flight, an unsaved
 * set, a cool-down (laws 9, 10, 11, 16). Infinite during a flight or while unsaved; zero if it can be evicted now.
 */
export const evictableIn = (state: State, now: Moment.Moment): number => {
  if (state.flight !== undefined || !state.saved) return Number.POSITIVE_INFINITY
  const until = [
    // The number of failures in a row matters for as long as it could lengthen the next cool-down.
    later(state.gate?.until, Backoff.maxCoolDown),
    later(state.refusedLogins?.until, Backoff.maxCredentialsCoolDown),
    state.rejections?.until,
    later(state.earlyRefreshes.at(-1), Backoff.earlyRefreshAge)
  ]
  return Math.max(0, ...until.map((at) => (at === undefined ? 0 : Number(at - now.nanos) / 1e6)))
}

const later = (at: bigint | undefined, by: Duration.Duration): bigint | undefined =>
  at === undefined ? undefined : at + toNanos(by)

/** A version older than any that a store can have. */
export const noVersion: TokenStore.Version = { generation: -1, revision: 0 }
