import { spawn } from "node:child_process"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Option, Redacted } from "effect"
import { build } from "esbuild"
import type * as TokenStore from "../../src/store/TokenStore.js"
import * as File from "../../src/stores/File.js"
import type { Assignment, Task } from "./fileWorker.js"

const key = "test key"

/** The worker and all that it imports, in one file. */
const bundle = await build({
  entryPoints: [fileURLToPath(new URL("./fileWorker.ts", import.meta.url))],
  write: false,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  logLevel: "error"
})
const worker = bundle.outputFiles[0]?.text ?? ""

/** A folder, a store of this process in it, and how to start others. */
const scene = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* fs.makeTempDirectoryScoped()
  const directory = path.join(home, "store")
  const script = path.join(home, "worker.cjs")
  writeFileSync(script, worker)
  const store = yield* File.make({ directory })

  /** A process that does one thing; it does not outlive the test. */
  const start = (name: string, task: Task, hours = 0) =>
    Effect.gen(function* () {
      const ended = yield* Deferred.make<void>()
      const lines: Array<unknown> = []
      const errors: Array<string> = []
      const assignment: Assignment = { name, directory, key, hours, task }
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [script, JSON.stringify(assignment)])),
        (child) =>
          Effect.zipRight(
            Effect.sync(() => child.kill("SIGKILL")),
            Deferred.await(ended)
          )
      )
      let rest = ""
      child.stdout.on("data", (data) => {
        const parts = (rest + data).split("\n")
        rest = parts.pop() ?? ""
        lines.push(...parts.map((part) => JSON.parse(part)))
      })
      child.stderr.on("data", (data) => errors.push(String(data)))
      child.on("close", () => Deferred.unsafeDone(ended, Effect.void))
      const said = (line: unknown): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (lines.includes(line)) return Effect.void
          assert.isNull(child.exitCode, errors.join(""))
          return Effect.delay(said(line), 5)
        })
      const done = Effect.map(Deferred.await(ended), () => {
        assert.strictEqual(child.exitCode, 0, errors.join(""))
      })
      const signal = (name: NodeJS.Signals) => Effect.sync(() => child.kill(name))
      return { lines, said, done, signal, ended: Deferred.await(ended) }
    })

  const folder = () => path.join(directory, readdirSync(directory)[0] ?? "")
  return { home, path, store, start, folder }
})

const isSave = (line: unknown): line is { readonly generation: number; readonly saved: boolean } =>
  typeof line === "object" && line !== null && "saved" in line

const text = (stored: Option.Option<TokenStore.StoredEntry>) => Redacted.value(Option.getOrThrow(stored).contents)

/** Asks for the lease in steps of a twentieth of it, not more often than twice its duration lasts. */
const outwait = (store: TokenStore.Service, owner: string, lease: number) =>
  Effect.gen(function* () {
    for (let left = 41; left > 0; left--) {
      if (yield* store.lease(key, owner, Duration.millis(lease))) return 41 - left
      yield* Effect.sleep(lease / 20)
    }
    return assert.fail("the lease did not end")
  })

const names = ["a", "b", "c", "d", "e", "f"]

const it_ = (name: string, body: () => Effect.Effect<void, unknown, Effect.Effect.Context<typeof scene>>) =>
  it.scopedLive(name, () => Effect.provide(body(), NodeContext.layer))

