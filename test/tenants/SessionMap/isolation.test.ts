import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Data, Deferred, Effect, Fiber, Layer, TestClock } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import * as Token from "../../../src/token/Token.js"
import { fails, failure, herd, until, user, value } from "../../support/harness.js"
import { bare, flush, named, open, tenants, Unknown } from "./harness.js"

describe("many tenants", () => {
  it.scoped("law 6, law 33: one lookup and one token request for a thousand callers of a new key", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants()
      const all = yield* herd(1000, map.accessToken("a"))
      assert.deepStrictEqual(new Set(all.map((one) => (one._tag === "Right" ? value(one.right) : "failed"))).size, 1)
      assert.deepStrictEqual(lookups, ["a"])
      assert.strictEqual(of("a").count().total, 1)
    })
  )

  it.scoped(
    "law 33: the same account at two providers never mixes, in memory, in the store and under one key each",
    () =>
      Effect.gen(function* () {
        const { map, of } = yield* tenants({ store: TokenStore.makeMemory })
        yield* Effect.all(
          ["a", "b"].flatMap((key) => Array.from({ length: 20 }, () => map.accessToken(key))),
          { concurrency: "unbounded" }
        )
        for (const key of ["a", "b"]) {
          assert.strictEqual(value(yield* map.accessToken(key)), `${key}-test-access-1`)
          assert.strictEqual(
            yield* Effect.flatMap(map.client(key).get("x"), (response) => response.text),
            `${key}-test-access-1`
          )
          yield* map.invalidate(key)
          assert.strictEqual(value(yield* map.accessToken(key)), `${key}-test-access-1`)
          assert.strictEqual(of(key).count().total, 1)
        }
      })
  )

  it.scoped("law 33: sessions that differ in base URL or scopes only share nothing", () =>
    Effect.gen(function* () {
      const one = named("api")
      const at = (baseUrl: string, scope: ReadonlyArray<string>) => ({
        ...one.service,
        baseUrl: new URL(baseUrl),
        scope
      })
      const providers = {
        plain: at("https://a.test/", []),
        read: at("https://a.test/", ["read"]),
        both: at("https://a.test/", ["write", "read"]),
        same: at("https://a.test/", ["read", "write"]),
        elsewhere: at("https://b.test/", [])
      }
      const map = yield* SessionMap.make({
        lookup: (key: keyof typeof providers) =>
          Effect.succeed({ provider: providers[key], account: "account", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      const tokens = yield* Effect.forEach(["plain", "read", "both", "same", "elsewhere"] as const, (key) =>
        Effect.map(map.accessToken(key), value)
      )
      assert.strictEqual(new Set(tokens).size, 4)
      assert.strictEqual(tokens[2], tokens[3])
    })
  )

  it.scoped("law 33: an endpoint that hangs or fails delays no other", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants()
      of("hangs").always(() => Effect.never)
      of("fails").always(fails(failure.unspent))
      const hanging = yield* Effect.fork(Effect.either(map.accessToken("hangs")))
      const failing = yield* Effect.fork(Effect.either(map.accessToken("fails")))
      yield* flush
      // The clock does not move: the one who waited for anything would wait for ever.
      for (let i = 0; i < 20; i++)
        assert.strictEqual(value(yield* map.accessToken(`fine-${i}`)), `fine-${i}-test-access-1`)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(hanging))._tag, "Left")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "Left")
    })
  )

  it.scoped("law 33: a lookup that hangs, fails or dies is its own key's affair, and typed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { map } = yield* tenants({
        lookup: (key) =>
          key === "hangs"
            ? Effect.zipRight(Deferred.await(gate), Effect.never)
            : key === "dies"
              ? Effect.die(new Error("test-secret"))
              : key === "throws"
                ? (JSON.parse("{") as never)
                : key === "unknown"
                  ? new Unknown({ key })
                  : Effect.succeed({
                      provider: named(key).service,
                      account: key === "nameless" ? " " : key,
                      credentials: Effect.succeed(user),
                      ...(key === "seedless" ? { seed: Token.make({}) } : {})
                    })
      })
      const hanging = yield* Effect.fork(Effect.flip(map.accessToken("hangs")))
      const of = (key: string) => Effect.map(Effect.flip(map.accessToken(key)), (error) => error)
      assert.deepStrictEqual(yield* of("unknown"), new Unknown({ key: "unknown" }))
      for (const [key, field] of [
        ["dies", "lookup"],
        ["throws", "lookup"],
        ["nameless", "account"],
        ["seedless", "seed"]
      ] as const) {
        const error = yield* of(key)
        assert.strictEqual(error._tag === "Misconfigured" && error.field, field)
        assert.notInclude(String(error), "test-secret")
      }
      assert.strictEqual(value(yield* map.accessToken("fine")), "fine-test-access-1")
      yield* TestClock.adjust("10 seconds")
      const late = yield* Fiber.join(hanging)
      assert.strictEqual(late._tag === "NetworkFailure" && late.reason, "timeout")
      assert.deepStrictEqual(yield* open(map), ["fine"])
    })
  )

  it.scoped("a plain HttpClient of a key tells what its lookup failed with as the cause", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ before: (key) => (key === "unknown" ? new Unknown({ key }) : Effect.void) })
      const error = yield* Effect.flip(AuthHttpClient.toHttpClient(map.client("unknown")).get("x"))
      assert.deepInclude(error, { _tag: "RequestError", reason: "Encode", cause: new Unknown({ key: "unknown" }) })
      assert.strictEqual((yield* AuthHttpClient.toHttpClient(map.client("a")).get("x")).status, 200)
    })
  )

  it.scoped("a failed lookup is not remembered", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ before: (key, nth) => (nth === 1 ? new Unknown({ key }) : Effect.void) })
      assert.strictEqual((yield* Effect.flip(map.accessToken("a")))._tag, "Unknown")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
    })
  )

  it.scoped("law 7: the first caller of a key is interrupted, and the others get their token of the same lookup", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { lookups, map } = yield* tenants({ before: () => Deferred.await(gate) })
      const first = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => lookups.length === 1)
      const second = yield* Effect.fork(map.accessToken("a"))
      yield* flush
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, void 0)
      assert.strictEqual(value(yield* Fiber.join(second)), "a-test-access-1")
      assert.deepStrictEqual(lookups, ["a"])
    })
  )

  it.scoped("keys are compared as Effect compares values", () =>
    Effect.gen(function* () {
      class Key extends Data.Class<{ readonly shop: string; readonly user: number }> {}
      const made = named("api")
      const map = yield* SessionMap.make({
        lookup: ({ shop, user: id }: Key) =>
          Effect.succeed({ provider: made.service, account: `${shop}/${id}`, credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      yield* map.accessToken(new Key({ shop: "a", user: 1 }))
      yield* map.accessToken(new Key({ shop: "a", user: 1 }))
      yield* map.accessToken(new Key({ shop: "a", user: 2 }))
      assert.strictEqual(made.count().total, 2)
    })
  )

  it.scoped("a layer of a tag of one's own", () =>
    Effect.gen(function* () {
      class Merchants extends Context.Tag("effect-auth/test/tenants/SessionMap/isolation.test/Merchants")<
        Merchants,
        SessionMap.Service<string, Unknown>
      >() {}
      const made = named("a")
      const layer = SessionMap.layer(Merchants, {
        lookup: (key: string) =>
          Effect.map(TokenStore.TokenStore, () => ({
            provider: made.service,
            account: key,
            credentials: Effect.succeed(user)
          })),
        store: TokenStore.TokenStore
      }).pipe(Layer.provide(TokenStore.layerMemory), Layer.provide(Layer.succeed(HttpClient.HttpClient, bare)))
      const token = yield* Effect.provide(
        Effect.flatMap(Merchants, (map) => map.accessToken("x")),
        layer
      )
      assert.strictEqual(value(token), "a-test-access-1")
    })
  )

  for (const [field, options] of [
    ["idleTimeToLive", { idleTimeToLive: 0 }],
    ["idleTimeToLive", { idleTimeToLive: -1 }],
    ["timeout", { timeout: 0 }],
    ["leeway", { leeway: Number.NaN }],
    ["renewal", { renewal: "never" as never }]
  ] as const) {
    it.scoped(`a bad option is Misconfigured and named: ${field}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(tenants(options))
        assert.strictEqual(error.field, field)
      })
    )
  }
})
