/**
 * The session as pure data, and what keeps it from an exchange. `Question` says what its callers are answered, and
 * `Flight` what a flight does next; what waits and talks to others is elsewhere.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import * as AuthError from "../../common/AuthError.js"
import type * as Moment from "../../common/Moment.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type { UserPassword } from "../../provider/Credentials.js"
import type * as TokenStore from "../../store/TokenStore.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import * as Token from "../../token/Token.js"
import type { Landing } from "../runtime/waiters.js"
import type { Amending, Intent } from "./order.js"
import * as Held from "./tokens.js"

/** What does not change while a session lives. */
export interface Rules {
  readonly provider: Pick<AuthProvider.Service, "name" | "rotation" | "reuseWindow">
  readonly leeway: Duration.Duration
}

/** Both clocks, and a number in [0, 1) for jitter. */
export interface Now extends Moment.Moment {
  readonly random: number
}

/** A set that arrived, and what was wrong with the rest of its answer. */
export interface Pending {
  readonly held: Held.Held
  readonly failure?: AuthError.AuthError | undefined
}

/** The one exchange under way, known by its landing. */
export interface Flight {
  readonly landing: Landing
  /** `login` and `adopt` were asked for by name; `renew` obtains another token in whatever way is left. */
  readonly task: "renew" | "login" | "adopt"
  /** What is being obtained: arrived, but not yet saved, so not yet seen by anyone (law 18). */
  readonly pending?: Pending | undefined
  readonly adopting?: Token.TokenSet | undefined
  /** What to log in with, when that was asked for by name. */
  readonly credentials?: Option.Option<UserPassword> | undefined
  /** Why a log in became necessary. */
  readonly because?: AuthError.AuthError | undefined
  /** The store turned out to keep something newer. */
  readonly conflict?: boolean | undefined
  /** Whether this session has the exclusive section (law 20), or why the store could not lend it. */
  readonly guard?: "held" | AuthError.StoreFailure | undefined
  readonly amending?: Amending | undefined
  /** What its callers are told unless the store keeps something newer: the flight only looks there. */
  readonly looking?: AuthError.AuthError | undefined
  /** Whether it is counted among the hasty ones. */
  readonly counted?: boolean | undefined
}

/** What keeps the session from an exchange: the last failure, and until when (for ever, if `until` is absent). */
export interface Block {
  readonly failure: AuthError.AuthError
  readonly failures: number
  readonly until: bigint | undefined
  /** When it came about, by the wall clock. */
  readonly at: number
}

/** All that a session knows. */
export interface State {
  /** Grows by one with every token set obtained, and with every log out. */
  readonly generation: number
  readonly held: Held.Held | undefined
  /** What to start from if the store turns out to keep nothing. */
  readonly seed: Held.Held | undefined
  /** From a log out until the next token set. */
  readonly signedOut: boolean
  readonly flight: Flight | undefined
  readonly block: Block | undefined
  /** Whether the store was read yet, and whether it keeps what is held. */
  readonly loaded: boolean
  readonly saved: boolean
  /** When this session last knew what the store kept, and what that was: anything newer was saved later (law 20). */
  readonly looked: { readonly at: Moment.Moment; readonly version: TokenStore.Version } | undefined
  /** An intent that was not followed by a request, though the store may have taken it. */
  readonly unsent: Intent | undefined
  readonly strikes: { readonly token: Token.AccessToken; readonly count: number; readonly until: bigint } | undefined
  readonly refused:
    | {
        readonly tried: ReadonlyArray<Option.Option<UserPassword>>
        readonly count: number
        readonly until: bigint
        readonly failure: AuthError.AuthError
      }
    | undefined
  /** When tokens that ought to have been fresh were replaced, within the last minute. */
  readonly hasty: ReadonlyArray<bigint>
}

/** A session that has asked for nothing yet; `seed` is what it starts from if the store keeps nothing. */
export const starting = (seed: Token.TokenSet | undefined, now: Now): State => ({
  generation: 0,
  held: undefined,
  seed: seed && Held.arriving(seed, 0, now),
  signedOut: false,
  flight: undefined,
  block: undefined,
  loaded: false,
  saved: true,
  looked: undefined,
  unsent: undefined,
  strikes: undefined,
  refused: undefined,
  hasty: noHaste
})

const noHaste: ReadonlyArray<bigint> = []

/** A duration on the monotonic clock. */
export const nanos = (duration: Duration.Duration): bigint =>
  BigInt(Math.round(Duration.toMillis(Duration.min(duration, Token.longestLifetime)) * 1e6))

/** A minute on the monotonic clock. */
export const minute = nanos(Duration.minutes(1))

/** Whether the token in hand ought to be fresh, by its own lifetime and the clock that cannot jump. */
export const ripensLater = (rules: Rules, state: State, now: Moment.Moment): boolean =>
  state.held !== undefined && Held.ripensLater(state.held, rules.leeway, now)

/** When tokens that ought to have been fresh were replaced, within the last minute. */
export const recent = (state: State, now: Moment.Moment): ReadonlyArray<bigint> =>
  state.hasty.filter((at) => now.nanos - at < minute)

/** Law 11: whether this token ought to be fresh and too many such were replaced within a minute already. */
export const tooHasty = (rules: Rules, state: State, now: Moment.Moment): boolean =>
  ripensLater(rules, state, now) && recent(state, now).length >= RenewalPolicy.hastyExchanges

/** Whether a set that is still valid may be renewed: not while its refresh token is in doubt (law 13). */
export const eager = (rules: Rules, held: Held.Held, now: Moment.Moment): boolean =>
  held.refresh._tag !== "Doubtful" || withinReuseWindow(rules, held.refresh, now)

/** Whether the server has promised to forgive one more presentation of a refresh token in doubt (law 13). */
export const withinReuseWindow = (
  rules: Rules,
  doubt: Held.RefreshState & { _tag: "Doubtful" },
  now: Moment.Moment
): boolean =>
  !doubt.again &&
  rules.provider.reuseWindow !== undefined &&
  now.nanos - doubt.since.nanos < nanos(rules.provider.reuseWindow)

/** How many milliseconds from now the set in hand is to be renewed; undefined when nothing is to be renewed (law 29). */
export const renewalDelay = (rules: Rules, state: State, now: Moment.Moment): number | undefined => {
  const { block, held } = state
  if (held === undefined || state.flight !== undefined) return undefined
  if (block !== undefined && (block.until === undefined || !AuthError.isTransient(block.failure))) return undefined
  const due = Held.renewalDelay(held, rules.leeway, eager(rules, held, now), now)
  if (due === Number.POSITIVE_INFINITY) return undefined
  const cool = block?.until ?? now.nanos
  const calm = tooHasty(rules, state, now) ? (recent(state, now)[0] ?? now.nanos) + minute : now.nanos
  const millisUntil = (at: bigint) => Number(at - now.nanos) / 1e6
  return Math.ceil(Math.max(due, millisUntil(cool), millisUntil(calm), 0))
}
