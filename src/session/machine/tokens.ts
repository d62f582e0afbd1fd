import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import type { InvalidRefreshToken, TokenExpired } from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import { type Found, longest, type Record, type RefreshRecord } from "../../store/record.js"
import type { Version } from "../../store/TokenStore.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import * as Token from "../../token/Token.js"

/** What is known of the refresh token in hand (law 13): whether it may be sent, and why not. */
export type RefreshState =
  | { readonly _tag: "Usable" }
  /** It may have been sent, and nobody knows whether it was spent; `again` once that happened a second time. */
  | {
      readonly _tag: "Doubtful"
      readonly since: Moment.Moment
      readonly again: boolean
      /** By which its writer knows it again: a random number. */
      readonly mark: number
    }
  | { readonly _tag: "Dead"; readonly failure: InvalidRefreshToken | TokenExpired }

/** The token set in hand, and when it arrived. */
export interface Held extends Version {
  /** The generation that brought the access token: an older one, if only the refresh token was rotated since (law 22). */
  readonly issued: number
  readonly tokens: Token.TokenSet
  readonly arrived: Moment.Moment
  readonly refreshArrived: Moment.Moment
  readonly refresh: RefreshState
  /** In [0, 1): how much earlier than it must this set is renewed. */
  readonly jitter: number
}

/** When a set arrived, and the random number that its jitter will be. */
type Arrival = Moment.Moment & { readonly random: number }

export const usable: RefreshState = { _tag: "Usable" }

const ago = (now: Moment.Moment, age: number): Moment.Moment => {
  const millis = Math.min(age, longest)
  return { millis: now.millis - millis, nanos: now.nanos - BigInt(Math.round(millis * 1e6)) }
}

/** A set whose lifetime is at least a second: a shorter one is nonsense, and counts as unknown (laws 4 and 11). */
const sound = (tokens: Token.TokenSet): Token.TokenSet => ({
  ...tokens,
  lifetime: Option.filter(tokens.lifetime, Duration.greaterThanOrEqualTo(Token.shortestLifetime))
})

/** A set that arrives now. */
export const arriving = (tokens: Token.TokenSet, generation: number, now: Arrival): Held => ({
  generation,
  revision: 0,
  issued: generation,
  tokens: sound(tokens),
  arrived: now,
  refreshArrived: now,
  refresh: usable,
  jitter: now.random
})

/** A set that arrived a while ago, as the store says; it kept it for no longer than `atMost` milliseconds. */
export const fromRecord = (record: Found, tokens: Token.TokenSet, atMost: number, now: Arrival): Held => {
  const since = (age: number) => ago(now, age + Math.min(record.kept, atMost))
  const { refresh } = record
  return {
    ...arriving(tokens, record.generation, now),
    revision: record.revision,
    arrived: since(record.age),
    refreshArrived: since(record.refreshAge),
    refresh:
      refresh._tag === "Doubtful"
        ? { _tag: "Doubtful", since: since(refresh.age), again: refresh.again, mark: refresh.mark }
        : refresh
  }
}

export const toRecord = (held: Held, now: Moment.Moment): Record => {
  const age = (since: Moment.Moment) => Moment.age(since, now)
  const { generation, refresh, revision, tokens } = held
  const kept: RefreshRecord =
    refresh._tag === "Doubtful"
      ? { _tag: "Doubtful", age: age(refresh.since), again: refresh.again, mark: refresh.mark }
      : refresh
  return {
    generation,
    revision,
    tokens: Option.some(tokens),
    age: age(held.arrived),
    refreshAge: age(held.refreshArrived),
    refresh: kept
  }
}

/** The same set, with something else known of its refresh token. */
export const amended = (held: Held, refresh: RefreshState): Held => ({ ...held, revision: held.revision + 1, refresh })

/** The same set under a revision older than what the store keeps, whatever that is. */
export const unwritten = (held: Held): Held => ({ ...held, revision: held.revision - 1 })

/** An age that follows from the lifetime, in milliseconds; infinite when that is not known (law 4). */
const ageBy = ({ tokens }: Held, policy: (lifetime: Duration.Duration) => Duration.Duration): number =>
  Option.match(tokens.lifetime, {
    onNone: () => Number.POSITIVE_INFINITY,
    onSome: (lifetime) => Duration.toMillis(policy(lifetime))
  })

const staleAge = (held: Held, leeway: Duration.Duration): number =>
  ageBy(held, (lifetime) => RenewalPolicy.staleAge(lifetime, leeway))

const endAge = (held: Held): number => ageBy(held, identity)

const end = (since: Moment.Moment, lifetime: Option.Option<Duration.Duration>): Option.Option<DateTime.Utc> =>
  Option.flatMap(lifetime, (lifetime) => DateTime.make(since.millis + Duration.toMillis(lifetime)))

