/**
 * Freddy, the Aitronos AI API: a log in of two steps, JWTs, answers in several forms.
 *
 * The API is under development; every documented form of its answers and errors is read.
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
 * How to log in, and where Freddy is. Without `code` and `development` there is no log in: the session lives on a refresh
 * token, from its `seed` or from `adopt`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> {
  /**
   * Finds the code that Freddy mails at each log in: asks a person, reads a mailbox. It is run once however many callers
   * wait. If it fails or takes too long, the log in fails with `InvalidCredentials`, of reason `"no-code"`.
   */
  readonly code?:
    | ((mailed: { readonly email: string | undefined }) => Effect.Effect<Redacted.Redacted<string>, unknown, R>)
    | undefined
  /** How long `code` may take. Default: 5 minutes, as long as the code is valid. */
  readonly codeTimeout?: Duration.DurationInput | undefined
  /** Logs in by the development endpoint, which asks for no code. Default: false. */
  readonly development?: boolean | undefined
  /** An address of your own, https or on loopback. Default: `https://api.aitronos.com`. */
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

const Asked = Schema.Struct({
  email_key: Schema.String,
  email: Protocol.Field,
  requires_verification: Schema.Literal(true)
})

/** The older form of an error, and the newer one. */
const ErrorResponse = Schema.Union(
  Schema.Struct({ detail: Schema.String }),
  Schema.Struct({
    success: Schema.Literal(false),
    error: Schema.Struct({ message: Schema.String, status: Protocol.Field })
  })
)

/**
 * Freddy's protocol. Fails with `Misconfigured`, which names the field.
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
    return yield* new Misconfigured({ field: "code", problem: "contradicts development, which asks for none" })
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
      asked: Asked,
      within,
      respond: ({ email, email_key }) =>
        code({ email: typeof email === "string" ? email : undefined }).pipe(
          Effect.map((verification_code) => Protocol.json("v1/auth/verify", { email_key, verification_code })),
          Effect.provide(context)
        )
    },
    refresh: (refresh_token) => Protocol.json("v1/auth/refresh", { refresh_token }),
    response: Response,
    tokens: (answer) => ({
      accessToken: answer.access_token ?? answer.token,
      expiresIn: answer.expires_in,
      refreshToken: answer.refresh_token ?? answer.refreshToken,
      extra: { device_id: answer.device_id }
    }),
    errorResponse: ErrorResponse,
    errorMeaning: (failure, answered) => {
      const message = "detail" in failure ? failure.detail : failure.error.message
      const status = "error" in failure && typeof failure.error.status === "number" ? failure.error.status : answered
      if (message === "Refresh token has expired") return "expired"
      if (message === "Invalid refresh token" || status === 400 || status === 401) return "invalid"
      if (answered >= 400) return undefined
      // As law 12 takes these statuses where they are those of the answer itself.
      if (status === 429 || status === 503) return "unavailable"
      return status >= 500 ? "failed" : undefined
    }
  })
})

/**
 * A session with Freddy, its renewal and its authorized client, from values.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never, E = never, R2 = never>(
  options: Options<R> & Auth.Options<E, R2> = {}
): Auth.AuthLayer<E, R | R2> => Auth.layer(make(options), options)

/**
 * A session with Freddy at `FREDDY_BASE_URL`, where that is set.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never, E = never, R2 = never>(
  options: Omit<Options<R>, "baseUrl"> & Auth.Options<E, R2> = {}
): Auth.AuthLayer<E, R | R2> =>
  Auth.layer(
    ConfigFields.make("FREDDY", { baseUrl: ConfigFields.optional(ConfigFields.text) }, (found) =>
      make({ ...options, ...found })
    ),
    options
  )

/**
 * User name and password from `FREDDY_USERNAME` (or mail address) and `FREDDY_PASSWORD`. Each call makes a layer of its
 * own: a constant one would be built once, and give two accounts one password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "FREDDY_USERNAME", password: "FREDDY_PASSWORD" })
