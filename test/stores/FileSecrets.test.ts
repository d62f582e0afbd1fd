import { FileSystem, Path } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import * as File from "../../src/stores/File.js"
import { entry, onDisk, refused, scene, text } from "./fileScene.js"

/** The modes of a folder and of all that is in it, of folders and of files. */
const modes = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const found = { folders: new Set<string>(), files: new Set<string>() }
  const names = yield* fs.readDirectory(directory, { recursive: true })
  for (const name of [".", ...names]) {
    const { mode, type } = yield* fs.stat(path.join(directory, name))
    ;(type === "Directory" ? found.folders : found.files).add((mode & 0o777).toString(8))
  }
  return { folders: Array.from(found.folders), files: Array.from(found.files) }
})

const withUmask = (mask: number) =>
  Effect.acquireRelease(
    Effect.sync(() => process.umask(mask)),
    (before) => Effect.sync(() => process.umask(before))
  )

describe("law 28: what is on the disk", () => {
  for (const mask of [0o000, 0o022, 0o077, 0o277]) {
    onDisk(`law 28: files are 0600 in folders of 0700 (umask ${mask.toString(8).padStart(3, "0")})`, () =>
      Effect.gen(function* () {
        const { directory, process } = yield* scene
        const store = yield* process()
        yield* withUmask(mask)
        for (const generation of [1, 2]) {
          yield* store.save("key", entry(generation))
          yield* store.load("key")
          assert.isTrue(yield* store.lease("key", "owner", Duration.minutes(1)))
        }
        assert.deepStrictEqual(yield* modes(directory), { folders: ["700"], files: ["600"] })
      })
    )
  }

  onDisk("law 28: a folder that is there keeps its mode, and what is in it is 0700 all the same", () =>
    Effect.gen(function* () {
      const { directory, folder, fs, process } = yield* scene
      const store = yield* process()
      yield* fs.makeDirectory(directory, { recursive: true })
      yield* fs.chmod(directory, 0o755)
      assert.isTrue(yield* store.save("key", entry(1)))
      assert.deepStrictEqual(yield* modes(yield* folder), { folders: ["700"], files: ["600"] })
      assert.strictEqual((yield* fs.stat(directory)).mode & 0o777, 0o755)
    })
  )

  for (const mode of [0o777, 0o775, 0o1777, 0o722]) {
    onDisk(`law 28: a folder that others may write to (${mode.toString(8)}) is refused, and keeps its mode`, () =>
      Effect.gen(function* () {
        const { directory, fs, path, process } = yield* scene
        const store = yield* process()
        yield* fs.makeDirectory(directory, { recursive: true })
        yield* fs.chmod(directory, mode)
        for (const refusal of [
          store.load("key"),
          store.save("key", entry(1)),
          store.lease("key", "owner", Duration.minutes(1)),
          store.release("key", "owner")
        ]) {
          const { problem } = yield* Effect.flip<unknown, { readonly problem: string }, never>(refusal)
          assert.include(problem, directory)
          assert.include(problem, "set its mode to 0700")
        }
        assert.deepStrictEqual(yield* fs.readDirectory(directory), [])
        assert.strictEqual((yield* fs.stat(directory)).mode & 0o7777, mode)
        // Where folders have no such modes, they say nothing.
        const windows = yield* Effect.provideService(File.make({ directory }), Path.Path, { ...path, sep: "\\" })
        assert.isTrue(yield* windows.save("key", entry(1)))
      })
    )
  }

  onDisk("law 28: one file holds what was given, as it was given, and no other a word of it or of the key", () =>
    Effect.gen(function* () {
      const { files, process } = yield* scene
      const store = yield* process()
      for (const generation of [1, 2, 3]) yield* store.save("secret-key", entry(generation))
      assert.isTrue(yield* store.lease("secret-key", "secret-owner", Duration.minutes(1)))
      yield* store.load("secret-key")
      const found = yield* files
      const pausing = Object.entries(found).filter(([, contents]) => contents.includes("test-contents"))
      assert.deepStrictEqual(
        pausing.map(([, contents]) => contents),
        ["test-contents-3"]
      )
      assert.notMatch(JSON.stringify(Object.keys(found)), /secret|test-contents/)
      assert.notInclude(JSON.stringify(Object.values(found)), "secret-")
    })
  )

  onDisk("law 28: what died or lost before its last step is cleared away by the next save, and nothing else is", () =>
    Effect.gen(function* () {
      const { directory, files, folder, fs, path, process } = yield* scene
      const store = yield* process()
      yield* store.save("key", entry(1))
      const inside = yield* folder
      const put = (name: string) => fs.writeFileString(path.join(inside, name), `test-${name}`)
      for (const name of ["text.0.5.dead", "text.1.0.dead", "text.2.0.dead"]) yield* put(name)
      for (const name of ["text.2.1.living", "notes.txt", "text", "lease.txt"]) yield* put(name)
      yield* fs.writeFileString(path.join(directory, "notes.txt"), "test-notes")
      yield* store.save("key", entry(2))
      const left = Object.values(yield* files).filter((contents) => contents.startsWith("test-"))
      assert.sameMembers(left, [
        "test-contents-2",
        "test-text.2.1.living",
        "test-notes.txt",
        "test-text",
        "test-lease.txt",
        "test-notes"
      ])
    })
  )

  onDisk("law 28: half a secret does not stay when the rest cannot be written", () =>
    Effect.gen(function* () {
      const { files, fs, process } = yield* scene
      const broken = yield* process({
        open: (file, options) =>
          Effect.map(fs.open(file, options), (opened) =>
            file.includes("text.") ? Object.create(opened, { sync: { value: refused("ENOSPC", "sync") } }) : opened
          )
      })
      const store = yield* process()
      yield* store.save("key", entry(1))
      const before = yield* files
      const failure = yield* Effect.flip(broken.save("key", entry(2)))
      assert.strictEqual(failure.operation, "save")
      assert.include(failure.problem, "full (ENOSPC)")
      assert.deepStrictEqual(yield* files, before)
      assert.strictEqual(text(yield* broken.load("key")), "test-contents-1")
    })
  )

  onDisk("law 28: an interrupted save is either done or leaves nothing", () =>
    Effect.gen(function* () {
      const { files, fs, process } = yield* scene
      let written = 0
      // Slow, so that the interruption meets it half-way.
      const slow = yield* process({
        chmod: (file, mode) =>
          Effect.zipRight(
            Effect.suspend(() =>
              file.includes("text.")
                ? Effect.delay(
                    Effect.sync(() => written++),
                    50
                  )
                : Effect.void
            ),
            fs.chmod(file, mode)
          )
      })
      yield* slow.save("key", entry(1))
      assert.isTrue(Option.isNone(yield* Effect.timeoutOption(slow.save("key", entry(2)), 10)))
      while (written < 2) yield* Effect.sleep(5)
      while (text(yield* slow.load("key")) !== "test-contents-2") yield* Effect.sleep(5)
      yield* slow.save("key", entry(3))
      const texts = Object.values(yield* files).filter((contents) => contents.startsWith("test-"))
      assert.deepStrictEqual(texts, ["test-contents-3"])
    })
  )
})
