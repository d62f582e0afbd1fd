import type { PlatformError } from "@effect/platform/Error"
import type { FileSystem } from "@effect/platform/FileSystem"
import type { Path } from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isAlreadyExists, isNotFound, systemErrorCode } from "../../common/foreignErrors.js"
import { sha256 } from "../../store/key.js"
import { byVersion, isNewer, type Version } from "../../store/TokenStore.js"

// The layout of the folder of a key.
//
// The state is in the *names* of two empty files. A name is only ever changed by a rename from the name that was read, and no
// name is used twice. So a rename is a compare-and-set: of many at once one succeeds, and a process that slept after reading
// a name, however long, finds it gone.
//
// - `head`, then `head.<generation>.<revision>.<unique>`: the entry is in the file `text.` with the same ending, which is
//   whole and on the disk before the head names it, and is never written again.
// - `lease.<number>` while it is free, then `lease.<number>.<owner>.<millis>`. Each heartbeat takes the next number.
//
// Both files appear together with the folder itself, by one rename, because otherwise there could be two heads.

/** The head: the file whose name says which entry is current. */
export interface Head {
  readonly name: string
  /** The current entry: its version and the file with its text. `none` while nothing was ever saved. */
  readonly current: Option.Option<Version & { readonly text: string }>
}

/** The lease of a key. */
export interface Lease {
  readonly name: string
  readonly number: number
  /** The digest of its owner, or `undefined` while it is free. */
  readonly owner: string | undefined
  /** The time it lasts after a heartbeat. */
  readonly millis: number
}

/** The files of a new folder: head, lease, and the file that `now` writes to. */
const initialFiles = ["head", "lease.0", "clock"]

const ending = ({ generation, revision }: Version, unique: string) => `${generation}.${revision}.${unique}`

/** Returns the names of the head and the text of an entry. */
export const namesOf = (version: Version, unique: string) => ({
  head: `head.${ending(version, unique)}`,
  text: `text.${ending(version, unique)}`
})

const versionOf = (name: string, kind: "head" | "text"): Version | undefined => {
  const [, prefix, generation, revision] = /^(\w+)\.(-?\d+)\.(-?\d+)\.[\w-]+$/.exec(name) ?? []
  return prefix === kind ? { generation: Number(generation), revision: Number(revision) } : undefined
}

/** Finds the head in a listing. Returns `undefined` while it is being renamed: some file systems show neither name then. */
export const head = (listed: ReadonlyArray<string>): Head | undefined => {
  const heads = listed.flatMap((name) => {
    const version = versionOf(name, "head")
    return version === undefined ? [] : [{ ...version, text: name.replace("head", "text"), name }]
  })
  const newest = heads.sort(byVersion).at(-1)
  if (newest !== undefined) return { name: newest.name, current: Option.some(newest) }
  return listed.includes("head") ? { name: "head", current: Option.none() } : undefined
}

/** Finds the lease in a listing. Returns `undefined` while it is being renamed. */
export const lease = (listed: ReadonlyArray<string>): Lease | undefined =>
  listed
    .flatMap((name) => {
      const [match, number, owner, millis] = /^lease\.(\d+)(?:\.(\w+)\.(\d+))?$/.exec(name) ?? []
      return match === undefined ? [] : [{ name, number: Number(number), owner, millis: Number(millis ?? 0) }]
    })
    .sort((a, b) => a.number - b.number)
    .at(-1)

/**
 * Returns the texts that no head names or ever will, now that the head is at `version`: those of older versions, and those of
 * processes that died or lost the race before they could rename the head. This needs no clock.
 */
export const obsoleteTexts = (listed: ReadonlyArray<string>, version: Version, text: string): ReadonlyArray<string> =>
  listed.filter((name) => {
    const other = versionOf(name, "text")
    return other !== undefined && name !== text && !isNewer(other, version)
  })

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Decodes UTF-8. Bytes that are not UTF-8 become U+FFFD. */
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes)

/** Returns a file name of 32 characters for any text. */
export const digest = (text: string): Effect.Effect<string> => Effect.map(sha256(text), (hex) => hex.slice(0, 32))

const problems: Readonly<Record<string, string>> = {
  EACCES: "cannot be read or written by this process",
  EPERM: "cannot be read or written by this process",
  EROFS: "is read-only",
  ENOSPC: "is on a disk that is full",
  EDQUOT: "is on a disk whose quota is used up",
  EMFILE: "cannot be opened because this process has too many files open",
  ENFILE: "cannot be opened because this machine has too many files open",
  ENOENT: "does not exist and cannot be made",
  ENOTDIR: "is not a folder, or is inside something that is not a folder",
  EEXIST: "is not a folder",
  ENAMETOOLONG: "has a name that is too long"
}

