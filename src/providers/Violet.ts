/**
 * The Violet commerce API: `X-Violet-*` headers, JWTs, a refresh token that stays in use.
 *
 * Its documentation contradicts itself in places; where it does, both readings are tolerated.
 *
 * @see https://docs.violet.io
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import {
  type AuthError,
  InvalidCredentials,
  InvalidRefreshToken,
  MalformedResponse,
  Misconfigured
} from "../AuthError.js"
import * as AuthProvider from "../AuthProvider.js"
import * as Credentials from "../Credentials.js"
import { exchange, type TokenAnswer } from "../internal/exchange.js"
import * as Valid from "../internal/options.js"
import * as Token from "../Token.js"

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

/** How long a token lives that says nothing of it. */
const fallbackLifetime = Duration.hours(24)

const TokenField = Schema.optional(Schema.Unknown)

/** What is of interest in the answer of a log in or a refresh; each field is judged on its own. */
const Tokens = Schema.Struct({ token: TokenField, refresh_token: TokenField, expires_at: TokenField })

/** The documented form of an error. A gateway's page is none. */
const Refusal = Schema.Struct({ message: Schema.String, status: TokenField, error_code: TokenField })

const decodeTokens = Schema.decodeUnknownOption(Tokens)
const decodeToken = Schema.decodeUnknownOption(Token.TokenFromString)
const decodeRefusal = Schema.decodeUnknownOption(Refusal)

/**
 * Violet's protocol. Fails with `Misconfigured`, which names the field.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  if (!Number.isSafeInteger(options.appId) || options.appId <= 0) {
    return yield* new Misconfigured({ field: "appId", problem: "must be a positive integer" })
  }
  const appSecret = yield* Valid.headerSecret("appSecret", options.appSecret)
  if (options.baseUrl !== undefined && options.environment !== undefined) {
    return yield* new Misconfigured({ field: "baseUrl", problem: "contradicts environment; give one of them" })
  }
  const baseUrl = yield* Valid.baseUrl("baseUrl", options.baseUrl ?? addresses[options.environment ?? "live"])
  const name = "violet"
  const redactedHeaders = ["x-violet-token", "x-violet-app-secret"]

  const identified = HttpClientRequest.setHeaders({
    "x-violet-app-id": String(options.appId),
    "x-violet-app-secret": Redacted.value(appSecret)
  })
  const authorize = (request: HttpClientRequest.HttpClientRequest, token: Token.AccessToken) =>
    HttpClientRequest.setHeader(identified(request), "x-violet-token", Redacted.value(token))
  const send = (request: HttpClientRequest.HttpClientRequest) => exchange(client, { name, redactedHeaders }, request)

  const malformed = (answer: TokenAnswer, problem: string) =>
    new MalformedResponse({ provider: name, problem, outcome: "unknown", url: answer.url, status: answer.status })

  /** What a 4xx means: `refused` if it is a documented refusal, and otherwise nothing that the protocol knows. */
  const refusal = (answer: TokenAnswer, refused: (code: unknown) => AuthError): AuthError =>
    Option.match(decodeRefusal(answer.body), {
      onNone: () => malformed(answer, "a refusal that is not in the documented form"),
      onSome: ({ error_code, status }) =>
        status !== answer.status && typeof error_code !== "number"
          ? malformed(answer, "a refusal that is not Violet's own")
          : answer.status === 403
            ? new Misconfigured({ field: "appId, appSecret", problem: "Violet refuses this application (status 403)" })
            : answer.status === 400 || answer.status === 401
              ? refused(error_code)
              : malformed(answer, "an undocumented refusal; is the base URL right?")
    })

  const tokenSet = (answer: TokenAnswer): Token.TokenSet => {
    const { expires_at, refresh_token, token } = Option.getOrElse(decodeTokens(answer.body), () => ({
      token: undefined,
      refresh_token: undefined,
      expires_at: undefined
    }))
    const jwt = typeof token === "string" ? token : undefined
    return {
      accessToken: decodeToken(token),
      lifetime: Token.lifetime(
        { jwt, expiresAt: expires_at, date: answer.headers.date, fallback: fallbackLifetime },
        answer.arrived
      ),
      refreshToken: decodeToken(refresh_token),
      refreshLifetime: Token.lifetime(
        { jwt: typeof refresh_token === "string" ? refresh_token : undefined, date: answer.headers.date },
        answer.arrived
      ),
      extra: {}
    }
  }

  const login = ({ password, username }: Credentials.UserPassword) =>
    Effect.flatMap(
      send(
        HttpClientRequest.post(new URL("login", baseUrl)).pipe(
          identified,
          HttpClientRequest.bodyUnsafeJson({ username: Redacted.value(username), password: Redacted.value(password) })
        )
      ),
      (answer): Effect.Effect<Token.TokenSet, AuthError> => {
        if (answer.status >= 400) {
          return Effect.fail(refusal(answer, () => new InvalidCredentials({ provider: name, status: answer.status })))
        }
        const tokens = tokenSet(answer)
        return Option.isSome(tokens.accessToken)
          ? Effect.succeed(tokens)
          : Effect.fail(malformed(answer, "token is missing or no string"))
      }
    )

  const refresh = (tokens: Token.TokenSet) =>
    Effect.flatMap(
      Option.match(tokens.refreshToken, {
        onNone: (): Effect.Effect<TokenAnswer, AuthError> =>
          Effect.fail(new InvalidRefreshToken({ provider: name, reason: "invalid" })),
        onSome: (token) => send(authorize(HttpClientRequest.get(new URL("auth/token", baseUrl)), token))
      }),
      (answer): Effect.Effect<Token.TokenSet, AuthError> => {
        if (answer.status >= 400) {
          return Effect.fail(
            refusal(
              answer,
              (code) => new InvalidRefreshToken({ provider: name, reason: code === 11 ? "expired" : "invalid" })
            )
          )
        }
        const renewed = tokenSet(answer)
        return Option.isSome(renewed.accessToken) || Option.isSome(renewed.refreshToken)
          ? Effect.succeed(renewed)
          : Effect.fail(malformed(answer, "token is missing or no string"))
      }
    )

  return {
    name,
    baseUrl,
    origins: [baseUrl.origin],
    redactedHeaders,
    rotation: "none",
    login: Option.map(login),
    refresh,
    revoke: Option.none(),
    authorize,
    rejects: AuthProvider.rejectsBearer
  }
})

