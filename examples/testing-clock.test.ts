// Background renewal, and an application that sleeps, under TestClock.
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Schedule, TestClock } from "effect"
import { AuthHttpClient, Session } from "effect-auth"
import * as TestProvider from "effect-auth/testing/TestProvider"
import * as TestSession from "effect-auth/testing/TestSession"

const api = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers.authorization)))
  )
)

/** A session for one test, over that API. */
const layer = (options?: TestSession.Options) => Layer.provide(TestSession.layer(options), api)

/** The application: it makes a request once a minute and records the responses. */
const poll = (seen: Ref.Ref<ReadonlyArray<string>>) =>
  Effect.gen(function* () {
    const client = yield* AuthHttpClient.AuthHttpClient
    const text = yield* Effect.flatMap(client.get("/orders"), (response) => response.text)
    yield* Ref.update(seen, (all) => [...all, text])
  }).pipe(Effect.repeat(Schedule.spaced("1 minute")))

it.effect("an application that polls is renewed in the background", () =>
  Effect.gen(function* () {
    const seen = yield* Ref.make<ReadonlyArray<string>>([])
    // Fork what waits for the clock before moving the clock. Otherwise the test waits for itself.
    const app = yield* Effect.fork(poll(seen))
    yield* TestClock.adjust("20 minutes")
    yield* Fiber.interrupt(app)

    const tokens = new Set(yield* Ref.get(seen))
    assert.strictEqual((yield* Ref.get(seen)).length, 21)
    assert.isAtLeast(tokens.size, 3)
    const provider = yield* TestProvider.TestProvider
    const { logins, maxConcurrentTokenRequests, refreshes } = yield* provider.report
    assert.strictEqual(logins, 0)
    assert.strictEqual(maxConcurrentTokenRequests, 1)
    assert.isAtMost(refreshes, 4)
  }).pipe(Effect.provide(layer({ lifetime: "10 minutes", renewal: "background" })))
)

it.effect("an unused session is renewed too, and recovers after an outage", () =>
  Effect.gen(function* () {
    const { status } = yield* Session.Session
    const provider = yield* TestProvider.TestProvider
    yield* provider.always(TestProvider.fails(TestProvider.failure.broken))
    yield* TestClock.adjust("15 minutes")
    assert.strictEqual((yield* status).token, "expired")

    yield* provider.always(TestProvider.honest)
    // By now there is one attempt in 30 seconds.
    yield* TestClock.adjust("1 minute")
    assert.strictEqual((yield* status).token, "fresh")
  }).pipe(Effect.provide(layer({ lifetime: "10 minutes", renewal: "background" })))
)
