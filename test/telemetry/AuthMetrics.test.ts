import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Metric, Option, TestClock } from "effect"
import * as Auth from "../../src/Auth.js"
import * as AuthError from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Session from "../../src/session/Session.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as SessionMap from "../../src/tenants/SessionMap.js"
import { fails, failure, herd, paused, session, until, user, watchedStore } from "../support/harness.js"
import * as Records from "../support/records.js"
import { metrics, named } from "../support/telemetry.js"

const bare = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("fine"))))

/** What was counted of a kind of metric, without its name. */
const counts = (provider: string, metric: string) =>
  Effect.map(metrics(provider), (all) =>
    Object.fromEntries(
      Object.entries(all).flatMap(([key, value]) =>
        key === metric || key.startsWith(`${metric} `) ? [[key.slice(metric.length).trim(), value]] : []
      )
    )
  )

const one = (provider: string, metric: string) => Effect.map(counts(provider, metric), (all) => all[""])

describe("token requests", () => {
  const refused = new AuthError.InvalidRefreshToken({ provider: "test", reason: "reused" })
  const outcomes = [
    ["refused", refused],
    ["refused", failure.credentials],
    ["not-spent", failure.unspent],
    ["not-spent", failure.busy("1 second")],
    ["unknown", failure.unknown],
    ["unknown", failure.malformed],
    ["misconfigured", failure.misconfigured]
  ] as const
  for (const [i, [outcome, error]] of outcomes.entries()) {
    it.scoped(`a login that fails with ${error._tag} counts as ${outcome}, once`, () =>
      Effect.gen(function* () {
        const name = `counts-login-${i}`
        const p = named(name)
        const s = yield* session(p, { patience: 0 })
        p.next(fails(error))
        yield* herd(20, s.accessToken)
        assert.deepStrictEqual(yield* counts(name, "token_requests"), { [`kind=login outcome=${outcome}`]: 1 })
      })
    )

    it.scoped(`a refresh that fails with ${error._tag} counts as ${outcome}, once`, () =>
      Effect.gen(function* () {
        const name = `counts-refresh-${i}`
        const p = named(name, { rotation: "single-use" })
        const s = yield* session(p, { patience: 0 })
        yield* s.accessToken
        p.next(fails(error))
        yield* herd(20, s.refresh)
        const all = yield* counts(name, "token_requests")
        assert.strictEqual(all[`kind=refresh outcome=${outcome}`], 1)
        // What a login made good is counted as that.
        const logins = Number(all["kind=login outcome=obtained"])
        assert.deepStrictEqual({ login: logins, refresh: 1 }, { login: p.count().login, refresh: p.count().refresh })
        assert.strictEqual(Object.keys(all).length, 2)
      })
    )
  }

  it.scoped("what was obtained, in whichever way, and what was revoked", () =>
    Effect.gen(function* () {
      const p = named("counts-obtained")
      const s = yield* session(p)
      yield* s.accessToken
      yield* s.refresh
      yield* s.refresh
      yield* s.login
      yield* s.logout
      assert.deepStrictEqual(yield* counts("counts-obtained", "token_requests"), {
        "kind=login outcome=obtained": 2,
        "kind=refresh outcome=obtained": 2,
        "kind=revoke outcome=revoked": 1
      })
    })
  )

  it.scoped("a revocation that fails, and an endpoint that hangs", () =>
    Effect.gen(function* () {
      const p = named("counts-hanging")
      const service = { ...p.service, revoke: Option.some(() => Effect.fail(failure.unspent)) }
      const s = yield* session({ ...p, service }, { patience: 0, timeout: "10 seconds" })
      yield* s.accessToken
      p.next(() => Effect.never)
      const refreshing = yield* Effect.fork(Effect.exit(s.refresh))
      yield* until(() => p.count().refresh === 1)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(refreshing)
      yield* s.logout
      assert.deepStrictEqual(yield* counts("counts-hanging", "token_requests"), {
        "kind=login outcome=obtained": 1,
        "kind=refresh outcome=unknown": 1,
        "kind=revoke outcome=not-spent": 1
      })
    })
  )

  it.scoped("how long they took, those that failed too", () =>
    Effect.gen(function* () {
      const p = named("durations")
      const s = yield* session(p, { patience: 0 })
      const slowly = (millis: number) => {
        p.next((honest) => Effect.delay(millis === 300 ? honest : Effect.fail(failure.unknown), millis))
        return Effect.zipRight(Effect.yieldNow(), TestClock.adjust(millis))
      }
      for (const [call, millis] of [
        [s.accessToken, 300],
        [s.refresh, 700]
      ] as const) {
        const count = p.count().total
        const caller = yield* Effect.fork(Effect.exit(call))
        const moving = slowly(millis)
        yield* until(() => p.count().total > count)
        yield* moving
        yield* Fiber.join(caller)
      }
      const all = yield* counts("durations", "token_request_duration_seconds")
      assert.deepStrictEqual(all, {
        "kind=login": { count: 1, sum: 0.3 },
        "kind=refresh": { count: 1, sum: 0.7 }
      })
    })
  )
})

