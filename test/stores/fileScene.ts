import { Error, FileSystem, Path } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { it } from "@effect/vitest"
import { Deferred, Effect, Option, Redacted, type Scope } from "effect"
import type * as TokenStore from "../../src/store/TokenStore.js"
import * as File from "../../src/stores/File.js"

/** A test on the real disk. */
export const onDisk = (
  name: string,
  body: () => Effect.Effect<void, unknown, FileSystem.FileSystem | Path.Path | Scope.Scope>
) => it.scopedLive(name, () => Effect.provide(body(), NodeContext.layer))

export const entry = (generation: number, contents = `test-contents-${generation}`, revision = 0) => ({
  generation,
  revision,
  contents: Redacted.make(contents)
})

export const text = (stored: Option.Option<TokenStore.StoredEntry>) =>
  Redacted.value(Option.getOrThrow(stored).contents)

/** A folder that is yet to be made, and layers' worth of stores in it. */
export const scene = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* fs.makeTempDirectoryScoped()
  const directory = path.join(home, "a", "store")
  return { fs, path, home, directory, ...inside(fs, path, directory) }
})

/** What to do and see in a folder. */
export const inside = (fs: FileSystem.FileSystem, path: Path.Path, directory: string) => ({
  /** As another process would have it: each has a memory of its own, and may have a file system of its own. */
  process: (over: Partial<FileSystem.FileSystem> = {}) =>
    Effect.provideService(File.make({ directory }), FileSystem.FileSystem, { ...fs, ...over }).pipe(
      Effect.provideService(Path.Path, path),
      Effect.orDie
    ),
  /** The folder of the only key. */
  folder: Effect.map(Effect.orDie(fs.readDirectory(directory)), (names) => path.join(directory, names[0] ?? "")),
  /** Every file and its contents, by the path within the folder. */
  files: Effect.gen(function* () {
    const files: Record<string, string> = {}
    for (const name of yield* fs.readDirectory(directory, { recursive: true })) {
      const file = path.join(directory, name)
      if ((yield* fs.stat(file)).type === "File") files[name] = yield* fs.readFileString(file)
    }
    return files
  }).pipe(Effect.orDie)
})

/** Holds up the first call of a method that `matches`, until it is let go. */
export const heldUp = (matches: (path: string) => boolean) =>
  Effect.gen(function* () {
    const reached = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<void>()
    let first = true
    return {
      reached: Deferred.await(reached),
      letGo: Deferred.succeed(gate, void 0),
      /** Whether this call is the one; it then waits. */
      pass: (path: string) =>
        Effect.suspend(() => {
          if (!first || !matches(path)) return Effect.void
          first = false
          return Effect.zipRight(Deferred.succeed(reached, void 0), Deferred.await(gate))
        })
    }
  })

/** What Node says of a call that fails. */
export const refused = (code: string, method = "open") =>
  Effect.fail(
    new Error.SystemError({
      module: "FileSystem",
      method,
      reason: code === "EACCES" ? "PermissionDenied" : "Unknown",
      description: `${code}: as the test wants it, ${method} '/test-path'`
    })
  )
