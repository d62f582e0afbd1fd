/**
 * The authorized client: an `HttpClient` whose requests carry a valid token.
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
 * An `HttpClient` whose requests carry a valid token. It fails with the errors of any client and with `AuthError`. `E`
 * is the failure of the `lookup` of a `SessionMap`, and `never` otherwise.
 *
 * - A relative URL is resolved below the provider's base URL: `/orders` and `orders` are the same.
 * - The token goes to the provider's own origins only. Another URL fails with `UntrustedOrigin`, and nothing is sent.
 * - The token replaces one that the caller may have put on the request.
 * - A request whose token the API rejects is sent once more with a new token, if its body can be sent again. A stream
 *   cannot. The caller gets the second rejection.
 * - A redirect is a response like any other, because no token may follow one to another origin. Put
 *   `HttpClient.followRedirects` over this client, where each hop is checked. Under it, the token would leak unnoticed.
 * - Put `HttpClient.withScope` under this client. Over it, it cannot reach the request.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-3
 * @since 0.1.0
 * @category models
 */
export type Service<E = never> = HttpClient.HttpClient.With<HttpClientError.HttpClientError | AuthError | E>

/**
 * The tag of the authorized client. `Auth.layer` and the layers of the providers provide it.
 *
 * @example
 * ```ts
 * import { HttpClientResponse } from "@effect/platform"
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Effect, Layer, Schema } from "effect"
 * import { AuthHttpClient, Violet } from "effect-auth"
 *
 * const Page = Schema.Struct({ content: Schema.Array(Schema.Struct({ name: Schema.String })) })
 *
 * const merchants = Effect.gen(function* () {
 *   const client = yield* AuthHttpClient.AuthHttpClient
 *   const response = yield* client.get("/merchants")
 *   return yield* HttpClientResponse.schemaBodyJson(Page)(response)
 * })
 *
 * const violet = Violet.layerConfig().pipe(
 *   Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici])
 * )
 *
 * const main = Effect.provide(merchants, violet)
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class AuthHttpClient extends Context.Tag("effect-auth/AuthHttpClient")<AuthHttpClient, Service>() {}

/**
 * Makes the authorized client of the session, the provider and the bare client in the context.
 *
 * There is no constant layer for this, because two APIs in one application would share its client. `Auth.layer` makes
 * one for each.
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
 * Returns the authorized client as a plain `HttpClient`, for code that does not handle `AuthError`.
 *
 * An `AuthError`, or the failure of the `lookup` of a `SessionMap`, becomes a `RequestError` of the caller's request,
 * with the original failure as its `cause`. Its reason is `"Transport"` if waiting can help (`AuthError.isTransient`),
 * so that `HttpClient.retryTransient` tries again, and otherwise `"Encode"`.
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
 * Makes the error of a request that got no token. Every transient failure may be retried, not only `NetworkFailure`:
 * during a cool-down, retries cost no token request (law 9).
 */
const toRequestError = (cause: unknown, request: HttpClientRequest.HttpClientRequest) => {
  const [reason, advice] =
    isAuthError(cause) && isTransient(cause) ? (["Transport", "; try again later"] as const) : (["Encode", ""] as const)
  const problem = isAuthError(cause) ? cause.message : "the lookup of the account failed; see the cause"
  return notSent({ request, reason, cause, description: `no token: ${problem}${advice}` })
}

/**
 * A layer of the authorized client as a plain `HttpClient`, such as generated clients require. `toHttpClient` describes
 * its errors.
 *
 * Each use of this layer makes its own client, so that two accounts do not share one. The layer of the session needs a
 * bare `HttpClient` itself: give it that with `Layer.provide`. With `Layer.provideMerge` the bare client, which has the
 * same tag, could take the place of the authorized one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpClient: Layer.Layer<HttpClient.HttpClient, never, AuthHttpClient> = Layer.fresh(
  Layer.effect(HttpClient.HttpClient, Effect.map(AuthHttpClient, toHttpClient))
)
