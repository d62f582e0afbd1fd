/**
 * A provider for Freddy, the Aitronos AI API: a login of two steps, JWTs, and responses in several forms.
 *
 * The API is under development. Every documented form of its responses and errors is read.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import { Misconfigured } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import * as Valid from "../common/validate.js"
import * as AuthProvider from "../provider/AuthProvider.js"
import * as Credentials from "../provider/Credentials.js"
import * as Protocol from "../provider/Protocol.js"

/**
 * The options of a Freddy provider: the way to log in, and the address of Freddy. Without `code` and `development`
 * there is no login: the session needs a refresh token from its `seed` or from `adopt`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> {
  /**
   * Gets the code that Freddy mails at each login, for instance from a person or a mailbox. It runs once, however many
   * callers wait. If it fails or takes too long, the login fails with `InvalidCredentials` of reason `"no-code"`.
   * `email` is the address that Freddy mailed the code to, if it says so. Default: none.
   */
  readonly code?:
    | ((recipient: { readonly email: string | undefined }) => Effect.Effect<Redacted.Redacted<string>, unknown, R>)
    | undefined
  /** The longest time `code` may take. Default: 5 minutes, which is how long a code is valid. */
  readonly codeTimeout?: Duration.DurationInput | undefined
  /** Logs in at the development endpoint, which needs no code. Not allowed together with `code`. Default: `false`. */
  readonly development?: boolean | undefined
  /** The address of the API: https, or http on loopback. Default: `https://api.aitronos.com`. */
  readonly baseUrl?: string | URL | undefined
}

const Response = Schema.Struct({
  token: Protocol.Field,
  access_token: Protocol.Field,
  expires_in: Protocol.Field,
  refreshToken: Protocol.Field,
  refresh_token: Protocol.Field,
  device_id: Protocol.Field
})

/** The response to the first step of a login: a code was mailed. */
const CodeMailed = Schema.Struct({
  email_key: Schema.String,
  email: Protocol.Field,
  requires_verification: Schema.Literal(true)
})

/** An error response, in its older and its newer form. */
const ErrorResponse = Schema.Union(
  Schema.Struct({ detail: Schema.String }),
  Schema.Struct({
    success: Schema.Literal(false),
    error: Schema.Struct({ message: Schema.String, status: Protocol.Field })
  })
)

/**
 * Makes the provider of Freddy. Sends nothing. Fails with `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: Options<R> = {}
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient | R> {
  const context = yield* Effect.context<R>()
  const { code, development } = options
  if (code !== undefined && development === true) {
    return yield* new Misconfigured({
      field: "code",
      problem: "contradicts development, under which no code is needed"
    })
  }
  const within = yield* Valid.positive("codeTimeout", options.codeTimeout ?? "5 minutes")
  const path = development === true ? "v1/auth/dev-login" : "v1/auth/login"
  return yield* AuthProvider.make({
    name: "freddy",
    baseUrl: options.baseUrl ?? "https://api.aitronos.com",
    rotation: "optional",
    login: (credentials) =>
      Option.map(
        Option.filter(credentials, () => code !== undefined || development === true),
        ({ password, username }) => Protocol.json(path, { email_or_username: username, password })
      ),
    verification: code && {
      asked: CodeMailed,
      within,
      respond: ({ email, email_key }) =>
        code({ email: typeof email === "string" ? email : undefined }).pipe(
          Effect.map((verification_code) => Protocol.json("v1/auth/verify", { email_key, verification_code })),
          Effect.provide(context)
        )
    },
    refresh: (refresh_token) => Protocol.json("v1/auth/refresh", { refresh_token }),
    response: Response,
    tokens: (response) => ({
      accessToken: response.access_token ?? response.token,
      expiresIn: response.expires_in,
      refreshToken: response.refresh_token ?? response.refreshToken,
      extra: { device_id: response.device_id }
    }),
    errorResponse: ErrorResponse,
    errorMeaning: (response, httpStatus) => {
      const message = "detail" in response ? response.detail : response.error.message
      const stated = "error" in response ? response.error.status : undefined
      const status = typeof stated === "number" ? stated : httpStatus
      if (message === "Refresh token has expired") return "expired"
      if (message === "Invalid refresh token" || status === 400 || status === 401) return "invalid"
      if (httpStatus >= 400) return undefined
      // The same meaning as law 12 gives these statuses when they are the HTTP status.
      if (status === 429 || status === 503) return "unavailable"
      return status >= 500 ? "failed" : undefined
    }
  })
})

/**
 * Makes a layer of a session with Freddy, its renewal and its authorized client, from values. Fails with
 * `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never, E = never, R2 = never>(
  options: Options<R> & Auth.Options<E, R2> = {}
): Auth.AuthLayer<E, R | R2> => Auth.layer(make(options), options)

/**
 * Makes a layer of a session with Freddy, its renewal and its authorized client, from `Config`: `FREDDY_BASE_URL`, if
 * it is set. Fails with `Misconfigured`, which names the variable or the field.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never, E = never, R2 = never>(
  options: Omit<Options<R>, "baseUrl"> & Auth.Options<E, R2> = {}
): Auth.AuthLayer<E, R | R2> =>
  Auth.layer(
    ConfigFields.make("FREDDY", { baseUrl: ConfigFields.optional(ConfigFields.text) }, (fields) =>
      make({ ...options, ...fields })
    ),
    options
  )

/**
 * Makes a layer of the user name (or mail address) and password in `FREDDY_USERNAME` and `FREDDY_PASSWORD`. Fails as
 * `Credentials.layerConfig` does. Each call makes its own layer: a constant one, used for two accounts with two
 * `ConfigProvider`s, would be built once and give both the same password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "FREDDY_USERNAME", password: "FREDDY_PASSWORD" })
