import type * as Option from "effect/Option"
import type * as AuthError from "../../common/AuthError.js"
import type * as Moment from "../../common/Moment.js"
import type { UserPassword } from "../../provider/Credentials.js"
import type { Found } from "../../store/record.js"
import type { Version } from "../../store/TokenStore.js"
import type * as Token from "../../token/Token.js"
import type * as Held from "./tokens.js"

/** What is to be done next. `Land` ends the flight. */
export type Command =
  | { readonly _tag: "Load" }
  /** Take the exclusive section, and then load; or load what somebody else obtained in the meantime. */
  | { readonly _tag: "Lock"; readonly known: Version }
  /** Save the same generation again, with something else known of its refresh token. */
  | { readonly _tag: "Amend"; readonly held: Held.Held }
  | { readonly _tag: "ReadCredentials" }
  | { readonly _tag: "Refresh"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "Login"; readonly credentials: Option.Option<UserPassword> }
  | { readonly _tag: "Save"; readonly held: Held.Held }
  | { readonly _tag: "Revoke"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "Land"; readonly result: Landed }

/** What became of saving something. */
export type Saved = "saved" | "older" | "failed"

/** The intent of law 21: what was known before, and the mark by which its note is known again. */
export interface Intent {
  readonly _tag: "Intent"
  readonly before: Held.RefreshState
  readonly mark: number
}

/** Why the record of a generation was written again last: the intent of law 21, or what became of it. */
export type Amending =
  | Intent
  | { readonly _tag: "Unsent"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "Refused" }

/** What the callers of a flight are told. */
export type Landed =
  | { readonly _tag: "Token"; readonly token: Token.AccessToken }
  | { readonly _tag: "AskAgain" }
  | { readonly _tag: "Failure"; readonly failure: AuthError.AuthError }

/** What became of a command. `at` is when the store was asked: what it kept then is known, and what came later is not. */
export type Event =
  | { readonly _tag: "Started" }
  | { readonly _tag: "Loaded"; readonly record: Option.Option<Found>; readonly at: Moment.Moment }
  | {
      readonly _tag: "Locked"
      readonly record: Option.Option<Found>
      readonly mine: boolean
      readonly at: Moment.Moment
    }
  /** `taken`: by somebody who keeps it alive. */
  | { readonly _tag: "LockFailed"; readonly failure: AuthError.StoreFailure; readonly taken: boolean }
  | { readonly _tag: "Amended"; readonly result: Saved; readonly at: Moment.Moment }
  | { readonly _tag: "LoadFailed"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "CredentialsRead"; readonly credentials: Option.Option<UserPassword>; readonly enough: boolean }
  | { readonly _tag: "CredentialsFailed"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "Refreshed"; readonly tokens: Token.TokenSet }
  | { readonly _tag: "RefreshFailed"; readonly failure: AuthError.AuthError }
  | { readonly _tag: "LoggedIn"; readonly tokens: Token.TokenSet }
  | {
      readonly _tag: "LoginFailed"
      readonly failure: AuthError.AuthError
      readonly credentials: Option.Option<UserPassword>
    }
  | { readonly _tag: "Saved"; readonly held: Held.Held; readonly result: Saved; readonly at: Moment.Moment }
  | { readonly _tag: "Revoked" }
