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
  /** `none` in a set that was seeded from a refresh token alone, or whose access token was unreadable. */
  readonly accessToken: Option.Option<AccessToken>
  /** How long the access token lives from the moment its response was received. `none`: its end is not known. */
  readonly lifetime: Option.Option<Duration.Duration>
  readonly refreshToken: Option.Option<RefreshToken>
  /** How long the refresh token lives from the moment its response was received. `none`: its end is not known. */
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
  readonly accessToken?: AccessToken | undefined
  readonly lifetime?: Duration.DurationInput | undefined
  readonly refreshToken?: RefreshToken | undefined
  readonly refreshLifetime?: Duration.DurationInput | undefined
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
