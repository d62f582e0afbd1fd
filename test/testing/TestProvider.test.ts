import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Exit, Fiber, Option, Redacted, TestClock } from "effect"
import { TestProvider } from "effect-auth/testing"
import type { AuthError } from "../../src/common/AuthError.js"
import * as Token from "../../src/token/Token.js"

const user = Option.some({ username: Redacted.make("test-user"), password: Redacted.make("test-password") })

/** The token requests of a provider, as a session makes them. */
const of = ({ service }: TestProvider.Service) => ({
  login: Option.getOrThrow(service.login(user)),
  refresh: (token: string) => service.refresh(Token.make({ refreshToken: Redacted.make(token) }))
})

/** The tokens of an answer, bare, or the tag of the failure. */
const reported = (tokenRequest: Effect.Effect<Token.TokenSet, AuthError>) =>
  Effect.map(
    Effect.either(tokenRequest),
    Either.match({
      onLeft: (error) => ("reason" in error ? `${error._tag} ${error.reason}` : error._tag),
      onRight: ({ accessToken, refreshToken }) =>
        [accessToken, refreshToken].map((token) => Option.getOrUndefined(Option.map(token, Redacted.value)))
    })
  )

describe("what it answers", () => {
  it.effect("numbered tokens of five minutes, and a refresh token at log in", () =>
    Effect.gen(function* () {
      const { login, refresh } = of(yield* TestProvider.make())
      const tokens = yield* login
      assert.deepStrictEqual(tokens.lifetime, Option.some(Duration.minutes(5)))
      assert.deepStrictEqual(tokens.refreshLifetime, Option.none())
      assert.deepStrictEqual(yield* reported(Effect.succeed(tokens)), ["test-access-1", "test-refresh-1"])
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-1")), ["test-access-2", undefined])
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-1")), ["test-access-3", undefined])
    })
  )

  it.effect("the lifetimes that the test says, or none", () =>
    Effect.gen(function* () {
      const { login } = of(yield* TestProvider.make({ lifetime: "1 hour", refreshLifetime: "30 days" }))
      const stated = yield* login
      assert.deepStrictEqual(stated.lifetime, Option.some(Duration.hours(1)))
      assert.deepStrictEqual(stated.refreshLifetime, Option.some(Duration.days(30)))
      const silent = yield* of(yield* TestProvider.make({ lifetime: "unstated", refreshable: false })).login
      assert.deepStrictEqual([silent.lifetime, silent.refreshToken], [Option.none(), Option.none()])
    })
  )

  it.effect("with optional rotation another refresh token, and the old one stays good", () =>
    Effect.gen(function* () {
      const { login, refresh } = of(yield* TestProvider.make({ rotation: "optional" }))
      yield* login
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-1")), ["test-access-2", "test-refresh-2"])
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-1")), ["test-access-3", "test-refresh-3"])
    })
  )

  it.effect("with single use a refusal to what is spent, and to nothing else", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ rotation: "single-use" })
      const { login, refresh } = of(provider)
      yield* login
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-1")), ["test-access-2", "test-refresh-2"])
      assert.strictEqual(yield* reported(refresh("test-refresh-1")), "InvalidRefreshToken reused")
      assert.deepStrictEqual(yield* reported(refresh("test-refresh-2")), ["test-access-3", "test-refresh-3"])
      assert.deepStrictEqual(yield* reported(refresh("test-of-an-earlier-life")), ["test-access-4", "test-refresh-4"])
      assert.strictEqual((yield* provider.report).reuses, 1)
    })
  )

  it.effect("within the reuse window forgives what is spent, counted from its first use", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ rotation: "single-use", reuseWindow: "10 seconds" })
      const { refresh } = of(provider)
      assert.deepStrictEqual(provider.service.reuseWindow, Duration.seconds(10))
      yield* refresh("test-refresh")
      yield* TestClock.adjust("9 seconds")
      assert.isArray(yield* reported(refresh("test-refresh")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* reported(refresh("test-refresh")), "InvalidRefreshToken reused")
    })
  )

  it.effect("nothing without credentials, and no refresh without a refresh token", () =>
    Effect.gen(function* () {
      const { service } = yield* TestProvider.make()
      assert.isTrue(Option.isNone(service.login(Option.none())))
      const bare = Token.make({ accessToken: Redacted.make("test-access") })
      assert.strictEqual(yield* reported(service.refresh(bare)), "InvalidRefreshToken invalid")
    })
  )

  it.effect("its own address, and the token as a bearer's", () =>
    Effect.gen(function* () {
      const { service } = yield* TestProvider.make({
        name: "shop",
        baseUrl: "https://shop.test/v2",
        origins: ["https://files.test"]
      })
      assert.deepStrictEqual(
        [service.name, service.baseUrl.href, service.origins],
        ["shop", "https://shop.test/v2/", ["https://shop.test", "https://files.test"]]
      )
      const request = service.authorize(HttpClientRequest.get("/orders"), Redacted.make("test-access"))
      assert.strictEqual(request.headers.authorization, "Bearer test-access")
      assert.deepStrictEqual(
        [200, 401, 403].map((status) => service.rejects(status, request.headers)),
        [false, true, false]
      )
    })
  )

  it.effect("Misconfigured for an address or a name that is none", () =>
    Effect.gen(function* () {
      for (const [options, field] of [
        [{ baseUrl: "api.test" }, "baseUrl"],
        [{ baseUrl: "http://api.test" }, "baseUrl"],
        [{ origins: ["nowhere"] }, "origins"],
        [{ name: " " }, "name"]
      ] as const) {
        assert.deepInclude(yield* Effect.flip(TestProvider.make(options)), { _tag: "Misconfigured", field })
      }
    })
  )
})

