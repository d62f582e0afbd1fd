import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, ConfigProvider, Duration, Effect, Fiber, Layer, Option } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as File from "../../src/stores/File.js"
import { laws } from "../../src/testing/StoreLaws.js"
import * as ManualClock from "../support/ManualClock.js"
import { entry, heldUp, onDisk, scene, text } from "./fileScene.js"

describe("law 19, law 20: the store in a folder", () => {
  for (const { check, name } of laws({ lease: "500 millis" })) {
    onDisk(name, () =>
      Effect.gen(function* () {
        const { directory } = yield* scene
        yield* Effect.provide(check, File.layer({ directory }))
      })
    )
  }
})

describe("two processes, one folder", () => {
  onDisk("law 19: each sees what the other saved, and neither can put an older version over it", () =>
    Effect.gen(function* () {
      const { process } = yield* scene
      const [a, b] = [yield* process(), yield* process()]
      assert.isTrue(Option.isNone(yield* b.load("key")))
      assert.isTrue(yield* a.save("key", entry(1, "of a")))
      assert.isFalse(yield* b.save("key", entry(1, "of b")))
      assert.strictEqual(text(yield* b.load("key")), "of a")
      assert.isTrue(yield* b.save("key", entry(1, "of b", 1)))
      assert.isFalse(yield* a.save("key", entry(1, "of a", 1)))
      assert.isFalse(yield* a.save("key", entry(0, "of a", 9)))
      assert.strictEqual(text(yield* a.load("key")), "of b")
    })
  )

  onDisk("law 20: clocks an hour apart change no age; only the file system's own is asked", () =>
    Effect.gen(function* () {
      const { folder, fs, path, process } = yield* scene
      const store = yield* process()
      const now = yield* Clock.currentTimeMillis
      const at = (hours: number) => Effect.withClock(ManualClock.make(now + hours * 3_600_000).clock)
      const age = (hours: number) =>
        Effect.map(at(hours)(store.load("key")), (stored) => Duration.toMillis(Option.getOrThrow(stored).age))
      yield* at(1)(store.save("key", entry(1)))
      for (const hours of [-1, 0, 1]) assert.isBelow(yield* age(hours), 60_000)
      const file = (yield* fs.readDirectory(yield* folder)).find((name) => name.startsWith("text."))
      const setBy = (hours: number) =>
        Effect.flatMap(folder, (folder) =>
          fs.utimes(path.join(folder, file ?? ""), now / 1000, now / 1000 - hours * 3600)
        )
      yield* setBy(2)
      for (const hours of [-1, 0, 1]) {
        assert.isAtLeast(yield* age(hours), 7_200_000)
        assert.isBelow(yield* age(hours), 7_260_000)
      }
      // The machine's own clock was set back.
      yield* setBy(-2)
      for (const hours of [-1, 0, 1]) assert.strictEqual(yield* age(hours), 0)
    })
  )

  /** A process whose clocks stand still but for the test. */
  const manual = (store: TokenStore.Service) => {
    const clock = ManualClock.make()
    const lease = (owner: string, duration: Duration.DurationInput = "60 seconds") =>
      Effect.withClock(store.lease("key", owner, Duration.decode(duration)), clock.clock)
    return { ...clock, lease }
  }

  onDisk("law 20: a lease ends when the waiting process has seen no beat for as long, by its own monotonic clock", () =>
    Effect.gen(function* () {
      const { process } = yield* scene
      const [a, b] = [yield* process(), yield* process()]
      const [holder, waiter] = [manual(a), manual(b)]
      assert.isTrue(yield* holder.lease("a"))
      yield* waiter.advance("1 hour")
      assert.isFalse(yield* waiter.lease("b"), "the first look")
      yield* waiter.setWall("10 hours")
      yield* holder.setWall("10 hours", -1)
      assert.isFalse(yield* waiter.lease("b"), "wall clocks say nothing")
      yield* waiter.advance("59 seconds")
      assert.isFalse(yield* waiter.lease("b"))
      assert.isTrue(yield* holder.lease("a"), "a beat")
      yield* waiter.advance("59 seconds")
      assert.isFalse(yield* waiter.lease("b"), "the first look after the beat")
      yield* waiter.advance("59 seconds")
      assert.isFalse(yield* waiter.lease("b"))
      yield* waiter.advance("1 second")
      assert.isTrue(yield* waiter.lease("b"))
      assert.isFalse(yield* holder.lease("a"), "it does not get it back")
      yield* a.release("key", "a")
      assert.isFalse(yield* holder.lease("c"))
      assert.isTrue(yield* waiter.lease("b"))
    })
  )

  onDisk("law 20: of many who wait for a dead holder exactly one gets its lease", () =>
    Effect.gen(function* () {
      const { process } = yield* scene
      yield* manual(yield* process()).lease("dead")
      const waiters = yield* Effect.replicateEffect(Effect.map(process(), manual), 12)
      yield* Effect.forEach(waiters, (waiter) => waiter.lease("nobody"))
      yield* Effect.forEach(waiters, (waiter) => waiter.advance("1 minute"))
      const all = Effect.forEach(waiters, (waiter, index) => waiter.lease(`waiter ${index}`), {
        concurrency: "unbounded"
      })
      assert.strictEqual((yield* all).filter((taken) => taken).length, 1)
    })
  )

  onDisk("law 20: who took a dead holder's lease waits again when it loses it", () =>
    Effect.gen(function* () {
      const { process } = yield* scene
      const [a, b] = [manual(yield* process()), manual(yield* process())]
      for (const [holder, waiter, from, to] of [
        [a, b, "a", "b"],
        [b, a, "b", "a"],
        [a, b, "a", "b"]
      ] as const) {
        assert.isTrue(yield* holder.lease(from))
        assert.isFalse(yield* waiter.lease(to))
        yield* waiter.advance("1 minute")
        assert.isTrue(yield* waiter.lease(to))
      }
    })
  )
})

