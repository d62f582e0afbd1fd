import { FileSystem, KeyValueStore as Platform } from "@effect/platform"
import { SystemError } from "@effect/platform/Error"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Fiber, Layer, Option, Redacted, TestClock } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import type * as TokenStore from "../../src/store/TokenStore.js"
import * as KeyValueStore from "../../src/stores/KeyValueStore.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { manually } from "../support/ManualClock.js"
import { shown } from "../support/secrets.js"

const secret = "test-contents"

const entry = (generation: number, revision = 0, contents = secret): TokenStore.Entry => ({
  generation,
  revision,
  contents: Redacted.make(contents)
})

const full = new SystemError({
  reason: "Unknown",
  module: "FileSystem",
  method: "writeFile",
  pathOrDescriptor: "/x/y",
  description: "test-contents of something"
})

/** A KeyValueStore in memory, what it keeps, and what may go wrong with it. */
const watched = () => {
  const stored = new Map<string, string>()
  const calls: Array<string> = []
  const state: { get: Effect.Effect<void, SystemError>; set: Effect.Effect<void, SystemError> } = {
    get: Effect.void,
    set: Effect.void
  }
  const forbidden = (name: string) => Effect.dieMessage(`${name} was called`)
  const service = Platform.makeStringOnly({
    get: (key) =>
      Effect.suspend(() => {
        calls.push(`get ${key}`)
        return Effect.map(state.get, () => Option.fromNullable(stored.get(key)))
      }),
    set: (key, value) =>
      Effect.suspend(() => {
        calls.push(`set ${key}`)
        return Effect.map(state.set, () => void stored.set(key, value))
      }),
    remove: () => forbidden("remove"),
    clear: forbidden("clear"),
    size: forbidden("size")
  })
  const make = (options?: KeyValueStore.Options) =>
    Effect.provideService(KeyValueStore.make(options), Platform.KeyValueStore, service)
  return { stored, calls, state, make }
}

const generation = (stored: Option.Option<TokenStore.StoredEntry>) => Option.getOrThrow(stored).generation
const age = (stored: Option.Option<TokenStore.StoredEntry>) => Duration.toMillis(Option.getOrThrow(stored).age)

const failure = <A>(effect: Effect.Effect<A, StoreFailure>) => Effect.map(Effect.either(effect), Either.getLeft)

describe("law 19, law 20: the store over a KeyValueStore in memory", () => {
  for (const { check, name } of laws({ wait: TestClock.adjust })) {
    it.effect(name, () => Effect.provide(check, KeyValueStore.layer().pipe(Layer.provide(Platform.layerMemory))))
  }
})

describe("law 19, law 20: the store over a KeyValueStore of files", () => {
  // A name in a file system is shorter than the longest key, and some fold what differs by case.
  for (const { check, name } of laws({ lease: "300 millis" }).filter(({ name }) => name !== "keys do not collide")) {
    it.scopedLive(name, () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped()
        const layer = KeyValueStore.layer().pipe(
          Layer.provide(Platform.layerFileSystem(directory)),
          Layer.provide(NodeContext.layer)
        )
        yield* Effect.provide(check, layer)
      }).pipe(Effect.provide(NodeContext.layer))
    )
  }

  it.scopedLive("a name that the file system refuses is a StoreFailure", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const layer = Platform.layerFileSystem(yield* fs.makeTempDirectoryScoped())
      const store = yield* Effect.provide(KeyValueStore.make(), layer)
      const failed = yield* failure(store.save("k".repeat(500), entry(1)))
      assert.instanceOf(Option.getOrThrow(failed), StoreFailure)
    }).pipe(Effect.provide(NodeContext.layer))
  )
})

