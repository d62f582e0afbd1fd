import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import { type AuthError, UntrustedOrigin } from "../common/AuthError.js"
import * as Url from "../common/url.js"
import type { Service as Provider } from "../provider/AuthProvider.js"
import type { Service as Session } from "../session/Session.js"
import type { AccessToken } from "../token/Token.js"
import { buffered, CallerResponse } from "../transport/response.js"
import * as Send from "../transport/send.js"

/** The session whose token a request carries, and the provider that says where it may go. */
export interface Account<E = never> {
  readonly session: Session<E>
  readonly provider: Provider
}

/** Makes an authorized client that looks up its account for each request. */
export const makeWith = <E = never>(
  findAccount: Effect.Effect<Account<E>, AuthError | E>,
  bare: HttpClient.HttpClient
): HttpClient.HttpClient.With<HttpClientError.HttpClientError | AuthError | E> => {
  const send = makeSend(bare)
  return fromExecute((request) => Effect.flatMap(findAccount, (account) => send(account, request)))
}

/** Makes a client from a function that executes requests. */
export const fromExecute = <E>(
  execute: (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<HttpClientResponse.HttpClientResponse, E>
): HttpClient.HttpClient.With<E> => HttpClient.makeWith<never, never, E, never>(Effect.flatMap(execute), Effect.succeed)

/** The transport to one provider's API, and the test for URLs that are certainly its own. */
interface Target {
  readonly send: Send.Send
  readonly owns: (url: string) => boolean
}

/** A request with the account and the transport it uses. */
interface RequestContext<E> extends Account<E> {
  readonly send: Send.Send
  readonly request: HttpClientRequest.HttpClientRequest
}

type ResponseEffect<E> = Effect.Effect<
  HttpClientResponse.HttpClientResponse,
  HttpClientError.HttpClientError | AuthError | E
>

/** Makes a function that sends requests for any account over a bare client. */
export const makeSend = (bare: HttpClient.HttpClient) => {
  const targets = new WeakMap<Provider, Target>()
  const targetOf = (provider: Provider): Target => {
    const cached = targets.get(provider)
    if (cached !== undefined) return cached
    const target = { send: Send.makeSend(bare, provider.redactedHeaders), owns: Url.within(provider.origins) }
    targets.set(provider, target)
    return target
  }
  // The origin is checked last: a layer over this client may still change the request, but nothing can after the check.
  return <E>({ provider, session }: Account<E>, request: HttpClientRequest.HttpClientRequest): ResponseEffect<E> => {
    const { owns, send } = targetOf(provider)
    return owns(request.url)
      ? authorize({ provider, session, send, request })
      : Effect.flatMap(resolve(provider, request), (resolved) =>
          authorize({ provider, session, send, request: resolved })
        )
  }
}

/** Sends a request with a token, and once more if that token is rejected. */
const authorize = <E>(context: RequestContext<E>): ResponseEffect<E> =>
  Effect.flatMap(context.session.accessToken, (token) =>
    attempt(context, token, (rejection) => retry(context, token, rejection))
  )

/** Sends a request with a token. `onRejected` handles a response that rejects it. */
const attempt = <E>(
  { provider, request, send }: RequestContext<E>,
  token: AccessToken,
  onRejected: (rejection: CallerResponse) => ResponseEffect<E>
): ResponseEffect<E> => {
  const handle = (source: HttpClientResponse.HttpClientResponse): ResponseEffect<E> => {
    const response = new CallerResponse(request, source)
    return provider.rejects(response.status, response.headers) ? onRejected(response) : Effect.succeed(response)
  }
  return Effect.matchEffect(send(provider.authorize(request, token)), {
    onFailure: (error) => {
      const response = Send.responseIn(error)
      return response === undefined
        ? Effect.fail(Send.sanitizeError(error, request, (response) => new CallerResponse(request, response)))
        : handle(response)
    },
    onSuccess: handle
  })
}

/** Law 24: sends the request again with a newer token, if there is one and the body can be sent again. */
const retry = Effect.fnUntraced(function* <E>(
  context: RequestContext<E>,
  token: AccessToken,
  rejection: CallerResponse
) {
  const { request, session } = context
  const response = yield* buffered(rejection)
  if (!isRepeatable(request)) return yield* Effect.as(Effect.ignore(session.reject(token)), response)
  const next = yield* session.reject(token)
  return Equal.equals(next, token)
    ? response
    : yield* attempt(context, next, (second) => reportSecondRejection(session, next, second))
})

/** Law 10: the retry was rejected too, which the session counts. */
const reportSecondRejection = Effect.fnUntraced(function* <E>(
  session: Session<E>,
  token: AccessToken,
  rejection: CallerResponse
) {
  const response = yield* buffered(rejection)
  return yield* Effect.as(Effect.ignore(session.reject(token, { retried: true })), response)
})

/** Makes a request's URL absolute. Fails with `UntrustedOrigin` if it is not one of the provider's (law 23). */
const resolve = (
  provider: Provider,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientRequest.HttpClientRequest, UntrustedOrigin> => {
  const url = Option.getOrUndefined(Url.resolve(request.url, provider.baseUrl))
  if (url === undefined) return untrusted(provider, "an invalid URL")
  const origin = Url.originOf(url)
  return provider.origins.includes(origin)
    ? Effect.succeed(HttpClientRequest.modify(request, { url: url.href }))
    : untrusted(provider, origin)
}

const untrusted = (provider: Provider, origin: string) =>
  new UntrustedOrigin({ provider: provider.name, origin, trusted: provider.origins })

/** Tells whether a body can be sent again. A stream cannot. */
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
