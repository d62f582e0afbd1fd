import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type { InvalidRefreshToken, TokenExpired } from "../../common/AuthError.js"
import { longestMillis } from "../../common/duration.js"
import * as Moment from "../../common/Moment.js"
import { isHeaderSafe } from "../../common/secret.js"
import type { RecordedRefreshState, SessionRecord, StoredRecord } from "../../store/record.js"
import type { Version } from "../../store/TokenStore.js"
import { earlyRefreshAge } from "../../token/backoff.js"
import * as Lifetime from "../../token/lifetime.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import type * as Token from "../../token/Token.js"
import type { RefreshTokenPhase, TokenPhase } from "./Status.js"

/** The state of the current refresh token: whether it may be sent, and why not (law 13). */
export type RefreshTokenState =
  | { readonly _tag: "Usable" }
  /** It may have been sent, and its fate is unknown. */
  | {
      readonly _tag: "InDoubt"
      readonly since: Moment.Moment
      /** Tells whether it was presented once more since. */
      readonly presentedAgain: boolean
      /** A random number by which the session that wrote the intent recognises it. */
      readonly intentId: number
    }
  | { readonly _tag: "Refused"; readonly failure: InvalidRefreshToken | TokenExpired }

/** The token set in force, and when it was received. */
export interface CurrentTokens extends Version {
  /**
   * The generation that brought the access token: an older one if only the refresh token was rotated since (law 22).
   */
  readonly accessGeneration: number
  readonly tokens: Token.TokenSet
  readonly receivedAt: Moment.Moment
  readonly refreshReceivedAt: Moment.Moment
  readonly refreshState: RefreshTokenState
  /** In [0, 1): how much earlier than necessary this set is renewed. */
  readonly jitter: number
}

/** The moment at which a set was received, and the random number for its jitter. */
type Received = Moment.Moment & { readonly random: number }

export const usable: RefreshTokenState = { _tag: "Usable" }

const ago = (now: Moment.Moment, age: number): Moment.Moment => {
  const millis = Math.min(age, longestMillis)
  return { millis: now.millis - millis, nanos: now.nanos - BigInt(Math.round(millis * 1e6)) }
}

/** Drops a lifetime below one second: it is nonsense and counts as unknown (laws 4 and 11). */
const withSaneLifetime = (tokens: Token.TokenSet): Token.TokenSet => ({
  ...tokens,
  lifetime: Option.filter(tokens.lifetime, Duration.greaterThanOrEqualTo(Lifetime.shortest))
})

/** The current tokens of a set that is received now. */
export const received = (tokens: Token.TokenSet, generation: number, now: Received): CurrentTokens => ({
  generation,
  revision: 0,
  accessGeneration: generation,
  tokens: withSaneLifetime(tokens),
  receivedAt: now,
  refreshReceivedAt: now,
  refreshState: usable,
  jitter: now.random
})

/** The current tokens of a stored record. The store had it for at most `maxStoredFor` milliseconds. */
export const fromRecord = (
  record: StoredRecord,
  tokens: Token.TokenSet,
  maxStoredFor: number,
  now: Received
): CurrentTokens => {
  const since = (age: number) => ago(now, age + Math.min(record.storedFor, maxStoredFor))
  const { refreshState } = record
  return {
    ...received(tokens, record.generation, now),
    revision: record.revision,
    receivedAt: since(record.age),
    refreshReceivedAt: since(record.refreshAge),
    refreshState: refreshState._tag === "InDoubt" ? doubtSince(refreshState, since) : refreshState
  }
}

const doubtSince = (
  { age, ...doubt }: RecordedRefreshState & { _tag: "InDoubt" },
  since: (age: number) => Moment.Moment
): RefreshTokenState => ({ ...doubt, since: since(age) })

const doubtOfAge = (
  { since, ...doubt }: RefreshTokenState & { _tag: "InDoubt" },
  age: (since: Moment.Moment) => number
): RecordedRefreshState => ({ ...doubt, age: age(since) })

/** The record of the current tokens, with ages as of `now`. */
export const toRecord = (current: CurrentTokens, now: Moment.Moment): SessionRecord => {
  const age = (since: Moment.Moment) => Moment.age(since, now)
  const { generation, refreshState, revision, tokens } = current
  return {
    generation,
    revision,
    tokens: Option.some(tokens),
    age: age(current.receivedAt),
    refreshAge: age(current.refreshReceivedAt),
    refreshState: refreshState._tag === "InDoubt" ? doubtOfAge(refreshState, age) : refreshState
  }
}

/** The next revision of the same set, with another state of its refresh token. */
export const withRefreshState = (current: CurrentTokens, refreshState: RefreshTokenState): CurrentTokens => ({
  ...current,
  revision: current.revision + 1,
  refreshState
})

/** The same set under the previous revision. After a conflict it is older than the version in the store. */
export const previousRevision = (current: CurrentTokens): CurrentTokens => ({
  ...current,
  revision: current.revision - 1
})

/** Tells whether a set has at least one token, and only tokens that a header can carry. */
export const isSendable = ({ accessToken, refreshToken }: Token.TokenSet): boolean => {
  const tokens = [...Option.toArray(accessToken), ...Option.toArray(refreshToken)]
  return tokens.length > 0 && tokens.every(isHeaderSafe)
}

/** An age that follows from the lifetime, in milliseconds; infinite if that is unknown (law 4). */
const ageBy = ({ tokens }: CurrentTokens, policy: (lifetime: Duration.Duration) => Duration.Duration): number =>
  Option.match(tokens.lifetime, {
    onNone: () => Number.POSITIVE_INFINITY,
    onSome: (lifetime) => Duration.toMillis(policy(lifetime))
  })

