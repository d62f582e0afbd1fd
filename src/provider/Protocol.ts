/**
 * A description of an API's protocol: what to send, how to read a response, and what an error response means.
 * `AuthProvider.make` makes a provider of it.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { Misconfigured } from "../common/AuthError.js"
import { reveal } from "../common/secret.js"
import type { RefreshToken, TokenSet } from "../token/Token.js"
import type { UserPassword } from "./Credentials.js"

/**
 * The rule for a refresh token that is used.
 *
 * - `"none"`: it stays valid. It is presented again after a lost response.
 * - `"optional"`: the server may replace it. It is treated as single-use.
 * - `"single-use"`: the server replaces it. After a lost response it is in doubt (law 13).
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-6
 * @since 0.1.0
 * @category models
 */
export type Rotation = "none" | "optional" | "single-use"

/**
 * The fields of a token response, under the same names for every API. Each field is read on its own: a rotated refresh
 * token counts even if the access token beside it is unreadable (law 22). A value that cannot be read counts as
 * missing.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.1
 * @since 0.1.0
 * @category models
 */
export interface TokenFields {
  /** The access token: text of visible ASCII characters. */
  readonly accessToken?: unknown
  /** The lifetime of the access token in seconds, as a number or as text. */
  readonly expiresIn?: unknown
  /** The end of the access token by the server's clock: seconds or milliseconds since 1970, or a date. */
  readonly expiresAt?: unknown
  /** The refresh token: text of visible ASCII characters. A missing one means that the old one stays valid. */
  readonly refreshToken?: unknown
  /** The lifetime of the refresh token in seconds, as a number or as text. */
  readonly refreshExpiresIn?: unknown
  /** The end of the refresh token by the server's clock: seconds or milliseconds since 1970, or a date. */
  readonly refreshExpiresAt?: unknown
  /**
   * Other fields to store with the tokens, none of them secret. A field that is null or undefined keeps its old value.
   */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/**
 * The meaning of an error response.
 *
 * - `"invalid"`, `"revoked"`, `"reused"`: what was sent is not valid. A login fails with `InvalidCredentials`, a
 *   refresh with `InvalidRefreshToken` of this reason.
 * - `"expired"`: the same, but a refresh fails with `TokenExpired`.
 * - `"unavailable"`: the server certainly did nothing, and the request may be repeated later. `NetworkFailure`, not
 *   spent.
 * - `"failed"`: the server broke down while it worked on the request. `NetworkFailure`, outcome unknown.
 * - a `Misconfigured`: the client itself is refused.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 * @since 0.1.0
 * @category models
 */
export type ErrorMeaning = "invalid" | "revoked" | "reused" | "expired" | "unavailable" | "failed" | Misconfigured

/**
 * The second step of a login, such as a code that a person has to read somewhere. `V` is the first response, decoded.
 * Each of the two requests may take 10 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verification<V, VI> {
  /** The schema of a first response that asks for the second step. Any other response is read as one with tokens. */
  readonly asked: Schema.Schema<V, VI>
  /**
   * Makes the request of the second step from the first response. If it fails or takes too long, the login fails with
   * `InvalidCredentials` of reason `"no-code"`; if the server refuses the request, of reason `"code-refused"`.
   */
  readonly respond: (firstResponse: V) => Effect.Effect<HttpClientRequest.HttpClientRequest, unknown>
  /** The longest time `respond` may take. Must be longer than zero. */
  readonly within: Duration.DurationInput
}