describe("what the script makes of it", () => {
  it.effect("the next token requests do as they are told, one each, before what all do", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { login } = of(provider)
      const { failure, fails, honest } = TestProvider
      yield* provider.always(fails(failure.unreachable))
      yield* provider.next(fails(failure.credentials), honest)
      yield* provider.next(fails(failure.malformed))
      const seen = []
      for (let n = 0; n < 5; n++) seen.push(yield* reported(login))
      assert.deepStrictEqual(seen, [
        "InvalidCredentials refused",
        ["test-access-1", "test-refresh-1"],
        "MalformedResponse",
        "NetworkFailure unreachable",
        "NetworkFailure unreachable"
      ])
      yield* provider.always(honest)
      assert.isArray(yield* reported(login))
    })
  )

  it.effect("clear forgets what was told and has not happened", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { login } = of(provider)
      yield* provider.next(TestProvider.fails(TestProvider.failure.misconfigured))
      yield* provider.always(TestProvider.fails(TestProvider.failure.broken))
      yield* provider.clear
      assert.deepStrictEqual(yield* reported(login), ["test-access-1", "test-refresh-1"])
      assert.deepStrictEqual(yield* reported(login), ["test-access-2", "test-refresh-2"])
    })
  )

  it.effect("a failure spends nothing; a lost answer does", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ rotation: "single-use" })
      const { refresh } = of(provider)
      yield* provider.next(TestProvider.fails(TestProvider.failure.unreachable))
      assert.strictEqual(yield* reported(refresh("test-refresh")), "NetworkFailure unreachable")
      yield* provider.next(TestProvider.lost)
      assert.strictEqual(yield* reported(refresh("test-refresh")), "NetworkFailure interrupted")
      assert.strictEqual(yield* reported(refresh("test-refresh")), "InvalidRefreshToken reused")
    })
  )

  it.effect("a late answer has been given at once, and a delayed one has not", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ rotation: "single-use" })
      const { refresh } = of(provider)
      for (const [step, again] of [
        [TestProvider.late("3 seconds"), "InvalidRefreshToken reused"],
        [Effect.delay("3 seconds"), "test-access-2"]
      ] as const) {
        yield* provider.next(step)
        const slow = yield* Effect.fork(refresh(`test-refresh of ${again}`))
        yield* TestClock.adjust("2 seconds")
        assert.isNull(yield* Fiber.poll(slow).pipe(Effect.map(Option.getOrNull)))
        assert.include(yield* reported(refresh(`test-refresh of ${again}`)), again)
        yield* TestClock.adjust("1 second")
        yield* Fiber.await(slow)
      }
    })
  )

  it.effect("latency is for answers, refusals and scripted failures alike", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ latency: "2 seconds", rotation: "single-use" })
      const { login, refresh } = of(provider)
      yield* provider.next(TestProvider.honest, TestProvider.fails(TestProvider.failure.broken))
      for (const tokenRequest of [login, login, refresh("test-refresh"), refresh("test-refresh")]) {
        const asked = yield* Effect.fork(reported(tokenRequest))
        yield* TestClock.adjust("1999 millis")
        assert.isTrue(Option.isNone(yield* Fiber.poll(asked)))
        yield* TestClock.adjust("1 millis")
        assert.isTrue(Option.isSome(yield* Fiber.poll(asked)))
      }
    })
  )

  it.effect("an answer may live as long as it is told, or say what the test wants", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { login } = of(provider)
      yield* provider.next(
        TestProvider.lives("1 second"),
        Effect.map((tokens) => ({ ...tokens, extra: { guid: "test-guid" } }))
      )
      assert.deepStrictEqual((yield* login).lifetime, Option.some(Duration.seconds(1)))
      assert.deepStrictEqual((yield* login).extra, { guid: "test-guid" })
    })
  )

  it.effect("a step for one kind of token request leaves the other alone", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { login, refresh } = of(provider)
      yield* provider.always(TestProvider.only("refresh", TestProvider.fails(TestProvider.failure.expired)))
      assert.isArray(yield* reported(login))
      assert.strictEqual(yield* reported(refresh("test-refresh")), "TokenExpired")
      yield* provider.always(TestProvider.only("login", TestProvider.fails(TestProvider.failure.credentials)))
      assert.strictEqual(yield* reported(login), "InvalidCredentials refused")
      assert.isArray(yield* reported(refresh("test-refresh")))
    })
  )

  it.effect("a held token request waits for the test, without a clock", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { respond, sent, step } = yield* TestProvider.paused
      yield* provider.next(step)
      const asked = yield* Effect.fork(of(provider).login)
      yield* sent
      assert.isTrue(Option.isNone(yield* Fiber.poll(asked)))
      yield* respond
      assert.deepStrictEqual(yield* reported(Fiber.join(asked)), ["test-access-1", "test-refresh-1"])
    })
  )
})

