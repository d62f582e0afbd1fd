/**
 * An API's protocol as data: what to send, how to read an answer, what a refusal means. `AuthProvider.make` turns it into
 * a provider.
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
 * What becomes of a refresh token that is used: it stays (`"none"`), may be replaced (`"optional"`), or is spent
 * (`"single-use"`).
 *
 * @since 0.1.0
 * @category models
 */
export type Rotation = "none" | "optional" | "single-use"

/**
 * What an answer with tokens says, under the same names for every API. Each field is judged on its own, so that a broken
 * one costs no other: a rotated refresh token counts even if the access token beside it is unreadable (law 22).
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenFields {
  readonly accessToken?: unknown
  /** Seconds, as a number or as text. */
  readonly expiresIn?: unknown
  /** Seconds or milliseconds since 1970, or a date; by the server's clock. */
  readonly expiresAt?: unknown
  readonly refreshToken?: unknown
  /** Seconds, as a number or as text. */
  readonly refreshExpiresIn?: unknown
  /** Seconds or milliseconds since 1970, or a date; by the server's clock. */
  readonly refreshExpiresAt?: unknown
  /** What else is worth keeping with the tokens, none of it secret. What is null or undefined keeps its old value. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

/**
 * What a server means by refusing: what was sent is no good (`"invalid"`, or more exactly `"revoked"`, `"reused"` or
 * `"expired"`), it surely did nothing and may be asked again later (`"unavailable"`), it broke down on the way
 * (`"failed"`), or the client itself is refused (`Misconfigured`).
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorMeaning = "invalid" | "revoked" | "reused" | "expired" | "unavailable" | "failed" | Misconfigured

/**
 * The second step of a log in, such as a code that a person has to read somewhere.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verification<V, VI> {
  /** The shape of an answer that asks for it. Any other answer is judged as one with tokens. */
  readonly asked: Schema.Schema<V, VI>
  /** Makes the request of the second step. If it fails or takes too long, the log in fails with `InvalidCredentials`. */
  readonly respond: (asked: V) => Effect.Effect<HttpClientRequest.HttpClientRequest, unknown>
  /** How long `respond` may take. */
  readonly within: Duration.DurationInput
}

/**
 * An API's protocol. What it leaves out follows from it: one attempt in bounded time and size, no redirect followed,
 * secrets redacted, every outcome told apart.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol<A, AI, F, FI, V = never, VI = never> {
  /** Names the API in errors, logs and store keys. */
  readonly name: string
  /** The address of the API: https, or http on loopback. Relative URLs, those of exchanges too, are taken below it. */
  readonly baseUrl: string | URL
  /** The scopes that its tokens are asked for, where it has some: sessions of different scopes share no token. */
  readonly scope?: ReadonlyArray<string> | undefined
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /** What becomes of a refresh token that is used. Default: `"single-use"`, which is safe with any server. */
  readonly rotation?: Rotation | undefined
  /** How long after its first use the server forgives a refresh token a second one. Default: not at all. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** Headers of every request, those of the API too. Redacted values are never shown. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
  /** Where the access token stands. Default: `Authorization`, after the scheme `Bearer`. */
  readonly token?: { readonly header: string; readonly scheme?: string | undefined } | undefined
  /** The statuses by which the API rejects a token. Default: 401. */
  readonly rejections?: ReadonlyArray<number> | undefined
  /** How long an access token lives that says nothing of it. Default: its end is not known. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** Longer answers, in bytes, are refused while they arrive. Default: 1 MiB. */
  readonly maxBytes?: number | undefined
  /** The request that logs in, or `none` where there is too little to log in with. Default: there is no log in. */
  readonly login?:
    | ((credentials: Option.Option<UserPassword>) => Option.Option<HttpClientRequest.HttpClientRequest>)
    | undefined
  /** The second step of the log in. Default: there is none. */
  readonly verification?: Verification<V, VI> | undefined
  /** The request that refreshes. Default: tokens cannot be refreshed. */
  readonly refresh?: ((token: RefreshToken, tokens: TokenSet) => HttpClientRequest.HttpClientRequest) | undefined
  /** The request that revokes, or `none` where these tokens cannot be. Default: tokens cannot be revoked. */
  readonly revoke?: ((tokens: TokenSet) => Option.Option<HttpClientRequest.HttpClientRequest>) | undefined
  /** The shape of an answer with tokens. Its fields are best a `Field` each. */
  readonly response: Schema.Schema<A, AI>
  /** Where in the answer the tokens are. */
  readonly tokens: (response: A) => TokenFields
  /** The shape of an answer that refuses, looked for in every answer below 500. */
  readonly errorResponse: Schema.Schema<F, FI>
  /** What a refusal means; nothing, when it is no documented one. */
  readonly errorMeaning: (error: F, status: number) => ErrorMeaning | undefined
}

/**
 * A field of an answer: it may be missing, it may be anything, and what it is costs no other field.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Field: Schema.optional<typeof Schema.Unknown> = Schema.optional(Schema.Unknown)

type Value = string | number | Redacted.Redacted<string> | undefined

const given = (fields: Readonly<Record<string, Value>>): ReadonlyArray<readonly [string, string | number]> =>
  Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, reveal(value)] as const]))

/**
 * A POST with a JSON body. Redacted fields are sent bare, undefined ones left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const json = (url: string, fields: Readonly<Record<string, Value>>): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), Object.fromEntries(given(fields)))

/**
 * A POST with a form-encoded body. Redacted fields are sent bare, undefined ones left out.
 *
 * @since 0.1.0
 * @category constructors
 */
export const form = (url: string, fields: Readonly<Record<string, Value>>): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyUrlParams(HttpClientRequest.post(url), given(fields))
