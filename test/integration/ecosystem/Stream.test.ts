import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Fiber, Option, Ref, Schedule, Schema, Stream, TestClock } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import { violet } from "./signedIn.js"

const Page = Schema.Struct({ content: Schema.Array(Schema.Struct({ id: Schema.Number })), last: Schema.Boolean })

/** The merchants of a list, as examples/stream.ts reads them. */
const merchants = Stream.unwrap(
  Effect.map(AuthHttpClient.AuthHttpClient, (client) => {
    const patient = client.pipe(
      HttpClient.filterStatusOk,
      HttpClient.retryTransient({
        while: (error) => AuthError.isAuthError(error) && AuthError.isTransient(error),
        schedule: Schedule.spaced("30 seconds"),
        times: 8
      })
    )
    return Stream.paginateChunkEffect(1, (page) =>
      patient.get("/merchants", { urlParams: { page, size: 3 } }).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Page)),
        Effect.map(({ content, last }) => [
          Chunk.unsafeFromArray(content),
          last ? Option.none() : Option.some(page + 1)
        ])
      )
    )
  })
)

const pages = 48
const all = Array.from({ length: pages * 3 }, (_, index) => index + 1)

/** Reads all pages, each half an hour after the one before, and before each does whatever `meanwhile` does. */
const read = Effect.fnUntraced(function* (
  sandbox: VioletSandbox.Service,
  meanwhile: (page: number) => Effect.Effect<void> = () => Effect.void
) {
  const seen = yield* Ref.make<ReadonlyArray<number>>([])
  const reading = yield* Stream.chunks(merchants).pipe(
    Stream.zipWithIndex,
    Stream.mapEffect(([chunk, page]) =>
      Ref.update(seen, (ids) => [...ids, ...Chunk.map(chunk, ({ id }) => id)]).pipe(
        Effect.delay("30 minutes"),
        Effect.zipLeft(meanwhile(page))
      )
    ),
    Stream.runDrain,
    Effect.provide(violet(sandbox)),
    Effect.fork
  )
  yield* TestClock.adjust("36 hours")
  yield* Fiber.join(reading)
  return yield* Ref.get(seen)
})

describe("a stream over pages", () => {
  it.scoped("outlives many tokens: a day, no page twice, none lost, one token request a token", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make({ pages, lifetime: "1 hour" })
      assert.deepStrictEqual(yield* read(sandbox), all)
      // A token of an hour is good for two pages: at the third one it has ended, and the answer comes first.
      const { api, complaints, tokenRequests, logins, rejections } = yield* sandbox.report
      assert.deepStrictEqual(
        { api, complaints, tokenRequests, logins, rejections },
        { api: pages, complaints: 0, tokenRequests: pages / 2, logins: 1, rejections: 0 }
      )
    })
  )

  it.scoped("a consumer slower than the tokens needs a new one for each page, and none in between", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make({ pages: 12 })
      assert.deepStrictEqual(yield* read(sandbox), all.slice(0, 36))
      assert.deepInclude({ ...(yield* sandbox.report) }, { api: 12, tokenRequests: 12, logins: 1, rejections: 0 })
    })
  )

  it.scoped("tokens revoked under way, outages of the API and of the token endpoint cost no page", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make({ pages, lifetime: "1 hour" })
      const ids = yield* read(sandbox, (page) =>
        Effect.gen(function* () {
          if (page % 5 === 2) yield* sandbox.revokeAccessTokens
          if (page % 7 === 3) yield* sandbox.faults.inject("api", Faults.Status({ status: 503 }), 2)
          if (page % 9 === 4) yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "before" }), 8)
        })
      )
      assert.deepStrictEqual(ids, all)
      const { complaints, logins, rejections } = yield* sandbox.report
      assert.deepStrictEqual({ complaints, logins }, { complaints: 0, logins: 1 })
      assert.isAbove(rejections, 5)
    })
  )
})
