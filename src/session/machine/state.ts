import type * as Duration from "effect/Duration"
import type * as Option from "effect/Option"
import type * as AuthError from "../../common/AuthError.js"
import type * as Moment from "../../common/Moment.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type { UserPassword } from "../../provider/Credentials.js"
import type { StoredRecord } from "../../store/record.js"
import type * as TokenStore from "../../store/TokenStore.js"
import type * as Token from "../../token/Token.js"
import * as Tokens from "./tokens.js"

/** The constants of a session: they do not change while it lives. */
export interface Rules {
  readonly provider: Pick<AuthProvider.Service, "name" | "rotation" | "reuseWindow">
  readonly leeway: Duration.Duration
}

/** Both clocks, and a random number in [0, 1) for jitter and for the id of an intent. */
export interface Now extends Moment.Moment {
  readonly random: number
}

/**
 * Identifies a flight by reference. The runtime's `Waiters` are the only implementation; the machine does not look
 * inside.
 */
export interface FlightId {
  readonly _tag: "FlightId"
}

/** A token set that was obtained but not published yet, because it is being saved first (law 18). */
export interface Obtained {
  readonly tokens: Tokens.CurrentTokens
  /** The failure that the rest of the response amounts to, if its refresh token alone was readable (law 22). */
  readonly failure?: AuthError.AuthError | undefined
}

/** The one login or refresh under way. */
export interface Flight {
  readonly id: FlightId
  /** `login` and `adopt` were requested by name; `obtain` gets another token in any way that remains. */
  readonly goal: "obtain" | "login" | "adopt"
  readonly obtained?: Obtained | undefined
  /** The tokens to adopt, with the goal `adopt`. */
  readonly adopting?: Token.TokenSet | undefined
  /** The credentials to log in with, with the goal `login`. */
  readonly credentials?: Option.Option<UserPassword> | undefined
  /** The refusal of the refresh token that makes a login necessary. */
  readonly refreshRefusal?: AuthError.AuthError | undefined
  /** Tells whether the store turned out to have a newer version. */
  readonly storeConflict?: boolean | undefined
  /** The lease of this session (law 20), or the failure of the store to grant it. */
  readonly lease?: "held" | AuthError.StoreFailure | undefined
  /** The purpose of the last write of a changed refresh-token state. */
  readonly recording?: Recording | undefined
  /** The failure to report if the store has nothing newer: this flight only reads the store again. */
  readonly recheckFailure?: AuthError.AuthError | undefined
  /** Tells whether this flight counts as an early refresh (law 11). */
  readonly isEarly?: boolean | undefined
}

/** The gate that keeps the session from a token request: the last failure, and until when it does. */
export interface Gate {
  readonly failure: AuthError.AuthError
  /** The number of transient failures in a row. */
  readonly failures: number
  /** On the monotonic clock; `undefined` for a permanent failure. */
  readonly until: bigint | undefined
  /** The moment of the failure, in milliseconds of the wall clock. */
  readonly at: number
}

/** The state of a session. */
export interface State {
  /** Grows by one with every token set obtained and with every logout. */
  readonly generation: number
  readonly current: Tokens.CurrentTokens | undefined
  /** The tokens to start from if the store turns out to be empty. */
  readonly seed: Tokens.CurrentTokens | undefined
  /** True from a logout until the next token set. */
  readonly signedOut: boolean
  readonly flight: Flight | undefined
  readonly gate: Gate | undefined
  /** Tells whether the store was read yet. */
  readonly loaded: boolean
  /** Tells whether the store has what is in force. */
  readonly saved: boolean
  /**
   * The version last seen in the store, and when. A newer one was written after that moment, which bounds its age (law
   * 20).
   */
  readonly storeView: { readonly at: Moment.Moment; readonly version: TokenStore.Version } | undefined
  /** An intent that was not followed by a request, although the store may have it. */
  readonly unconfirmedIntent: Intent | undefined
  /** The rejected retries in a row, of which the last was of `token` (law 10). */
  readonly rejections: { readonly token: Token.AccessToken; readonly count: number; readonly until: bigint } | undefined
  /** The credentials that were refused lately, and until when they are not sent again (law 16). */
  readonly refusedLogins:
    | {
        readonly credentials: ReadonlyArray<Option.Option<UserPassword>>
        readonly count: number
        readonly until: bigint
        readonly failure: AuthError.AuthError
      }
    | undefined
  /** The moments of the early refreshes within the last minute, on the monotonic clock (law 11). */
  readonly earlyRefreshes: ReadonlyArray<bigint>
}

