/** The least that any library could do, written with nothing but Effect: what the budgets are measured against. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { Context, Effect, Exit, Redacted } from "effect"

const token = Exit.succeed(Redacted.make("test-access-alice.0"))

const farAway = Date.now() + 86_400_000

/** A look at the clock that answers what lies ready. */
export const read: Effect.Effect<Redacted.Redacted<string>> = Effect.clockWith((clock) =>
  clock.unsafeCurrentTimeMillis() < farAway ? token : Effect.never
)

/** The same at both clocks. */
const soon = process.hrtime.bigint() * 2n + BigInt(farAway) * 1_000_000n

export const readBoth: Effect.Effect<Redacted.Redacted<string>> = Effect.clockWith((clock) =>
  clock.unsafeCurrentTimeMillis() < farAway && clock.unsafeCurrentTimeNanos() < soon ? token : Effect.never
)

export class Read extends Context.Tag("bench/Read")<Read, { readonly read: typeof read }>() {}

/** A client that puts a header on each request that never changes. */
export const client = (bare: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.mapRequest(bare, HttpClientRequest.setHeader("authorization", "Bearer test-access-alice.0"))