const staleAge = (current: CurrentTokens, leeway: Duration.Duration): number =>
  ageBy(current, (lifetime) => RenewalPolicy.staleAge(lifetime, leeway))

const lifetimeOf = (current: CurrentTokens): number => ageBy(current, identity)

const endOf = (since: Moment.Moment, lifetime: Option.Option<Duration.Duration>): Option.Option<DateTime.Utc> =>
  Option.flatMap(lifetime, (lifetime) => DateTime.make(since.millis + Duration.toMillis(lifetime)))

/** Returns the end of the access token by the wall clock. For display only; no decision uses it. */
export const expiresAt = ({ receivedAt, tokens }: CurrentTokens): Option.Option<DateTime.Utc> =>
  Option.isNone(tokens.accessToken) ? Option.none() : endOf(receivedAt, tokens.lifetime)

/** Returns the end of the refresh token by the wall clock. For display only; no decision uses it. */
export const refreshExpiresAt = ({ refreshReceivedAt, tokens }: CurrentTokens): Option.Option<DateTime.Utc> =>
  Option.isNone(tokens.refreshToken) ? Option.none() : endOf(refreshReceivedAt, tokens.refreshLifetime)

/** The phase of the access token. A boundary belongs to the later phase. */
export const phase = (
  current: CurrentTokens | undefined,
  leeway: Duration.Duration,
  now: Moment.Moment
): TokenPhase => {
  if (current === undefined || Option.isNone(current.tokens.accessToken)) return "none"
  const age = Moment.age(current.receivedAt, now)
  return age >= lifetimeOf(current) ? "expired" : age >= staleAge(current, leeway) ? "stale" : "fresh"
}

/** Tells whether callers can be served from a set: also while it is stale (law 2). */
export const isValid = (current: CurrentTokens | undefined, leeway: Duration.Duration, now: Moment.Moment): boolean => {
  const is = phase(current, leeway, now)
  return is === "fresh" || is === "stale"
}

/** A fresh access token, and the moment by each clock at which it stops being fresh. */
export interface FreshToken {
  readonly token: Token.AccessToken
  readonly untilMillis: number
  readonly untilNanos: bigint
}

/** The access token in force, and until when it is fresh; `undefined` if there is none. */
export const freshToken = (current: CurrentTokens | undefined, leeway: Duration.Duration): FreshToken | undefined => {
  if (current === undefined || Option.isNone(current.tokens.accessToken)) return undefined
  const age = Math.min(staleAge(current, leeway), longestMillis * 2)
  return {
    token: current.tokens.accessToken.value,
    untilMillis: current.receivedAt.millis + age,
    untilNanos: current.receivedAt.nanos + BigInt(Math.floor(age * 1e6))
  }
}

/**
 * Milliseconds until the set is renewed, by the clock that is ahead; infinite for never. With `early`, that is before
 * its access token is stale; without it, when that token expires.
 */
export const renewalDelay = (
  current: CurrentTokens,
  leeway: Duration.Duration,
  early: boolean,
  now: Moment.Moment
): number => {
  const due = early
    ? ageBy(current, (lifetime) => RenewalPolicy.renewalAge(lifetime, leeway, current.jitter))
    : lifetimeOf(current)
  return Math.max(0, due - Moment.age(current.receivedAt, now))
}

/** Milliseconds of validity left to the refresh token, if that is known; zero or less once it has expired. */
const refreshTimeLeft = (current: CurrentTokens, now: Moment.Moment): Option.Option<number> =>
  Option.map(
    current.tokens.refreshLifetime,
    (lifetime) => Duration.toMillis(lifetime) - Moment.age(current.refreshReceivedAt, now)
  )

/** Tells whether the known end of the refresh token has passed (law 15). */
export const isRefreshTokenExpired = (current: CurrentTokens, now: Moment.Moment): boolean =>
  Option.exists(refreshTimeLeft(current, now), (left) => left <= 0)

/** Milliseconds of validity left to the access token; infinite if its end is unknown, never negative. */
export const timeLeft = (current: CurrentTokens, now: Moment.Moment): number =>
  Math.max(0, lifetimeOf(current) - Moment.age(current.receivedAt, now))

/** The phase of the refresh token. */
export const refreshTokenPhase = (current: CurrentTokens | undefined, now: Moment.Moment): RefreshTokenPhase => {
  if (current === undefined || Option.isNone(current.tokens.refreshToken)) return "none"
  const { refreshState } = current
  if (refreshState._tag === "Refused") return refreshState.failure._tag === "TokenExpired" ? "ended" : "refused"
  if (isRefreshTokenExpired(current, now)) return "ended"
  if (refreshState._tag === "InDoubt") return "in-doubt"
  const isNear = ({ left, lifetime }: { readonly left: number; readonly lifetime: Duration.Duration }) =>
    left <= Duration.toMillis(RenewalPolicy.refreshTokenWarning(lifetime))
  const end = Option.all({ left: refreshTimeLeft(current, now), lifetime: current.tokens.refreshLifetime })
  return Option.exists(end, isNear) ? "ends-soon" : "usable"
}

/**
 * Tells whether replacing this token now would be early (law 11): by its lifetime and the monotonic clock, even the
 * earliest moment of renewal has not come; without a known lifetime, it is less than a minute old.
 */
export const isEarly = (current: CurrentTokens, leeway: Duration.Duration, now: Moment.Moment): boolean =>
  Option.isSome(current.tokens.accessToken) &&
  Moment.monotonicAge(current.receivedAt, now) <
    Duration.toMillis(
      Option.match(current.tokens.lifetime, {
        onNone: () => earlyRefreshAge,
        onSome: (lifetime) => RenewalPolicy.renewalAge(lifetime, leeway, 1)
      })
    )
