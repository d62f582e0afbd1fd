/**
 * Serves an app over real sockets.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as Faults from "../Faults.js"

// Duck typing, so that this file does not need Node. On a server without sockets the request never gets a response.
const hangUp = (request: HttpServerRequest.HttpServerRequest, method: "destroy" | "destroySoon") =>
  Effect.suspend(() => {
    const socket = Predicate.hasProperty(request.source, "socket") ? request.source.socket : undefined
    const close = Predicate.hasProperty(socket, method) ? socket[method] : undefined
    if (Predicate.isFunction(close)) close.call(socket)
    return Effect.never
  })

/**
 * Returns an app for a real server: if it fails with `Dropped`, the socket is destroyed and there is no response.
 *
 * @since 0.1.0
 * @category testing
 */
export const served = <R>(app: HttpApp.Default<Faults.Dropped, R>): HttpApp.Default<never, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    app.pipe(
      Effect.map((response) => {
        const { body } = response
        if (body._tag !== "Stream") return response
        // `destroySoon`, because the half that was written has to reach the client first.
        const stream = Stream.catchAll(body.stream, (error) =>
          error instanceof Faults.Dropped ? Stream.fromEffect(hangUp(request, "destroySoon")) : Stream.fail(error)
        )
        return HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
      }),
      Effect.catchTag("Dropped", () => hangUp(request, "destroy")),
      // A server runs its app uninterruptibly; a client that goes away must end a delay.
      Effect.interruptible
    )
  )
