import type { PlatformError } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import type { Path } from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isNotFound, systemErrorCode } from "../../common/foreignErrors.js"
import { sha256 } from "../../store/key.js"
import { byVersion, isNewer, type Version } from "../../store/TokenStore.js"

/**
 * What processes agree on without talking to each other: two empty files whose *names* are the state. A name is only
 * ever changed by a rename from the name that was seen, and no name comes back, so that a rename is a compare-and-set:
 * of many at once one succeeds, and whoever slept on an old name, however long, finds it gone.
 *
 * - `head`, then `head.<generation>.<revision>.<unique>`: what is kept is in the file `text.` with the same ending, whole
 *   and on the disk before the head names it, and never written again.
 * - `lease.<number>` while it is free, then `lease.<number>.<owner>.<millis>`; each beat is the next number.
 *
 * Both names come into being with the folder itself, which appears by one rename too: only so are there never two heads.
 */
export interface Head {
  readonly name: string
  /** None while nothing was ever saved. */
  readonly kept: Option.Option<Version & { readonly text: string }>
}

/** The exclusive section: whose it is, if anybody's, and for how many milliseconds since its last beat. */
export interface Lease {
  readonly name: string
  readonly number: number
  readonly owner: string | undefined
  readonly millis: number
}

/** What a folder begins with: the first names of both, and what `now` writes to. */
export const first = ["head", "lease.0", "clock"]

const ending = ({ generation, revision }: Version, unique: string) => `${generation}.${revision}.${unique}`

export const names = (version: Version, unique: string) => ({
  head: `head.${ending(version, unique)}`,
  text: `text.${ending(version, unique)}`
})

const versionOf = (name: string, kind: "head" | "text"): Version | undefined => {
  const [, found, generation, revision] = /^(\w+)\.(-?\d+)\.(-?\d+)\.[\w-]+$/.exec(name) ?? []
  return found === kind ? { generation: Number(generation), revision: Number(revision) } : undefined
}

/** None while it is being renamed: some file systems show neither name then. */
export const head = (listed: ReadonlyArray<string>): Head | undefined => {
  const kept = listed.flatMap((name) => {
    const version = versionOf(name, "head")
    return version === undefined ? [] : [{ ...version, text: name.replace("head", "text"), name }]
  })
  const newest = kept.sort(byVersion).at(-1)
  if (newest !== undefined) return { name: newest.name, kept: Option.some(newest) }
  return listed.includes("head") ? { name: "head", kept: Option.none() } : undefined
}

export const lease = (listed: ReadonlyArray<string>): Lease | undefined =>
  listed
    .flatMap((name) => {
      const [found, number, owner, millis] = /^lease\.(\d+)(?:\.(\w+)\.(\d+))?$/.exec(name) ?? []
      return found === undefined ? [] : [{ name, number: Number(number), owner, millis: Number(millis ?? 0) }]
    })
    .sort((a, b) => a.number - b.number)
    .at(-1)

/**
 * The texts that no head names or ever will, once it has come to `version`: those of older versions, and those of
 * processes that died, or lost the race, before they could rename the head. No clock is asked.
 */
export const dead = (listed: ReadonlyArray<string>, version: Version, text: string): ReadonlyArray<string> =>
  listed.filter((name) => {
    const other = versionOf(name, "text")
    return other !== undefined && name !== text && !isNewer(other, version)
  })

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** The same text, except that what is no UTF-8 becomes U+FFFD. */
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes)

/** A name of 32 letters for any text. */
export const digest = (text: string): Effect.Effect<string> => Effect.map(sha256(text), (hex) => hex.slice(0, 32))

const problems: Readonly<Record<string, string>> = {
  EACCES: "may not be read and written by this process",
  EPERM: "may not be read and written by this process",
  EROFS: "is read-only",
  ENOSPC: "is on a disk that is full",
  EDQUOT: "is on a disk whose quota is used up",
  EMFILE: "cannot be opened, as this process has too many files open",
  ENFILE: "cannot be opened, as this machine has too many files open",
  ENOENT: "is not there, and cannot be made",
  ENOTDIR: "is no folder, or lies under something that is none",
  EEXIST: "is no folder",
  ENAMETOOLONG: "has too long a name"
}

