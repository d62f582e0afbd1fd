/**
 * Faults between a client and a sandbox, on demand: late responses, dropped connections, refusals, damaged bodies, odd
 * tokens.
 *
 * @since 0.1.0
 */

import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as DamagedBody from "./internal/damagedBody.js"
import { Dropped } from "./internal/dropped.js"

export type { BodyDamage } from "./internal/damagedBody.js"

/**
 * The damage that a `Token` fault does to a token: it is left out (`"missing"`), replaced by the number 1234, by null,
 * by an empty text or by an object, or gets a line feed after eight characters (`"control"`).
 *
 * @since 0.1.0
 * @category testing
 */
export type OddToken = "missing" | "number" | "null" | "empty" | "control" | "object"

/**
 * A fault of one request.
 *
 * - `Delay`: the response is late. The sandbox waits for `duration` before (the default) or after it processes the
 *   request.
 * - `Drop`: the connection breaks before or after the request is processed. There is no response in either case.
 * - `Status`: the request is not processed. The response has this status and, if given, this `Retry-After`.
 * - `Body`: the request is processed. The response is a 200 with a damaged body.
 * - `Token`: the request is processed. The access token (the default) or refresh token of the response is damaged.
 * - `Fields`: the request is processed. These fields replace those of the response; `undefined` leaves one out.
 * - `Expiry`: the request is processed. These claims replace those of the issued JWT; `undefined` leaves one out. The
 *   sandbox itself still goes by the token's true lifetime.
 * - `Response`: the response has this status and this JSON. The request is processed only with `processed: true`.
 * - `Redirect`: the request is not processed. The response is a redirect, 302 by default.
 *
 * @since 0.1.0
 * @category testing
 */
export type Fault = Data.TaggedEnum<{
  Delay: { readonly duration: Duration.DurationInput; readonly when?: "before" | "after" | undefined }
  Drop: { readonly when: "before" | "after" }
  Status: { readonly status: number; readonly retryAfter?: string | undefined }
  Body: { readonly kind: DamagedBody.BodyDamage }
  Token: { readonly kind: OddToken; readonly which?: "access" | "refresh" | undefined }
  Fields: { readonly fields: Readonly<Record<string, unknown>> }
  Expiry: {
    readonly claims: {
      readonly exp?: number | string | null | undefined
      readonly iat?: number | null | undefined
    }
  }
  Response: { readonly status: number; readonly body: unknown; readonly processed?: boolean | undefined }
  Redirect: { readonly location: string; readonly status?: 302 | 307 | undefined }
}>

/**
 * The constructors of `Fault`: `Faults.Delay({ duration: "3 seconds" })`.
 *
 * @since 0.1.0
 * @category testing
 */
export const {
  /**
   * Makes a fault that replaces the body of the response with a damaged one.
   *
   * @since 0.1.0
   * @category testing
   */
  Body,
  /**
   * Makes a fault that delays the response.
   *
   * @since 0.1.0
   * @category testing
   */
  Delay,
  /**
   * Makes a fault that breaks the connection.
   *
   * @since 0.1.0
   * @category testing
   */
  Drop,
  /**
   * Makes a fault that replaces the claims of the issued JWT.
   *
   * @since 0.1.0
   * @category testing
   */
  Expiry,
  /**
   * Makes a fault that replaces fields of the token response.
   *
   * @since 0.1.0
   * @category testing
   */
  Fields,
  /**
   * Makes a fault that responds with a redirect.
   *
   * @since 0.1.0
   * @category testing
   */
  Redirect,
  /**
   * Makes a fault that responds with a status and a JSON body.
   *
   * @since 0.1.0
   * @category testing
   */
  Response,
  /**
   * Makes a fault that responds with a status and no body.
   *
   * @since 0.1.0
   * @category testing
   */
  Status,
  /**
   * Makes a fault that damages a token of the token response.
   *
   * @since 0.1.0
   * @category testing
   */
  Token
} = Data.taggedEnum<Fault>()

export { Dropped }

