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
      // A streamed body requires half duplex, which the types of the DOM do not know.
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
 * Returns the HTTP date of an instant in milliseconds since 1970.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
 * @since 0.1.0
 * @category testing
 */
export const httpDate = (millis: number): string => DateTime.toDateUtc(DateTime.unsafeMake(millis)).toUTCString()

/**
 * Makes an `HttpClient` that runs an app in the fiber of its caller, so that `TestClock` governs every delay. It
 * accepts any origin and follows no redirect. It fails with a `RequestError` of reason `Transport` if the app drops the
 * connection. Every response has a `Date`: the app's own, or the time of the clock.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (app: HttpApp.Default<Faults.Dropped>): HttpClient.HttpClient =>
  HttpClient.make(
    Effect.fnUntraced(
      function* (request, url) {
        const incoming = HttpServerRequest.fromWeb(yield* send(request, url))
        const response = yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, incoming)
        const now = yield* Clock.currentTimeMillis
        const runtime = yield* Effect.runtime<never>()
        const dated =
          response.headers.date === undefined ? HttpServerResponse.setHeader(response, "date", httpDate(now)) : response
        const web = HttpServerResponse.toWeb(dated, { withoutBody: request.method === "HEAD", runtime })
        return HttpClientResponse.fromWeb(request, web)
      },
      (effect, request) =>
        Effect.mapError(effect, (cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause }))
    )
  )