/**
 * A session with Violet, its renewal and its authorized client, from values.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options & Auth.Options
): Layer.Layer<Auth.Services, Misconfigured, Credentials.Credentials | HttpClient.HttpClient> =>
  Auth.layer(make(options), options)

/**
 * A session with Violet from `VIOLET_APP_ID`, `VIOLET_APP_SECRET` and, if it is set, `VIOLET_BASE_URL`; without that,
 * the `environment` of the options, and without that, the live API.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Auth.Options & Pick<Options, "environment"> = {}
): Layer.Layer<Auth.Services, Misconfigured, Credentials.Credentials | HttpClient.HttpClient> =>
  Auth.layer(fromConfig(options.environment), options)

/**
 * User name and password from `VIOLET_USERNAME` and `VIOLET_PASSWORD`. Each call makes a layer of its own, since a
 * constant one, used for two accounts with two `ConfigProvider`s, would be built once and give both the same password.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCredentialsConfig = (): Layer.Layer<Credentials.Credentials, Misconfigured> =>
  Credentials.layerConfig({ username: "VIOLET_USERNAME", password: "VIOLET_PASSWORD" })

const variables: Record<string, string> = {
  appId: "VIOLET_APP_ID",
  appSecret: "VIOLET_APP_SECRET",
  baseUrl: "VIOLET_BASE_URL"
}

const fromConfig = (environment: Options["environment"]) =>
  Config.all({
    appId: Config.string("VIOLET_APP_ID"),
    appSecret: Config.redacted("VIOLET_APP_SECRET"),
    baseUrl: Config.option(Config.string("VIOLET_BASE_URL"))
  }).pipe(
    Effect.mapError(Valid.fromConfigError),
    Effect.flatMap(({ appId, appSecret, baseUrl }) =>
      make({
        appId: /^\s*\d+\s*$/.test(appId) ? Number(appId) : Number.NaN,
        appSecret,
        environment,
        baseUrl: Option.getOrUndefined(baseUrl)
      })
    ),
    // The variable is what can be mended.
    Effect.mapError(
      (error) => new Misconfigured({ field: variables[error.field] ?? error.field, problem: error.problem })
    )
  )