/**
 * The faults of the requests to come, as one queue for each endpoint.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service<Endpoint extends string = string> {
  /** Queues a fault for the next `times` requests of an endpoint. Default: 1. `Infinity` lasts until `clear`. */
  readonly inject: (endpoint: Endpoint, fault: Fault, times?: number) => Effect.Effect<void>
  /** Removes every fault that has not happened yet. */
  readonly clear: Effect.Effect<void>
  /**
   * Removes and returns the next fault of an endpoint, first in, first out. A sandbox calls it once for each request.
   */
  readonly take: (endpoint: Endpoint) => Effect.Effect<Option.Option<Fault>>
  /** The bytes of `"long"` bodies that were sent so far; those in the buffers of a served app are included. */
  readonly bytesSent: Ref.Ref<number>
}

interface Queued {
  readonly endpoint: string
  readonly fault: Fault
  /** The number of requests that still get the fault. */
  readonly remaining: number
}

/**
 * Makes a `Service` without faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = <Endpoint extends string = string>(): Effect.Effect<Service<Endpoint>> =>
  Effect.zipWith(Ref.make<ReadonlyArray<Queued>>([]), Ref.make(0), (ref, bytesSent) => ({
    inject: (endpoint, fault, times = 1) =>
      times < 1 ? Effect.void : Ref.update(ref, (queue) => [...queue, { endpoint, fault, remaining: times }]),
    clear: Ref.set(ref, []),
    take: (endpoint) =>
      Ref.modify(ref, (queue) => {
        const found = queue.find((queued) => queued.endpoint === endpoint)
        if (found === undefined) return [Option.none(), queue]
        const rest = queue.flatMap((queued) =>
          queued !== found ? [queued] : found.remaining > 1 ? [{ ...found, remaining: found.remaining - 1 }] : []
        )
        return [Option.some(found.fault), rest]
      }),
    bytesSent
  }))

const damaged = (kind: OddToken, token: unknown): unknown => {
  switch (kind) {
    case "missing":
      return undefined
    case "number":
      return 1234
    case "null":
      return null
    case "empty":
      return ""
    case "object":
      return { token }
    case "control":
      return String(token).replace(/^.{8}/, "$&\n")
  }
}

/**
 * Applies a `Token` or `Fields` fault to the fields of a token response. Any other fault leaves them as they are.
 * `names` are the names of the two tokens in that response.
 *
 * @since 0.1.0
 * @category testing
 */
export const applyToFields = (
  fault: Option.Option<Fault>,
  names: { readonly access: string; readonly refresh: string },
  fields: Readonly<Record<string, unknown>>
): Readonly<Record<string, unknown>> => {
  if (Option.isNone(fault)) return fields
  const { value } = fault
  if (value._tag === "Fields") return { ...fields, ...value.fields }
  if (value._tag !== "Token") return fields
  const name = names[value.which ?? "access"]
  return { ...fields, [name]: damaged(value.kind, fields[name]) }
}

/**
 * Returns the claims of an `Expiry` fault, and `undefined` for any other.
 *
 * @since 0.1.0
 * @category testing
 */
export const claims = (fault: Option.Option<Fault>): object | undefined =>
  Option.isSome(fault) && fault.value._tag === "Expiry" ? fault.value.claims : undefined

/**
 * Handles a request under the next fault of its endpoint. `Token`, `Fields` and `Expiry` are passed to `process`,
 * because only that knows the fields of its response: see `applyToFields` and `claims`. Every other fault is carried
 * out here.
 *
 * Fails with `Dropped` if the fault breaks the connection.
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
      const processed = process(Option.none())
      switch (fault._tag) {
        case "Delay":
          return fault.when === "after"
            ? Effect.zipLeft(processed, Effect.sleep(fault.duration))
            : Effect.delay(processed, fault.duration)
        case "Drop":
          return fault.when === "after" ? Effect.zipRight(processed, new Dropped()) : new Dropped()
        case "Status":
          return HttpServerResponse.empty({
            status: fault.status,
            headers: fault.retryAfter === undefined ? {} : { "retry-after": fault.retryAfter }
          })
        case "Body":
          return Effect.map(processed, (response) => DamagedBody.damage(fault.kind, response, faults.bytesSent))
        case "Response":
          return Effect.zipRight(
            fault.processed === true ? processed : Effect.void,
            HttpServerResponse.unsafeJson(fault.body, { status: fault.status })
          )
        case "Redirect":
          return HttpServerResponse.redirect(fault.location, { status: fault.status ?? 302 })
        case "Token":
        case "Fields":
        case "Expiry":
          return process(taken)
      }
    }
  )
