/**
 * What can go wrong between a client and a sandbox, on demand: late answers, dropped connections, refusals, damaged
 * bodies, odd tokens.
 *
 * @since 0.1.0
 */

import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"

/**
 * One way in which one request goes wrong.
 *
 * - `Delay`: the answer comes late; the request waits `"before"` (default) or `"after"` it is processed.
 * - `Drop`: the connection breaks before or after the request is processed; no answer in either case.
 * - `Status`: answered with this status, and `Retry-After` if given, instead of being processed.
 * - `Body`: processed, then answered 200 with a damaged body: not JSON, cut in the middle while the connection breaks, a
 *   gateway's page, or nothing.
 * - `Token`: processed, but the answer's access token is missing, a number or null.
 * - `Expiry`: these claims replace those of the JWT that is issued (`undefined` leaves one out). The sandbox itself goes
 *   on judging the token by its true lifetime.
 * - `Redirect`: answered with a redirect (302 by default) instead of being processed.
 *
 * @since 0.1.0
 * @category testing
 */
export type Fault = Data.TaggedEnum<{
  Delay: { readonly duration: Duration.DurationInput; readonly when?: "before" | "after" | undefined }
  Drop: { readonly when: "before" | "after" }
  Status: { readonly status: number; readonly retryAfter?: string | undefined }
  Body: { readonly kind: "broken" | "truncated" | "html" | "empty" }
  Token: { readonly kind: "missing" | "number" | "null" }
  Expiry: {
    readonly claims: {
      readonly exp?: number | string | null | undefined
      readonly iat?: number | null | undefined
    }
  }
  Redirect: { readonly location: string; readonly status?: 302 | 307 | undefined }
}>

/**
 * The constructors of `Fault`: `Faults.Delay({ duration: "3 seconds" })`.
 *
 * @since 0.1.0
 * @category testing
 */
export const { Body, Delay, Drop, Expiry, Redirect, Status, Token } = Data.taggedEnum<Fault>()

/**
 * The connection broke. An app fails with it, as does the body of a truncated answer; `served` hangs up on it, and the
 * in-memory client makes it the cause of its error. It looks like Node's own error, hence the `code`.
 *
 * @since 0.1.0
 * @category testing
 */
export class Dropped extends Data.TaggedError("Dropped") {
  readonly code = "ECONNRESET"
  override readonly message = "the sandbox dropped the connection"
}

/**
 * The faults waiting for the requests to come, a queue for each endpoint.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service<Endpoint extends string = string> {
  /** Queues a fault for the next `times` (1) requests of an endpoint; `Infinity` lasts until `clear`. */
  readonly inject: (endpoint: Endpoint, fault: Fault, times?: number) => Effect.Effect<void>
  /** Forgets every fault that has not happened yet. */
  readonly clear: Effect.Effect<void>
  /** The fault for the request at hand, first in first out; a sandbox calls it once a request. */
  readonly take: (endpoint: Endpoint) => Effect.Effect<Option.Option<Fault>>
}

interface Waiting {
  readonly endpoint: string
  readonly fault: Fault
  readonly left: number
}

