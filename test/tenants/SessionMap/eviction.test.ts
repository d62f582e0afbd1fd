import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Scope, Stream, TestClock } from "effect"
import * as AuthError from "../../../src/common/AuthError.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import * as Token from "../../../src/token/Token.js"
import { fails, failure, paused, secret, until, user, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { bare, flush, named, open, tenants } from "./harness.js"

describe("tenants that come and go", () => {
  it.scoped(
    "law 33: a session that no one uses is let go, and loaded again with the refresh token that was rotated last",
    () =>
      Effect.gen(function* () {
        const { lookups, map, of } = yield* tenants({
          provider: { rotation: "single-use", lifetime: "1 hour" },
          idleTimeToLive: "10 minutes",
          renewal: "on-use"
        })
        yield* map.accessToken("a")
        yield* map.session("a").refresh
        yield* TestClock.adjust("9 minutes")
        assert.deepStrictEqual(yield* open(map), ["a"])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* open(map), [])
        assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-2")
        assert.deepStrictEqual(lookups, ["a", "a"])
        yield* map.session("a").refresh
        assert.deepStrictEqual(of("a").presented, ["test-refresh-1", "test-refresh-2"])
        assert.strictEqual(of("a").count().login, 1)
      })
  )

  it.scoped("a use of any kind postpones it, the fast path too", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("9 minutes")
        yield* map.accessToken("a")
      }
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped("background renewal is no use, and renews the one who is open; on-use renews no one by itself", () =>
    Effect.gen(function* () {
      const options = { provider: { lifetime: "5 minutes" }, idleTimeToLive: "1 hour" } as const
      const eager = yield* tenants(options)
      const lazy = yield* tenants({ ...options, renewal: "on-use" })
      yield* eager.map.accessToken("a")
      yield* lazy.map.accessToken("a")
      yield* TestClock.adjust("59 minutes")
      assert.isAtLeast(eager.of("a").count().refresh, 14)
      assert.strictEqual(lazy.of("a").count().refresh, 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* open(eager.map), [])
      const { refresh } = eager.of("a").count()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(eager.of("a").count().refresh, refresh)
    })
  )

  it.scoped("kept alive for ever, sessions are renewed for ever", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ provider: { lifetime: "4 hours" }, idleTimeToLive: Duration.infinity })
      yield* map.accessToken("a")
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.isAtLeast(of("a").count().refresh, 6)
    })
  )

  it.scoped("law 33: what the store could not take stays until it can", () =>
    Effect.gen(function* () {
      const inner = yield* TokenStore.makeMemory
      let broken = true
      const store: TokenStore.Service = {
        ...inner,
        save: (key, entry) => (broken ? Effect.never : inner.save(key, entry))
      }
      const { map } = yield* tenants({
        provider: { lifetime: "1 day" },
        idleTimeToLive: "1 minute",
        store: Effect.succeed(store)
      })
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(caller)
      assert.deepStrictEqual(yield* open(map), ["a"])
      broken = false
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
    })
  )

  it.scoped("laws 9 and 16: to be let go is no way around a cool-down", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 second" })
      of("refused").always(fails(failure.credentials))
      of("busy").always(fails(failure.busy("30 minutes")))
      for (let minute = 0; minute < 29; minute++) {
        yield* Effect.fork(Effect.either(map.accessToken("busy")))
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual(of("busy").count().total, 1)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      yield* Effect.flip(map.accessToken("refused"))
      yield* TestClock.adjust("30 seconds")
      yield* Effect.flip(map.accessToken("refused"))
      assert.strictEqual(of("refused").count().total, 1)
    })
  )

  it.scoped("law 16: to be let go forgets no refusals in a row", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ renewal: "on-use" })
      of("a").always(fails(failure.credentials))
      for (let use = 0; use < 36; use++) {
        yield* Effect.flip(map.accessToken("a"))
        yield* TestClock.adjust("20 minutes")
      }
      assert.isAtMost(of("a").count().total, 17)
    })
  )

  it.scoped("a session is not let go during a token request, nor while someone looks at its changes", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 second", timeout: "1 hour" })
      const tokenRequest = yield* paused
      of("a").next(tokenRequest.tokenRequest)
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* tokenRequest.sent
      yield* TestClock.adjust("10 minutes")
      yield* tokenRequest.respond
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
      const seen: Array<number> = []
      const watcher = yield* map.session("a").changes.pipe(
        Stream.runForEach(({ generation }) => Effect.sync(() => seen.push(generation))),
        Effect.fork
      )
      yield* until(() => seen.length > 0)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* Fiber.interrupt(watcher)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped(
    "law 8, law 33: a tenant that is invalidated during its token request loses neither the answer nor its callers",
    () =>
      Effect.gen(function* () {
        const { lookups, map, of } = yield* tenants({
          shutdownDeadline: "10 seconds",
          provider: { rotation: "single-use" }
        })
        const tokenRequest = yield* paused
        of("a").next(tokenRequest.tokenRequest)
        const before = yield* Effect.fork(map.accessToken("a"))
        yield* tokenRequest.sent
        const gone = yield* Effect.fork(map.invalidate("a"))
        yield* flush
        // A caller who comes meanwhile waits for the close, and gets what was saved in it.
        const meanwhile = yield* Effect.fork(map.accessToken("a"))
        yield* flush
        assert.strictEqual(of("a").count().total, 1)
        yield* tokenRequest.respond
        yield* Fiber.join(gone)
        assert.strictEqual(value(yield* Fiber.join(before)), "a-test-access-1")
        assert.strictEqual(value(yield* Fiber.join(meanwhile)), "a-test-access-1")
        assert.strictEqual(of("a").count().total, 1)
        assert.deepStrictEqual(lookups, ["a", "a"])
      })
  )

  it.scoped("a caller in a cool-down whose session is invalidated asks the next one", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ shutdownDeadline: "1 second" })
      of("a").next(fails(failure.busy("2 seconds")))
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => of("a").count().total === 1)
      yield* flush
      yield* map.invalidate("a")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.scoped("an invalidation during a lookup starts it again", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (_, nth) => (nth === 1 ? Effect.never : Effect.void) })
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => lookups.length === 1)
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.effect("law 31: the closing map waits for what is under way, all at once, and answers no one after", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { map, of } = yield* Scope.extend(tenants({ shutdownDeadline: "10 seconds" }), scope)
      const tokenRequests = yield* Effect.forEach(["a", "b", "c"], (key) =>
        Effect.tap(paused, ({ tokenRequest }) => Effect.sync(() => of(key).next(tokenRequest)))
      )
      const callers = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.fork(map.accessToken(key)))
      yield* Effect.forEach(tokenRequests, ({ sent }) => sent)
      const hanging = yield* Effect.fork(map.accessToken("unheard"))
      of("unheard").always(() => Effect.never)
      yield* flush
      const close = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* flush
      yield* Effect.forEach(tokenRequests, ({ respond: response }) => response)
      for (const caller of callers) assert.include(value(yield* Fiber.join(caller)), "test-access-1")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(close)
      assert.strictEqual((yield* Effect.either(Fiber.join(hanging)))._tag, "Left")
      const refused = yield* Effect.flip(map.accessToken("a"))
      assert.strictEqual((refused as AuthError.AuthError)._tag, "Misconfigured")
      assert.strictEqual((yield* Effect.flip(map.session("new").status))._tag, "Misconfigured")
    })
  )

  it.scoped("the client of a key goes on through rejections and evictions, and to no foreign origin", () =>
    Effect.gen(function* () {
      const made = named("a", { lifetime: "1 day" })
      const rejected = new Set<string>()
      const api = HttpClient.make((request) => {
        const token = request.headers.authorization ?? "none"
        return Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(token, { status: rejected.has(token) ? 401 : 200 }))
        )
      })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "x", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      const client = map.client("x")
      const text = Effect.flatMap(client.get("y"), (response) => response.text)
      assert.strictEqual(yield* text, "a-test-access-1")
      rejected.add("a-test-access-1")
      assert.strictEqual(yield* text, "a-test-access-2")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* map.statuses, [])
      assert.strictEqual(yield* text, "a-test-access-2")
      assert.strictEqual((yield* Effect.flip(client.get("https://evil.test/"))).name, "UntrustedOrigin")
    })
  )
})

