import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import { fails, failure, paused, until, user, value } from "../../support/harness.js"
import { flush, named, open, tenants, Unknown } from "./harness.js"

/** Lets other fibers come between nearly any two steps of an effect; `lead` shifts where that is. */
const finely = <A, E>(effect: Effect.Effect<A, E>, lead: number): Effect.Effect<A, E> =>
  Effect.withMaxOpsBeforeYield(
    Array.from({ length: lead }).reduce<Effect.Effect<A, E>>((later) => Effect.zipRight(Effect.void, later), effect),
    15
  )

/** An API that keeps its answers back until it is told to give them. */
const gated = (statusOf: (host: string, token: string | undefined) => number) =>
  Effect.map(Effect.makeLatch(false), (gate) => {
    const seen: Array<string> = []
    const api = HttpClient.make((request, url) => {
      const token = request.headers.authorization
      seen.push(`${url.host} ${token}`)
      return Effect.as(
        gate.await,
        HttpClientResponse.fromWeb(request, new Response(null, { status: statusOf(url.host, token) }))
      )
    })
    return { api, gate, seen, arrived: until(() => seen.length > 0) }
  })

describe("what comes between", () => {
  for (const invalidated of [false, true]) {
    const whom = invalidated ? "a tenant that is being invalidated" : "what is under way"
    it.effect(`laws 8 and 31: the closing map waits for ${whom}, and the store has it`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const store = yield* TokenStore.makeMemory
        const options = { shutdownDeadline: "10 seconds", store: Effect.succeed(store) } as const
        const { map, of } = yield* Scope.extend(tenants(options), scope)
        const tokenRequest = yield* paused
        of("a").next(tokenRequest.tokenRequest)
        yield* Effect.fork(map.accessToken("a"))
        yield* tokenRequest.sent
        if (invalidated) yield* Effect.fork(map.invalidate("a"))
        yield* flush
        const close = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* flush
        assert.isTrue(Option.isNone(yield* Fiber.poll(close)))
        yield* tokenRequest.respond
        yield* Fiber.join(close)
        assert.isTrue(Option.isSome(yield* store.load("a https://api.test/v1/ account")))
      })
    )
  }

  it.scoped("the one who invalidates a tenant that is being invalidated waits as well", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants({ shutdownDeadline: "10 seconds" })
      const tokenRequest = yield* paused
      of("a").next(tokenRequest.tokenRequest)
      yield* Effect.fork(map.accessToken("a"))
      yield* tokenRequest.sent
      const all = yield* Effect.replicateEffect(Effect.fork(map.invalidate("a")), 3)
      const meanwhile = yield* Effect.fork(map.accessToken("a"))
      yield* flush
      for (const one of all) assert.isTrue(Option.isNone(yield* Fiber.poll(one)))
      yield* tokenRequest.respond
      yield* Fiber.joinAll(all)
      assert.strictEqual(value(yield* Fiber.join(meanwhile)), "a-test-access-1")
      assert.deepStrictEqual(lookups, ["a", "a"])
    })
  )

  it.scoped("an invalidation goes on when the one who wanted it is interrupted", () =>
    Effect.gen(function* () {
      for (let lead = 0; lead < 7; lead++) {
        for (let ticks = 1; ticks < 4; ticks++) {
          const { map, of } = yield* tenants({ shutdownDeadline: "10 seconds" })
          yield* map.accessToken("a")
          const tokenRequest = yield* paused
          of("a").next(tokenRequest.tokenRequest)
          const caller = yield* Effect.fork(map.session("a").refresh)
          yield* tokenRequest.sent
          const gone = yield* Effect.fork(finely(map.invalidate("a"), lead))
          yield* Effect.repeatN(Effect.yieldNow(), ticks)
          yield* Fiber.interrupt(gone)
          const isOpen = (yield* open(map)).length === 1
          const next = yield* Effect.fork(map.accessToken("a"))
          yield* flush
          const served = Option.isSome(yield* Fiber.poll(next))
          yield* tokenRequest.respond
          yield* Fiber.join(next)
          yield* Fiber.join(caller)
          // Either it is open as before, or it is closing, and the one who comes next waits for that.
          assert.strictEqual(served, isOpen, `${lead}, ${ticks}`)
        }
      }
    })
  )

  it.scoped("law 30: a logout counts, also when its session is invalidated under its hands and another one comes", () =>
    Effect.gen(function* () {
      for (let lead = 0; lead < 20; lead++) {
        for (let ticks = 1; ticks < 12; ticks++) {
          const { map } = yield* tenants()
          yield* map.accessToken("a")
          const out = yield* Effect.fork(finely(map.session("a").logout, lead))
          yield* Effect.repeatN(Effect.yieldNow(), ticks)
          yield* map.invalidate("a")
          yield* Effect.either(map.accessToken("a"))
          yield* Fiber.join(out)
          const after = yield* Effect.either(map.accessToken("a"))
          assert.strictEqual(after._tag, "Left", `${lead}, ${ticks}`)
        }
      }
    })
  )

  it.scoped("a logout of a tenant that is removed needs no second lookup", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants({
        shutdownDeadline: "10 seconds",
        before: (key, nth) => (nth > 1 ? new Unknown({ key }) : Effect.void)
      })
      yield* map.accessToken("a")
      yield* Effect.all([map.session("a").logout, map.invalidate("a")], { concurrency: "unbounded" })
      assert.deepStrictEqual(of("a").revoked, ["a-test-access-1"])
      assert.deepStrictEqual(lookups, ["a"])
    })
  )

  it.effect("law 31: no one enters a map that is closing", () =>
    Effect.gen(function* () {
      for (let ticks = 0; ticks < 20; ticks++) {
        const scope = yield* Scope.make()
        const { map, of } = yield* Scope.extend(tenants({ shutdownDeadline: "10 seconds" }), scope)
        const tokenRequest = yield* paused
        of("b").next(tokenRequest.tokenRequest)
        yield* Effect.fork(map.accessToken("b"))
        yield* tokenRequest.sent
        const caller = yield* Effect.fork(Effect.either(finely(map.accessToken("a"), 0)))
        yield* Effect.repeatN(Effect.yieldNow(), ticks)
        const close = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* flush
        yield* tokenRequest.respond
        yield* Fiber.join(close)
        yield* Fiber.join(caller)
        assert.deepStrictEqual(yield* open(map), [], `${ticks}`)
      }
    })
  )

  it.scoped("one lookup, also when callers come between its steps", () =>
    Effect.gen(function* () {
      for (let lead = 0; lead < 8; lead++) {
        for (let ticks = 1; ticks < 4; ticks++) {
          const { lookups, map } = yield* tenants({ before: () => flush })
          const first = yield* Effect.fork(finely(map.accessToken("a"), lead))
          yield* Effect.repeatN(Effect.yieldNow(), ticks - 1)
          yield* map.accessToken("a")
          yield* Fiber.join(first)
          assert.deepStrictEqual(lookups, ["a"], `${lead}, ${ticks}`)
        }
      }
    })
  )

  it.scoped("law 23: a request made out for one API never carries the token of the one that came after it", () =>
    Effect.gen(function* () {
      const { api, arrived, gate, seen } = yield* gated((host) => (host === "old.test" ? 401 : 200))
      const at = (name: string) => {
        const made = named(name)
        const baseUrl = new URL(`https://${name}.test/`)
        return { ...made, service: { ...made.service, baseUrl, origins: [baseUrl.origin] } }
      }
      const [old, next] = [at("old"), at("new")]
      let now = old
      const map = yield* SessionMap.make({
        shutdownDeadline: 0,
        lookup: (_: string) =>
          Effect.sync(() => ({ provider: now.service, account: "account", credentials: Effect.succeed(user) }))
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      // Moved while the request waits for a token: it begins again.
      old.next(fails(failure.busy("2 seconds")))
      const early = yield* Effect.fork(map.client("a").get("x"))
      yield* flush
      now = next
      yield* map.invalidate("a")
      yield* TestClock.adjust("3 seconds")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(early)).status, 200)
      assert.deepStrictEqual(seen.splice(0), ["new.test new-test-access-1"])
      // Moved between the request and its rejection: that is what the caller gets.
      now = old
      yield* gate.close
      yield* map.invalidate("a")
      const late = yield* Effect.fork(map.client("a").get("x"))
      yield* arrived
      now = next
      yield* map.invalidate("a")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(late)).status, 401)
      assert.deepStrictEqual(seen, ["old.test old-test-access-1"])
    })
  )

  it.scoped("law 10: a rejection is understood by the session that was loaded since", () =>
    Effect.gen(function* () {
      const { api, arrived, gate } = yield* gated((_, token) => (token === "a-test-access-1" ? 401 : 200))
      const made = named("a", { lifetime: "1 day" })
      const map = yield* SessionMap.make({
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "x", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      const caller = yield* Effect.fork(map.client("x").get("y"))
      yield* arrived
      yield* map.invalidate("x")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(caller)).status, 200)
      assert.deepStrictEqual(made.count(), { refresh: 1, login: 1, total: 2, most: 1 })
    })
  )
})
