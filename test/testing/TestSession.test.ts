import { HttpClient, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { TestProvider, TestSession } from "effect-auth/testing"
import * as AuthHttpClient from "../../src/client/AuthHttpClient.js"
import * as Session from "../../src/session/Session.js"

/** An API that answers with what it was shown, and rejects the tokens that it is told to. */
const api = (rejected: ReadonlyArray<string> = []) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request: HttpClientRequest.HttpClientRequest) => {
      const token = request.headers.authorization ?? "nobody"
      const status = rejected.includes(token) ? 401 : 200
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(`${request.url} ${token}`, { status })))
    })
  )

const test = (
  name: string,
  options: TestSession.Options,
  body: () => Effect.Effect<void, unknown, TestSession.Services>,
  rejected?: ReadonlyArray<string>
) => it.effect(name, () => Effect.provide(body(), Layer.provide(TestSession.layer(options), api(rejected))))

/** What an application does. */
const orders = Effect.flatMap(AuthHttpClient.AuthHttpClient, (client) =>
  Effect.flatMap(client.get("/orders"), (response) => response.text)
)
const status = Effect.flatMap(Session.Session, (session) => session.status)
const report = Effect.flatMap(TestProvider.TestProvider, (provider) => provider.report)

describe("how a session begins", () => {
  test("signed in, with nothing asked of the provider", {}, () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* status, { state: "signed-in", token: "fresh" })
      assert.strictEqual(yield* orders, "https://api.test/v1/orders Bearer test-access-1")
      assert.deepStrictEqual((yield* report).asked, [])
    })
  )

  test("with a token of the test's own", { accessToken: Redacted.make("test-mine") }, () =>
    Effect.gen(function* () {
      assert.include(yield* orders, "Bearer test-mine")
      yield* TestClock.adjust("5 minutes")
      assert.include(yield* orders, "Bearer test-access-2")
      assert.deepStrictEqual((yield* report).presented, ["test-refresh-1"])
    })
  )

  test("signed out, until someone logs in", { state: "signed-out" }, () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* status).state, "signed-out")
      assert.deepInclude(yield* Effect.flip(orders), { _tag: "SignedOut" })
      assert.deepStrictEqual((yield* report).asked, [])
      yield* Effect.flatMap(Session.Session, (session) => session.login)
      assert.include(yield* orders, "Bearer test-access-1")
    })
  )

  test("expired, and refreshed at the first use", { state: "expired" }, () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* status, { state: "signed-in", token: "expired" })
      assert.include(yield* orders, "Bearer test-access-2")
      assert.deepStrictEqual((yield* report).asked, ["refresh"])
    })
  )

  test("expired without a refresh token, and logged in", { state: "expired", refreshable: false }, () =>
    Effect.gen(function* () {
      assert.include(yield* orders, "Bearer test-access-2")
      assert.deepStrictEqual((yield* report).asked, ["login"])
    })
  )

  for (const [name, failure] of Object.entries({
    ...TestProvider.failure,
    busy: TestProvider.failure.busy("1 minute")
  })) {
    test(`failing: ${name} is told to the first caller, without a clock`, { state: "expired", failure }, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(orders)
        // Within a span, Effect wraps what fails: it is not the same object any more.
        assert.deepStrictEqual([error._tag, error.message], [failure._tag, failure.message])
      })
    )
  }

  test(
    "failing token requests leave a valid token alone, and end when the script says so",
    { failure: TestProvider.failure.misconfigured },
    () =>
      Effect.gen(function* () {
        assert.include(yield* orders, "Bearer test-access-1")
        yield* TestClock.adjust("5 minutes")
        assert.deepInclude(yield* Effect.flip(orders), { _tag: "Misconfigured" })
        yield* Effect.flatMap(TestProvider.TestProvider, ({ clear }) => clear)
        yield* Effect.flatMap(Session.Session, (session) => session.login)
        assert.include(yield* orders, "Bearer test-access-2")
      })
  )

  it.effect("Misconfigured for a token that cannot stand in a header, or an address that is none", () =>
    Effect.gen(function* () {
      for (const options of [{ accessToken: Redacted.make("test-\n") }, { baseUrl: "nowhere" }, { leeway: -1 }]) {
        const layer = Layer.provide(TestSession.layer(options), api())
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.strictEqual(error._tag, "Misconfigured")
      }
    })
  )
})

describe("how a session goes on", () => {
  test(
    "it is a real one: a rejected request is sent again with a new token",
    {},
    () =>
      Effect.gen(function* () {
        assert.include(yield* orders, "Bearer test-access-2")
        assert.deepStrictEqual((yield* report).presented, ["test-refresh-1"])
      }),
    ["Bearer test-access-1"]
  )

  test("nothing is renewed unless it is used", {}, () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* report).tokenRequests, 0)
    })
  )

  test("background renewal keeps the token fresh, if it is asked for", { renewal: "background" }, () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* status).token, "fresh")
      assert.isAtLeast((yield* report).refreshes, 12)
      assert.isAtMost((yield* report).refreshes, 20)
    })
  )

  test(
    "patience waits out an outage, if it is asked for",
    { state: "expired", failure: TestProvider.failure.unreachable, patience: "1 minute" },
    () =>
      Effect.gen(function* () {
        const waiting = yield* Effect.fork(orders)
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
        yield* Effect.flatMap(TestProvider.TestProvider, ({ clear }) => clear)
        yield* TestClock.adjust("30 seconds")
        assert.include(yield* Fiber.join(waiting), "Bearer test-access-2")
      })
  )

  it.effect("a layer closes though a token request is under way and no one moves the clock", () =>
    Effect.gen(function* () {
      const layer = Layer.provide(TestSession.layer({ state: "expired" }), api())
      yield* Effect.gen(function* () {
        const { sent, step } = yield* TestProvider.paused
        yield* Effect.flatMap(TestProvider.TestProvider, ({ next }) => next(step))
        yield* Effect.fork(orders)
        yield* sent
      }).pipe(Effect.provide(layer))
    })
  )

  it.effect("two layers are two sessions of two providers", () =>
    Effect.gen(function* () {
      const once = Effect.zipRight(orders, report)
      for (let n = 0; n < 2; n++) {
        const layer = Layer.provide(TestSession.layer({ state: "expired" }), api())
        assert.strictEqual((yield* Effect.provide(once, layer)).tokenRequests, 1)
      }
    })
  )
})
