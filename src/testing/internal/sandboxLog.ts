/**
 * The log of a sandbox: each request, and counts of what clients should and should not do.
 *
 * @since 0.1.0
 */
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as TokenMint from "./tokenMint.js"

/**
 * The kinds of request that a sandbox tells apart. A login of two steps is two requests of `login`.
 *
 * @since 0.1.0
 * @category testing
 */
export type Endpoint = "login" | "refresh" | "revoke" | "metadata" | "api"

/**
 * The log entry of one request that ended. It has no query, header or body, so it has no secret.
 *
 * @since 0.1.0
 * @category testing
 */
export interface LogEntry {
  /** The endpoint; `"unknown"` if no route has the path. */
  readonly endpoint: Endpoint | "unknown"
  /** The HTTP method. */
  readonly method: string
  /** The path; `"(hidden)"` if no route has it and the URL contains a secret. */
  readonly path: string
  /** When the request arrived, in milliseconds since 1970 by the clock of the test. */
  readonly at: number
  /** The status of the response; `"dropped"` if the connection broke or the client went away first. */
  readonly status: number | "dropped"
  /** The first error of the client in this request, such as a secret in the URL. Left out if there is none. */
  readonly complaint?: string | undefined
}

/**
 * The counts of a sandbox. It is a schema, so that a sandbox in another process can send them.
 *
 * @since 0.1.0
 * @category testing
 */
export class Report extends Schema.Class<Report>("effect-auth/testing/Report")({
  /** Logins processed, refused ones included. */
  logins: Schema.Number,
  /** Refreshes processed, refused ones included. */
  refreshes: Schema.Number,
  /** Revocations processed. */
  revocations: Schema.Number,
  /** Requests of the server's metadata processed. */
  metadata: Schema.Number,
  /** Requests of the API processed. */
  api: Schema.Number,
  /** Requests of the API with a response of 401, or of the other statuses by which the API rejects a token. */
  rejections: Schema.Number,
  /** Logins and refreshes that arrived, those with a fault included. */
  tokenRequests: Schema.Number,
  /** The most logins and refreshes that were in progress at once. */
  maxConcurrentTokenRequests: Schema.Number,
  /** Requests with an error of the client. The log has the error. */
  complaints: Schema.Number,
  /** Spent refresh tokens that were presented again, outside the reuse window. */
  reuses: Schema.Number,
  /** Token families revoked, because of a reuse or at a client's request. */
  familiesRevoked: Schema.Number
}) {}

/**
 * The counts of the log itself. `TokenMint` has the others.
 *
 * @since 0.1.0
 * @category testing
 */
export type Counts = Omit<typeof Report.Type, keyof TokenMint.Counts>

/**
 * The notes of a handler about its request.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Note {
  /** Counts the request as processed: no fault came before. */
  readonly processed: Effect.Effect<void>
  /** Logs an error of the client. Only the first complaint about a request is logged. */
  readonly complain: (complaint: string) => Effect.Effect<void>
}

/**
 * The log of one sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** Runs the handler of a request and logs the request when it ends. */
  readonly record: <E, R>(
    request: Pick<LogEntry, "endpoint" | "method" | "path">,
    handler: (note: Note) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  /** The requests that ended so far, in that order. */
  readonly entries: Effect.Effect<ReadonlyArray<LogEntry>>
  /** The counts so far. */
  readonly counts: Effect.Effect<Counts>
}

const processedAs = {
  login: "logins",
  refresh: "refreshes",
  revoke: "revocations",
  metadata: "metadata",
  api: "api"
} as const

const none: Counts = {
  logins: 0,
  refreshes: 0,
  revocations: 0,
  metadata: 0,
  api: 0,
  rejections: 0,
  tokenRequests: 0,
  maxConcurrentTokenRequests: 0,
  complaints: 0
}

/**
 * Makes an empty log. `rejections` are the statuses by which the API rejects a token.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (rejections: ReadonlyArray<number>) => Effect.Effect<Service> = Effect.fnUntraced(
  function* (rejections) {
    const entries = yield* Ref.make(Chunk.empty<LogEntry>())
    const counts = yield* Ref.make({ inProgress: 0, report: none })
    const count = (name: Exclude<keyof Counts, "maxConcurrentExchanges">) =>
      Ref.update(counts, (_) => ({ ..._, report: { ..._.report, [name]: _.report[name] + 1 } }))
    const begin = Ref.update(counts, ({ inProgress, report }) => ({
      inProgress: inProgress + 1,
      report: {
        ...report,
        tokenRequests: report.tokenRequests + 1,
        maxConcurrentTokenRequests: Math.max(report.maxConcurrentTokenRequests, inProgress + 1)
      }
    }))
    const end = Ref.update(counts, (_) => ({ ..._, inProgress: _.inProgress - 1 }))

    const record: Service["record"] = (request, handler) =>
      Effect.gen(function* () {
        const at = yield* Clock.currentTimeMillis
        const complaint = yield* Ref.make<string | undefined>(undefined)
        const { endpoint } = request
        const isTokenRequest = endpoint === "login" || endpoint === "refresh"
        const note: Note = {
          processed: endpoint === "unknown" ? Effect.void : count(processedAs[endpoint]),
          complain: (text) => Ref.update(complaint, (first) => first ?? text)
        }
        const finish = Effect.fnUntraced(function* (exit: Exit.Exit<HttpServerResponse.HttpServerResponse, unknown>) {
          const status = Exit.isSuccess(exit) ? exit.value.status : "dropped"
          const text = yield* Ref.get(complaint)
          if (isTokenRequest) yield* end
          if (endpoint === "api" && rejections.some((rejection) => rejection === status)) yield* count("rejections")
          if (text !== undefined) yield* count("complaints")
          const entry: LogEntry = { ...request, at, status, ...(text === undefined ? {} : { complaint: text }) }
          yield* Ref.update(entries, Chunk.append(entry))
        })
        return yield* Effect.acquireUseRelease(
          isTokenRequest ? begin : Effect.void,
          () => handler(note),
          (_, exit) => finish(exit)
        )
      })

    return {
      record,
      entries: Effect.map(Ref.get(entries), Chunk.toReadonlyArray),
      counts: Effect.map(Ref.get(counts), (_) => _.report)
    }
  }
)