describe("stopped at a bad moment, and woken up later", () => {
  /** A process that stops before it renames what begins with `prefix`. */
  const stopping = (prefix: string) =>
    Effect.gen(function* () {
      const place = yield* scene
      const stop = yield* heldUp((from) => place.path.basename(from).startsWith(prefix))
      const process = yield* place.process({
        rename: (from, to) => Effect.zipRight(stop.pass(from), place.fs.rename(from, to))
      })
      return { ...place, stop, stopped: process, other: yield* place.process() }
    })

  onDisk("law 19: a save that slept before its last step loses against a newer one, and leaves nothing", () =>
    Effect.gen(function* () {
      const { files, other, stop, stopped } = yield* stopping("head")
      const saving = yield* Effect.fork(stopped.save("key", entry(2, "test-late")))
      yield* stop.reached
      // The same version, then newer ones: nothing of what the sleeper looked at is there any more.
      for (const generation of [2, 3, 4]) assert.isTrue(yield* other.save("key", entry(generation)))
      yield* stop.letGo
      assert.isFalse(yield* Fiber.join(saving))
      assert.strictEqual(text(yield* other.load("key")), "test-contents-4")
      assert.notInclude(JSON.stringify(yield* files), "test-late")
    })
  )

  onDisk("law 19: a save that slept before its last step while an older one came wins all the same", () =>
    Effect.gen(function* () {
      const { other, stop, stopped } = yield* stopping("head")
      yield* other.save("key", entry(1))
      const saving = yield* Effect.fork(stopped.save("key", entry(9, "test-late")))
      yield* stop.reached
      assert.isTrue(yield* other.save("key", entry(2)))
      yield* stop.letGo
      assert.isTrue(yield* Fiber.join(saving))
      assert.strictEqual(text(yield* other.load("key")), "test-late")
      assert.isFalse(yield* other.save("key", entry(3)))
    })
  )

  onDisk("law 19: the first save of all, asleep before it makes the folder, loses like any other", () =>
    Effect.gen(function* () {
      const { directory, fs, home, path } = yield* scene
      const stop = yield* heldUp((to) => path.dirname(to) === directory)
      const stores = yield* Effect.forEach(
        [{ ...fs, rename: (from: string, to: string) => Effect.zipRight(stop.pass(to), fs.rename(from, to)) }, fs],
        (fs) => Effect.provideService(File.make({ directory }), FileSystem.FileSystem, fs)
      )
      const [stopped, other] = stores
      assert(stopped !== undefined && other !== undefined)
      const saving = yield* Effect.fork(stopped.save("key", entry(1, "test-late")))
      yield* stop.reached
      for (const generation of [1, 2]) assert.isTrue(yield* other.save("key", entry(generation)))
      yield* stop.letGo
      assert.isFalse(yield* Fiber.join(saving))
      assert.strictEqual(text(yield* other.load("key")), "test-contents-2")
      assert.strictEqual((yield* fs.readDirectory(directory)).length, 1, home)
    })
  )

  onDisk("law 20: who slept before taking a free lease finds it taken, however often it was since", () =>
    Effect.gen(function* () {
      const { other, stop, stopped } = yield* stopping("lease")
      const taking = yield* Effect.fork(stopped.lease("key", "a", Duration.minutes(1)))
      yield* stop.reached
      assert.isTrue(yield* other.lease("key", "b", Duration.minutes(1)))
      yield* other.release("key", "b")
      assert.isTrue(yield* other.lease("key", "c", Duration.minutes(1)))
      yield* stop.letGo
      assert.isFalse(yield* Fiber.join(taking))
      assert.isTrue(yield* other.lease("key", "c", Duration.minutes(1)))
    })
  )

  onDisk("law 20: who slept before taking a lease for dead does not take it if there was a beat", () =>
    Effect.gen(function* () {
      const { other, stop, stopped } = yield* stopping("lease")
      const { advance, clock } = ManualClock.make()
      assert.isTrue(yield* other.lease("key", "b", Duration.minutes(1)))
      const taking = Effect.withClock(stopped.lease("key", "a", Duration.minutes(1)), clock)
      assert.isFalse(yield* taking)
      yield* advance("2 minutes")
      const late = yield* Effect.fork(taking)
      yield* stop.reached
      assert.isTrue(yield* other.lease("key", "b", Duration.minutes(1)))
      yield* stop.letGo
      assert.isFalse(yield* Fiber.join(late))
      assert.isTrue(yield* other.lease("key", "b", Duration.minutes(1)))
    })
  )

  for (const [what, act] of [
    ["a release", (store: TokenStore.Service) => Effect.as(store.release("key", "a"), false)],
    ["a beat", (store: TokenStore.Service) => store.lease("key", "a", Duration.minutes(1))]
  ] as const) {
    onDisk(`law 20: ${what} that slept until another took the lease changes nothing`, () =>
      Effect.gen(function* () {
        const { other, process, stop, stopped } = yield* stopping("lease")
        const { advance, clock } = ManualClock.make()
        // Not the process that stops: its first rename is the one that waits.
        assert.isTrue(yield* (yield* process()).lease("key", "a", Duration.minutes(1)))
        const late = yield* Effect.fork(act(stopped))
        yield* stop.reached
        const taking = Effect.withClock(other.lease("key", "b", Duration.minutes(1)), clock)
        assert.isFalse(yield* taking)
        yield* advance("1 minute")
        assert.isTrue(yield* taking)
        yield* stop.letGo
        assert.isFalse(yield* Fiber.join(late))
        assert.isTrue(yield* taking)
        assert.isFalse(yield* other.lease("key", "c", Duration.minutes(1)))
      })
    )
  }

  onDisk("law 20: a release that slept while its owner beat gives the lease back all the same", () =>
    Effect.gen(function* () {
      const { other, stop, stopped } = yield* stopping("lease")
      assert.isTrue(yield* other.lease("key", "a", Duration.minutes(1)))
      const releasing = yield* Effect.fork(stopped.release("key", "a"))
      yield* stop.reached
      assert.isTrue(yield* other.lease("key", "a", Duration.minutes(1)))
      yield* stop.letGo
      yield* Fiber.join(releasing)
      assert.isTrue(yield* other.lease("key", "b", Duration.minutes(1)))
    })
  )

  for (const [when, method] of [
    ["before it wrote its text", "open"],
    ["while it wrote its text", "chmod"]
  ] as const) {
    onDisk(`law 19: a save that slept ${when} loses against the same version, and leaves nothing`, () =>
      Effect.gen(function* () {
        const { files, fs, process } = yield* scene
        const stop = yield* heldUp((file) => file.includes("text."))
        const stopped = yield* process({
          [method]: (file: string, options: never) => Effect.zipRight(stop.pass(file), fs[method](file, options))
        })
        const other = yield* process()
        const saving = yield* Effect.fork(stopped.save("key", entry(1, "test-late")))
        yield* stop.reached
        assert.isTrue(yield* other.save("key", entry(1)))
        yield* stop.letGo
        assert.isFalse(yield* Fiber.join(saving))
        const texts = Object.values(yield* files).filter((contents) => contents.startsWith("test-"))
        assert.deepStrictEqual(texts, ["test-contents-1"])
      })
    )
  }

  onDisk("law 19: a reader that slept until its entry was replaced gets the newer one", () =>
    Effect.gen(function* () {
      const { fs, process } = yield* scene
      const stop = yield* heldUp((file) => file.includes("text."))
      const sleeper = yield* process({
        readFile: (file) => Effect.zipRight(stop.pass(file), fs.readFile(file))
      })
      const other = yield* process()
      yield* other.save("key", entry(1))
      const reading = yield* Effect.fork(sleeper.load("key"))
      yield* stop.reached
      yield* other.save("key", entry(2))
      yield* stop.letGo
      assert.strictEqual(text(yield* Fiber.join(reading)), "test-contents-2")
    })
  )

  onDisk("law 19: readers of five hundred saves see whole entries only, each no older than the one before", () =>
    Effect.gen(function* () {
      const { fs, process } = yield* scene
      // Not synced, for the sake of time: what readers see does not depend on it.
      const unsynced = (file: FileSystem.File): FileSystem.File => Object.create(file, { sync: { value: Effect.void } })
      const writer = yield* process({ open: (file, options) => Effect.map(fs.open(file, options), unsynced) })
      const reader = yield* process()
      const whole = (generation: number) => `${generation} ${"x".repeat(1 + ((generation * 7919) % 60_000))} whole`
      yield* writer.save("key", entry(1, whole(1)))
      let writing = true
      const write = Effect.ensuring(
        Effect.gen(function* () {
          for (let generation = 2; generation <= 500; generation++) {
            assert.isTrue(yield* writer.save("key", entry(generation, whole(generation))))
          }
        }),
        Effect.sync(() => {
          writing = false
        })
      )
      const read = Effect.gen(function* () {
        let last = 1
        let reads = 0
        while (writing) {
          const stored = yield* reader.load("key")
          const generation = Option.getOrThrow(stored).generation
          assert.isAtLeast(generation, last)
          assert.isTrue(text(stored) === whole(generation), `generation ${generation} is whole`)
          last = generation
          reads++
        }
        return reads
      })
      const [, ...reads] = yield* Effect.all([write, read, read], { concurrency: "unbounded" })
      assert.isTrue(reads.every((number) => number > 10))
    })
  )
})

