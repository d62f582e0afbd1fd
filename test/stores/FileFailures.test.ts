import { execFileSync } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Option, Redacted } from "effect"
import * as Record from "../../src/store/record.js"
import type * as TokenStore from "../../src/store/TokenStore.js"
import { entry, inside, onDisk, refused, scene, text } from "./fileScene.js"

const lease = (store: TokenStore.Service, owner = "owner") => store.lease("test-key", owner, Duration.minutes(1))

/** How each operation of a store fails, by its name; none if it does not. */
const failures = (store: TokenStore.Service) =>
  Effect.all({
    load: Effect.either(Effect.asVoid(store.load("test-key"))),
    save: Effect.either(Effect.asVoid(store.save("test-key", entry(9)))),
    lease: Effect.either(Effect.asVoid(lease(store))),
    release: Effect.either(store.release("test-key", "owner"))
  }).pipe(
    Effect.map((responses) =>
      Object.fromEntries(
        Object.entries(responses).map(([name, response]) => {
          const failure = Either.isLeft(response) ? response.left : undefined
          assert.notMatch(`${inspect(failure, { depth: 9 })}${JSON.stringify(failure)}`, /test-contents|test-key/)
          return [name, failure?.message]
        })
      )
    )
  )

describe("what is kept is damaged", () => {
  for (const [what, bytes, expected] of [
    ["empty", [], ""],
    ["truncated", Array.from('{"format":1,"key":"te', (char) => char.charCodeAt(0)), '{"format":1,"key":"te'],
    ["no UTF-8", [0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28], "\ufffd\ufffd\u0000\ufffd\ufffd("]
  ] as const) {
    onDisk(`a file that is ${what} is handed out as it is, is not erased, and gives way to the next save`, () =>
      Effect.gen(function* () {
        const { folder, fs, path, process } = yield* scene
        const store = yield* process()
        yield* store.save("test-key", entry(1))
        const names = yield* fs.readDirectory(yield* folder)
        const file = path.join(yield* folder, names.find((name) => name.startsWith("text.")) ?? "")
        yield* fs.writeFile(file, Uint8Array.from(bytes))
        const stored = yield* store.load("test-key")
        assert.strictEqual(text(stored), expected)
        const read = Record.decode("test-key", Option.getOrThrow(stored))
        assert.strictEqual(Either.isLeft(read) ? read.left._tag : "", "StoreFailure")
        assert.deepStrictEqual(Array.from(yield* fs.readFile(file)), Array.from(bytes))
        assert.isFalse(yield* store.save("test-key", entry(1)))
        assert.isTrue(yield* store.save("test-key", entry(2)))
        assert.strictEqual(text(yield* store.load("test-key")), "test-contents-2")
      })
    )
  }

  onDisk("a text that someone removed is a failure that says what to do, and gives way to the next save", () =>
    Effect.gen(function* () {
      const { folder, fs, path, process } = yield* scene
      const store = yield* process()
      yield* store.save("test-key", entry(1))
      const names = yield* fs.readDirectory(yield* folder)
      yield* fs.remove(path.join(yield* folder, names.find((name) => name.startsWith("text.")) ?? ""))
      const failure = yield* Effect.flip(store.load("test-key"))
      assert.include(failure.problem, `from the folder ${yield* folder}; remove that folder`)
      assert.isTrue(yield* store.save("test-key", entry(2)))
      assert.strictEqual(text(yield* store.load("test-key")), "test-contents-2")
    })
  )

  onDisk("a folder without its marks is a failure that says what to do; without the folder all begins again", () =>
    Effect.gen(function* () {
      const { files, folder, fs, path, process } = yield* scene
      const store = yield* process()
      yield* store.save("test-key", entry(1))
      const inside = yield* folder
      for (const name of yield* fs.readDirectory(inside)) {
        if (/^(head|lease)/.test(name)) yield* fs.remove(path.join(inside, name))
      }
      const before = yield* files
      for (const message of Object.values(yield* failures(store))) assert.include(message, `${inside}; remove that`)
      assert.deepStrictEqual(yield* files, before)
      yield* fs.remove(inside, { recursive: true })
      assert.isTrue(Option.isNone(yield* store.load("test-key")))
      assert.isTrue(yield* store.save("test-key", entry(1)))
      assert.isTrue(yield* lease(store))
    })
  )
})