/**
 * Makes an empty set of faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = <Endpoint extends string = string>(): Effect.Effect<Service<Endpoint>> =>
  Effect.map(Ref.make<ReadonlyArray<Waiting>>([]), (ref) => ({
    inject: (endpoint, fault, times = 1) =>
      times < 1 ? Effect.void : Ref.update(ref, (queue) => [...queue, { endpoint, fault, left: times }]),
    clear: Ref.set(ref, []),
    take: (endpoint) =>
      Ref.modify(ref, (queue) => {
        const found = queue.find((waiting) => waiting.endpoint === endpoint)
        if (found === undefined) return [Option.none(), queue]
        const rest = queue.flatMap((waiting) =>
          waiting !== found ? [waiting] : found.left > 1 ? [{ ...found, left: found.left - 1 }] : []
        )
        return [Option.some(found.fault), rest]
      })
  }))

const page = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body>Please try again later.</body></html>"

const damage = (
  kind: "broken" | "truncated" | "html" | "empty",
  answer: HttpServerResponse.HttpServerResponse
): HttpServerResponse.HttpServerResponse => {
  switch (kind) {
    case "broken":
      return HttpServerResponse.text("{ this is no JSON", { contentType: "application/json" })
    case "html":
      return HttpServerResponse.text(page, { contentType: "text/html" })
    case "empty":
      return HttpServerResponse.empty({ status: 200 })
    case "truncated": {
      const whole = answer.body._tag === "Uint8Array" ? answer.body.body : new TextEncoder().encode('{"cut":true}')
      const half = Stream.make(whole.slice(0, Math.floor(whole.length / 2)))
      // The full length is announced, so no client can take the half for the whole.
      return HttpServerResponse.stream(Stream.concat(half, Stream.fail(new Dropped())), {
        status: 200,
        contentType: "application/json",
        contentLength: whole.length
      })
    }
  }
}

/**
 * Processes a request under the endpoint's next fault. Everything but `Token` and `Expiry` happens here; those two are
 * handed to `process`, which alone knows what its answer looks like.
 *
 * @since 0.1.0
 * @category testing
 */
export const handle = <Endpoint extends string, E, R>(
  faults: Service<Endpoint>,
  endpoint: Endpoint,
  process: (fault: Option.Option<Fault>) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, E | Dropped, R> =>
  Effect.flatMap(
    faults.take(endpoint),
    (taken): Effect.Effect<HttpServerResponse.HttpServerResponse, E | Dropped, R> => {
      if (Option.isNone(taken)) return process(taken)
      const fault = taken.value
      const plain = process(Option.none())
      switch (fault._tag) {
        case "Delay":
          return fault.when === "after"
            ? Effect.zipLeft(plain, Effect.sleep(fault.duration))
            : Effect.delay(plain, fault.duration)
        case "Drop":
          return fault.when === "after" ? Effect.zipRight(plain, new Dropped()) : new Dropped()
        case "Status":
          return HttpServerResponse.empty({
            status: fault.status,
            headers: fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter }
          })
        case "Body":
          return Effect.map(plain, (answer) => damage(fault.kind, answer))
        case "Redirect":
          return HttpServerResponse.redirect(fault.location, { status: fault.status ?? 302 })
        case "Token":
        case "Expiry":
          return process(taken)
      }
    }
  )

// By duck typing, so that this file needs no Node: a request of a server without sockets is simply never answered.
const hangUp = (request: HttpServerRequest.HttpServerRequest, method: "destroy" | "destroySoon") =>
  Effect.suspend(() => {
    const socket = Predicate.hasProperty(request.source, "socket") ? request.source.socket : undefined
    const close = Predicate.hasProperty(socket, method) ? socket[method] : undefined
    if (Predicate.isFunction(close)) close.call(socket)
    return Effect.never
  })

/**
 * An app as a real server should serve it: where it says `Dropped`, the socket is destroyed and no answer follows.
 *
 * @since 0.1.0
 * @category testing
 */
export const served = <R>(app: HttpApp.Default<Dropped, R>): HttpApp.Default<never, R> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    app.pipe(
      Effect.map((response) => {
        const { body } = response
        if (body._tag !== "Stream") return response
        // Soon: the half that was written has to reach the client first.
        const stream = Stream.catchAll(body.stream, (error) =>
          error instanceof Dropped ? Stream.fromEffect(hangUp(request, "destroySoon")) : Stream.fail(error)
        )
        return HttpServerResponse.setBody(response, HttpBody.stream(stream, body.contentType, body.contentLength))
      }),
      Effect.catchTag("Dropped", () => hangUp(request, "destroy")),
      // A server runs its app uninterruptibly; a client that goes away must end a delay.
      Effect.interruptible
    )
  )