describe("the layer", () => {
  it.effect("building it touches no disk", () =>
    Effect.gen(function* () {
      const touched = () => Effect.dieMessage("touched")
      const fs = FileSystem.layerNoop(
        Object.fromEntries(Object.keys(FileSystem.makeNoop({})).map((name) => [name, touched]))
      )
      const store = yield* Effect.provide(TokenStore.TokenStore, [
        File.layer({ directory: "/nowhere" }).pipe(Layer.provide([fs, Path.layer]))
      ])
      assert.strictEqual((yield* Effect.exit(store.load("key")))._tag, "Failure")
    })
  )

  it.effect("an empty directory is refused, by the name of the option or of the variable", () =>
    Effect.gen(function* () {
      const build = (layer: ReturnType<typeof File.layer>, variables: ReadonlyArray<readonly [string, string]>) =>
        Effect.flip(Effect.scoped(Layer.build(layer))).pipe(
          Effect.provide(NodeContext.layer),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(variables))),
          Effect.map((error) => error.message)
        )
      assert.strictEqual(yield* build(File.layer({ directory: " " }), []), "directory: must not be empty")
      assert.strictEqual(yield* build(File.layerConfig(), []), "EFFECT_AUTH_DIRECTORY: is not set")
      assert.strictEqual(
        yield* build(File.layerConfig(), [["EFFECT_AUTH_DIRECTORY", ""]]),
        "EFFECT_AUTH_DIRECTORY: must not be empty"
      )
    })
  )

  onDisk("the folder can come from EFFECT_AUTH_DIRECTORY", () =>
    Effect.gen(function* () {
      const { directory, process } = yield* scene
      yield* Effect.flatMap(TokenStore.TokenStore, (store) => store.save("key", entry(1))).pipe(
        Effect.provide(File.layerConfig()),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["EFFECT_AUTH_DIRECTORY", directory]])))
      )
      assert.strictEqual(text(yield* (yield* process()).load("key")), "test-contents-1")
    })
  )
})