describe("for what a session is closed, and for what not", () => {
  it.scoped("law 5: a reader by key is told by either clock that a token has ended", () =>
    manually(function* (clock) {
      const { map, of } = yield* tenants({ provider: { lifetime: "5 minutes" }, renewal: "on-use" })
      yield* map.accessToken("a")
      yield* clock.setWall("6 minutes")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-2")
      yield* clock.setWall("1 day", -1)
      yield* clock.advance("6 minutes")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-3")
      assert.strictEqual(of("a").count().total, 3)
    })
  )

  it.scoped("the one who asks for a status uses it, the one who asks for all of them does not", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      yield* map.accessToken("b")
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("9 minutes")
        yield* map.session("a").status
        yield* map.statuses
      }
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.deepStrictEqual(lookups, ["a", "b"])
    })
  )

  it.scoped("law 11: to be closed is no way to more token requests than a handful a minute", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "1 second" })
      for (let i = 0; i < 30; i++) {
        yield* Effect.flatMap(map.accessToken("a"), map.session("a").reject)
        yield* TestClock.adjust("2 seconds")
      }
      assert.isAtMost(of("a").count().total, 7)
    })
  )
})

describe("what a session of a map has", () => {
  it.scoped("an end, also when nothing but its status was asked for", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 minute" })
      yield* map.session("a").status
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      assert.strictEqual(of("a").count().total, 0)
    })
  )

  it.scoped("no renewal but by its users, with on-use, also when it is looked at whether it may go", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({
        provider: { lifetime: "12 minutes" },
        idleTimeToLive: "10 minutes",
        renewal: "on-use"
      })
      yield* map.accessToken("a")
      yield* TestClock.adjust("1 minute")
      yield* map.accessToken("a")
      // Stale after nine minutes and a half, and looked at after ten.
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.strictEqual(of("a").count().refresh, 0)
    })
  )

  it.scoped("its seed, for as long as the store keeps nothing", () =>
    Effect.gen(function* () {
      const made = named("a", { rotation: "single-use" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (account: string) =>
          Effect.succeed({
            provider: made.service,
            account,
            seed: Token.make({ refreshToken: secret(`test-${account}`) })
          })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      yield* map.accessToken("x")
      yield* TestClock.adjust("6 minutes")
      yield* map.accessToken("x")
      yield* map.accessToken("y")
      assert.deepStrictEqual(made.presented, ["test-x", "test-refresh-1", "test-y"])
    })
  )

  it.scoped("law 18: what the store could not take until it was invalidated is saved as it closes", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.makeMemory
      let down = true
      const { map, of } = yield* tenants({
        provider: { lifetime: "1 day" },
        store: Effect.succeed({
          ...store,
          save: (key, entry) =>
            down ? new AuthError.StoreFailure({ operation: "save", problem: "down" }) : store.save(key, entry)
        })
      })
      yield* map.accessToken("a")
      assert.isFalse((yield* map.session("a").status).saved)
      down = false
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
      assert.strictEqual(of("a").count().total, 1)
    })
  )
})
