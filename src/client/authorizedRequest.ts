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
import { type AuthError, isAuthError, isTransient, UntrustedOrigin } from "../common/AuthError.js"
import * as Url from "../common/url.js"
import { AuthProvider, type Service as Provider } from "../provider/AuthProvider.js"
import { Session, type Service as SessionService } from "../session/Session.js"
import type { AccessToken } from "../token/Token.js"
import * as Answer from "../transport/send.js"

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
    const send = sending(yield* HttpClient.HttpClient)
    return clientOf((request) => send(account, request))
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
  const send = sending(bare)
  return clientOf((request) => Effect.flatMap(account, (found) => send(found, request)))
}

const clientOf = <E>(
  execute: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>
): HttpClient.HttpClient.With<E> => HttpClient.makeWith<never, never, E, never>(Effect.flatMap(execute), Effect.succeed)

/** How requests get to an API, and which URLs are plainly its own. */
interface Route {
  readonly send: Answer.Send
  readonly owns: (url: string) => boolean
}

/** A request, and what sending it takes. */
interface Errand<E> extends Account<E> {
  readonly send: Answer.Send
  readonly request: HttpClientRequest.HttpClientRequest
}

type Sent<E> = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | AuthError | E>

/** Sends requests for any account over a bare client. */
const sending = (bare: HttpClient.HttpClient) => {
  const routes = new WeakMap<Provider, Route>()
  const routeTo = (provider: Provider): Route => {
    const known = routes.get(provider)
    if (known !== undefined) return known
    const route = { send: Answer.sender(bare, provider.redactedHeaders), owns: Url.within(provider.origins) }
    routes.set(provider, route)
    return route
  }
  // The check comes last: what is laid over this client may still change the request, but nothing after the check can.
  return <E>({ provider, session }: Account<E>, request: HttpClientRequest.HttpClientRequest): Sent<E> => {
    const { owns, send } = routeTo(provider)
    return owns(request.url)
      ? authorized({ provider, session, send, request })
      : Effect.flatMap(resolve(provider, request), (resolved) =>
          authorized({ provider, session, send, request: resolved })
        )
  }
}

/** Sends a request with a token, and once more if that is rejected. */
const authorized = <E>(errand: Errand<E>): Sent<E> =>
  Effect.flatMap(errand.session.accessToken, (token) =>
    attempt(errand, token, (rejection) => retry(errand, token, rejection))
  )

/** Sends a request with a token. A rejection is answered by what comes of it. */
const attempt = <E>(
  { provider, request, send }: Errand<E>,
  token: AccessToken,
  rejected: (rejection: Answer.Answer) => Sent<E>
): Sent<E> => {
  const judge = (response: HttpClientResponse.HttpClientResponse) => {
    const answer = new Answer.Answer(request, response)
    return provider.rejects(answer.status, answer.headers) ? rejected(answer) : Effect.succeed(answer)
  }
  return Effect.matchEffect(send(provider.authorize(request, token)), {
    onFailure: (error) =>
      Answer.isStatusError(error) ? judge(error.response) : Effect.fail(Answer.blame(error, request)),
    onSuccess: judge
  })
}

/** Law 24: once more with the token to try instead, if there is one and the body can be sent again. */
const retry = Effect.fnUntraced(function* <E>(errand: Errand<E>, token: AccessToken, rejection: Answer.Answer) {
  const { request, session } = errand
  const answer = yield* Answer.keep(rejection)
  if (!isRepeatable(request)) return yield* Effect.as(Effect.ignore(session.reject(token)), answer)
  const next = yield* session.reject(token)
  return Equal.equals(next, token) ? answer : yield* attempt(errand, next, (second) => giveUp(session, next, second))
})

/** Law 10: the retry was rejected too, which is a strike. */
const giveUp = Effect.fnUntraced(function* <E>(
  session: SessionService<E>,
  token: AccessToken,
  rejection: Answer.Answer
) {
  const answer = yield* Answer.keep(rejection)
  return yield* Effect.as(Effect.ignore(session.reject(token, { retried: true })), answer)
})

/** The request with an absolute URL of the provider's own, or the error that says whose it is (law 23). */
const resolve = (
  provider: Provider,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest, UntrustedOrigin> => {
  const url = Option.getOrUndefined(Url.resolve(request.url, provider.baseUrl))
  if (url === undefined) return untrusted(provider, "an unreadable URL")
  const origin = Url.originOf(url)
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
  clientOf((request) =>
    Effect.mapError(client.execute(request), (error) =>
      isHttpClientError(error) ? error : unauthorized(error, request)
    )
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