/** Describes what is wrong with a folder, without quoting what is in it. */
export const problem = (directory: string, error: PlatformError): string => {
  const code = systemErrorCode(error)
  return `the folder ${directory} ${problems[code] ?? "cannot be used"} (${code})`
}

/** Makes the operations on the disk. */
export const operations = (fs: FileSystem, path: Path) => {
  /** Syncs a folder, so that the names in it survive a power failure. Some systems cannot sync folders: failures are ignored. */
  const syncFolder = (folder: string) =>
    Effect.ignore(Effect.scoped(Effect.flatMap(fs.open(folder), (handle) => handle.sync)))

  /** Removes a file or a folder, if possible. */
  const discard = (file: string) => Effect.ignore(fs.remove(file, { recursive: true, force: true }))

  /** Writes a new file and syncs it. Only its owner may read it, whatever the umask (law 28). */
  const write = (file: string, text: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        const handle = yield* fs.open(file, { flag: "wx", mode: 0o600 })
        yield* fs.chmod(file, 0o600)
        // An empty write would count as a failure.
        if (text !== "") yield* Effect.zipRight(handle.writeAll(encoder.encode(text)), handle.sync)
      })
    ).pipe(Effect.onError(() => discard(file)))

  /** Lists the names in a folder. Returns `undefined` if the folder does not exist. */
  const list = (folder: string) => Effect.catchIf(fs.readDirectory(folder), isNotFound, () => Effect.succeed(undefined))

  const makeFolder = (folder: string) =>
    Effect.zipRight(fs.makeDirectory(folder, { mode: 0o700 }), fs.chmod(folder, 0o700))

  /** Makes the folder of the store. Only its parents are made recursively: Node reports a read-only disk as ENOENT that way. */
  const makeRoot = (root: string) =>
    fs.makeDirectory(path.dirname(root), { recursive: true, mode: 0o700 }).pipe(
      Effect.zipRight(makeFolder(root)),
      Effect.catchIf(isAlreadyExists, () => Effect.void)
    )

  /** Renames a file. Returns `false` if there is no file called `from` any more. */
  const move = (folder: string, from: string, to: string) =>
    fs.rename(path.join(folder, from), path.join(folder, to)).pipe(
      Effect.as(true),
      Effect.catchIf(isNotFound, () => Effect.succeed(false))
    )

  /** Makes the folder of a key, unless another process does. */
  const create = Effect.fnUntraced(function* (folder: string) {
    const root = path.dirname(folder)
    const draft = `${folder}.${globalThis.crypto.randomUUID()}`
    // A folder that exists already keeps its mode: other programs may need it as it is.
    yield* Effect.unlessEffect(makeRoot(root), fs.exists(root))
    yield* makeFolder(draft).pipe(
      Effect.zipRight(Effect.forEach(initialFiles, (name) => write(path.join(draft, name), ""))),
      Effect.zipRight(syncFolder(draft)),
      // Fails if the folder exists, because it is never empty.
      Effect.zipRight(fs.rename(draft, folder)),
      Effect.catchAll((error) =>
        Effect.zipRight(
          discard(draft),
          Effect.filterOrFail(
            fs.exists(folder),
            (exists) => exists,
            () => error
          )
        )
      )
    )
    yield* syncFolder(root)
    // The drafts of processes that died, or that lost the race and have yet to remove theirs.
    const drafts = (yield* fs.readDirectory(root)).filter((name) => name.startsWith(`${path.basename(folder)}.`))
    yield* Effect.forEach(drafts, (name) => discard(path.join(root, name)))
  })

  /** Returns when a file was written, by the clock of the file system. */
  const modifiedAt = (file: string) =>
    Effect.map(fs.stat(file), ({ mtime }) => Option.map(mtime, (date) => date.getTime()))

  /**
   * Returns the time by the clock of the file system: the modification time of a file that is written now. If the folder
   * cannot be written to, the clock of the process is used.
   */
  const now = (folder: string) =>
    fs.writeFile(path.join(folder, "clock"), Uint8Array.of(10), { mode: 0o600 }).pipe(
      Effect.zipRight(Effect.flatten(modifiedAt(path.join(folder, "clock")))),
      Effect.catchAll(() => Clock.currentTimeMillis)
    )

  return { create, discard, list, modifiedAt, move, now, syncFolder, write }
}