/** What is wrong with a folder, in words without anything of what is kept in it. */
export const problem = (directory: string, error: PlatformError): string => {
  const code = systemErrorCode(error)
  return `the folder ${directory} ${problems[code] ?? "cannot be used"} (${code})`
}

/** The steps on the disk. */
export const steps = (fs: FileSystem, path: Path) => {
  /** That a name is there outlives a power failure. Folders cannot be synced everywhere, so it is tried. */
  const syncFolder = (folder: string) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(folder), (opened) => opened.sync)))

  const discard = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  /** Writes a new file, whole and on the disk, for its owner alone, whatever the umask (law 28). */
  const write = (file: string, text: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        const opened = yield* fs.open(file, { flag: "wx", mode: 0o600 })
        yield* fs.chmod(file, 0o600)
        // A write of nothing would count as a failure.
        if (text !== "") yield* Effect.zipRight(opened.writeAll(encoder.encode(text)), opened.sync)
      })
    ).pipe(Effect.onError(() => discard(file)))

  /** The names in a folder; undefined if there is none. */
  const list = (folder: string) => Effect.catchIf(fs.readDirectory(folder), isNotFound, () => Effect.succeed(undefined))

  const makeFolder = (folder: string) =>
    Effect.zipRight(fs.makeDirectory(folder, { mode: 0o700 }), fs.chmod(folder, 0o700))

  /** Only its parents are made recursively: that way Node says ENOENT where it means a read-only disk. */
  const makeRoot = (root: string) =>
    fs.makeDirectory(path.dirname(root), { recursive: true, mode: 0o700 }).pipe(
      Effect.zipRight(makeFolder(root)),
      Effect.catchIf(
        (error) => error._tag === "SystemError" && error.reason === "AlreadyExists",
        () => Effect.void
      )
    )

  /** Renames what is still called `from`; false if it is not. */
  const move = (folder: string, from: string, to: string) =>
    fs.rename(path.join(folder, from), path.join(folder, to)).pipe(
      Effect.as(true),
      Effect.catchIf(isNotFound, () => Effect.succeed(false))
    )

  /** Makes the folder of a key, unless another process does. */
  const create = Effect.fnUntraced(function* (folder: string) {
    const root = path.dirname(folder)
    const draft = `${folder}.${globalThis.crypto.randomUUID()}`
    // A folder that somebody else made may be one that others need as it is.
    yield* Effect.unlessEffect(makeRoot(root), fs.exists(root))
    yield* makeFolder(draft).pipe(
      Effect.zipRight(Effect.forEach(first, (name) => write(path.join(draft, name), ""))),
      Effect.zipRight(syncFolder(draft)),
      // Fails if the folder is there, as it is never empty.
      Effect.zipRight(fs.rename(draft, folder)),
      Effect.catchAll((error) =>
        Effect.zipRight(
          discard(draft),
          Effect.filterOrFail(
            fs.exists(folder),
            (made) => made,
            () => error
          )
        )
      )
    )
    yield* syncFolder(root)
    // Those of processes that died, and of those that lost the race and clear up themselves.
    const drafts = (yield* fs.readDirectory(root)).filter((name) => name.startsWith(`${path.basename(folder)}.`))
    yield* Effect.forEach(drafts, (name) => discard(path.join(root, name)))
  })

  /** When a file was written, by the clock of the file system. */
  const written = (file: string) =>
    Effect.map(fs.stat(file), ({ mtime }) => Option.map(mtime, (date) => date.getTime()))

  /**
   * What time it is by the clock of the file system: when a file that is written now was written. Where nothing can be
   * written, the clock of the process has to do.
   */
  const now = (folder: string) =>
    fs.writeFile(path.join(folder, "clock"), Uint8Array.of(10), { mode: 0o600 }).pipe(
      Effect.zipRight(Effect.flatten(written(path.join(folder, "clock")))),
      Effect.catchAll(() => Clock.currentTimeMillis)
    )

  return { create, discard, list, move, now, syncFolder, write, written }
}
