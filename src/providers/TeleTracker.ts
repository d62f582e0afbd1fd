/**
 * A provider for the TeleTracker call tracking API: opaque tokens, and a new refresh token with every refresh.
 *
 * The API states when tokens end by its own clock, which may differ from ours by any amount. So `tokenLifetime` is
 * used, and the stated ends only where it is missing.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import type { Misconfigured } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import * as Moment from "../common/Moment.js"
import * as Valid from "../common/validate.js"
import * as AuthProvider from "../provider/AuthProvider.js"
import * as Credentials from "../provider/Credentials.js"
import * as Protocol from "../provider/Protocol.js"

/**
 * The options of a TeleTracker provider: the account, and the address of TeleTracker.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The account to log in to, for users who have several: a positive integer. Default: the user's own. */
  readonly accountId?: number | undefined
  /** The address of the API: https, or http on loopback. Default: `https://api.teletracker.net`. */
  readonly baseUrl?: string | URL | undefined
  /**
   * The reuse window: for this long after its first use, the server accepts a refresh token again. Default: not at all, as documented.
   */
  readonly reuseWindow?: Duration.DurationInput | undefined
}

const Response = Schema.Struct({
  guid: Protocol.Field,
  token: Protocol.Field,
  tokenExpiration: Protocol.Field,
  tokenLifetime: Protocol.Field,
  refreshToken: Protocol.Field,
  refreshTokenExpiration: Protocol.Field
})

/** An error response: `"success": false` with any status. The error page of a gateway has no such field. */
const ErrorResponse = Schema.Struct({ success: Protocol.Field })

/**
 * Makes the provider of TeleTracker. Sends nothing. Fails with `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options = {}
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const account_id = yield* Valid.optional(Valid.count, "accountId", options.accountId)
  return yield* AuthProvider.make({
    name: "teletracker",
    baseUrl: options.baseUrl ?? "https://api.teletracker.net",
    rotation: "single-use",
    reuseWindow: options.reuseWindow,
    rejections: [401, 403],
    login: Option.map(({ password, username }) => Protocol.json("auth/login", { username, password, account_id })),
    refresh: (refresh_token) => Protocol.json("auth/refresh", { refresh_token }),
    response: Response,
    tokens: (response) => ({
      accessToken: response.token,
      expiresIn: response.tokenLifetime,
      expiresAt: response.tokenExpiration,
      refreshToken: response.refreshToken,
      refreshExpiresIn: refreshLifetime(response),
      refreshExpiresAt: response.refreshTokenExpiration,
      extra: { guid: response.guid }
    }),
    errorResponse: ErrorResponse,
    errorMeaning: ({ success }, status) =>
      success === false || status === 401 || status === 403 ? "invalid" : undefined
  })
})

/**
 * Returns the lifetime of the refresh token in seconds, by the server's own clock alone: the time between the stated
 * ends of the two tokens, plus the lifetime of the access token. Without that lifetime the result is a little too
 * short, which is better than to compare with our clock.
 */
const refreshLifetime = (response: typeof Response.Type): number | undefined => {
  const [access, refresh] = [response.tokenExpiration, response.refreshTokenExpiration].map((end) =>
    typeof end === "string" ? Moment.instant(end) : undefined
  )
  return access === undefined || refresh === undefined
    ? undefined
    : (refresh - access) / 1000 + (Number(response.tokenLifetime) || 0)
}

/**
 * Makes a layer of a session with TeleTracker, its renewal and its authorized client, from values. Fails with
 * `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R> = {}): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * Makes a layer of a session with TeleTracker, its renewal and its authorized client, from `Config`:
 * `TELETRACKER_ACCOUNT_ID` and `TELETRACKER_BASE_URL`, if they are set. Fails with `Misconfigured`, which names the
 * variable or the field.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <E = never, R = never>(
  options: Auth.Options<E, R> & Pick<Options, "reuseWindow"> = {}
): Auth.AuthLayer<E, R> =>
  Auth.layer(
    ConfigFields.make(
      "TELETRACKER",
      { accountId: ConfigFields.optional(ConfigFields.integer), baseUrl: ConfigFields.optional(ConfigFields.text) },
      (fields) => make({ ...fields, reuseWindow: options.reuseWindow })
    ),
    options
  )

/**
 * Makes a layer of the user name and password in `TELETRACKER_USERNAME` and `TELETRACKER_PASSWORD`. Fails as
 * `Credentials.layerConfig` does. Each call makes its own layer: a constant one, used for two accounts with two
 * `ConfigProvider`s, would be built once and give both the same password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "TELETRACKER_USERNAME", password: "TELETRACKER_PASSWORD" })
