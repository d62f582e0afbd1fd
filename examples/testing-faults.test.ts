// What can go wrong with tokens, on demand.
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, TestClock } from "effect"
import { Auth, AuthHttpClient, Credentials, Session } from "effect-auth"
import * as TestProvider from "effect-auth/testing/TestProvider"
import * as TestSession from "effect-auth/testing/TestSession"

/** An API that accepts every token, and responds with it. */
const api = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) =>
    Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers.authorization)))
  )
)

/** A session for one test, over that API. */
const layer = (options?: TestSession.Options) => Layer.provide(TestSession.layer(options), api)

const call = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  return yield* Effect.flatMap(client.get("/orders"), (response) => response.text)
})

it.effect("expiry: the next call renews, once for all callers", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.TestProvider
    yield* TestClock.adjust("5 minutes")
    const responses = yield* Effect.all([call, call, call], { concurrency: "unbounded" })
    assert.deepStrictEqual(responses, Array(3).fill("Bearer test-access-2"))
    assert.strictEqual((yield* provider.report).refreshes, 1)
  }).pipe(Effect.provide(layer({ lifetime: "5 minutes" })))
)

it.effect("refusal: the session logs in, and fails if it cannot", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.TestProvider
    yield* provider.next(TestProvider.fails(TestProvider.failure.refused))
    assert.strictEqual(yield* call, "Bearer test-access-2")
    assert.deepStrictEqual((yield* provider.report).asked, ["refresh", "login"])

    yield* TestClock.adjust("5 minutes")
    yield* provider.next(
      TestProvider.fails(TestProvider.failure.refused),
      TestProvider.fails(TestProvider.failure.credentials)
    )
    assert.strictEqual((yield* Effect.flip(call))._tag, "InvalidCredentials")
  }).pipe(Effect.provide(layer({ state: "expired" })))
)

it.effect("outage: callers wait for its end, for as long as their patience lasts", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.TestProvider
    yield* provider.always(TestProvider.fails(TestProvider.failure.unreachable))
    const patient = yield* Effect.fork(call)
    yield* TestClock.adjust("10 seconds")
    yield* provider.always(TestProvider.honest)
    yield* TestClock.adjust("30 seconds")
    assert.strictEqual(yield* Fiber.join(patient), "Bearer test-access-2")

    yield* TestClock.adjust("5 minutes")
    yield* provider.always(TestProvider.fails(TestProvider.failure.unreachable))
    const unlucky = yield* Effect.fork(Effect.flip(call))
    yield* TestClock.adjust("1 minute")
    assert.strictEqual((yield* Fiber.join(unlucky))._tag, "NetworkFailure")
  }).pipe(Effect.provide(layer({ state: "expired", patience: "1 minute" })))
)

it.effect("slow responses: no caller waits while its token is stale but valid", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust("55 minutes")
    assert.strictEqual(yield* call, "Bearer test-access-1")
    yield* TestClock.adjust("8 seconds")
    assert.strictEqual(yield* call, "Bearer test-access-2")
  }).pipe(Effect.provide(layer({ lifetime: "1 hour", latency: "8 seconds" })))
)

it.effect("lost responses: a spent refresh token is not presented again", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.TestProvider
    yield* provider.next(TestProvider.lost)
    const caller = yield* Effect.fork(call)
    yield* TestClock.adjust("3 seconds")
    assert.strictEqual(yield* Fiber.join(caller), "Bearer test-access-3")
    const { asked, presented, reuses } = yield* provider.report
    assert.deepStrictEqual(asked, ["refresh", "login"])
    assert.deepStrictEqual(presented, ["test-refresh-1"])
    assert.strictEqual(reuses, 0)
  }).pipe(Effect.provide(layer({ state: "expired", rotation: "single-use", patience: "3 seconds" })))
)

it.effect("in between: a logout while a token request is under way", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.TestProvider
    const session = yield* Session.Session
    const { respond, sent, step } = yield* TestProvider.paused
    yield* provider.next(step)
    const caller = yield* Effect.fork(Effect.flip(call))
    yield* sent
    yield* session.logout
    yield* respond
    assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
  }).pipe(Effect.provide(layer({ state: "expired" })))
)

it.effect("your own wiring: only the provider is replaced", () =>
  Effect.gen(function* () {
    const provider = yield* TestProvider.make({ rotation: "single-use" })
    const own = Auth.layer(Effect.succeed(provider.service), { leeway: "1 minute", renewal: "on-use" }).pipe(
      Layer.provide(Credentials.layerNone),
      Layer.provide(api)
    )
    yield* Effect.gen(function* () {
      const session = yield* Session.Session
      assert.strictEqual((yield* Effect.flip(call))._tag, "SignedOut")
      yield* session.adopt(yield* provider.issue)
      assert.strictEqual(yield* call, "Bearer test-access-1")
    }).pipe(Effect.provide(own))
  })
)
