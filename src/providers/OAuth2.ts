/**
 * A provider for any API that speaks OAuth 2.0: the grants `client_credentials`, `password` and `refresh_token`, three
 * ways to authenticate the client, revocation and discovery.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Auth from "../Auth.js"
import { Misconfigured } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import * as Valid from "../common/validate.js"
import * as AuthProvider from "../provider/AuthProvider.js"
import * as Discovery from "../provider/discovery.js"
import * as Protocol from "../provider/Protocol.js"
import type { TokenSet } from "../token/Token.js"

/**
 * The options of an OAuth 2.0 provider: the client, its grant, the authorization server and the API.
 *
 * Give either `tokenEndpoint` or `issuer`. Each URL is https, or http on loopback.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the API in errors, logs and store keys. Default: `"oauth2"`. */
  readonly name?: string | undefined
  /** The address of the API. Relative URLs are resolved below it, and the token may be sent to its origin. */
  readonly baseUrl: string | URL
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /**
   * The grant of a login. `"client_credentials"` ([§4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)) signs in
   * as the client itself, `"password"` ([§4.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.3)) with the session's
   * credentials. With `"refresh_token"` there is no login: the session needs a refresh token from its `seed` or from
   * `adopt`. With any grant, a session that has a refresh token uses it
   * ([§6](https://www.rfc-editor.org/rfc/rfc6749#section-6)).
   */
  readonly grant: "client_credentials" | "password" | "refresh_token"
  /**
   * The identifier of the client at the authorization server.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.2
   */
  readonly clientId: string
  /** The secret of a confidential client. Default: none, as for a public client. */
  readonly clientSecret?: Redacted.Redacted<string> | undefined
  /**
   * The authentication of the client: by a secret in the `Authorization` header, by a secret in the body, or none.
   * Default: `"client_secret_basic"` with a secret, `"none"` without.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
   */
  readonly authentication?: "client_secret_basic" | "client_secret_post" | "none" | undefined
  /**
   * The URL of the token endpoint. Default: the one in the metadata of `issuer`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.2
   */
  readonly tokenEndpoint?: string | URL | undefined
  /**
   * The URL at which a logout revokes tokens. Default: the one in the metadata of `issuer`; without it, a logout only
   * discards the tokens.
   *
   * @see https://www.rfc-editor.org/rfc/rfc7009#section-2
   */
  readonly revocationEndpoint?: string | URL | undefined
  /**
   * The issuer identifier of the authorization server, whose metadata name the endpoints. They are read at the first
   * token request and then cached. OpenID Connect Discovery works too. Default: none; then `tokenEndpoint` is required.
   *
   * @see https://www.rfc-editor.org/rfc/rfc8414#section-3
   */
  readonly issuer?: string | URL | undefined
  /**
   * The scopes that a login requests, and each refresh too if the grant is `"refresh_token"`. Default: the server
   * chooses.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3
   */
  readonly scope?: ReadonlyArray<string> | undefined
  /** Further parameters of every token request, such as `audience` or `resource`. Default: none. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /**
   * The rotation of refresh tokens: whether the server replaces one that is used. Default: `"single-use"`, which is
   * safe with any server.
   */
  readonly rotation?: Protocol.Rotation | undefined
  /** The lifetime of an access token whose response states none. Default: its end is not known. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** The reuse window: for this long after its first use, the server accepts a refresh token again. Default: not at all. */
  readonly reuseWindow?: Duration.DurationInput | undefined
}

const Response = Schema.Struct({
  access_token: Protocol.Field,
  token_type: Protocol.Field,
  expires_in: Protocol.Field,
  expires_at: Protocol.Field,
  refresh_token: Protocol.Field,
  refresh_expires_in: Protocol.Field,
  refresh_token_expires_in: Protocol.Field,
  scope: Protocol.Field
})

/** The types of tokens that cannot be used without a key of the client. */
const boundToKey = /^(dpop|mac|pop)$/i

const ErrorResponse = Schema.Struct({ error: Schema.String })

const misconfigured = (field: string, error: string) =>
  new Misconfigured({ field, problem: `the server responded with the error ${error}` })

