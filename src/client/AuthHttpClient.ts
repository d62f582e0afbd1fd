/**
 * The `HttpClient` that authorizes: each request carries a valid token, to the provider's own origins only, and is sent
 * once more with a new one when the API rejects it.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type AuthError, isAuthError, isTransient } from "../common/AuthError.js"
import { AuthProvider } from "../provider/AuthProvider.js"
import { Session } from "../session/Session.js"
import { isHttpClientError, notSent } from "../transport/send.js"
import { fromExecute, makeSend } from "./authorizedRequest.js"

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
    const send = makeSend(yield* HttpClient.HttpClient)
    return fromExecute((request) => send(account, request))
  }
)

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
  fromExecute((request) =>
    Effect.mapError(client.execute(request), (error) =>
      isHttpClientError(error) ? error : toRequestError(error, request)
    )
  )

/**
 * Makes the error of a request that got no token. Every transient failure may be retried, not only `NetworkFailure`: during
 * a cool-down, retries cost no token request (law 9).
 */
const toRequestError = (cause: unknown, request: HttpClientRequest.HttpClientRequest) => {
  const [reason, advice] =
    isAuthError(cause) && isTransient(cause) ? (["Transport", "; try again later"] as const) : (["Encode", ""] as const)
  const problem = isAuthError(cause) ? cause.message : "the account was not found; see the cause"
  return notSent({ request, reason, cause, description: `no token: ${problem}${advice}` })
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