describe("what it tells", () => {
  it.effect("what was asked, in order, with the tokens that were presented and revoked", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make({ rotation: "single-use" })
      const { login, refresh } = of(provider)
      const tokens = yield* login
      yield* refresh("test-refresh-1")
      yield* Effect.ignore(refresh("test-refresh-1"))
      const revoke = Option.getOrThrow(provider.service.revoke)
      yield* revoke(tokens)
      yield* revoke(Token.make({ refreshToken: Redacted.make("test-refresh") }))
      assert.deepStrictEqual(yield* provider.report, {
        asked: ["login", "refresh", "refresh", "revoke", "revoke"],
        logins: 1,
        refreshes: 2,
        revocations: 2,
        tokenRequests: 3,
        maxConcurrentTokenRequests: 1,
        presented: ["test-refresh-1", "test-refresh-1"],
        reuses: 1,
        revoked: [
          { access: "test-access-1", refresh: "test-refresh-1" },
          { access: undefined, refresh: "test-refresh" }
        ]
      })
    })
  )

  it.effect("the most token requests at once, of which an interrupted one is none any more", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const { login } = of(provider)
      yield* provider.always(() => Effect.never)
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(login))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* provider.report).maxConcurrentTokenRequests, 3)
      yield* Fiber.interruptAll(fibers)
      const more = yield* Effect.forEach([1, 2], () => Effect.fork(login))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* provider.report, { tokenRequests: 5, maxConcurrentTokenRequests: 3 })
      yield* Fiber.interruptAll(more)
    })
  )

  it.effect("a report does not change afterwards", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      const before = yield* provider.report
      yield* of(provider).login
      assert.deepStrictEqual([before.asked, before.tokenRequests], [[], 0])
    })
  )

  it.effect("a step that throws is over, and is not counted as one under way", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      yield* provider.next(() => {
        throw new Error("a defect in a step")
      })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(of(provider).login)))
      yield* of(provider).login
      assert.strictEqual((yield* provider.report).maxConcurrentTokenRequests, 1)
    })
  )

  it.effect("issuing a token set is no token request, and the numbers go on from it", () =>
    Effect.gen(function* () {
      const provider = yield* TestProvider.make()
      assert.deepStrictEqual(yield* reported(provider.issue), ["test-access-1", "test-refresh-1"])
      assert.strictEqual((yield* provider.report).tokenRequests, 0)
      assert.deepStrictEqual(yield* reported(of(provider).login), ["test-access-2", "test-refresh-2"])
    })
  )

  it.effect("a layer each makes a provider of its own, which the test can reach", () =>
    Effect.gen(function* () {
      const asking = Effect.flatMap(TestProvider.TestProvider, (provider) =>
        Effect.zipRight(of(provider).login, provider.report)
      )
      const [one, other] = [TestProvider.layer({ name: "one" }), TestProvider.layer({ name: "other" })]
      assert.strictEqual((yield* Effect.provide(asking, one)).logins, 1)
      assert.strictEqual((yield* Effect.provide(asking, other)).logins, 1)
    })
  )
})
