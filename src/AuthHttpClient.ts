/**
 * The `HttpClient` that authorizes: each request carries a valid token, to the provider's own origins only, and is sent
 * once more with a new one when the API rejects it.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type AuthError, isAuthError, isTransient, UntrustedOrigin } from "./AuthError.js"
import { AuthProvider, type Service as Provider } from "./AuthProvider.js"
import * as Answer from "./internal/answer.js"
import * as Url from "./internal/url.js"
import { Session, type Service as SessionService } from "./Session.js"
import type { AccessToken } from "./Token.js"

/**
 * An `HttpClient` whose requests are authorized, and which therefore may fail with an `AuthError`. `E` is what may go wrong
 * before there is a session, as with a `SessionMap`.
 *
 * - A relative URL is taken below the provider's base URL: `/orders` and `orders` are the same.
 * - The token replaces one that the caller may have put on the request.
 * - Redirects are answers, as no token may follow one to another origin. `HttpClient.followRedirects` belongs over this
 *   client, where each hop is checked; beneath it, the token would leak and nobody could see it.
 * - `HttpClient.withScope` belongs on the bare client beneath: over this one it cannot reach the request.
 *
 * @since 0.1.0
 * @category models
 */
export type Service<E = never> = HttpClient.HttpClient.With<HttpClientError.HttpClientError | AuthError | E>

/**
 * @since 0.1.0
 * @category tags
 */
export class AuthHttpClient extends Context.Tag("effect-auth/AuthHttpClient")<AuthHttpClient, Service>() {}

/**
 * Makes the authorized client of the session, provider and bare client at hand.
 *
 * There is no constant layer of it: two APIs under one would share one client. `Auth.layer` makes one for each.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, never, Session | AuthProvider | HttpClient.HttpClient> = Effect.gen(
  function* () {
    const account = { session: yield* Session, provider: yield* AuthProvider }
    return over(Effect.succeed(account), yield* HttpClient.HttpClient)
  }
)

/**
 * Whose token a client carries, and to where.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account<E = never> {
  readonly session: SessionService<E>
  readonly provider: Provider
}

/**
 * Makes an authorized client that looks its account up anew for each request, over a bare client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const over = <E = never>(
  account: Effect.Effect<Account<E>, AuthError | E>,
  bare: HttpClient.HttpClient
): Service<E> => {
  const senders = new WeakMap<Provider, Answer.Send>()
  const senderOf = (provider: Provider): Answer.Send => {
    const send = senders.get(provider) ?? Answer.sender(bare, provider.redactedHeaders)
    senders.set(provider, send)
    return send
  }
  // The check comes last: what is laid over this client may still change the request, but nothing after the check can.
  return HttpClient.makeWith<AuthError | E, never, HttpClientError.HttpClientError | AuthError | E, never>(
    Effect.flatMap((request) =>
      Effect.flatMap(account, ({ provider, session }) =>
        Effect.flatMap(resolve(provider, request), (resolved) =>
          authorized(senderOf(provider), provider, session, resolved)
        )
      )
    ),
    Effect.succeed
  )
}

/** Sends a request with a token, and once more if that is rejected. */
const authorized = <E>(
  send: Answer.Send,
  provider: Provider,
  session: SessionService<E>,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | AuthError | E> => {
  const attempt = (token: AccessToken) =>
    send(provider.authorize(request, token)).pipe(
      Effect.mapBoth({
        onFailure: (error) => Answer.blame(error, request),
        onSuccess: (response) => new Answer.Answer(request, response)
      })
    )

  const rejected = ({ headers, status }: HttpClientResponse.HttpClientResponse) => provider.rejects(status, headers)

  /** Law 24: once more with the token to try instead, if there is one and the body can be sent again. */
  const retry = Effect.fnUntraced(function* (rejection: Answer.Answer, token: AccessToken) {
    const answer = yield* Answer.keep(rejection)
    if (!isRepeatable(request)) return yield* Effect.as(Effect.ignore(session.reject(token)), answer)
    const next = yield* session.reject(token)
    if (Equal.equals(next, token)) return answer
    const second = yield* attempt(next)
    if (!rejected(second)) return second
    const last = yield* Answer.keep(second)
    return yield* Effect.as(Effect.ignore(session.reject(next, { retried: true })), last)
  })

  return Effect.flatMap(session.accessToken, (token) =>
    Effect.flatMap(attempt(token), (answer) => (rejected(answer) ? retry(answer, token) : Effect.succeed(answer)))
  )
}

/** The request with an absolute URL of the provider's own, or the error that says whose it is (law 23). */
const resolve = (
  provider: Provider,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest, UntrustedOrigin> => {
  const url = Option.getOrUndefined(Url.resolve(request.url, provider.baseUrl))
  if (url === undefined) return untrusted(provider, "an unreadable URL")
  // Not `url.origin`: for `blob:https://…` that is the origin of the URL within.
  const origin = `${url.protocol}//${url.host}`
  return provider.origins.includes(origin)
    ? Effect.succeed(HttpClientRequest.modify(request, { url: url.href }))
    : untrusted(provider, origin)
}

const untrusted = (provider: Provider, origin: string) =>
  new UntrustedOrigin({ provider: provider.name, origin, trusted: provider.origins })

/** Whether a body is still there after it was sent: a stream is not. */
const isRepeatable = ({ body }: HttpClientRequest.HttpClientRequest): boolean => {
  switch (body._tag) {
    case "Stream":
      return false
    case "Raw":
      return (
        typeof body.body === "string" ||
        body.body instanceof ArrayBuffer ||
        ArrayBuffer.isView(body.body) ||
        body.body instanceof URLSearchParams ||
        body.body instanceof Blob
      )
    default:
      return true
  }
}

/**
 * Turns the authorized client into a plain `HttpClient`, for code that knows no `AuthError`.
 *
 * An `AuthError`, or what the `lookup` of a `SessionMap` failed with, becomes a `RequestError` about the caller's request,
 * with that as its `cause`. Its reason is `"Transport"` where waiting can help (`AuthError.isTransient`), so that
 * `HttpClient.retryTransient` tries again, and `"Encode"` where it cannot.
 *
 * @since 0.1.0
 * @category combinators
 */
export const toHttpClient = <E = never>(client: Service<E>): HttpClient.HttpClient =>
  HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) =>
      Effect.mapError(client.execute(request), (error) =>
        isHttpClientError(error) ? error : unauthorized(error, request)
      )
    ),
    Effect.succeed
  )

const isHttpClientError = (error: unknown): error is HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error)

/**
 * A request that could not be authorized. Whatever may pass is worth another try, not `NetworkFailure` alone: a session
 * cools down by itself, so that a caller who tries again and again costs no exchange more (law 9).
 */
const unauthorized = (cause: unknown, request: HttpClientRequest.HttpClientRequest) => {
  const [reason, advice] =
    isAuthError(cause) && isTransient(cause) ? (["Transport", "; try again later"] as const) : (["Encode", ""] as const)
  const problem = isAuthError(cause) ? cause.message : "the account was not found; see the cause"
  return new HttpClientError.RequestError({ request, reason, cause, description: `no token: ${problem}${advice}` })
}

/**
 * The authorized client as the plain `HttpClient` that generated clients ask for.
 *
 * Every use in a build makes a client of its own, so that two accounts do not share one. What provides the session needs a
 * bare `HttpClient` itself: give it that with `Layer.provide`, not with `Layer.provideMerge`, as both have the same tag.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, AuthHttpClient> = Layer.fresh(
  Layer.effect(HttpClient.HttpClient, Effect.map(AuthHttpClient, toHttpClient))
)