describe("tokens", () => {
  it.scoped("the seconds to expiry are told after each token request, whatever became of it", () =>
    Effect.gen(function* () {
      const p = named("expiry")
      const s = yield* session(p, { patience: 0 })
      const left = one("expiry", "seconds_to_expiry")
      assert.isUndefined(yield* left)
      yield* s.accessToken
      assert.strictEqual(yield* left, 300)
      yield* TestClock.adjust("100 seconds")
      p.always(fails(failure.unspent))
      yield* Effect.exit(s.refresh)
      assert.strictEqual(yield* left, 200)
      yield* TestClock.adjust("1 hour")
      yield* Effect.exit(s.accessToken)
      assert.strictEqual(yield* left, 0)
      p.always(undefined)
      yield* TestClock.adjust("1 minute")
      yield* s.accessToken
      assert.strictEqual(yield* left, 300)
    })
  )

  it.scoped("the seconds in reserve are zero when there was a time without a token", () =>
    Effect.gen(function* () {
      const p = named("reserve")
      const s = yield* session(p)
      const reserve = one("reserve", "seconds_left_at_replacement")
      yield* s.accessToken
      assert.isUndefined(yield* reserve)
      yield* TestClock.adjust("4 minutes")
      yield* s.refresh
      assert.deepStrictEqual(yield* reserve, { count: 1, sum: 60 })
      yield* TestClock.adjust("6 minutes")
      yield* s.accessToken
      assert.deepStrictEqual(yield* reserve, { count: 2, sum: 60 })
    })
  )

  it.scoped("the seconds in reserve are told of renewals by login, too", () =>
    Effect.gen(function* () {
      const s = yield* session(named("reserve-login", { refreshable: false }), { renewal: true })
      yield* s.accessToken
      yield* TestClock.adjust("5 minutes")
      const all = yield* one("reserve-login", "seconds_left_at_replacement")
      assert.strictEqual(typeof all === "object" && all.count, 1)
      assert.isAtLeast(typeof all === "object" ? all.sum : 0, 60)
    })
  )

  it.scoped("a token without a known end has no seconds", () =>
    Effect.gen(function* () {
      const s = yield* session(named("endless", { lifetime: "unstated" }))
      yield* s.accessToken
      yield* s.refresh
      assert.deepStrictEqual(yield* counts("endless", "seconds_to_expiry"), {})
      assert.deepStrictEqual(yield* counts("endless", "seconds_left_at_replacement"), {})
    })
  )
})

