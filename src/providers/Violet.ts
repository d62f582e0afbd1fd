/**
 * The Violet commerce API: `X-Violet-*` headers, JWTs, a refresh token that stays in use.
 *
 * Its documentation contradicts itself in places; where it does, both readings are tolerated.
 *
 * @see https://docs.violet.io
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import { Misconfigured } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import * as Valid from "../common/validate.js"
import * as AuthProvider from "../provider/AuthProvider.js"
import * as Credentials from "../provider/Credentials.js"
import * as Protocol from "../provider/Protocol.js"

/**
 * Who the application is to Violet, and where Violet is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The id of the application: a positive integer. */
  readonly appId: number
  /** The secret of the application. */
  readonly appSecret: Redacted.Redacted<string>
  /** Which of Violet's own addresses to use. Default: `"live"`. */
  readonly environment?: "live" | "sandbox" | undefined
  /** An address of your own, https or on loopback, instead of `environment`. */
  readonly baseUrl?: string | URL | undefined
}

const addresses = { live: "https://api.violet.io/v1", sandbox: "https://sandbox-api.violet.io/v1" }

const Response = Schema.Struct({ token: Protocol.Field, refresh_token: Protocol.Field, expires_at: Protocol.Field })

/** The documented form of an error. A gateway's page is none. */
const ErrorResponse = Schema.Struct({ message: Schema.String, status: Protocol.Field, error_code: Protocol.Field })

/**
 * Violet's protocol. Fails with `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const { appId, appSecret } = options
  yield* Valid.count("appId", appId)
  if (options.baseUrl !== undefined && options.environment !== undefined) {
    return yield* new Misconfigured({ field: "baseUrl", problem: "contradicts environment; give one of them" })
  }
  return yield* AuthProvider.make({
    name: "violet",
    baseUrl: options.baseUrl ?? addresses[options.environment ?? "live"],
    rotation: "none",
    headers: {
      "x-violet-app-id": String(appId),
      "x-violet-app-secret": yield* Valid.headerSecret("appSecret", appSecret)
    },
    token: { header: "x-violet-token" },
    lifetime: "24 hours",
    login: Option.map(({ password, username }) => Protocol.json("login", { username, password })),
    refresh: (token) => HttpClientRequest.get("auth/token", { headers: { "x-violet-token": Redacted.value(token) } }),
    response: Response,
    tokens: ({ expires_at, refresh_token, token }) => ({
      accessToken: token,
      expiresAt: expires_at,
      refreshToken: refresh_token
    }),
    errorResponse: ErrorResponse,
    errorMeaning: ({ error_code, status }, answered) => {
      if (answered < 400 || (status !== answered && typeof error_code !== "number")) return undefined
      if (answered === 403) return refusedApplication
      if (answered !== 400 && answered !== 401) return undefined
      return error_code === 11 ? "expired" : "invalid"
    }
  })
})

const refusedApplication = new Misconfigured({
  field: "appId, appSecret",
  problem: "Violet refuses this application (status 403)"
})

/**
 * A session with Violet, its renewal and its authorized client, from values.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R>): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * A session with Violet from `VIOLET_APP_ID`, `VIOLET_APP_SECRET` and, if it is set, `VIOLET_BASE_URL`; without that,
 * the `environment` of the options, and without that, the live API.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <E = never, R = never>(
  options: Auth.Options<E, R> & Pick<Options, "environment"> = {}
): Auth.AuthLayer<E, R> =>
  Auth.layer(
    ConfigFields.make(
      "VIOLET",
      {
        appId: ConfigFields.integer,
        appSecret: ConfigFields.secret,
        baseUrl: ConfigFields.optional(ConfigFields.text)
      },
      (found) => make({ ...found, environment: options.environment })
    ),
    options
  )

/**
 * User name and password from `VIOLET_USERNAME` and `VIOLET_PASSWORD`. Each call makes a layer of its own, since a
 * constant one, used for two accounts with two `ConfigProvider`s, would be built once and give both the same password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "VIOLET_USERNAME", password: "VIOLET_PASSWORD" })
