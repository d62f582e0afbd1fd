/**
 * What can go wrong between a client and a sandbox, on demand: late answers, dropped connections, refusals, damaged
 * bodies, odd tokens.
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

/**
 * What a `Token` fault makes of a token.
 *
 * @since 0.1.0
 * @category testing
 */
export type OddToken = "missing" | "number" | "null" | "empty" | "control" | "object"

/**
 * One way in which one request goes wrong.
 *
 * - `Delay`: the answer comes late; the request waits `"before"` (default) or `"after"` it is processed.
 * - `Drop`: the connection breaks before or after the request is processed; no answer in either case.
 * - `Status`: answered with this status, and `Retry-After` if given, instead of being processed.
 * - `Body`: processed, then answered 200 with a damaged body: not JSON, cut in the middle while the connection breaks, a
 *   gateway's page, nothing, JSON that is no object, or the true answer behind 2 MiB of white space.
 * - `Token`: processed, but the answer's access token (default) or refresh token is missing, empty, no text, or holds a
 *   line feed.
 * - `Fields`: processed, but these fields replace those of the answer (`undefined` leaves one out).
 * - `Expiry`: these claims replace those of the JWT that is issued (`undefined` leaves one out). The sandbox itself goes
 *   on judging the token by its true lifetime.
 * - `Answer`: answered with this status and JSON, after being processed or (default) instead.
 * - `Redirect`: answered with a redirect (302 by default) instead of being processed.
 *
 * @since 0.1.0
 * @category testing
 */
export type Fault = Data.TaggedEnum<{
  Delay: { readonly duration: Duration.DurationInput; readonly when?: "before" | "after" | undefined }
  Drop: { readonly when: "before" | "after" }
  Status: { readonly status: number; readonly retryAfter?: string | undefined }
  Body: { readonly kind: DamagedBody.Kind }
  Token: { readonly kind: OddToken; readonly which?: "access" | "refresh" | undefined }
  Fields: { readonly fields: Readonly<Record<string, unknown>> }
  Expiry: {
    readonly claims: {
      readonly exp?: number | string | null | undefined
      readonly iat?: number | null | undefined
    }
  }
  Answer: { readonly status: number; readonly body: unknown; readonly processed?: boolean | undefined }
  Redirect: { readonly location: string; readonly status?: 302 | 307 | undefined }
}>

/**
 * The constructors of `Fault`: `Faults.Delay({ duration: "3 seconds" })`.
 *
 * @since 0.1.0
 * @category testing
 */
export const { Answer, Body, Delay, Drop, Expiry, Fields, Redirect, Status, Token } = Data.taggedEnum<Fault>()

export { Dropped }

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
  /** How many bytes of `"long"` bodies went out, into the buffers of a served app at least. */
  readonly sent: Ref.Ref<number>
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
  Effect.zipWith(Ref.make<ReadonlyArray<Waiting>>([]), Ref.make(0), (ref, sent) => ({
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
      }),
    sent
  }))

const odd = (kind: OddToken, token: unknown): unknown => {
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
 * What `Token` and `Fields` make of the fields of an answer that grants tokens; `names` are those of the two tokens.
 *
 * @since 0.1.0
 * @category testing
 */
export const spoil = (
  fault: Option.Option<Fault>,
  names: { readonly access: string; readonly refresh: string },
  answer: Readonly<Record<string, unknown>>
): Readonly<Record<string, unknown>> => {
  if (Option.isNone(fault)) return answer
  const { value } = fault
  if (value._tag === "Fields") return { ...answer, ...value.fields }
  if (value._tag !== "Token") return answer
  const name = names[value.which ?? "access"]
  return { ...answer, [name]: odd(value.kind, answer[name]) }
}

/**
 * The claims that `Expiry` asks for.
 *
 * @since 0.1.0
 * @category testing
 */
export const claims = (fault: Option.Option<Fault>): object | undefined =>
  Option.isSome(fault) && fault.value._tag === "Expiry" ? fault.value.claims : undefined

/**
 * Processes a request under the endpoint's next fault. Everything but `Token`, `Fields` and `Expiry` happens here; those are
 * handed to `process`, which alone knows what its answer looks like: see `spoil` and `claims`.
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
          return Effect.map(plain, (answer) => DamagedBody.damage(fault.kind, answer, faults.sent))
        case "Answer":
          return Effect.zipRight(
            fault.processed === true ? plain : Effect.void,
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