const none: ReadonlyArray<bigint> = []

/** The state of a session that was not used yet. `seed` is what it starts from if the store is empty. */
export const initial = (seed: Token.TokenSet | undefined, now: Now): State => ({
  generation: 0,
  current: undefined,
  seed: seed && Tokens.received(seed, 0, now),
  signedOut: false,
  flight: undefined,
  gate: undefined,
  loaded: false,
  saved: true,
  storeView: undefined,
  unconfirmedIntent: undefined,
  rejections: undefined,
  refusedLogins: undefined,
  earlyRefreshes: none
})

/** A command to the runner of a flight. `Complete` ends the flight. */
export type Command =
  | { readonly _tag: "Load" }
  /** Acquires the lease and then reads the store, or reads what another process obtained in the meantime. */
  | { readonly _tag: "AcquireLease"; readonly known: TokenStore.Version }
  /** Saves the current generation again, with another state of its refresh token. */
  | { readonly _tag: "RecordRefreshState"; readonly tokens: Tokens.CurrentTokens }
  | { readonly _tag: "ReadCredentials" }
  | { readonly _tag: "Refresh"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "Login"; readonly credentials: Option.Option<UserPassword> }
  | { readonly _tag: "Save"; readonly tokens: Tokens.CurrentTokens }
  | { readonly _tag: "Revoke"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "Complete"; readonly result: FlightResult }

/** The result of saving. `conflict`: the store has the same version or a newer one. */
export type SaveResult = "saved" | "conflict" | "failed"

/** The intent of law 21: the state of the refresh token before it, and the random number that identifies the intent. */
export interface Intent {
  readonly _tag: "Intent"
  readonly before: Tokens.RefreshTokenState
  readonly intentId: number
}

/** The reason why the record of a generation was written again: the intent of law 21, or its outcome. */
export type Recording =
  | Intent
  | { readonly _tag: "NotSpent"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "Refused" }

/** The result of a flight, for all its waiters. After `Superseded` they ask again. */
export type FlightResult =
  | { readonly _tag: "Token"; readonly token: Token.AccessToken }
  | { readonly _tag: "Superseded" }
  | { readonly _tag: "Failed"; readonly failure: AuthError.AuthError }

/** The result of a command. `at` is read before the store is asked, so later writes may be missing from the result. */
export type Event =
  | { readonly _tag: "Started" }
  | { readonly _tag: "Loaded"; readonly record: Option.Option<StoredRecord>; readonly at: Moment.Moment }
  | { readonly _tag: "LoadFailed"; readonly failure: AuthError.AuthError }
  /** `acquired` is false if another process obtained a newer generation, which is then in `record`. */
  | {
      readonly _tag: "LeaseAwaited"
      readonly record: Option.Option<StoredRecord>
      readonly acquired: boolean
      readonly at: Moment.Moment
    }
  /** `busy`: another owner keeps the lease alive. */
  | { readonly _tag: "LeaseFailed"; readonly failure: AuthError.StoreFailure; readonly busy: boolean }
  | { readonly _tag: "RefreshStateRecorded"; readonly result: SaveResult; readonly at: Moment.Moment }
  | {
      readonly _tag: "CredentialsRead"
      readonly credentials: Option.Option<UserPassword>
      readonly sufficient: boolean
    }
  | { readonly _tag: "CredentialsFailed"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "Refreshed"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "RefreshFailed"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "LoggedIn"; readonly tokens: Token.TokenSet }
  | {
      readonly _tag: "LoginFailed"
      readonly failure: AuthError.AuthError
      readonly credentials: Option.Option<UserPassword>
    }
  | {
      readonly _tag: "Saved"
      readonly tokens: Tokens.CurrentTokens
      readonly result: SaveResult
      readonly at: Moment.Moment
    }
  | { readonly _tag: "Revoked" }

/** The next command of a flight, and the state from then on. */
export type Step = readonly [Command, State]

/** Ends the flight with a result. */
export const complete = (state: State, result: FlightResult): Step => [
  { _tag: "Complete", result },
  { ...state, flight: undefined }
]

export const superseded: FlightResult = { _tag: "Superseded" }

export const readCredentials: Command = { _tag: "ReadCredentials" }