/** The end of the access token by the wall clock, for people to read; nothing is decided by it. */
export const endsAt = ({ arrived, tokens }: Held): Option.Option<DateTime.Utc> =>
  Option.isNone(tokens.accessToken) ? Option.none() : end(arrived, tokens.lifetime)

/** The end of the refresh token by the wall clock, likewise. */
export const refreshEndsAt = ({ refreshArrived, tokens }: Held): Option.Option<DateTime.Utc> =>
  Option.isNone(tokens.refreshToken) ? Option.none() : end(refreshArrived, tokens.refreshLifetime)

export type Phase = "none" | "fresh" | "stale" | "expired"

/** Where a token set stands between its arrival and its end. Both borders belong to the later phase. */
export const phase = (held: Held | undefined, leeway: Duration.Duration, now: Moment.Moment): Phase => {
  if (held === undefined || Option.isNone(held.tokens.accessToken)) return "none"
  const age = Moment.age(held.arrived, now)
  return age >= endAge(held) ? "expired" : age >= staleAge(held, leeway) ? "stale" : "fresh"
}

/** Until when the token in hand is fresh, by either clock, and the ready-made answer to whoever asks until then. */
export interface Freshness {
  readonly freshMillis: number
  readonly freshNanos: bigint
  readonly exit: Exit.Exit<Token.AccessToken>
}

/** Until there is a token: answers nobody. */
export const notFresh: Freshness = {
  freshMillis: Number.NEGATIVE_INFINITY,
  freshNanos: 0n,
  exit: Exit.die("never read")
}

export const freshness = (held: Held | undefined, leeway: Duration.Duration): Freshness => {
  if (held === undefined || Option.isNone(held.tokens.accessToken)) return notFresh
  const age = Math.min(staleAge(held, leeway), longest * 2)
  return {
    freshMillis: held.arrived.millis + age,
    freshNanos: held.arrived.nanos + BigInt(Math.floor(age * 1e6)),
    exit: Exit.succeed(held.tokens.accessToken.value)
  }
}

/** When to renew, in milliseconds from now by whichever clock is ahead; infinite for never. */
export const renewalDelay = (held: Held, leeway: Duration.Duration, eager: boolean, now: Moment.Moment): number => {
  const due = eager ? ageBy(held, (lifetime) => RenewalPolicy.renewalAge(lifetime, leeway, held.jitter)) : endAge(held)
  return Math.max(0, due - Moment.age(held.arrived, now))
}

/** For how many milliseconds more the refresh token is good, if that is known; zero and less when it has ended. */
export const refreshLeft = (held: Held, now: Moment.Moment): Option.Option<number> =>
  Option.map(
    held.tokens.refreshLifetime,
    (lifetime) => Duration.toMillis(lifetime) - Moment.age(held.refreshArrived, now)
  )

/** Whether the known end of the refresh token has passed (law 15). */
export const refreshEnded = (held: Held, now: Moment.Moment): boolean =>
  Option.exists(refreshLeft(held, now), (left) => left <= 0)

/** For how many milliseconds more the access token is good, if that is known; never less than zero. */
export const left = (held: Held, now: Moment.Moment): number =>
  Math.max(0, endAge(held) - Moment.age(held.arrived, now))

/** How a refresh token stands, without a word about what it is. */
export type RefreshPhase = "none" | "usable" | "ends-soon" | "in-doubt" | "ended" | "refused"

export const refreshPhase = (held: Held | undefined, now: Moment.Moment): RefreshPhase => {
  if (held === undefined || Option.isNone(held.tokens.refreshToken)) return "none"
  if (held.refresh._tag === "Dead") return held.refresh.failure._tag === "TokenExpired" ? "ended" : "refused"
  if (refreshEnded(held, now)) return "ended"
  if (held.refresh._tag === "Doubtful") return "in-doubt"
  const warned = ({ left, lifetime }: { readonly left: number; readonly lifetime: Duration.Duration }) =>
    left <= Duration.toMillis(RenewalPolicy.refreshWarning(lifetime))
  const soon = Option.all({ left: refreshLeft(held, now), lifetime: held.tokens.refreshLifetime })
  return Option.exists(soon, warned) ? "ends-soon" : "usable"
}

/**
 * Whether replacing this token now would be hasty (law 11): by its own lifetime and the clock that cannot jump, not even
 * the earliest moment to renew has come; without a lifetime, it is not a minute old.
 */
export const ripensLater = (held: Held, leeway: Duration.Duration, now: Moment.Moment): boolean =>
  Option.isSome(held.tokens.accessToken) &&
  Moment.monotonicAge(held.arrived, now) <
    Duration.toMillis(
      Option.match(held.tokens.lifetime, {
        onNone: () => RenewalPolicy.hastyAge,
        onSome: (lifetime) => RenewalPolicy.renewalAge(lifetime, leeway, 1)
      })
    )
