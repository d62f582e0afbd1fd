/**
 * A token store over any `KeyValueStore` of `@effect/platform`, for one process.
 *
 * It guarantees nothing between processes, or between two stores made over one `KeyValueStore`, because saves are compared and
 * leases are granted in memory. For files use `stores/File`. `KeyValueStore.layerFileSystem` writes in place: a process killed
 * while it writes leaves half an entry behind, in a file that other users may be able to read.
 *
 * @since 0.1.0
 */
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { StoreFailure } from "../common/AuthError.js"
import { type KeyValueStoreError, keyValueStoreProblem } from "../common/foreignErrors.js"
import * as Moment from "../common/Moment.js"
import { disconnect } from "../common/runtime.js"
import * as TokenStore from "../store/TokenStore.js"

/**
 * The options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The prefix of each entry's key, which keeps it apart from the application's own keys. Default: `"effect-auth/"`. */
  readonly prefix?: string | undefined
}

const Text = Schema.parseJson(
  Schema.Struct({
    generation: Schema.NonNegativeInt,
    revision: Schema.NonNegativeInt,
    /** When it was written: the wall clock, in milliseconds since 1970. */
    at: Schema.Finite,
    contents: Schema.String
  })
)

const decode = Schema.decodeEither(Text)
const encode = Schema.encodeSync(Text)

/**
 * Makes a store over the `KeyValueStore` of the context. It only gets and sets: nothing is ever removed or cleared.
 *
 * The age of an entry is the time since it was written, by the wall clock. If this process wrote it and its monotonic clock says
 * more, that counts. An entry that cannot be read is a `StoreFailure` of `load`, and of a `save` that would replace it.
 *
 * @see https://effect-ts.github.io/effect/platform/KeyValueStore.ts.html
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({
  prefix = "effect-auth/"
}: Options = {}): Effect.Effect<TokenStore.Service, never, KeyValueStore.KeyValueStore> =>
  Effect.gen(function* () {
    const values = yield* KeyValueStore.KeyValueStore
    const semaphore = yield* Effect.makeSemaphore(1)
    const { lease, release } = yield* TokenStore.makeMemory
    const ownSaves = new Map<string, TokenStore.Version & { readonly since: Moment.Moment }>()

    const toStoreFailure = (operation: StoreFailure["operation"]) => (error: KeyValueStoreError) =>
      new StoreFailure({ operation, problem: keyValueStoreProblem(error) })

    const find = Effect.fnUntraced(function* (operation: StoreFailure["operation"], key: string) {
      const name = prefix + key
      const text = yield* Effect.mapError(values.get(name), toStoreFailure(operation))
      if (Option.isNone(text)) return Option.none()
      return Option.some(
        yield* Either.mapLeft(
          decode(text.value),
          () =>
            new StoreFailure({
              operation,
              problem: `the value of ${JSON.stringify(name)} is not in the format of this library (nothing was changed; remove it by hand to start over)`
            })
        )
      )
    })

    const read = Effect.fnUntraced(function* (key: string) {
      const entry = yield* find("load", key)
      const now = yield* Moment.now
      return Option.map(entry, ({ at, contents, generation, revision }): TokenStore.StoredEntry => {
        const own = ownSaves.get(key)
        const ownAge = own?.generation === generation && own.revision === revision ? Moment.age(own.since, now) : 0
        return {
          generation,
          revision,
          contents: Redacted.make(contents),
          age: Duration.millis(Math.max(0, now.millis - at, ownAge))
        }
      })
    })

    // Many stores show a value that is half written. So if one cannot be read, it is read again after the save under way.
    const load = (key: string) => Effect.catchAll(read(key), () => semaphore.withPermits(1)(read(key)))

    const save = (key: string, { contents, generation, revision }: TokenStore.Entry) =>
      Effect.gen(function* () {
        const stored = yield* find("save", key)
        if (Option.exists(stored, (entry) => !TokenStore.isNewer({ generation, revision }, entry))) return false
        const since = yield* Moment.now
        const text = encode({ generation, revision, at: since.millis, contents: Redacted.value(contents) })
        yield* Effect.mapError(values.set(prefix + key, text), toStoreFailure("save"))
        ownSaves.set(key, { generation, revision, since })
        return true
      }).pipe(
        // A write goes on when its caller is interrupted. Its permit lasts until then, or it could overwrite a later save (law 19).
        Effect.uninterruptible,
        semaphore.withPermits(1),
        disconnect
      )

    return { load, save, lease, release }
  })

/**
 * Provides a store over the `KeyValueStore` of the context, for one process. Do not use it with
 * `KeyValueStore.layerFileSystem`, whose files other users may be able to read; use `stores/File`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<TokenStore.TokenStore, never, KeyValueStore.KeyValueStore> =>
  Layer.effect(TokenStore.TokenStore, make(options))
