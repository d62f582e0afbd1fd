import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Exit, Fiber, Hash, Scope, TestClock } from "effect"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import { until, user, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { bare, named, open, tenants, Unknown } from "./harness.js"

describe("bad input", () => {
  it.scoped("unknown tenants by the thousand are typed, and leave nothing that is open", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (key) => new Unknown({ key }) })
      const all = yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, i) => `unknown-${i}`),
        (key) => Effect.flip(map.accessToken(key)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(all.map(({ _tag }) => _tag)), new Set(["Unknown"]))
      assert.strictEqual(lookups.length, 2000)
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped("a lookup that interrupts itself is typed", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ lookup: () => Effect.interrupt })
      const error = yield* Effect.flip(map.accessToken("a"))
      assert.strictEqual(error._tag, "NetworkFailure")
    })
  )

  it.scoped("a first caller who cannot be interrupted makes no lookup that cannot", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (_, nth) => (nth === 1 ? Effect.never : Effect.void) })
      const caller = yield* Effect.fork(Effect.uninterruptible(map.accessToken("a")))
      yield* until(() => lookups.length === 1)
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.effect("law 31: the map that closes during a lookup says so to the one who waits for it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { lookups, map } = yield* Scope.extend(tenants({ before: () => Effect.never }), scope)
      const callers = yield* Effect.replicateEffect(Effect.fork(Effect.flip(map.accessToken("a"))), 10)
      yield* until(() => lookups.length === 1)
      yield* Scope.close(scope, Exit.void)
      for (const caller of callers) assert.strictEqual((yield* Fiber.join(caller))._tag, "Misconfigured")
    })
  )

  it.scoped("keys of one hash are told apart, the one who of them goes", () =>
    Effect.gen(function* () {
      class Key extends Data.Class<{ readonly name: string }> {
        [Hash.symbol]() {
          return 0
        }
      }
      const made = named("api", { lifetime: "1 day" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: ({ name }: Key) =>
          Effect.succeed({ provider: made.service, account: name, credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      const names = ["a", "b", "c", "d", "e"]
      const read = (name: string) => Effect.map(map.accessToken(new Key({ name })), value)
      const tokens = yield* Effect.forEach(names, read)
      assert.strictEqual(new Set(tokens).size, 5)
      yield* map.invalidate(new Key({ name: "c" }))
      assert.deepStrictEqual(
        (yield* map.statuses).map(([{ name }]) => name).sort(),
        names.filter((name) => name !== "c")
      )
      yield* TestClock.adjust("50 seconds")
      yield* read("d")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(
        (yield* map.statuses).map(([{ name }]) => name),
        ["d"]
      )
      assert.deepStrictEqual(yield* Effect.forEach(names, read), tokens)
      assert.strictEqual(made.count().total, 5)
    })
  )

  it.scoped("law 20: two keys of one account share its tokens, and present no refresh token twice", () =>
    Effect.gen(function* () {
      const made = named("api", { rotation: "single-use" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "one", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      for (let round = 0; round < 20; round++) {
        const both = yield* Effect.fork(
          Effect.all([map.session("a").refresh, map.session("b").refresh], { concurrency: 2 })
        )
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(both)
        if (round % 3 === 0) yield* map.invalidate(round % 2 === 0 ? "a" : "b")
        yield* TestClock.adjust("40 seconds")
      }
      assert.strictEqual(made.count().login, 1)
      assert.strictEqual(new Set(made.presented).size, made.presented.length)
      assert.isAtLeast(made.presented.length, 10)
    })
  )

  it.scoped("law 5: a wall clock that was set back keeps no one for longer", () =>
    manually(function* (clock) {
      const { map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      yield* clock.setWall("30 days", -1)
      yield* clock.advance("30 minutes")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )
})