describe("the folder cannot be used", () => {
  onDisk("a folder under a file, or a file in its place, is a failure of each operation", () =>
    Effect.gen(function* () {
      const { fs, home, path } = yield* scene
      const file = path.join(home, "file")
      yield* fs.writeFileString(file, "test-file")
      for (const directory of [path.join(file, "store"), file]) {
        const store = yield* inside(fs, path, directory).process()
        const { load, release, ...others } = yield* failures(store)
        const problem = `the folder ${directory} is not a folder, or is inside something that is not a folder (ENOTDIR)`
        assert.strictEqual(load, `the token store cannot load: ${problem}`)
        assert.strictEqual(release, `the token store cannot lease: ${problem}`)
        assert.deepStrictEqual(others, {
          save: `the token store cannot save: ${problem}`,
          lease: `the token store cannot lease: ${problem}`
        })
      }
      assert.strictEqual(yield* fs.readFileString(file), "test-file")
    })
  )

  for (const [code, words] of [
    ["EACCES", "cannot be read or written by this process"],
    ["EROFS", "is read-only"],
    ["ENOSPC", "is on a disk that is full"],
    ["EMFILE", "too many files open"],
    ["EIO", "cannot be used"]
  ] as const) {
    onDisk(`${code} is told by words, whichever step meets it, and what is kept stays`, () =>
      Effect.gen(function* () {
        const { directory, files, process } = yield* scene
        const sound = yield* process()
        yield* sound.save("test-key", entry(1))
        const before = yield* files
        const methods = ["readDirectory", "stat", "open", "chmod", "rename"] as const
        for (const method of methods) {
          const broken = yield* process({ [method]: () => refused(code, method) })
          const reported = Object.values(yield* failures(broken)).filter((message) => message !== undefined)
          assert.isAbove(reported.length, 0, method)
          for (const message of reported) {
            assert.include(message, directory)
            assert.include(message, words)
            assert.include(message, `(${code})`)
          }
          yield* sound.release("test-key", "owner")
          assert.strictEqual(text(yield* sound.load("test-key")), "test-contents-1", method)
        }
        const unread = yield* process({ readFile: () => refused(code) })
        assert.include((yield* Effect.flip(unread.load("test-key"))).problem, words)
        const contents = (found: object) => Object.values(found).filter((contents) => contents.startsWith("test-"))
        // A rename that failed may have happened, so the text of that one save is left to the next.
        assert.includeMembers(contents(yield* files), contents(before))
        yield* sound.save("test-key", entry(10))
        assert.deepStrictEqual(contents(yield* files), ["test-contents-10"])
      })
    )
  }

  onDisk("the key's folder is made whole or not at all", () =>
    Effect.gen(function* () {
      const { directory, fs, process } = yield* scene
      for (const method of ["chmod", "rename"] as const) {
        let left = method === "chmod" ? 2 : 0
        const broken = yield* process({
          [method]: (path: string, to: never) => (left-- > 0 ? fs[method](path, to) : refused("ENOSPC", method))
        })
        assert.include((yield* Effect.flip(broken.save("test-key", entry(1)))).problem, "ENOSPC")
        assert.deepStrictEqual(yield* fs.readDirectory(directory), [], method)
      }
      assert.isTrue(yield* (yield* process()).save("test-key", entry(1)))
    })
  )

  onDisk("what a process left that died while it made the key's folder, the next one clears away", () =>
    Effect.gen(function* () {
      const { directory, fs, path, process } = yield* scene
      const store = yield* process()
      yield* store.save("test-key", entry(1))
      const [name = ""] = yield* fs.readDirectory(directory)
      yield* fs.remove(path.join(directory, name), { recursive: true })
      yield* fs.makeDirectory(path.join(directory, `${name}.dead`))
      yield* fs.makeDirectory(path.join(directory, "other"))
      yield* store.save("test-key", entry(1))
      assert.sameMembers(yield* fs.readDirectory(directory), [name, "other"])
    })
  )

  onDisk("a file system that hangs holds no one up for longer than they wait", () =>
    Effect.gen(function* () {
      const { process } = yield* scene
      const sound = yield* process()
      yield* sound.save("test-key", entry(1))
      const methods = ["readDirectory", "stat", "readFile", "writeFile", "open", "chmod", "rename", "remove"] as const
      for (const [index, method] of methods.entries()) {
        const hanging = yield* process({ [method]: () => Effect.never })
        const responses = yield* Effect.all(
          [
            Effect.timeoutOption(hanging.load("test-key"), 30),
            Effect.timeoutOption(hanging.save("test-key", entry(index + 2)), 30),
            Effect.timeoutOption(hanging.lease("test-key", "other", Duration.minutes(1)), 30),
            Effect.timeoutOption(hanging.release("test-key", "nobody"), 30)
          ],
          { concurrency: "unbounded" }
        )
        assert.isTrue(
          responses.some((response) => Option.isNone<unknown>(response)),
          method
        )
        yield* sound.release("test-key", "other")
      }
    })
  )
})

