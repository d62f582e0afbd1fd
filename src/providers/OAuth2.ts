/**
 * OAuth 2.0, the general case ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749)): the grants `client_credentials`,
 * `password` and `refresh_token`, three ways to authenticate the client, revocation, discovery.
 *
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
 * Who the application is, how it gets its tokens, and where the authorization server and the API are.
 *
 * Give either `tokenEndpoint` or `issuer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Names the API in errors, logs and store keys. Default: `"oauth2"`. */
  readonly name?: string | undefined
  /** The address of the API that the tokens are for. Relative URLs are taken below it, and its origin gets the token. */
  readonly baseUrl: string | URL
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /**
   * How to log in: `"client_credentials"` ([§4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)), `"password"`
   * ([§4.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.3)), or not at all: with `"refresh_token"` the session lives
   * on a refresh token, from its `seed` or from `adopt`. Every session refreshes with what refresh token it has.
   */
  readonly grant: "client_credentials" | "password" | "refresh_token"
  readonly clientId: string
  /** The secret of a confidential client. Default: it is a public one. */
  readonly clientSecret?: Redacted.Redacted<string> | undefined
  /**
   * How the client authenticates ([§2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)). Default:
   * `"client_secret_basic"` with a secret, `"none"` without.
   */
  readonly authentication?: "client_secret_basic" | "client_secret_post" | "none" | undefined
  readonly tokenEndpoint?: string | URL | undefined
  /**
   * Where tokens are revoked at log out ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)). Default: where the issuer
   * says, if anywhere.
   */
  readonly revocationEndpoint?: string | URL | undefined
  /**
   * The authorization server, whose metadata tell the endpoints ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414), or
   * OpenID Connect Discovery). They are read at the first exchange and then kept.
   */
  readonly issuer?: string | URL | undefined
  /** Asked for at log in, and at each refresh where the grant is `"refresh_token"`. Default: what the server chooses. */
  readonly scope?: ReadonlyArray<string> | undefined
  /** Further parameters of every token request, such as `audience` or `resource`. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** What becomes of a refresh token that is used. Default: `"single-use"`, which is safe with any server. */
  readonly rotation?: Protocol.Rotation | undefined
  /** How long an access token lives that says nothing of it. Default: its end is not known. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** How long the server forgives a refresh token a second use. Default: not at all. */
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

/** Tokens that are no use without a key of the client's own. */
const boundToKey = /^(dpop|mac|pop)$/i

const ErrorResponse = Schema.Struct({ error: Schema.String })

const refused = (field: string, error: string) => new Misconfigured({ field, problem: `the server answers ${error}` })

/** The codes of [§5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2), and those that other documents add. */
const refusals: Readonly<Record<string, Protocol.ErrorMeaning>> = {
  invalid_grant: "invalid",
  access_denied: "invalid",
  expired_token: "expired",
  temporarily_unavailable: "unavailable",
  slow_down: "unavailable",
  server_error: "failed",
  invalid_client: refused("clientId, clientSecret, authentication", "invalid_client"),
  unauthorized_client: refused("grant", "unauthorized_client"),
  unsupported_grant_type: refused("grant", "unsupported_grant_type"),
  invalid_scope: refused("scope", "invalid_scope"),
  invalid_target: refused("parameters", "invalid_target"),
  invalid_request: refused("parameters", "invalid_request")
}

const ours = ["grant_type", "username", "password", "refresh_token", "scope", "client_id", "client_secret"]

/**
 * OAuth 2.0 between one client and one authorization server. Fails with `Misconfigured`, which names the field.
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
  for (const name of Object.keys(options.parameters ?? {}).filter((name) => ours.includes(name))) {
    return yield* new Misconfigured({ field: `parameters.${name}`, problem: "is set by this library" })
  }
  const issuer = yield* Valid.optional(Valid.endpoint, "issuer", options.issuer)
  const token = yield* Valid.optional(Valid.endpoint, "tokenEndpoint", options.tokenEndpoint)
  const revocation = yield* Valid.optional(Valid.endpoint, "revocationEndpoint", options.revocationEndpoint)
  const scope = options.scope?.join(" ")

  const at = (endpoints: Discovery.Endpoints) => {
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
      revoke: revoke && ((tokens) => Option.map(revocable(tokens), (fields) => authenticate(revoke.href, fields))),
      response: Response,
      tokens: (answer) => ({
        accessToken:
          typeof answer.token_type === "string" && boundToKey.test(answer.token_type) ? undefined : answer.access_token,
        expiresIn: answer.expires_in,
        expiresAt: answer.expires_at,
        refreshToken: answer.refresh_token,
        refreshExpiresIn: answer.refresh_token_expires_in ?? answer.refresh_expires_in,
        extra: { scope: answer.scope }
      }),
      errorResponse: ErrorResponse,
      errorMeaning: ({ error }) => (Object.hasOwn(refusals, error) ? refusals[error] : undefined)
    })
  }

  if (token !== undefined && issuer === undefined) return yield* at({ token, revocation })
  if (issuer !== undefined && token === undefined) return yield* Discovery.make(options.name ?? "oauth2", issuer, at)
  return yield* new Misconfigured({ field: "tokenEndpoint, issuer", problem: "give one of them" })
})

/** The refresh token takes the access tokens with it; one of the two hints spares the server a search. */
const revocable = ({ accessToken, refreshToken }: TokenSet) =>
  Option.orElse(
    Option.map(refreshToken, (token) => ({ token, token_type_hint: "refresh_token" })),
    () => Option.map(accessToken, (token) => ({ token, token_type_hint: "access_token" }))
  )

/** How the client says who it is, in each request to the authorization server. */
const authentication = Effect.fnUntraced(function* ({ authentication, clientId, clientSecret }: Options) {
  const method = authentication ?? (clientSecret === undefined ? "none" : "client_secret_basic")
  yield* Valid.oneOf("authentication", method, ["client_secret_basic", "client_secret_post", "none"])
  yield* Valid.nonEmpty("clientId", clientId)
  if ((method === "none") !== (clientSecret === undefined)) {
    const problem = method === "none" ? 'contradicts the authentication "none"' : `is needed for ${method}`
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

/** Each part is form-encoded before the pair is put into Base64 (§2.3.1). */
const formEncoded = (text: string) => new URLSearchParams([["", text]]).toString().slice(1)

/**
 * A session by OAuth 2.0, its renewal and its authorized client, from values.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(options: Options & Auth.Options<E, R>): Auth.AuthLayer<E, R> =>
  Auth.layer(make(options), options)

/**
 * A session by OAuth 2.0 from `OAUTH2_CLIENT_ID`, `OAUTH2_BASE_URL` and, where they are set, `OAUTH2_CLIENT_SECRET`,
 * `OAUTH2_TOKEN_ENDPOINT`, `OAUTH2_REVOCATION_ENDPOINT` and `OAUTH2_ISSUER`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <E = never, R = never>(
  options: Omit<Options, keyof typeof variables> & Auth.Options<E, R>
): Auth.AuthLayer<E, R> =>
  Auth.layer(
    ConfigFields.make("OAUTH2", variables, (found) => make({ ...options, ...found })),
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