/**
 * The meanings of the error codes of RFC 6749, and of those that RFC 8628 and RFC 8707 add.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 */
const errorMeanings: Readonly<Record<string, Protocol.ErrorMeaning>> = {
  invalid_grant: "invalid",
  access_denied: "invalid",
  expired_token: "expired",
  temporarily_unavailable: "unavailable",
  slow_down: "unavailable",
  server_error: "failed",
  invalid_client: misconfigured("clientId, clientSecret, authentication", "invalid_client"),
  unauthorized_client: misconfigured("grant", "unauthorized_client"),
  unsupported_grant_type: misconfigured("grant", "unsupported_grant_type"),
  invalid_scope: misconfigured("scope", "invalid_scope"),
  invalid_target: misconfigured("parameters", "invalid_target"),
  invalid_request: misconfigured("parameters", "invalid_request")
}

/** The parameters that this library sets. */
const ownParameters = ["grant_type", "username", "password", "refresh_token", "scope", "client_id", "client_secret"]

/**
 * Makes the OAuth 2.0 provider of one client at one authorization server. Sends nothing. Fails with `Misconfigured`,
 * which names the field.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const authenticate = yield* authentication(options)
  yield* Valid.oneOf("grant", options.grant, ["client_credentials", "password", "refresh_token"])
  for (const scope of options.scope ?? []) yield* Valid.scope("scope", scope)
  for (const name of Object.keys(options.parameters ?? {}).filter((name) => ownParameters.includes(name))) {
    return yield* new Misconfigured({ field: `parameters.${name}`, problem: "is set by this library" })
  }
  const issuer = yield* Valid.optional(Valid.endpoint, "issuer", options.issuer)
  const token = yield* Valid.optional(Valid.endpoint, "tokenEndpoint", options.tokenEndpoint)
  const revocation = yield* Valid.optional(Valid.endpoint, "revocationEndpoint", options.revocationEndpoint)
  const scope = options.scope?.join(" ")

  const makeProvider = (endpoints: Discovery.Endpoints) => {
    const request = (fields: Parameters<typeof Protocol.form>[1]) =>
      authenticate(endpoints.token.href, { ...options.parameters, ...fields })
    const revoke = revocation ?? endpoints.revocation
    return AuthProvider.make({
      name: options.name ?? "oauth2",
      baseUrl: options.baseUrl,
      origins: options.origins,
      scope: options.scope,
      rotation: options.rotation,
      reuseWindow: options.reuseWindow,
      lifetime: options.lifetime,
      login: (credentials) => {
        switch (options.grant) {
          case "client_credentials":
            return Option.some(request({ grant_type: "client_credentials", scope }))
          case "password":
            return Option.map(credentials, ({ password, username }) =>
              request({ grant_type: "password", username, password, scope })
            )
          case "refresh_token":
            return Option.none()
        }
      },
      refresh: (refresh_token) =>
        request({
          grant_type: "refresh_token",
          refresh_token,
          scope: options.grant === "refresh_token" ? scope : undefined
        }),
      revoke:
        revoke && ((tokens) => Option.map(revocationFields(tokens), (fields) => authenticate(revoke.href, fields))),
      response: Response,
      tokens: (response) => ({
        accessToken:
          typeof response.token_type === "string" && boundToKey.test(response.token_type)
            ? undefined
            : response.access_token,
        expiresIn: response.expires_in,
        expiresAt: response.expires_at,
        refreshToken: response.refresh_token,
        refreshExpiresIn: response.refresh_token_expires_in ?? response.refresh_expires_in,
        extra: { scope: response.scope }
      }),
      errorResponse: ErrorResponse,
      errorMeaning: ({ error }) => (Object.hasOwn(errorMeanings, error) ? errorMeanings[error] : undefined)
    })
  }

  if (token !== undefined && issuer === undefined) return yield* makeProvider({ token, revocation })
  if (issuer !== undefined && token === undefined)
    return yield* Discovery.make(options.name ?? "oauth2", issuer, makeProvider)
  return yield* new Misconfigured({ field: "tokenEndpoint, issuer", problem: "give exactly one of them" })
})

/**
 * Returns the fields of a revocation request: for the refresh token if there is one, because the server revokes its
 * access tokens too.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7009#section-2.1
 */
