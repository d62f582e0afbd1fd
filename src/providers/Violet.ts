/**
 * A provider for the Violet commerce API: `X-Violet-*` headers, JWTs, and a refresh token that stays in use.
 *
 * Where Violet's documentation contradicts itself, both readings are accepted.
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
 * The options of a Violet provider: the application's identity, and the address of Violet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The id of the application, a positive integer. Sent in the header `X-Violet-App-Id`. */
  readonly appId: number
  /** The secret of the application: visible ASCII characters. Sent in the header `X-Violet-App-Secret`. */
  readonly appSecret: Redacted.Redacted<string>
  /**
   * The environment of Violet to use: `https://api.violet.io/v1` or `https://sandbox-api.violet.io/v1`. Default:
   * `"live"`.
   */
  readonly environment?: "live" | "sandbox" | undefined
  /** Another address instead of `environment`: https, or http on loopback. Default: the address of `environment`. */
  readonly baseUrl?: string | URL | undefined
}

const addresses = { live: "https://api.violet.io/v1", sandbox: "https://sandbox-api.violet.io/v1" }

const Response = Schema.Struct({ token: Protocol.Field, refresh_token: Protocol.Field, expires_at: Protocol.Field })

/** The documented form of an error, by which it differs from the error page of a gateway. */
const ErrorResponse = Schema.Struct({ message: Schema.String, status: Protocol.Field, error_code: Protocol.Field })

/**
 * Makes the provider of Violet. Sends nothing. Fails with `Misconfigured`, which names the field.
 *
 * @see https://docs.violet.io
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const { appId, appSecret } = options
  yield* Valid.count("appId", appId)
  if (options.baseUrl !== undefined && options.environment !== undefined) {
    return yield* new Misconfigured({ field: "baseUrl", problem: "contradicts environment; give only one of them" })
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
    errorMeaning: ({ error_code, status }, httpStatus) => {
      if (httpStatus < 400 || (status !== httpStatus && typeof error_code !== "number")) return undefined
      if (httpStatus === 403) return refusedApplication
      if (httpStatus !== 400 && httpStatus !== 401) return undefined
      return error_code === 11 ? "expired" : "invalid"
    }
  })
})

const refusedApplication = new Misconfigured({
  field: "appId, appSecret",
  problem: "Violet refuses this application (status 403)"
})

/**
 * Makes a layer of a session with Violet, its renewal and its authorized client, from values. Fails with
 * `Misconfigured`, which names the field.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Effect, Layer, Redacted } from "effect"
 * import { AuthHttpClient, Violet } from "effect-auth"
 *
 * const violet = Violet.layer({
 *   appId: 1234,
 *   appSecret: Redacted.make("test-app-secret"),
 *   environment: "sandbox"
 * }).pipe(Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici]))
 *
 * const program = Effect.gen(function* () {
 *   const client = yield* AuthHttpClient.AuthHttpClient
 *   const response = yield* client.get("/merchants")
 *   return yield* response.json
 * }).pipe(Effect.provide(violet))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R>): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * Makes a layer of a session with Violet, its renewal and its authorized client, from `Config`: `VIOLET_APP_ID`,
 * `VIOLET_APP_SECRET` and, if it is set, `VIOLET_BASE_URL`. Without the last one, the option `environment` counts.
 * Fails with `Misconfigured`, which names the variable or the field.
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
      (fields) => make({ ...fields, environment: options.environment })
    ),
    options
  )

/**
 * Makes a layer of the user name and password in `VIOLET_USERNAME` and `VIOLET_PASSWORD`. Fails as
 * `Credentials.layerConfig` does. Each call makes its own layer: a constant one, used for two accounts with two
 * `ConfigProvider`s, would be built once and give both the same password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "VIOLET_USERNAME", password: "VIOLET_PASSWORD" })
