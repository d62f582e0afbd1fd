/**
 * Tokens, and the set of them that one token response brings.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"

/**
 * An access token: what a request carries to be let in.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-1.4
 * @since 0.1.0
 * @category models
 */
export type AccessToken = Redacted.Redacted<string>

/**
 * A refresh token: what another access token is obtained with.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-1.5
 * @since 0.1.0
 * @category models
 */
export type RefreshToken = Redacted.Redacted<string>

/**
 * The fields of one token response.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.1
 * @since 0.1.0
 * @category models
 */
export interface TokenSet {
  /** The access token. `none` in a set that was seeded from a refresh token alone, or whose access token was unreadable. */
  readonly accessToken: Option.Option<AccessToken>
  /** The lifetime of the access token from the moment its response was received. `none`: its end is not known. */
  readonly lifetime: Option.Option<Duration.Duration>
  /** The refresh token. `none` if the server issued none. */
  readonly refreshToken: Option.Option<RefreshToken>
  /** The lifetime of the refresh token from the moment its response was received. `none`: its end is not known. */
  readonly refreshLifetime: Option.Option<Duration.Duration>
  /** The provider's further fields, none of them secret. */
  readonly extra: Readonly<Record<string, unknown>>
}

/**
 * Makes a token set. Lifetimes count from now; leave out what is not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (fields: {
  /** The access token. Default: none, for a set that starts from a refresh token alone. */
  readonly accessToken?: AccessToken | undefined
  /** The lifetime of the access token from now on. Default: its end is not known. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** The refresh token. Default: none. */
  readonly refreshToken?: RefreshToken | undefined
  /** The lifetime of the refresh token from now on. Default: its end is not known. */
  readonly refreshLifetime?: Duration.DurationInput | undefined
  /** The provider's further fields, none of them secret. Default: `{}`. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}): TokenSet => ({
  accessToken: Option.fromNullable(fields.accessToken),
  lifetime: Option.map(Option.fromNullable(fields.lifetime), Duration.decode),
  refreshToken: Option.fromNullable(fields.refreshToken),
  refreshLifetime: Option.map(Option.fromNullable(fields.refreshLifetime), Duration.decode),
  extra: fields.extra ?? {}
})

/**
 * Returns the token set in force after a refresh: the fields of the response, and those of `previous` wherever the response
 * is silent.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-6
 * @since 0.1.0
 * @category combinators
 */
export const renew = (previous: TokenSet, response: TokenSet): TokenSet => ({
  ...response,
  ...(Option.isSome(response.refreshToken)
    ? {}
    : { refreshToken: previous.refreshToken, refreshLifetime: previous.refreshLifetime }),
  extra: { ...previous.extra, ...response.extra }
})
