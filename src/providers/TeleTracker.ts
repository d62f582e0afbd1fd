/**
 * The TeleTracker call tracking API: opaque tokens, and a new refresh token with every refresh.
 *
 * Its tokens end by the server's clock, which may differ from ours by any amount; `tokenLifetime` alone is trusted.
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
 * Which account to use, and where TeleTracker is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The account to log in to, for users of several. A positive integer. Default: the user's own. */
  readonly accountId?: number | undefined
  /** An address of your own, https or on loopback. Default: `https://api.teletracker.net`. */
  readonly baseUrl?: string | URL | undefined
  /** How long the server forgives a refresh token a second use. Default: not at all, as documented. */
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

/** A failure says `"success": false`, whatever its status; a gateway's page is none. */
const ErrorResponse = Schema.Struct({ success: Protocol.Field })

/**
 * TeleTracker's protocol. Fails with `Misconfigured`, which names the field.
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
    tokens: (answer) => ({
      accessToken: answer.token,
      expiresIn: answer.tokenLifetime,
      expiresAt: answer.tokenExpiration,
      refreshToken: answer.refreshToken,
      refreshExpiresIn: refreshLifetime(answer),
      refreshExpiresAt: answer.refreshTokenExpiration,
      extra: { guid: answer.guid }
    }),
    errorResponse: ErrorResponse,
    errorMeaning: ({ success }, status) =>
      success === false || status === 401 || status === 403 ? "invalid" : undefined
  })
})

/**
 * Seconds, by nothing but the server's own clock: it tells both ends, and how far off one of them is. Where it does not
 * say how far, that end is taken for now: a little too early, and our clock might be off by any amount.
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
 * A session with TeleTracker, its renewal and its authorized client, from values.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R> = {}): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * A session with TeleTracker from `TELETRACKER_ACCOUNT_ID` and `TELETRACKER_BASE_URL`, where they are set.
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
      (found) => make({ ...found, reuseWindow: options.reuseWindow })
    ),
    options
  )

/**
 * User name and password from `TELETRACKER_USERNAME` and `TELETRACKER_PASSWORD`. Each call makes a layer of its own: a
 * constant one would be built once, and give two accounts one password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "TELETRACKER_USERNAME", password: "TELETRACKER_PASSWORD" })
