import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Stream from "effect/Stream"
import * as Body from "./body.js"
import { sanitizeResponseError } from "./send.js"

/** A response that refers to the caller's request rather than to the authorized one, so that it does not lead to the token (law 27). */
export class CallerResponse extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly #source: HttpClientResponse.HttpClientResponse
  readonly #body: HttpClientResponse.HttpClientResponse

  constructor(
    request: HttpClientRequest.HttpClientRequest,
    source: HttpClientResponse.HttpClientResponse,
    body: HttpClientResponse.HttpClientResponse = source
  ) {
    super()
    this.request = request
    this.#source = source
    this.#body = body
  }

  /** Returns the same response with another body. */
  withBody(body: BodyInit): CallerResponse {
    const { "content-type": type } = this.headers
    const web = new Response(body, type === undefined ? {} : { headers: { "content-type": type } })
    return new CallerResponse(this.request, this.#source, HttpClientResponse.fromWeb(this.request, web))
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  #sanitized<A>(
    effect: Effect.Effect<A, HttpClientError.ResponseError>
  ): Effect.Effect<A, HttpClientError.ResponseError> {
    return Effect.mapError(effect, (error) => sanitizeResponseError(error, this.request, this))
  }

  get status() {
    return this.#source.status
  }
  get headers() {
    return this.#source.headers
  }
  get cookies() {
    return this.#source.cookies
  }
  get remoteAddress() {
    return this.#source.remoteAddress
  }
  get json() {
    return this.#sanitized(this.#body.json)
  }
  get text() {
    return this.#sanitized(this.#body.text)
  }
  get urlParamsBody() {
    return this.#sanitized(this.#body.urlParamsBody)
  }
  get formData() {
    return this.#sanitized(this.#body.formData)
  }
  get arrayBuffer() {
    return this.#sanitized(this.#body.arrayBuffer)
  }
  get stream(): Stream.Stream<Uint8Array, HttpClientError.ResponseError> {
    return Stream.mapError(this.#body.stream, (error) => sanitizeResponseError(error, this.request, this))
  }
}

/**
 * Returns the same response with its body read, so that its connection is free: a refresh may be waiting for it. Reading a
 * body that was longer than 1 MiB or slower than three seconds fails.
 */
export const buffered = (response: CallerResponse): Effect.Effect<CallerResponse> =>
  Effect.map(Body.buffer(response), (bytes) => response.withBody(bytes ?? truncatedBody()))

const truncatedBody = () =>
  new ReadableStream({ start: (controller) => controller.error(new Error("the body was too long or too slow")) })
