/**
 * A token store in a folder of one machine, for any number of processes. It needs only `FileSystem` and `Path`.
 *
 * A process may be killed at any line. It may also be stopped for longer than its lease lasts: what it does after that is
 * refused. Nothing depends on process ids or on the clocks of processes. The folder must be on a local disk, because network
 * file systems do not guarantee that a rename happens once.
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
 * The options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The folder, for this store alone. It is made with mode 0700 at the first save. An existing folder keeps its mode, and is
   * refused if users other than its owner may write to it. Each key has a folder of mode 0700 in it.
   */
  readonly directory: string
}

/** The number of attempts at an operation while other processes keep changing the folder. More than two attempts are rare. */
const maxAttempts = 100

/**
 * Makes a store in a folder. Nothing is read or written before its first use. Fails with `Misconfigured` if `directory` is
 * empty.
 *
 * A key is not visible on the disk: its folder is named by the first half of its SHA-256. Contents are stored as they are, in
 * files of mode 0600. Wrap the store in `Encrypted` if the disk is not trusted. Every failure of the disk is a `StoreFailure`,
 * which leaves the stored entry as it was.
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
  const { create, discard, list, modifiedAt, move, now, syncFolder, write } = FileLayout.operations(fs, path)

  /** The leases of other owners, by folder: the name that was read last, and since when the file has had it. */
  const otherLeases = new Map<string, { readonly name: string; readonly since: Moment.Moment }>()

  /** Tells whether other users may write to the folder: they could put their own tokens in it. Windows has no such modes. */
  const isWritableByOthers = fs.stat(directory).pipe(
    Effect.map(({ mode }) => path.sep === "/" && (mode & 0o022) !== 0),
    Effect.catchIf(isNotFound, () => Effect.succeed(false))
  )

  /** Reads the folder of a key and runs `attempt`, again and again until it returns a value. `none` asks for another attempt. */
  const retryUntilDone = Effect.fnUntraced(function* <A>(
    operation: StoreFailure["operation"],
    key: string,
    whenMissing: (folder: string) => Effect.Effect<Option.Option<A>, PlatformError>,
    attempt: (folder: string, listed: ReadonlyArray<string>) => Effect.Effect<Option.Option<A>, PlatformError>
  ) {
    const storeFailure = (problem: string) => new StoreFailure({ operation, problem })
    const folder = path.join(directory, yield* FileLayout.digest(key))
    const toStoreFailure = Effect.mapError((error: PlatformError) => storeFailure(FileLayout.problem(directory, error)))
    const attemptOnce = toStoreFailure(
      Effect.flatMap(list(folder), (listed) => (listed === undefined ? whenMissing(folder) : attempt(folder, listed)))
    )
    if (yield* toStoreFailure(isWritableByOthers)) {
      return yield* storeFailure(
        `users other than its owner may write to the folder ${directory}; set its mode to 0700, or name a folder inside it that does not exist yet`
      )
    }
    for (let attempts = 0; attempts < maxAttempts; attempts++) {
      const result = yield* attemptOnce
      if (Option.isSome(result)) return result.value
    }
    return yield* storeFailure(`a file is missing from the folder ${folder}; remove that folder to start over`)
  })

  const createAndRetry = (folder: string) => Effect.as(create(folder), Option.none())

  const load = (key: string) =>
    retryUntilDone<Option.Option<TokenStore.StoredEntry>>(
      "load",
      key,
      () => Effect.succeedSome(Option.none()),
      Effect.fnUntraced(function* (folder, listed) {
        const head = FileLayout.head(listed)
        if (head === undefined) return Option.none()
        if (Option.isNone(head.current)) return Option.some(Option.none())
        const { generation, revision, text } = head.current.value
        const file = path.join(folder, text)
        // A missing file means that the head has moved on since it was read.
        const contents = yield* Effect.all([fs.readFile(file), modifiedAt(file)]).pipe(
          Effect.asSome,
          Effect.catchIf(isNotFound, () => Effect.succeedNone)
        )
        if (Option.isNone(contents)) return Option.none()
        const [bytes, since] = contents.value
        const until = yield* now(folder)
        return Option.some(
          Option.some({
            generation,
            revision,
            contents: Redacted.make(FileLayout.decode(bytes)),
            // The difference is negative after the clock was set back.
            age: Duration.millis(Math.max(0, until - Option.getOrElse(since, () => until)))
          })
        )
      })
    )

  const save = (key: string, entry: TokenStore.Entry) =>
    Effect.suspend(() => {
      const names = FileLayout.namesOf(entry, globalThis.crypto.randomUUID())
      let isWritten = false
      const writeText = (file: string) =>
        write(file, Redacted.value(entry.contents)).pipe(
          Effect.as(true),
          Effect.catchIf(isNotFound, () => Effect.succeed(false))
        )
      return retryUntilDone<boolean>(
        "save",
        key,
        createAndRetry,
        Effect.fnUntraced(function* (folder, listed) {
          const file = path.join(folder, names.text)
          const head = FileLayout.head(listed)
          if (head === undefined) return Option.none()
          const isRenamed = head.name === names.head
          if (!isRenamed && Option.exists(head.current, (current) => !TokenStore.isNewer(entry, current))) {
            yield* discard(file)
            return Option.some(false)
          }
          isWritten = isWritten || (yield* writeText(file))
          // A save of the same or a newer version removed the file while it was being written.
          if (!isWritten) return Option.none()
          if (!isRenamed && !(yield* move(folder, head.name, names.head))) return Option.none()
          // The new name must be on the disk before the old texts are removed.
          yield* syncFolder(folder)
          yield* Effect.forEach(FileLayout.obsoleteTexts(listed, entry, names.text), (name) =>
            discard(path.join(folder, name))
          )
          return Option.some(true)
        })
      )
      // An interrupted save would leave half a secret behind. Disconnected, so that its caller does not wait for a disk that hangs.
    }).pipe(Effect.uninterruptible, disconnect)

  const lease = Effect.fnUntraced(function* (key: string, owner: string, duration: Duration.Duration) {
    const ownerId = yield* FileLayout.digest(owner)
    const millis = Math.min(Math.ceil(Duration.toMillis(duration)), Number.MAX_SAFE_INTEGER)
    return yield* retryUntilDone<boolean>(
      "lease",
      key,
      createAndRetry,
      Effect.fnUntraced(function* (folder, listed) {
        const current = FileLayout.lease(listed)
        if (current === undefined) return Option.none()
        if (current.owner !== undefined && current.owner !== ownerId) {
          // The lease has expired if its name did not change for as long as it lasts: there was no heartbeat in that time.
          // Only this process's monotonic clock is used.
          const at = yield* Moment.now
          const last = otherLeases.get(folder)
          const isSame = last?.name === current.name
          if (!isSame) otherLeases.set(folder, { name: current.name, since: at })
          if (!isSame || Moment.monotonicAge(last.since, at) < current.millis) return Option.some(false)
        }
        if (!(yield* move(folder, current.name, `lease.${current.number + 1}.${ownerId}.${millis}`)))
          return Option.none()
        otherLeases.delete(folder)
        return Option.some(true)
      })
    )
  })

  const release = Effect.fnUntraced(function* (key: string, owner: string) {
    const ownerId = yield* FileLayout.digest(owner)
    yield* retryUntilDone<void>(
      "lease",
      key,
      () => Effect.succeedSome(undefined),
      Effect.fnUntraced(function* (folder, listed) {
        const current = FileLayout.lease(listed)
        if (current === undefined) return Option.none()
        if (current.owner !== ownerId) return Option.some(undefined)
        // The rename fails after a heartbeat of the owner, or if another owner took the lease.
        return (yield* move(folder, current.name, `lease.${current.number + 1}`))
          ? Option.some(undefined)
          : Option.none()
      })
    )
  })

  return { load, save, lease, release }
})

/**
 * Provides the store in a folder. Fails with `Misconfigured` if `directory` is empty.
 *
 * @example
 * ```ts
 * import { NodeContext, NodeHttpClient } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { TokenStore, Violet } from "effect-auth"
 * import * as File from "effect-auth/stores/File"
 *
 * const tokens = File.layer({ directory: "/var/lib/app/tokens" }).pipe(Layer.provide(NodeContext.layer))
 *
 * const violet = Violet.layerConfig({ store: TokenStore.at("service") }).pipe(
 *   Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici, tokens])
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore.TokenStore, Misconfigured, FileSystem | Path> =>
  Layer.effect(TokenStore.TokenStore, make(options))

/**
 * Provides the store in the folder that the variable `EFFECT_AUTH_DIRECTORY` names. Fails with `Misconfigured` if it is not set
 * or empty.
 *
 * Each call makes another layer: a constant one would be built once for two `ConfigProvider`s.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (): Layer.Layer<TokenStore.TokenStore, Misconfigured, FileSystem | Path> =>
  Layer.effect(TokenStore.TokenStore, ConfigFields.make("EFFECT_AUTH", { directory: ConfigFields.text }, make))