describe("the store over a KeyValueStore", () => {
  it.effect("law 19: another process's store goes on where one ended", () =>
    Effect.gen(function* () {
      const values = watched()
      const first = yield* values.make()
      assert.isTrue(yield* first.save("key", entry(3, 1)))
      yield* TestClock.adjust("5 seconds")
      const second = yield* values.make()
      const stored = Option.getOrThrow(yield* second.load("key"))
      assert.deepStrictEqual([stored.generation, stored.revision, Redacted.value(stored.contents)], [3, 1, secret])
      assert.strictEqual(age(Option.some(stored)), 5000)
      assert.isFalse(yield* second.save("key", entry(3, 1)))
      assert.isTrue(yield* second.save("key", entry(3, 2)))
    })
  )

  it.effect("the entries have a prefix, and nothing else is touched", () =>
    Effect.gen(function* () {
      const values = watched()
      values.stored.set("key", "another process's")
      yield* (yield* values.make()).save("key", entry(1))
      yield* (yield* values.make({ prefix: "mine:" })).save("key", entry(2))
      assert.deepStrictEqual(Array.from(values.stored.keys()), ["key", "effect-auth/key", "mine:key"])
      assert.strictEqual(values.stored.get("key"), "another process's")
      assert.deepStrictEqual(JSON.parse(values.stored.get("effect-auth/key") ?? ""), {
        generation: 1,
        revision: 0,
        at: 0,
        contents: secret
      })
    })
  )

  it.scoped("law 20: the age is not negative when the clock was set back, and this process knows better", () =>
    manually(function* (clock) {
      const values = watched()
      const own = yield* values.make()
      yield* own.save("key", entry(1))
      yield* clock.advance("10 seconds")
      yield* clock.setWall("1 hour", -1)
      assert.strictEqual(age(yield* own.load("key")), 10_000)
      const other = yield* values.make()
      assert.strictEqual(age(yield* other.load("key")), 0)
      yield* clock.setWall("2 hours")
      assert.strictEqual(age(yield* other.load("key")), 3_610_000)
      assert.strictEqual(age(yield* own.load("key")), 3_610_000)
      // What another wrote in the meantime is not as old as what this one wrote.
      yield* other.save("key", entry(2))
      assert.strictEqual(age(yield* own.load("key")), 0)
    })
  )

  const corrupt: ReadonlyArray<readonly [string, string]> = [
    ["empty", ""],
    ["cut", `{"generation":1,"revision":0,"at":0,"contents":"${secret}`],
    ["no JSON", `\u0000\u0001${secret}`],
    ["null", "null"],
    ["a list", "[]"],
    ["an empty object", "{}"],
    ["a generation that is text", `{"generation":"1","revision":0,"at":0,"contents":"${secret}"}`],
    ["a negative generation", `{"generation":-1,"revision":0,"at":0,"contents":"${secret}"}`],
    ["half a revision", `{"generation":1,"revision":0.5,"at":0,"contents":"${secret}"}`],
    ["a time beyond all numbers", `{"generation":1,"revision":0,"at":1e999,"contents":"${secret}"}`],
    ["contents that are no text", `{"generation":1,"revision":0,"at":0,"contents":{"token":"${secret}"}}`],
    ["__proto__", `{"__proto__":{"generation":1,"revision":0,"at":0,"contents":"${secret}"}}`]
  ]
  for (const [what, text] of corrupt) {
    it.effect(`an entry that is ${what} is a StoreFailure, is not replaced, and does not show`, () =>
      Effect.gen(function* () {
        const values = watched()
        values.stored.set("effect-auth/key", text)
        const store = yield* values.make()
        const loaded = Option.getOrThrow(yield* failure(store.load("key")))
        const saved = Option.getOrThrow(yield* failure(store.save("key", entry(9))))
        assert.deepStrictEqual([loaded.operation, saved.operation], ["load", "save"])
        assert.match(
          loaded.message,
          /"effect-auth\/key" is not in the format of this library \(nothing was changed; remove it/
        )
        assert.strictEqual(values.stored.get("effect-auth/key"), text)
        for (const error of [loaded, saved]) assert.isFalse(shown(error).some((text) => text.includes(secret)))
        assert.isTrue(yield* store.save("another", entry(1)))
      })
    )
  }

  it.effect("what fails is a StoreFailure that says where, without the description, and the next attempt works", () =>
    Effect.gen(function* () {
      const values = watched()
      const store = yield* values.make()
      yield* store.save("key", entry(1))
      values.state.set = full
      const saved = Option.getOrThrow(yield* failure(store.save("key", entry(2))))
      assert.strictEqual(
        saved.message,
        "the token store cannot save: FileSystem.writeFile failed with Unknown for /x/y"
      )
      assert.isFalse(shown(saved).some((text) => text.includes(secret)))
      assert.strictEqual(generation(yield* store.load("key")), 1)
      values.state.get = full
      assert.strictEqual(Option.getOrThrow(yield* failure(store.load("key"))).operation, "load")
      assert.strictEqual(Option.getOrThrow(yield* failure(store.save("key", entry(2)))).operation, "save")
      values.state.get = values.state.set = Effect.void
      assert.isTrue(yield* store.save("key", entry(2)))
      assert.strictEqual(generation(yield* store.load("key")), 2)
    })
  )

  it.effect("law 19: a write that hangs lets its caller go, and undoes no later one when it ends", () =>
    Effect.gen(function* () {
      const values = watched()
      const store = yield* values.make()
      const writing = yield* Deferred.make<void>()
      const hanging = yield* Deferred.make<void>()
      values.state.set = Effect.zipRight(Deferred.succeed(writing, undefined), Deferred.await(hanging))
      const first = yield* Effect.fork(store.save("key", entry(1)))
      yield* Deferred.await(writing)
      yield* Fiber.interrupt(first)
      values.state.set = Effect.void
      const second = yield* Effect.fork(store.save("key", entry(2)))
      // One that gives up before it is its turn writes nothing.
      const third = yield* Effect.fork(store.save("key", entry(3)))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(third)
      assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
      yield* Deferred.succeed(hanging, undefined)
      assert.isTrue(yield* Fiber.join(second))
      assert.strictEqual(generation(yield* store.load("key")), 2)
      assert.strictEqual(values.calls.filter((call) => call.startsWith("set")).length, 2)
    })
  )

  it.effect("law 20: a store that hangs hinders no lease, and a load that is given up hinders nothing", () =>
    Effect.gen(function* () {
      const values = watched()
      const store = yield* values.make()
      values.state.get = Effect.never
      const load = yield* Effect.fork(store.load("key"))
      yield* Effect.yieldNow()
      assert.isTrue(yield* store.lease("key", "a", Duration.seconds(10)))
      yield* Fiber.interrupt(load)
      values.state.get = Effect.void
      assert.isTrue(yield* store.save("key", entry(1)))
    })
  )
})
