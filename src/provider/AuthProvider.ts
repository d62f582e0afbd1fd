/**
 * A provider: the protocol of one API. It logs in, refreshes and revokes, puts the token on a request, and recognises a
 * rejection. It holds the client's own identity and has no state.
 *
 * `make` builds one from a `Protocol`, which is mostly data.
 *
 * @since 0.1.0
 */
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type AuthError, InvalidRefreshToken, Misconfigured } from "../common/AuthError.js"
import { reveal } from "../common/secret.js"
import * as Url from "../common/url.js"
import * as Valid from "../common/validate.js"
import type { AccessToken, TokenSet } from "../token/Token.js"
import type { UserPassword } from "./Credentials.js"
import type { Protocol, Rotation } from "./Protocol.js"
import { type TokenResponse, tokenRequest } from "./tokenRequest.js"
import * as TokenResponses from "./tokenResponse.js"
import * as Verification from "./verification.js"

/**
 * The protocol of one API, ready to use.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The name of the API in errors, logs and store keys. */
  readonly name: string
  /** The URL against which relative URLs are resolved. Its path ends with a slash. */
  readonly baseUrl: URL
  /**
   * The scopes of the tokens, if the API has any. Sessions with different scopes share no token.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3
   */
  readonly scope?: ReadonlyArray<string> | undefined
  /** The origins that the token may be sent to. */
  readonly origins: ReadonlyArray<string>
  /** The names of the headers that carry secrets. Spans and logs show their values redacted. */
  readonly redactedHeaders: ReadonlyArray<string>
  /** The rotation of refresh tokens: whether the server replaces one that is used. */
  readonly rotation: Rotation
  /** The reuse window: for this long after its first use, the server accepts a refresh token again. Default: not at all. */
  readonly reuseWindow?: Duration.Duration | undefined
  /**
   * Returns the token request that logs in, or `none` if these credentials are not enough to log in. The request fails
   * with `InvalidCredentials`, `Misconfigured`, `NetworkFailure` or `MalformedResponse`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-4
   */
  readonly login: (credentials: Option.Option<UserPassword>) => Option.Option<Effect.Effect<TokenSet, AuthError>>
  /**
   * The extra time for a login that waits for a person. Default: none.
   */
  readonly extraLoginTime?: Duration.Duration | undefined
  /**
   * Makes the token request that refreshes. The result has the fields of the response alone: the session keeps those of
   * `tokens` that the response omits. Fails with `InvalidRefreshToken`, `TokenExpired`, `Misconfigured`,
   * `NetworkFailure` or `MalformedResponse`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-6
   */
  readonly refresh: (tokens: TokenSet) => Effect.Effect<TokenSet, AuthError>
  /**
   * Makes the request that revokes tokens; `none` if the API cannot revoke. Fails as `refresh` does.
   *
   * @see https://www.rfc-editor.org/rfc/rfc7009
   */
  readonly revoke: Option.Option<(tokens: TokenSet) => Effect.Effect<void, AuthError>>
  /** Puts the token on a request, in place of one that the caller may have put there. */
  readonly authorize: (
    request: HttpClientRequest.HttpClientRequest,
    token: AccessToken
  ) => HttpClientRequest.HttpClientRequest
  /**
   * Tells whether a response rejects the token. The body is not read, because it belongs to the caller.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6750#section-3
   */
  readonly rejects: (status: number, headers: Headers.Headers) => boolean
}

/**
 * The tag of a provider. `Auth.layer` and the layers of the providers take a provider as a value and need no such
 * service; `Session.layer` and `AuthHttpClient.make` do.
 *
 * @since 0.1.0
 * @category tags
 */
export class AuthProvider extends Context.Tag("effect-auth/AuthProvider")<AuthProvider, Service>() {}

/** Tells whether secrets may be sent to a URL, and errors may name it (law 27). */
const isSafeEndpoint = (url: URL): boolean => Url.isConfidential(url) && url.username === "" && url.password === ""