const revocationFields = ({ accessToken, refreshToken }: TokenSet) =>
  Option.orElse(
    Option.map(refreshToken, (token) => ({ token, token_type_hint: "refresh_token" })),
    () => Option.map(accessToken, (token) => ({ token, token_type_hint: "access_token" }))
  )

/** Makes a function that builds an authenticated request to the authorization server. */
const authentication = Effect.fnUntraced(function* ({ authentication, clientId, clientSecret }: Options) {
  const method = authentication ?? (clientSecret === undefined ? "none" : "client_secret_basic")
  yield* Valid.oneOf("authentication", method, ["client_secret_basic", "client_secret_post", "none"])
  yield* Valid.nonEmpty("clientId", clientId)
  if ((method === "none") !== (clientSecret === undefined)) {
    const problem =
      method === "none" ? 'contradicts authentication "none"' : `is required for authentication "${method}"`
    return yield* new Misconfigured({ field: "clientSecret", problem })
  }
  return (url: string, fields: Parameters<typeof Protocol.form>[1]) => {
    if (method !== "client_secret_basic" || clientSecret === undefined) {
      return Protocol.form(url, { ...fields, client_id: clientId, client_secret: clientSecret })
    }
    const pair = `${formEncoded(clientId)}:${formEncoded(Redacted.value(clientSecret))}`
    return HttpClientRequest.setHeader(
      Protocol.form(url, fields),
      "authorization",
      `Basic ${Encoding.encodeBase64(pair)}`
    )
  }
})

/** Form-encodes one part of the pair. RFC 6749 §2.3.1 demands it before the pair is encoded in Base64. */
const formEncoded = (text: string) => new URLSearchParams([["", text]]).toString().slice(1)

/**
 * Makes a layer of a session by OAuth 2.0, its renewal and its authorized client, from values. Fails with
 * `Misconfigured`, which names the field.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Effect, Layer, Redacted } from "effect"
 * import { AuthHttpClient, Credentials, OAuth2 } from "effect-auth"
 *
 * // A service that signs in as itself. There is no user, so it needs no credentials.
 * const orders = OAuth2.layer({
 *   baseUrl: "https://api.orders.example",
 *   issuer: "https://login.orders.example",
 *   grant: "client_credentials",
 *   clientId: "orders",
 *   clientSecret: Redacted.make("test-client-secret"),
 *   scope: ["orders:read"]
 * }).pipe(Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici]))
 *
 * const program = Effect.gen(function* () {
 *   const client = yield* AuthHttpClient.AuthHttpClient
 *   const response = yield* client.get("/orders")
 *   return yield* response.json
 * }).pipe(Effect.provide(orders))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R>): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * Makes a layer of a session by OAuth 2.0, its renewal and its authorized client, from `Config`: `OAUTH2_CLIENT_ID`,
 * `OAUTH2_BASE_URL` and, if they are set, `OAUTH2_CLIENT_SECRET`, `OAUTH2_TOKEN_ENDPOINT`, `OAUTH2_REVOCATION_ENDPOINT`
 * and `OAUTH2_ISSUER`. Fails with `Misconfigured`, which names the variable or the field.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <E = never, R = never>(
  options: Omit<Options, keyof typeof variables> & Auth.Options<E, R>
): Auth.AuthLayer<E, R> =>
  Auth.layer(
    ConfigFields.make("OAUTH2", variables, (fields) => make({ ...options, ...fields })),
    options
  )

const variables = {
  clientId: ConfigFields.text,
  clientSecret: ConfigFields.optional(ConfigFields.secret),
  baseUrl: ConfigFields.text,
  tokenEndpoint: ConfigFields.optional(ConfigFields.text),
  revocationEndpoint: ConfigFields.optional(ConfigFields.text),
  issuer: ConfigFields.optional(ConfigFields.text)
}