/** A file system of its own, of one megabyte; undefined where this process may not mount one. */
const mount = (options: string, at: string) =>
  Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", at], { stdio: "ignore" }))

const mountable = Effect.runSync(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "mount-"))).pipe(
    Effect.flatMap((at) =>
      Effect.try(() => execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", at], { stdio: "ignore" })).pipe(
        Effect.zipRight(Effect.try(() => execFileSync("umount", [at], { stdio: "ignore" }))),
        Effect.isSuccess,
        Effect.ensuring(Effect.sync(() => rmdirSync(at)))
      )
    )
  )
)

const disk = Effect.gen(function* () {
  const { fs, home, path } = yield* scene
  yield* Effect.acquireRelease(mount("size=1m,mode=0700", home), () =>
    Effect.sync(() => execFileSync("umount", ["-l", home], { stdio: "ignore" }))
  )
  const directory = path.join(home, "store")
  return { fs, home, path, directory, ...inside(fs, path, directory) }
})

describe.runIf(mountable)("a disk of its own", () => {
  onDisk("a disk that is full: saving fails, what is kept is read, leases work, and room mends it", () =>
    Effect.gen(function* () {
      const { files, fs, home, path, process } = yield* disk
      const store = yield* process()
      yield* store.save("test-key", entry(1))
      const big = path.join(home, "big")
      const before = yield* files
      assert.isTrue(
        Either.isLeft(yield* Effect.either(fs.writeFile(big, new Uint8Array(2_000_000)))),
        "the disk is full"
      )
      const failure = yield* Effect.flip(store.save("test-key", entry(2)))
      assert.include(failure.problem, "is on a disk that is full (ENOSPC)")
      assert.sameMembers(Object.keys(yield* files), Object.keys(before))
      assert.strictEqual(text(yield* store.load("test-key")), "test-contents-1")
      assert.isTrue(yield* lease(store))
      assert.isFalse(yield* lease(store, "other"))
      yield* store.release("test-key", "owner")
      yield* fs.remove(big)
      assert.isTrue(yield* store.save("test-key", entry(2)))
      assert.strictEqual(text(yield* store.load("test-key")), "test-contents-2")
    })
  )

  onDisk("a folder that is read-only: what is kept is read with its age, the rest fails, and nothing is changed", () =>
    Effect.gen(function* () {
      const { files, fs, home, path, process } = yield* disk
      const store = yield* process()
      yield* store.save("test-key", entry(1))
      const before = yield* files
      const remount = (mode: string) =>
        Effect.sync(() => execFileSync("mount", ["-o", `remount,${mode}`, home], { stdio: "ignore" }))
      yield* remount("ro")
      const stored = Option.getOrThrow(yield* store.load("test-key"))
      assert.strictEqual(Redacted.value(stored.contents), "test-contents-1")
      assert.isBelow(Duration.toMillis(stored.age), 60_000)
      assert.isTrue(Option.isNone(yield* store.load("another")))
      const { load, release, save, lease: locked } = yield* failures(store)
      assert.deepStrictEqual([load, release], [undefined, undefined])
      assert.include(save, "is read-only (EROFS)")
      assert.include(locked, "is read-only (EROFS)")
      assert.include((yield* Effect.flip(store.save("another", entry(1)))).problem, "is read-only (EROFS)")
      const { process: elsewhere } = inside(fs, path, path.join(home, "new"))
      assert.include(
        (yield* Effect.flip((yield* elsewhere()).save("another", entry(1)))).problem,
        "is read-only (EROFS)"
      )
      assert.deepStrictEqual(yield* files, before)
      yield* remount("rw")
      assert.isTrue(yield* store.save("test-key", entry(2)))
    })
  )
})

if (!mountable) it.skip("a disk that is full, and a folder that is read-only: this process may not mount any", () => {})
