/**
 * One of several processes on one folder. It does what its arguments say (JSON), and prints a line of JSON for each thing
 * it did. Its wall clock is off by as many hours as it is told.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { Clock, Duration, Effect, Redacted } from "effect"
import * as File from "../../src/stores/File.js"

export type Task =
  /** Waits until there is a file `go`, then saves the generations, each with the name of the process in it. */
  | { readonly do: "save"; readonly go: string; readonly generations: ReadonlyArray<number> }
  /** Saves one generation after the other until it is killed. */
  | { readonly do: "saveForEver"; readonly from: number }
  /** Adds to the number in a file, so many times, each time under the lease. */
  | { readonly do: "count"; readonly file: string; readonly times: number; readonly lease: number }
  /** Takes the lease and keeps it alive until it is lost; then tries to release it, and to save. */
  | { readonly do: "hold"; readonly lease: number; readonly generation: number }

export interface Assignment {
  readonly name: string
  readonly directory: string
  readonly key: string
  readonly hours: number
  readonly task: Task
}

const assignment: Assignment = JSON.parse(process.argv[2] ?? "")
const { directory, hours, key, name, task } = assignment

const live = Clock.make()
const off = hours * 3_600_000
const clock: Clock.Clock = {
  ...live,
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  sleep: (duration) => live.sleep(duration),
  unsafeCurrentTimeMillis: () => live.unsafeCurrentTimeMillis() + off,
  unsafeCurrentTimeNanos: () => live.unsafeCurrentTimeNanos(),
  currentTimeMillis: Effect.map(live.currentTimeMillis, (millis) => millis + off)
}

const say = (line: unknown) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

const main = Effect.gen(function* () {
  const store = yield* File.make({ directory })
  const save = (generation: number) =>
    store.save(key, {
      generation,
      revision: 0,
      contents: Redacted.make(`${generation} of ${name} ${"x".repeat(20_000)} whole`)
    })
  yield* say("ready")
  switch (task.do) {
    case "save": {
      while (!existsSync(task.go)) yield* Effect.sleep(1)
      for (const generation of task.generations) yield* say({ generation, saved: yield* save(generation) })
      return
    }
    case "saveForEver": {
      for (let generation = task.from; ; generation++) yield* say({ generation, saved: yield* save(generation) })
    }
    case "count": {
      for (let left = task.times; left > 0; left--) {
        while (!(yield* store.lease(key, name, Duration.millis(task.lease)))) yield* Effect.sleep(2)
        const number = Number(readFileSync(task.file, "utf8"))
        yield* Effect.sleep(2)
        writeFileSync(task.file, String(number + 1))
        yield* store.release(key, name)
      }
      return
    }
    case "hold": {
      while (!(yield* store.lease(key, name, Duration.millis(task.lease)))) yield* Effect.sleep(task.lease / 10)
      yield* say("held")
      while (yield* store.lease(key, name, Duration.millis(task.lease))) yield* Effect.sleep(task.lease / 10)
      yield* say("lost")
      yield* store.release(key, name)
      yield* say({ generation: task.generation, saved: yield* save(task.generation) })
    }
  }
})

Effect.runPromise(main.pipe(Effect.provide([NodeFileSystem.layer, NodePath.layer]), Effect.withClock(clock))).then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${String(error)}\n`)
    process.exit(1)
  }
)
