/**
 * Answers whose body is not what it should be.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { Dropped } from "./dropped.js"

/**
 * What a `Body` fault makes of an answer.
 *
 * @since 0.1.0
 * @category testing
 */
export type Kind = "broken" | "truncated" | "html" | "empty" | "long" | "array" | "number" | "null"

const page = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>Please try again later.</body></html>"

const spaces = new TextEncoder().encode(" ".repeat(65_536))

/**
 * Answers 200 with a damaged body instead of an answer; what is sent of a long one is added up.
 *
 * @since 0.1.0
 * @category testing
 */
export const damage = (
  kind: Kind,
  answer: HttpServerResponse.HttpServerResponse,
  sent: Ref.Ref<number>
): HttpServerResponse.HttpServerResponse => {
  const whole = answer.body._tag === "Uint8Array" ? answer.body.body : new TextEncoder().encode('{"cut":true}')
  const json = { status: 200, contentType: "application/json" }
  switch (kind) {
    case "broken":
      return HttpServerResponse.text("{ this is no JSON", json)
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
      // White space before JSON is JSON: a client that reads on finds the true answer, so only its limit stops it.
      return HttpServerResponse.stream(
        Stream.tap(Stream.concat(Stream.take(Stream.repeatValue(spaces), 32), Stream.make(whole)), (chunk) =>
          Ref.update(sent, (size) => size + chunk.length)
        ),
        json
      )
    case "truncated": {
      const half = Stream.make(whole.slice(0, Math.floor(whole.length / 2)))
      // The full length is announced, so no client can take the half for the whole.
      return HttpServerResponse.stream(Stream.concat(half, Stream.fail(new Dropped())), {
        ...json,
        contentLength: whole.length
      })
    }
  }
}
