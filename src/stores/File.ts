/**
 * A token store in a folder of one machine, for any number of processes; it needs nothing but `FileSystem` and `Path`.
 *
 * A process may be killed, or be stopped for longer than its lease lasts and wake up, at any line: what it does then is
 * refused. Nothing depends on process ids or on the clocks of processes. The folder must be on a disk of this machine:
 * file systems over a network do not promise that a rename happens once.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import { FileSystem } from "@effect/platform/FileSystem"
import { Path } from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type Misconfigured, StoreFailure } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import { isNotFound } from "../common/foreignErrors.js"
import * as Moment from "../common/Moment.js"
import { disconnect } from "../common/runtime.js"
import * as Valid from "../common/validate.js"
import * as TokenStore from "../store/TokenStore.js"
import * as FileLayout from "./internal/fileLayout.js"

/**
 * Where the tokens rest.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * A folder of its own. It is made, with mode 0700, when something is first saved. One that is there keeps its mode, and is
   * refused if others than its owner may write to it; each key has a folder of mode 0700 in it.
   */
  readonly directory: string
}

/** How often a folder is looked at anew because another process has just changed it; twice is seldom needed. */
const looks = 100

/**
 * A store in a folder. Nothing is read or written before it is used.
 *
 * Keys do not show: their folders are named by the first half of their SHA-256. Contents are kept as they are, in files
 * of mode 0600; wrap the store in encryption if the disk is not to be trusted. Every failure of the disk is a
 * `StoreFailure`, after which all is as it was.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<TokenStore.Service, Misconfigured, FileSystem | Path> {
  const fs = yield* FileSystem
  const path = yield* Path
  const directory = path.resolve(yield* Valid.nonEmpty("directory", options.directory))
  const { create, discard, list, move, now, syncFolder, write, written } = FileLayout.steps(fs, path)

  /** Since when, by the clock of this process that cannot jump, the lease of a folder has had the name it has. */
  const seen = new Map<string, { readonly name: string; readonly since: Moment.Moment }>()

  /** Whoever may write to the folder could put tokens of their own in it. Windows has no such modes. */
  const guarded = fs.stat(directory).pipe(
    Effect.map(({ mode }) => path.sep === "/" && (mode & 0o022) !== 0),
    Effect.catchIf(isNotFound, () => Effect.succeed(false))
  )

  /** Looks at the folder of a key until `step` has an answer; none sends it to look again. */
  const settle = Effect.fnUntraced(function* <A>(
    operation: StoreFailure["operation"],
    key: string,
    absent: (folder: string) => Effect.Effect<Option.Option<A>, PlatformError>,
    step: (folder: string, listed: ReadonlyArray<string>) => Effect.Effect<Option.Option<A>, PlatformError>
  ) {
    const failed = (problem: string) => new StoreFailure({ operation, problem })
    const folder = path.join(directory, yield* FileLayout.digest(key))
    const told = Effect.mapError((error: PlatformError) => failed(FileLayout.problem(directory, error)))
    const look = told(
      Effect.flatMap(list(folder), (listed) => (listed === undefined ? absent(folder) : step(folder, listed)))
    )
    if (yield* told(guarded)) {
      return yield* failed(
        `others than its owner may write to the folder ${directory}; make it 0700, or name a folder in it that is yet to be made`
      )
    }
    for (let left = looks; left > 0; left--) {
      const answer = yield* look
      if (Option.isSome(answer)) return answer.value
    }
    return yield* failed(`something is missing from the folder ${folder}; remove that folder to start anew`)
  })

  const made = (folder: string) => Effect.as(create(folder), Option.none())

  const load = (key: string) =>
    settle<Option.Option<TokenStore.StoredEntry>>(
      "load",
      key,
      () => Effect.succeedSome(Option.none()),
      Effect.fnUntraced(function* (folder, listed) {
        const head = FileLayout.head(listed)
        if (head === undefined) return Option.none()
        if (Option.isNone(head.kept)) return Option.some(Option.none())
        const { generation, revision, text } = head.kept.value
        const file = path.join(folder, text)
        // Not there: the head has moved on since it was looked at.
        const found = yield* Effect.all([fs.readFile(file), written(file)]).pipe(
          Effect.asSome,
          Effect.catchIf(isNotFound, () => Effect.succeedNone)
        )
        if (Option.isNone(found)) return Option.none()
        const [bytes, since] = found.value
        const until = yield* now(folder)
        return Option.some(
          Option.some({
            generation,
            revision,
            contents: Redacted.make(FileLayout.decode(bytes)),
            // Zero if the clock was set back: no duration is negative.
            age: Duration.millis(Math.max(0, until - Option.getOrElse(since, () => until)))
          })
        )
      })
    )

  const save = (key: string, entry: TokenStore.Entry) =>
    Effect.suspend(() => {
      const mine = FileLayout.names(entry, globalThis.crypto.randomUUID())
      let onDisk = false
      const put = (file: string) =>
        write(file, Redacted.value(entry.contents)).pipe(
          Effect.as(true),
          Effect.catchIf(isNotFound, () => Effect.succeed(false))
        )
      return settle<boolean>(
        "save",
        key,
        made,
        Effect.fnUntraced(function* (folder, listed) {
          const file = path.join(folder, mine.text)
          const head = FileLayout.head(listed)
          if (head === undefined) return Option.none()
          const renamed = head.name === mine.head
          if (!renamed && Option.exists(head.kept, (kept) => !TokenStore.isNewer(entry, kept))) {
            yield* discard(file)
            return Option.some(false)
          }
          onDisk = onDisk || (yield* put(file))
          // Cleared away while it was being written, by a save that is as new.
          if (!onDisk) return Option.none()
          if (!renamed && !(yield* move(folder, head.name, mine.head))) return Option.none()
          // First it is certain that the new one stays, then the old ones go.
          yield* syncFolder(folder)
          yield* Effect.forEach(FileLayout.dead(listed, entry, mine.text), (name) => discard(path.join(folder, name)))
          return Option.some(true)
        })
      )
      // A save cut short would leave half a secret behind; and nobody who gives it up is to wait for a disk that hangs.
    }).pipe(Effect.uninterruptible, disconnect)

  const lease = Effect.fnUntraced(function* (key: string, owner: string, duration: Duration.Duration) {
    const me = yield* FileLayout.digest(owner)
    const millis = Math.min(Math.ceil(Duration.toMillis(duration)), Number.MAX_SAFE_INTEGER)
    return yield* settle<boolean>(
      "lease",
      key,
      made,
      Effect.fnUntraced(function* (folder, listed) {
        const held = FileLayout.lease(listed)
        if (held === undefined) return Option.none()
        if (held.owner !== undefined && held.owner !== me) {
          // The name was there at the last look and is there still: so long there was no beat, whatever any clock says.
          const at = yield* Moment.now
          const last = seen.get(folder)
          if (last?.name !== held.name) seen.set(folder, { name: held.name, since: at })
          if (last?.name !== held.name || Moment.monotonicAge(last.since, at) < held.millis) return Option.some(false)
        }
        if (!(yield* move(folder, held.name, `lease.${held.number + 1}.${me}.${millis}`))) return Option.none()
        seen.delete(folder)
        return Option.some(true)
      })
    )
  })

  const release = Effect.fnUntraced(function* (key: string, owner: string) {
    const me = yield* FileLayout.digest(owner)
    yield* settle<void>(
      "lease",
      key,
      () => Effect.succeedSome(undefined),
      Effect.fnUntraced(function* (folder, listed) {
        const held = FileLayout.lease(listed)
        if (held === undefined) return Option.none()
        if (held.owner !== me) return Option.some(undefined)
        // Not called so any more: by a beat of its own, or because another took it.
        return (yield* move(folder, held.name, `lease.${held.number + 1}`)) ? Option.some(undefined) : Option.none()
      })
    )
  })

  return { load, save, lease, release }
})

/**
 * The token store in a folder.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore.TokenStore, Misconfigured, FileSystem | Path> =>
  Layer.effect(TokenStore.TokenStore, make(options))

/**
 * The token store in the folder that `EFFECT_AUTH_DIRECTORY` names. Each call makes a layer of its own, as a constant one
 * would be built once for two `ConfigProvider`s.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (): Layer.Layer<TokenStore.TokenStore, Misconfigured, FileSystem | Path> =>
  Layer.effect(TokenStore.TokenStore, ConfigFields.make("EFFECT_AUTH", { directory: ConfigFields.text }, make))