/**
 * Makes a provider from the description of an API's protocol. Sends nothing. Fails with `Misconfigured`, which names
 * the field.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Layer, Option, Schema } from "effect"
 * import { Auth, AuthProvider, Credentials, Protocol } from "effect-auth"
 *
 * const provider = AuthProvider.make({
 *   name: "parcel",
 *   baseUrl: "https://api.parcel.example",
 *   login: Option.map(({ password, username }) => Protocol.json("login", { username, password })),
 *   refresh: (refresh_token) => Protocol.json("refresh", { refresh_token }),
 *   response: Schema.Struct({ token: Protocol.Field, expires_in: Protocol.Field, refresh_token: Protocol.Field }),
 *   tokens: (response) => ({
 *     accessToken: response.token,
 *     expiresIn: response.expires_in,
 *     refreshToken: response.refresh_token
 *   }),
 *   errorResponse: Schema.Struct({ error: Schema.Literal("wrong-password", "unknown-token") }),
 *   errorMeaning: () => "invalid"
 * })
 *
 * const parcel = Auth.layer(provider).pipe(
 *   Layer.provide(Credentials.layerConfig({ username: "PARCEL_USERNAME", password: "PARCEL_PASSWORD" })),
 *   Layer.provide(NodeHttpClient.layerUndici)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* <A, AI, F, FI, V = never, VI = never>(
  protocol: Protocol<A, AI, F, FI, V, VI>
): Effect.fn.Return<Service, Misconfigured, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const { name, refresh, revoke } = protocol
  const { header, scheme } = protocol.token ?? { header: "authorization", scheme: "Bearer" }
  yield* Valid.nonEmpty("name", name)
  yield* Valid.word("token.header", header)
  yield* Valid.optional(Valid.word, "token.scheme", scheme)
  const baseUrl = yield* Valid.baseUrl("baseUrl", protocol.baseUrl)
  const origins = yield* Effect.forEach(protocol.origins ?? [], (origin) => Valid.baseUrl("origins", origin))
  const headers = Object.entries(protocol.headers ?? {})
  for (const [name, value] of headers) {
    yield* Valid.word("headers", name)
    yield* Valid.headerSecret(`headers.${name}`, Redacted.isRedacted(value) ? value : Redacted.make(value))
  }
  const rotation = yield* Valid.oneOf("rotation", protocol.rotation ?? "single-use", ["none", "optional", "single-use"])
  const maxBytes = yield* Valid.optional(Valid.count, "maxBytes", protocol.maxBytes)
  const lifetime = yield* Valid.optional(Valid.positive, "lifetime", protocol.lifetime)
  const reuseWindow = yield* Valid.optional(Valid.duration, "reuseWindow", protocol.reuseWindow)
  const login = yield* Verification.make(name, protocol.verification)
  const redactedHeaders = [header, ...headers.flatMap(([name, value]) => (Redacted.isRedacted(value) ? [name] : []))]
  const appHeaders = headers.map(([name, value]) => [name, reveal(value)] as const)
  // Without such headers the request is not copied: a copy is half the cost of authorizing one.
  const withHeaders = appHeaders.length === 0 ? identity : HttpClientRequest.setHeaders(appHeaders)
  const responses = TokenResponses.make(protocol, name, lifetime)

  const send = (
    request: HttpClientRequest.HttpClientRequest,
    expectedBody?: "JSON" | "anything"
  ): Effect.Effect<TokenResponse, AuthError> =>
    Option.match(Option.filter(Url.resolve(request.url, baseUrl), isSafeEndpoint), {
      onNone: () =>
        new Misconfigured({
          field: name,
          problem: "a token request must go to an https URL (http on loopback only) without user name or password"
        }),
      onSome: ({ href }) =>
        tokenRequest(
          client,
          { name, redactedHeaders, maxBytes },
          HttpClientRequest.acceptJson(HttpClientRequest.modify(withHeaders(request), { url: href })),
          expectedBody
        )
    })

  return {
    name,
    baseUrl,
    scope: protocol.scope,
    origins: [baseUrl, ...origins].map(({ origin }) => origin),
    redactedHeaders,
    rotation,
    reuseWindow,
    login: (credentials) =>
      Option.map(protocol.login?.(credentials) ?? Option.none(), (request) =>
        login.run(request, send, responses.login)
      ),
    extraLoginTime: login.extraTime,
    refresh: (tokens) =>
      refresh === undefined || Option.isNone(tokens.refreshToken)
        ? new InvalidRefreshToken({ provider: name, reason: "invalid" })
        : Effect.flatMap(send(refresh(tokens.refreshToken.value, tokens)), responses.refresh),
    revoke: Option.map(
      Option.fromNullable(revoke),
      (revoke) => (tokens) =>
        Option.match(revoke(tokens), {
          onNone: () => Effect.void,
          onSome: (request) => Effect.flatMap(send(request, "anything"), responses.revocation)
        })
    ),
    authorize: (request, token) =>
      HttpClientRequest.setHeader(
        withHeaders(request),
        header,
        scheme === undefined ? Redacted.value(token) : `${scheme} ${Redacted.value(token)}`
      ),
    rejects: rejectsWith(protocol.rejections ?? [401], scheme)
  }
})

/**
 * Makes a function that tells whether a response rejects the token (law 25). It does if its status is one of `statuses`
 * and its `www-authenticate` header is missing or names the scheme. It does not if the challenges are for other schemes
 * only, or if the token merely lacks a scope (`insufficient_scope`). Default of `scheme`: `Bearer`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3
 * @since 0.1.0
 * @category predicates
 */
export const rejectsWith = (statuses: ReadonlyArray<number>, scheme = "Bearer"): Service["rejects"] => {
  const ownScheme = new RegExp(`(^|[\\s,])${scheme}([\\s,]|$)`, "i")
  return (status, headers) =>
    statuses.includes(status) &&
    Option.match(Headers.get(headers, "www-authenticate"), {
      onNone: () => true,
      onSome: (challenge) => ownScheme.test(challenge) && !/error\s*=\s*"?insufficient_scope/i.test(challenge)
    })
}