describe("processes on one folder", () => {
  it_("law 19: of six processes that save the same versions at once one wins each, and the newest stays", () =>
    Effect.gen(function* () {
      const { folder, home, path, start, store } = yield* scene
      const go = path.join(home, "go")
      const generations = Array.from({ length: 40 }, (_, index) => index + 1)
      const workers = yield* Effect.forEach(names, (name) => start(name, { do: "save", go, generations }))
      yield* Effect.forEach(workers, (worker) => worker.said("ready"))
      writeFileSync(go, "")
      yield* Effect.forEach(workers, (worker) => worker.done)
      const saves = workers.flatMap(({ lines }, index) =>
        lines.filter(isSave).map((save) => ({ ...save, name: names[index] }))
      )
      assert.strictEqual(saves.length, names.length * generations.length)
      const winners = generations.flatMap((generation) => {
        const saved = saves.filter((save) => save.generation === generation && save.saved)
        // None of one that was late for all six, as another process was ahead with the next.
        assert.isAtMost(saved.length, 1, `generation ${generation}`)
        return saved
      })
      const last = winners.at(-1)
      assert.strictEqual(last?.generation, 40)
      assert.isTrue(text(yield* store.load(key)).startsWith(`40 of ${last?.name} `))
      assert.strictEqual(readdirSync(folder()).filter((name) => name.startsWith("text.")).length, 1)
      assert.strictEqual(readdirSync(folder()).filter((name) => name.startsWith("head")).length, 1)
    })
  )

  it_("law 19: of six processes that save different versions at once the newest stays", () =>
    Effect.gen(function* () {
      const { home, path, start, store } = yield* scene
      const go = path.join(home, "go")
      const workers = yield* Effect.forEach(names, (name, index) =>
        start(name, {
          do: "save",
          go,
          generations: Array.from({ length: 20 }, (_, round) => 1 + round * names.length + ((index * 5 + round) % 6))
        })
      )
      yield* Effect.forEach(workers, (worker) => worker.said("ready"))
      writeFileSync(go, "")
      yield* Effect.forEach(workers, (worker) => worker.done)
      const saved = workers.flatMap(({ lines }) => lines.filter(isSave)).filter(({ saved }) => saved)
      assert.strictEqual(new Set(saved.map(({ generation }) => generation)).size, saved.length)
      assert.isTrue(saved.some(({ generation }) => generation === 120))
      assert.strictEqual(Option.getOrThrow(yield* store.load(key)).generation, 120)
    })
  )

  it_("law 20: six processes with clocks hours apart add to one number under the lease, and none is lost", () =>
    Effect.gen(function* () {
      const { home, path, start } = yield* scene
      const file = path.join(home, "number")
      writeFileSync(file, "0")
      const workers = yield* Effect.forEach(names, (name, index) =>
        start(name, { do: "count", file, times: 15, lease: 30_000 }, index - 3)
      )
      yield* Effect.forEach(workers, (worker) => worker.done)
      assert.strictEqual(readFileSync(file, "utf8"), String(names.length * 15))
    })
  )

  it_("law 20: what a process with another clock saved is as old as it is", () =>
    Effect.gen(function* () {
      const { home, path, start, store } = yield* scene
      const go = path.join(home, "go")
      writeFileSync(go, "")
      for (const [index, hours] of [-1, 1].entries()) {
        const { done } = yield* start("a", { do: "save", go, generations: [index + 1] }, hours)
        yield* done
        const { age, generation } = Option.getOrThrow(yield* store.load(key))
        assert.strictEqual(generation, index + 1)
        assert.isBelow(Duration.toMillis(age), 60_000)
      }
    })
  )

  // No process id is written or asked for anywhere, so it does not matter whose id a dead holder's has become.
  it_("law 20: the lease of a killed holder ends within twice its duration, with nothing to delete by hand", () =>
    Effect.gen(function* () {
      const { start, store } = yield* scene
      const holder = yield* start("a", { do: "hold", lease: 600, generation: 1 })
      yield* holder.said("held")
      assert.isFalse(yield* store.lease(key, "b", Duration.millis(600)))
      yield* holder.signal("SIGKILL")
      yield* holder.ended
      assert.isAbove(yield* outwait(store, "b", 600), 0)
    })
  )

  it_("law 20: a holder that was stopped for longer than its lease has lost it, and its late save with it", () =>
    Effect.gen(function* () {
      const { start, store } = yield* scene
      const holder = yield* start("a", { do: "hold", lease: 600, generation: 1 })
      yield* holder.said("held")
      yield* holder.signal("SIGSTOP")
      yield* outwait(store, "b", 600)
      // Long enough that it does not end here, however slow the machine.
      assert.isTrue(yield* store.lease(key, "b", Duration.minutes(5)))
      assert.isTrue(yield* store.save(key, { generation: 2, revision: 0, contents: Redacted.make("test-newer") }))
      yield* holder.signal("SIGCONT")
      yield* holder.done
      assert.deepStrictEqual(holder.lines, ["ready", "held", "lost", { generation: 1, saved: false }])
      assert.isTrue(yield* store.lease(key, "b", Duration.minutes(5)))
      assert.isFalse(yield* store.lease(key, "c", Duration.minutes(5)))
      assert.strictEqual(text(yield* store.load(key)), "test-newer")
    })
  )

  it_(
    "law 19: a process killed at any line of a save leaves a whole entry, no older than the last it was told of",
    () =>
      Effect.gen(function* () {
        const { folder, start, store } = yield* scene
        let from = 1
        for (let kill = 0; kill < 8; kill++) {
          const saver = yield* start("a", { do: "saveForEver", from })
          yield* saver.said("ready")
          yield* Effect.sleep(10 + kill * 7)
          yield* saver.signal("SIGKILL")
          yield* saver.ended
          const reported = saver.lines.filter(isSave)
          assert.isTrue(reported.every(({ saved }) => saved))
          const stored = yield* store.load(key)
          const least = reported.at(-1)?.generation ?? from - 1
          const found = Option.match(stored, { onNone: () => 0, onSome: ({ generation }) => generation })
          assert.isAtLeast(found, least)
          assert.isAtMost(found, least + 1)
          if (Option.isSome(stored) && found >= from) {
            assert.strictEqual(text(stored), `${found} of a ${"x".repeat(20_000)} whole`)
          }
          from = found + 2
          assert.isTrue(
            yield* store.save(key, { generation: from - 1, revision: 0, contents: Redacted.make("test-next") })
          )
          assert.strictEqual(readdirSync(folder()).filter((name) => name.startsWith("text.")).length, 1)
        }
      })
  )
})
