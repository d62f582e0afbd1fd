/**
 * What a sandbox saw: each request, and the counts that tell a polite client from one that is not.
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
 * The kinds of request every sandbox knows. A log in of two steps is two requests of `login`.
 *
 * @since 0.1.0
 * @category testing
 */
export type Endpoint = "login" | "refresh" | "revoke" | "metadata" | "api"

/**
 * One request that ended. It holds no query, header or body, hence no secret.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Entry {
  readonly endpoint: Endpoint | "unknown"
  readonly method: string
  readonly path: string
  /** When it arrived, in milliseconds since 1970 by the clock of the test. */
  readonly at: number
  /** What it was answered; `"dropped"` when the connection broke or the client went away first. */
  readonly status: number | "dropped"
  /** What a well-behaved client would not have done. */
  readonly complaint?: string | undefined
}

/**
 * The counts of a sandbox, as JSON for a demo in another process.
 *
 * @since 0.1.0
 * @category testing
 */
export class Report extends Schema.Class<Report>("effect-auth/testing/Report")({
  /** Log ins processed, refused ones included. */
  logins: Schema.Number,
  /** Refreshes processed, refused ones included. */
  refreshes: Schema.Number,
  /** Revocations processed. */
  revocations: Schema.Number,
  /** Readings of the server's metadata processed. */
  metadata: Schema.Number,
  /** Requests of the API processed. */
  api: Schema.Number,
  /** Requests of the API answered 401, or whatever else the API documents for a bad token. */
  rejections: Schema.Number,
  /** Log ins and refreshes that arrived, whatever fault befell them. */
  exchanges: Schema.Number,
  /** The most log ins and refreshes in progress at once. */
  maxConcurrentExchanges: Schema.Number,
  /** Requests that broke the protocol's manners; the log says how. */
  complaints: Schema.Number,
  /** Spent refresh tokens that were presented again, outside of any reuse window. */
  reuses: Schema.Number,
  /** Families of tokens revoked, because of a reuse or because a client asked for it. */
  familiesRevoked: Schema.Number
}) {}

/**
 * The counts that a log keeps itself; the mint keeps the others.
 *
 * @since 0.1.0
 * @category testing
 */
export type Counts = Omit<typeof Report.Type, keyof TokenMint.Counts>

/**
 * What a handler tells the log about the request at hand.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Note {
  /** The request is being processed: no fault kept it away. */
  readonly processed: Effect.Effect<void>
  /** The client misbehaved; only the first complaint about a request is kept. */
  readonly complain: (complaint: string) => Effect.Effect<void>
}

/**
 * The log of one sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** Watches one request from its arrival to its end. */
  readonly record: <E, R>(
    request: Pick<Entry, "endpoint" | "method" | "path">,
    handler: (note: Note) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  /** Every request that ended, in the order of their ends. */
  readonly entries: Effect.Effect<ReadonlyArray<Entry>>
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
  exchanges: 0,
  maxConcurrentExchanges: 0,
  complaints: 0
}

/**
 * Makes an empty log; `rejections` are the statuses by which the API says that a token is no good.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (rejections: ReadonlyArray<number>) => Effect.Effect<Service> = Effect.fnUntraced(
  function* (rejections) {
    const entries = yield* Ref.make(Chunk.empty<Entry>())
    const counts = yield* Ref.make({ inProgress: 0, report: none })
    const count = (name: Exclude<keyof Counts, "maxConcurrentExchanges">) =>
      Ref.update(counts, (_) => ({ ..._, report: { ..._.report, [name]: _.report[name] + 1 } }))
    const begin = Ref.update(counts, ({ inProgress, report }) => ({
      inProgress: inProgress + 1,
      report: {
        ...report,
        exchanges: report.exchanges + 1,
        maxConcurrentExchanges: Math.max(report.maxConcurrentExchanges, inProgress + 1)
      }
    }))
    const end = Ref.update(counts, (_) => ({ ..._, inProgress: _.inProgress - 1 }))

    const record: Service["record"] = (request, handler) =>
      Effect.gen(function* () {
        const at = yield* Clock.currentTimeMillis
        const complaint = yield* Ref.make<string | undefined>(undefined)
        const { endpoint } = request
        const exchange = endpoint === "login" || endpoint === "refresh"
        const note: Note = {
          processed: endpoint === "unknown" ? Effect.void : count(processedAs[endpoint]),
          complain: (text) => Ref.update(complaint, (first) => first ?? text)
        }
        const finish = Effect.fnUntraced(function* (exit: Exit.Exit<HttpServerResponse.HttpServerResponse, unknown>) {
          const status = Exit.isSuccess(exit) ? exit.value.status : "dropped"
          const text = yield* Ref.get(complaint)
          if (exchange) yield* end
          if (endpoint === "api" && rejections.some((one) => one === status)) yield* count("rejections")
          if (text !== undefined) yield* count("complaints")
          const entry: Entry = { ...request, at, status, ...(text === undefined ? {} : { complaint: text }) }
          yield* Ref.update(entries, Chunk.append(entry))
        })
        return yield* Effect.acquireUseRelease(
          exchange ? begin : Effect.void,
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
