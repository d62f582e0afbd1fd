/** The limits: the least that any library could do, written in plain Effect. The budgets are relative to them. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { Context, Effect, Exit, Redacted } from "effect"

const token = Exit.succeed(Redacted.make("test-access-alice.0"))

const farAway = Date.now() + 86_400_000

/** Reads the clock and returns a ready-made token. */
export const read: Effect.Effect<Redacted.Redacted<string>> = Effect.clockWith((clock) =>
  clock.unsafeCurrentTimeMillis() < farAway ? token : Effect.never
)

/** The same with both clocks. */
const soon = process.hrtime.bigint() * 2n + BigInt(farAway) * 1_000_000n

export const readBoth: Effect.Effect<Redacted.Redacted<string>> = Effect.clockWith((clock) =>
  clock.unsafeCurrentTimeMillis() < farAway && clock.unsafeCurrentTimeNanos() < soon ? token : Effect.never
)

export class Read extends Context.Tag("bench/Read")<Read, { readonly read: typeof read }>() {}

/** A client that adds the same header to each request. */
export const client = (bare: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.mapRequest(bare, HttpClientRequest.setHeader("authorization", "Bearer test-access-alice.0"))
