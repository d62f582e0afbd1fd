/**
 * Responses with a damaged body.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { Dropped } from "./dropped.js"

/**
 * The body that a `Body` fault sends.
 *
 * - `"broken"`: text that is not JSON.
 * - `"truncated"`: the first half of the true body; then the connection breaks.
 * - `"html"`: the error page of a gateway.
 * - `"empty"`: nothing.
 * - `"long"`: the true body behind 2 MiB of white space.
 * - `"array"`, `"number"`, `"null"`: JSON that is not an object.
 *
 * @since 0.1.0
 * @category testing
 */
export type BodyDamage = "broken" | "truncated" | "html" | "empty" | "long" | "array" | "number" | "null"

const page = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>Please try again later.</body></html>"

const spaces = new TextEncoder().encode(" ".repeat(65_536))

/**
 * Returns a 200 with a damaged body in place of a response. The bytes of a `"long"` one are added to `bytesSent` as
 * they are sent.
 *
 * @since 0.1.0
 * @category testing
 */
export const damage = (
  kind: BodyDamage,
  response: HttpServerResponse.HttpServerResponse,
  bytesSent: Ref.Ref<number>
): HttpServerResponse.HttpServerResponse => {
  const whole = response.body._tag === "Uint8Array" ? response.body.body : new TextEncoder().encode('{"cut":true}')
  const json = { status: 200, contentType: "application/json" }
  switch (kind) {
    case "broken":
      return HttpServerResponse.text("{ this is not JSON", json)
    case "html":
      return HttpServerResponse.text(page, { contentType: "text/html" })
    case "empty":
      return HttpServerResponse.empty({ status: 200 })
    case "array":
      return HttpServerResponse.unsafeJson([])
    case "number":
      return HttpServerResponse.unsafeJson(42)
    case "null":
      return HttpServerResponse.unsafeJson(null)
    case "long":
      // White space may precede JSON: a client without a limit would read on and find a valid response.
      return HttpServerResponse.stream(
        Stream.tap(Stream.concat(Stream.take(Stream.repeatValue(spaces), 32), Stream.make(whole)), (chunk) =>
          Ref.update(bytesSent, (size) => size + chunk.length)
        ),
        json
      )
    case "truncated": {
      const half = Stream.make(whole.slice(0, Math.floor(whole.length / 2)))
      // The full length is announced, so that no client can mistake the half for the whole.
      return HttpServerResponse.stream(Stream.concat(half, Stream.fail(new Dropped())), {
        ...json,
        contentLength: whole.length
      })
    }
  }
}
