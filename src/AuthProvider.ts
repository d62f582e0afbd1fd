/**
 * The port to one API's protocol: how to log in, refresh and revoke, how to put the token on a request, and how to
 * recognise a rejection. It holds the client's own identity and has no state.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AuthError } from "./AuthError.js"
import type { UserPassword } from "./Credentials.js"
import type { AccessToken, TokenSet } from "./Token.js"

/**
 * One API's protocol.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Names the API in errors, logs and store keys. */
  readonly name: string
  /** What relative URLs are resolved against. Its path ends with a slash. */
  readonly baseUrl: URL
  /** The origins this API's token may be sent to. */
  readonly origins: ReadonlyArray<string>
  /** Headers that carry secrets; spans and logs show them redacted. */
  readonly redactedHeaders: ReadonlyArray<string>
  /**
   * What becomes of a refresh token that is used: it stays (`"none"`), may be replaced (`"optional"`), or is spent
   * (`"single-use"`).
   */
  readonly rotation: "none" | "optional" | "single-use"
  /** How long after its first use the server forgives a refresh token a second one. */
  readonly reuseWindow?: Duration.Duration | undefined
  /** The exchange that logs in with what there is, or `none` when that is not enough to log in with. */
  readonly login: (credentials: Option.Option<UserPassword>) => Option.Option<Effect.Effect<TokenSet, AuthError>>
  /** The exchange that refreshes. What its answer leaves out is kept from `tokens` by the session. */
  readonly refresh: (tokens: TokenSet) => Effect.Effect<TokenSet, AuthError>
  /** The exchange that revokes, where the API has one. */
  readonly revoke: Option.Option<(tokens: TokenSet) => Effect.Effect<void, AuthError>>
  /** Puts the token on a request, in place of one the caller may have put there. */
  readonly authorize: (
    request: HttpClientRequest.HttpClientRequest,
    token: AccessToken
  ) => HttpClientRequest.HttpClientRequest
  /** Tells whether an answer says that the token is no good. The body is not looked at: it belongs to the caller. */
  readonly rejects: (status: number, headers: Headers.Headers) => boolean
}

/**
 * @since 0.1.0
 * @category tags
 */
export class AuthProvider extends Context.Tag("effect-auth/AuthProvider")<AuthProvider, Service>() {}

/**
 * Tells whether a 401 asks for a new token ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)): yes
 * without a challenge or with a `Bearer` one, no when the only challenges are for another scheme or the token merely
 * lacks a scope (law 25).
 *
 * @since 0.1.0
 * @category predicates
 */
export const rejectsBearer = (status: number, headers: Headers.Headers): boolean =>
  status === 401 &&
  Option.match(Headers.get(headers, "www-authenticate"), {
    onNone: () => true,
    onSome: (challenge) =>
      /(^|[\s,])bearer([\s,]|$)/i.test(challenge) && !/error\s*=\s*"?insufficient_scope/i.test(challenge)
  })
