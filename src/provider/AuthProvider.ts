/**
 * The port to one API's protocol: how to log in, refresh and revoke, how to put the token on a request, and how to
 * recognise a rejection. It holds the client's own identity and has no state.
 *
 * `make` builds one from a description, which is mostly data.
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
 * One API's protocol.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Names the API in errors, logs and store keys. */
  readonly name: string
  /** What relative URLs are resolved against. Its path ends with a slash. */
  readonly baseUrl: URL
  /** What the tokens are good for, where the API has scopes: sessions of different scopes share nothing. */
  readonly scope?: ReadonlyArray<string> | undefined
  /** The origins this API's token may be sent to. */
  readonly origins: ReadonlyArray<string>
  /** Headers that carry secrets; spans and logs show them redacted. */
  readonly redactedHeaders: ReadonlyArray<string>
  /** What becomes of a refresh token that is used. */
  readonly rotation: Rotation
  /** How long after its first use the server forgives a refresh token a second one. */
  readonly reuseWindow?: Duration.Duration | undefined
  /** The exchange that logs in with what there is, or `none` when that is not enough to log in with. */
  readonly login: (credentials: Option.Option<UserPassword>) => Option.Option<Effect.Effect<TokenSet, AuthError>>
  /** How much longer than any other exchange a log in may take, because it waits for a person. */
  readonly extraLoginTime?: Duration.Duration | undefined
  /** The exchange that refreshes. What its answer leaves out is kept from `tokens` by the session. */
  readonly refresh: (tokens: TokenSet) => Effect.Effect<TokenSet, AuthError>
  /** The exchange that revokes, where the API has one. */
  readonly revoke: Option.Option<(tokens: TokenSet) => Effect.Effect<void, AuthError>>
  /** Puts the token on a request, in place of one the caller may have put there. */
  readonly authorize: (
    request: HttpClientRequest.HttpClientRequest,
    token: AccessToken
  ) => HttpClientRequest.HttpClientRequest
  /** Tells whether an answer says that the token is no good. The body is not looked at: it belongs to the caller. */
  readonly rejects: (status: number, headers: Headers.Headers) => boolean
}

/**
 * @since 0.1.0
 * @category tags
 */
export class AuthProvider extends Context.Tag("effect-auth/AuthProvider")<AuthProvider, Service>() {}

/** Tells whether secrets may be sent to a URL, and whether errors may name it (law 27). */
const isSafeEndpoint = (url: URL): boolean => Url.isConfidential(url) && url.username === "" && url.password === ""

/**
 * Makes a provider of an API's protocol. Fails with `Misconfigured`, which names the field.
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
    accepted?: "JSON" | "anything"
  ): Effect.Effect<TokenResponse, AuthError> =>
    Option.match(Option.filter(Url.resolve(request.url, baseUrl), isSafeEndpoint), {
      onNone: () =>
        new Misconfigured({
          field: name,
          problem: "a token request must go to https (or http on loopback), to a URL without user info"
        }),
      onSome: ({ href }) =>
        tokenRequest(
          client,
          { name, redactedHeaders, maxBytes },
          HttpClientRequest.acceptJson(HttpClientRequest.modify(withHeaders(request), { url: href })),
          accepted
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
 * Tells whether an answer with one of these statuses asks for a new token
 * ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)): yes without a challenge or with one of the scheme,
 * no when the only challenges are for another scheme or the token merely lacks a scope (law 25).
 *
 * @since 0.1.0
 * @category predicates
 */
export const rejectsWith = (statuses: ReadonlyArray<number>, scheme = "Bearer"): Service["rejects"] => {
  const asks = new RegExp(`(^|[\\s,])${scheme}([\\s,]|$)`, "i")
  return (status, headers) =>
    statuses.includes(status) &&
    Option.match(Headers.get(headers, "www-authenticate"), {
      onNone: () => true,
      onSome: (challenge) => asks.test(challenge) && !/error\s*=\s*"?insufficient_scope/i.test(challenge)
    })
}
