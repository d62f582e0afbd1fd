/**
 * An `HttpClient` that reaches an app without a network.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Faults from "../Faults.js"

const send = (request: HttpClientRequest.HttpClientRequest, url: URL): Effect.Effect<Request> => {
  const build = (body: BodyInit | undefined) =>
    Effect.sync(() => {
      const init = { method: request.method, headers: request.headers, ...(body === undefined ? {} : { body }) }
      // Half duplex is required of a streamed body, and unknown to the DOM's types.
      return new Request(url, request.body._tag === "Stream" ? Object.assign(init, { duplex: "half" }) : init)
    })
  switch (request.body._tag) {
    case "Empty":
      return build(undefined)
    case "Raw":
    case "Uint8Array":
      return build(request.body.body as BodyInit)
    case "FormData":
      return build(request.body.formData)
    case "Stream":
      return Effect.flatMap(Stream.toReadableStreamEffect(request.body.stream), build)
  }
}

/**
 * Answers an HTTP date (RFC 9110, section 5.6.7) for milliseconds since 1970.
 *
 * @since 0.1.0
 * @category testing
 */
export const httpDate = (millis: number): string => DateTime.toDateUtc(DateTime.unsafeMake(millis)).toUTCString()

/**
 * Makes an `HttpClient` that runs an app in the fiber of its caller, so that `TestClock` governs every delay. It accepts
 * any origin, follows no redirect, and fails with a `RequestError` of reason `Transport` when the app drops the
 * connection. Every answer has a `Date`, the clock's unless the app set one.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (app: HttpApp.Default<Faults.Dropped>): HttpClient.HttpClient =>
  HttpClient.make(
    Effect.fnUntraced(
      function* (request, url) {
        const incoming = HttpServerRequest.fromWeb(yield* send(request, url))
        const answer = yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, incoming)
        const now = yield* Clock.currentTimeMillis
        const runtime = yield* Effect.runtime<never>()
        const dated =
          answer.headers.date === undefined ? HttpServerResponse.setHeader(answer, "date", httpDate(now)) : answer
        const response = HttpServerResponse.toWeb(dated, { withoutBody: request.method === "HEAD", runtime })
        return HttpClientResponse.fromWeb(request, response)
      },
      (effect, request) =>
        Effect.mapError(effect, (cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause }))
    )
  )
