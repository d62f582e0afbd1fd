import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import { errorCode } from "../common/foreignErrors.js"
import { withFiber } from "../common/runtime.js"

/** Sends a request without leaking it: secret headers are redacted in spans, and redirects are not followed. */
export type Send = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

/**
 * Makes a `Send` over a client. `redactedHeaders` are shown redacted in spans (law 27). Redirects are not followed (law
 * 23); of all clients, only the fetch client would follow one by itself.
 */
export const makeSend = (client: HttpClient.HttpClient, redactedHeaders: ReadonlyArray<string>): Send => {
  const addRedactedNames = redactedNames(redactedHeaders)
  // Changed inside the client: only there is the caller's `RequestInit` visible when it was provided to the layer of the
  // fetch client rather than to the application.
  const inside = HttpClient.mapRequestEffect(client, (request) =>
    FiberRef.modify(FiberRef.currentContext, (context) => [request, withManualRedirect(context)])
  )
  return (request) =>
    withFiber((fiber) => {
      const names = fiber.getFiberRef(Headers.currentRedactedNames)
      const allNames = addRedactedNames(names)
      const sent = restoringContext(fiber.currentContext, inside.execute(request))
      return allNames === names ? sent : Effect.locally(sent, Headers.currentRedactedNames, allNames)
    })
}

type Names = ReadonlyArray<string | RegExp>

/** Adds our names to those in force. The last result is kept, because the names in force rarely change. */
const redactedNames = (ours: ReadonlyArray<string>) => {
  let lastNames: Names = []
  let lastResult: Names = ours
  return (names: Names): Names => {
    if (names !== lastNames) {
      lastNames = names
      lastResult = ours.every((name) => names.includes(name)) ? names : [...names, ...ours]
    }
    return lastResult
  }
}

const withManualRedirect = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(context, FetchHttpClient.RequestInit, {
    ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
    redirect: "manual"
  })

/**
 * Restores the fiber's context when `effect` exits. Same as `Effect.onExit` with fewer operations; this is on the request
 * path.
 */
const restoringContext = <A, E>(context: Context.Context<never>, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.matchCauseEffect(restore(effect), {
      onFailure: (cause) => Effect.zipRight(FiberRef.set(FiberRef.currentContext, context), Effect.failCause(cause)),
      onSuccess: (value) => FiberRef.modify(FiberRef.currentContext, () => [value, context])
    })
  )

/** Returns the response in the error of a client that turns statuses into errors. */
export const responseIn = (
  error: HttpClientError.HttpClientError
): HttpClientResponse.HttpClientResponse | undefined =>
  error._tag === "ResponseError" && error.reason === "StatusCode" ? error.response : undefined

/** Tells whether a request failed before there was any response. */
export const isRequestError = (error: HttpClientError.HttpClientError): boolean => error._tag === "RequestError"

/** Tells whether a body could not be read because there is none. */
export const isEmptyBody = (error: HttpClientError.ResponseError): boolean => error.reason === "EmptyBody"

/** Tells whether a value is an error of an `HttpClient`. */
export const isHttpClientError = (error: unknown): error is HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error)

/** Makes the error of a request that was not sent. */
export const notSent = (options: {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly reason: "Transport" | "Encode"
  readonly cause: unknown
  readonly description: string
}): HttpClientError.HttpClientError => new HttpClientError.RequestError(options)

/**
 * Makes an error of the client refer to the caller's request instead of the authorized one (law 27).
 *
 * Of its cause, only a code is kept: a cause may hold the request or quote a header. A `SyntaxError` is kept whole,
 * because it quotes the caller's own body. `toCallerResponse` does the same for the response in the error.
 */
export const sanitizeError = (
  error: HttpClientError.HttpClientError,
  request: HttpClientRequest.HttpClientRequest,
  toCallerResponse: (response: HttpClientResponse.HttpClientResponse) => HttpClientResponse.HttpClientResponse
): HttpClientError.HttpClientError =>
  error._tag === "RequestError"
    ? new HttpClientError.RequestError({ request, reason: error.reason, ...safeDetails(error) })
    : sanitizeResponseError(error, request, toCallerResponse(error.response))

/** The same for an error about a response, which stays one. */
export const sanitizeResponseError = (
  error: HttpClientError.ResponseError,
  request: HttpClientRequest.HttpClientRequest,
  response: HttpClientResponse.HttpClientResponse
): HttpClientError.ResponseError =>
  new HttpClientError.ResponseError({ request, response, reason: error.reason, ...safeDetails(error) })

const safeDetails = (error: HttpClientError.HttpClientError) => {
  const code = errorCode(error)
  return {
    ...(code === undefined ? {} : { description: code }),
    ...(error.cause instanceof SyntaxError ? { cause: error.cause } : {})
  }
}