/**
 * The description of an API's protocol. `A` is a response with tokens, `F` an error response and `V` a response that
 * asks for a second step, each decoded.
 *
 * The library does the rest: one attempt in bounded time and size, no redirect followed, secrets redacted, and outcomes
 * told apart (law 12).
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol<A, AI, F, FI, V = never, VI = never> {
  /** The name of the API in errors, logs and store keys. */
  readonly name: string
  /**
   * The address of the API: https, or http on loopback. Relative URLs are resolved below it, those of token requests
   * too, and the token may be sent to its origin.
   */
  readonly baseUrl: string | URL
  /**
   * The scopes of the tokens. Sessions with different scopes share no token. Default: none.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3
   */
  readonly scope?: ReadonlyArray<string> | undefined
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /**
   * The rotation of refresh tokens: whether the server replaces one that is used. Default: `"single-use"`, which is
   * safe with any server.
   */
  readonly rotation?: Rotation | undefined
  /** The reuse window: for this long after its first use, the server accepts a refresh token again. Default: not at all. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** Headers of every request, those of the API too. Redacted values are never shown. Default: none. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
  /**
   * The header of the access token, and the scheme before it. Without a scheme the token is the whole value. Default:
   * `Authorization`, with the scheme `Bearer`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1
   */
  readonly token?: { readonly header: string; readonly scheme?: string | undefined } | undefined
  /**
   * The statuses by which the API rejects a token. Default: 401.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6750#section-3
   */
  readonly rejections?: ReadonlyArray<number> | undefined
  /** The lifetime of an access token whose response states none. Default: its end is not known. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** The largest response to a token request, in bytes. A longer one is a `MalformedResponse`. Default: 1 MiB. */
  readonly maxBytes?: number | undefined
  /**
   * Makes the request that logs in, or returns `none` if these credentials are not enough. Default: there is no login.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-4
   */
  readonly login?:
    | ((credentials: Option.Option<UserPassword>) => Option.Option<HttpClientRequest.HttpClientRequest>)
    | undefined
  /** The second step of the login. Default: there is none. */
  readonly verification?: Verification<V, VI> | undefined
  /**
   * Makes the request that refreshes. Default: tokens cannot be refreshed.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-6
   */
  readonly refresh?: ((token: RefreshToken, tokens: TokenSet) => HttpClientRequest.HttpClientRequest) | undefined
  /**
   * Makes the request that revokes, or returns `none` if these tokens cannot be revoked. Default: tokens cannot be
   * revoked.
   *
   * @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1
   */
  readonly revoke?: ((tokens: TokenSet) => Option.Option<HttpClientRequest.HttpClientRequest>) | undefined
  /**
   * The schema of a response with tokens. Make each of its fields a `Field`, so that a broken one does not affect the
   * others.
   */
  readonly response: Schema.Schema<A, AI>
  /** Finds the tokens in a response. */
  readonly tokens: (response: A) => TokenFields
  /** The schema of an error response. It is tried on every response below 500 except 429 and redirects. */
  readonly errorResponse: Schema.Schema<F, FI>
  /**
   * Returns the meaning of an error response, or `undefined` if it is not a documented one. Below
   * 400, a response without a meaning is read as one with tokens; from 400 on, it is a `MalformedResponse`.
   */
  readonly errorMeaning: (error: F, status: number) => ErrorMeaning | undefined
}

/**
 * The schema of a field of a response. The field may be missing or hold anything, so that it never makes the rest of
 * the response unreadable.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Field: Schema.optional<typeof Schema.Unknown> = Schema.optional(Schema.Unknown)

type Value = string | number | Redacted.Redacted<string> | undefined

const definedFields = (fields: Readonly<Record<string, Value>>): ReadonlyArray<readonly [string, string | number]> =>
  Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, reveal(value)] as const]))

/**
 * Makes a POST with a JSON body. Redacted fields are unwrapped into the body, and undefined ones left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const json = (url: string, fields: Readonly<Record<string, Value>>): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), Object.fromEntries(definedFields(fields)))

/**
 * Makes a POST with a form-encoded body. Redacted fields are unwrapped into the body, and undefined ones left out.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#appendix-B
 * @since 0.1.0
 * @category constructors
 */
export const form = (url: string, fields: Readonly<Record<string, Value>>): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), definedFields(fields))