describe("callers", () => {
  /** A herd that waits for one token request, which is held back. */
  const crowd = (name: string, size: number, patience = 0) =>
    Effect.gen(function* () {
      const p = named(name)
      const s = yield* session(p, { patience })
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const callers = yield* Effect.fork(herd(size, s.accessToken))
      yield* flight.sent
      const waiting = one(name, "waiting")
      yield* Effect.repeat(waiting, { until: (now) => now === size })
      return { p, s, flight, callers, waiting }
    })

  it.scoped("those who wait are counted until the token request succeeds", () =>
    Effect.gen(function* () {
      const { callers, flight, waiting } = yield* crowd("waiting-success", 100)
      yield* flight.respond
      const all = yield* Fiber.join(callers)
      assert.isTrue(all.every(({ _tag }) => _tag === "Right"))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.scoped("or fails", () =>
    Effect.gen(function* () {
      const p = named("waiting-failure")
      const s = yield* session(p, { patience: 0 })
      const flight = yield* paused
      p.next((_, asked) => flight.tokenRequest(Effect.fail(failure.unspent), asked))
      const callers = yield* Effect.fork(herd(50, s.accessToken))
      yield* flight.sent
      yield* flight.respond
      const all = yield* Fiber.join(callers)
      assert.isTrue(all.every(({ _tag }) => _tag === "Left"))
      assert.strictEqual(yield* one("waiting-failure", "waiting"), 0)
    })
  )

  it.scoped("or until they are interrupted, at whichever step", () =>
    Effect.gen(function* () {
      const { callers, flight, s, waiting } = yield* crowd("waiting-interrupted", 20)
      for (let steps = 0; steps < 40; steps++) {
        const caller = yield* Effect.fork(s.accessToken)
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow()
        yield* Fiber.interrupt(caller)
        assert.strictEqual(yield* waiting, 20)
      }
      yield* Fiber.interrupt(callers)
      assert.strictEqual(yield* waiting, 0)
      yield* flight.respond
    })
  )

  it.scoped("or until a login or a logout takes the place of the token request", () =>
    Effect.gen(function* () {
      const first = yield* crowd("waiting-superseded", 30)
      const second = yield* paused
      first.p.next(second.tokenRequest)
      const login = yield* Effect.fork(first.s.login)
      yield* second.sent
      // They wait for the login now, and so does who asked for it.
      yield* Effect.repeat(first.waiting, { until: (now) => now === 31 })
      yield* first.s.logout
      const all = yield* Fiber.join(first.callers)
      assert.isTrue(all.every((one) => one._tag === "Left" && one.left._tag === "SignedOut"))
      yield* Effect.exit(Fiber.join(login))
      assert.strictEqual(yield* first.waiting, 0)
      yield* second.respond
      yield* first.flight.respond
    })
  )

  it.scoped("and while they wait out a cool-down", () =>
    Effect.gen(function* () {
      const p = named("waiting-cooling")
      const s = yield* session(p, { patience: 60_000 })
      p.next(fails(failure.busy("10 seconds")))
      const callers = yield* Effect.fork(herd(10, s.accessToken))
      yield* until(() => p.count().total === 1)
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.isFalse((yield* s.status).inFlight)
      const waiting = one("waiting-cooling", "waiting")
      assert.strictEqual(yield* waiting, 10)
      yield* TestClock.adjust("15 seconds")
      const all = yield* Fiber.join(callers)
      assert.isTrue(all.every(({ _tag }) => _tag === "Right"))
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.scoped("stale reads are counted, fresh ones are not", () =>
    Effect.gen(function* () {
      const p = named("stale")
      const s = yield* session(p)
      const before = yield* s.accessToken
      yield* herd(10, s.accessToken)
      yield* s.refresh
      // Answered with the fresh one, though not on the fast path.
      yield* s.reject(before)
      assert.isUndefined(yield* one("stale", "stale_reads"))
      yield* TestClock.adjust("4 minutes")
      const flight = yield* paused
      p.next(flight.tokenRequest)
      yield* herd(10, s.accessToken)
      assert.strictEqual(yield* one("stale", "stale_reads"), 10)
      yield* flight.respond
    })
  )
})

describe("the store", () => {
  const key = "store-conflicts https://api.test/v1/"

  it.scoped("a save that meets something newer is counted, of a logout too", () =>
    Effect.gen(function* () {
      const store = yield* watchedStore
      const s = yield* session(named("store-conflicts"), { store: store.service })
      yield* s.accessToken
      const conflicts = one("store-conflicts", "store_conflicts")
      assert.isUndefined(yield* conflicts)
      // The flight has ended, or its last look at what is to be saved would be a save of its own.
      yield* Effect.repeatN(Effect.yieldNow(), 50)
      yield* Records.save(store.inner, key, { generation: 50 })
      yield* s.logout
      assert.strictEqual(yield* conflicts, 1)
      assert.strictEqual((yield* Records.stored(store.inner, key)).generation, 51)
    })
  )

  it.scoped("and of a login, after which another process turned out to be ahead", () =>
    Effect.gen(function* () {
      const store = yield* watchedStore
      const p = named("store-ahead")
      const s = yield* session(p, { store: store.service })
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const caller = yield* Effect.fork(s.login)
      yield* flight.sent
      yield* Records.save(store.inner, "store-ahead https://api.test/v1/", { generation: 7 })
      yield* flight.respond
      yield* Fiber.join(caller)
      assert.strictEqual(yield* one("store-ahead", "store_conflicts"), 1)
    })
  )
})

describe("cool-downs", () => {
  it.scoped("each that begins is counted by its reason, and a look in between is none", () =>
    Effect.gen(function* () {
      const p = named("cooling")
      const s = yield* session(p, { patience: 0 })
      p.next(fails(failure.unspent), fails(failure.unspent), fails(failure.malformed), fails(failure.credentials))
      for (let i = 0; i < 3; i++) {
        yield* herd(20, s.accessToken)
        yield* TestClock.adjust("5 seconds")
      }
      yield* herd(20, s.accessToken)
      const expected = {
        "reason=NetworkFailure": 2,
        "reason=MalformedResponse": 1,
        "reason=InvalidCredentials": 1
      }
      assert.deepStrictEqual(yield* counts("cooling", "cool_downs"), expected)
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("1 second")
        yield* herd(20, s.accessToken)
      }
      assert.strictEqual(p.count().total, 4)
      assert.deepStrictEqual(yield* counts("cooling", "cool_downs"), expected)
    })
  )

  it.scoped("rejected retries are Rejections", () =>
    Effect.gen(function* () {
      const p = named("striking")
      const s = yield* session(p)
      const token = yield* s.accessToken
      const next = yield* s.reject(token)
      yield* herd(20, s.reject(next, { retried: true }))
      assert.deepStrictEqual(yield* counts("striking", "cool_downs"), { "reason=Rejections": 1 })
    })
  )

  it.scoped("what lasts is none", () =>
    Effect.gen(function* () {
      const p = named("lasting")
      const s = yield* session(p)
      p.always(fails(failure.misconfigured))
      yield* herd(20, s.accessToken)
      yield* TestClock.adjust("1 minute")
      yield* herd(20, s.accessToken)
      assert.deepStrictEqual(yield* counts("lasting", "cool_downs"), {})
    })
  )
})

const at = (key: string) => (store: TokenStore.Service) => ({ store, key })

describe("labels", () => {
  it.scoped("are the provider and the words of the library, whatever the callers are tagged with", () =>
    Effect.gen(function* () {
      const p = named("bounded")
      const s = yield* session(p, { key: "test-key-of-alice", patience: 0 })
      yield* Effect.tagMetrics(
        Effect.gen(function* () {
          yield* s.accessToken
          yield* TestClock.adjust("4 minutes")
          yield* s.accessToken
          yield* s.refresh
          p.next(fails(failure.unspent))
          yield* Effect.exit(s.refresh)
          yield* TestClock.adjust("1 second")
          yield* s.login
          yield* s.logout
        }),
        "request",
        "test-request-1"
      )
      const labels = new Set<string>()
      for (const { metricKey } of yield* Metric.snapshot) {
        if (!metricKey.tags.some(({ value }) => value === "bounded")) continue
        assert.match(metricKey.name, /^effect_auth_/)
        for (const { key, value } of metricKey.tags) labels.add(`${key}=${value}`)
      }
      assert.deepStrictEqual([...labels].sort(), [
        "kind=login",
        "kind=refresh",
        "kind=revoke",
        "outcome=not-spent",
        "outcome=obtained",
        "outcome=revoked",
        "provider=bounded",
        "reason=NetworkFailure"
      ])
      // The one who looks at the fiber's own tags finds nothing either.
      const tagged = Metric.tagged(Metric.counter("effect_auth_token_requests"), "request", "test-request-1")
      assert.strictEqual((yield* Metric.value(tagged)).count, 0)
    })
  )

  const layered = (name: string, options: Auth.Options) =>
    Auth.layer(Effect.succeed(named(name).service), { renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
      Layer.provide([Credentials.layer(user), Layer.succeed(HttpClient.HttpClient, bare)])
    )

  it.scoped("name a session of Auth.layer when it is asked for, and not otherwise", () =>
    Effect.gen(function* () {
      const use = Effect.flatMap(Session.Session, (s) => s.accessToken)
      yield* Effect.provide(use, layered("unlabelled", { store: TokenStore.makeMemory.pipe(Effect.map(at("alice"))) }))
      yield* Effect.provide(use, layered("labelled", { label: "shop" }))
      assert.strictEqual((yield* metrics("unlabelled"))["token_requests kind=login outcome=obtained"], 1)
      const plain = Object.keys(yield* metrics("unlabelled"))
      assert.isFalse(plain.some((key) => key.includes("alice") || key.includes("session=")))
      assert.isTrue(Object.keys(yield* metrics("labelled")).every((key) => key.includes(" session=shop")))
    })
  )

  it.scoped("name a tenant of a SessionMap when it is asked for, and not otherwise", () =>
    Effect.gen(function* () {
      const { service } = named("tenants")
      const map = yield* SessionMap.make({
        renewal: "on-use",
        shutdownDeadline: 0,
        lookup: (key: string) =>
          Effect.succeed({
            provider: service,
            account: `account-${key}`,
            credentials: Effect.succeed(user),
            ...(key === "big" ? { label: "big shop" } : {})
          })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      for (const key of ["a", "b", "c", "big"]) yield* map.accessToken(key)
      assert.deepStrictEqual(yield* counts("tenants", "token_requests"), {
        "kind=login outcome=obtained": 3,
        "session=big shop kind=login outcome=obtained": 1
      })
    })
  )
})
