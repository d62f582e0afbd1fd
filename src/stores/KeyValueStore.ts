/**
 * A token store over any `KeyValueStore` of `@effect/platform`, for one process.
 *
 * It promises nothing between processes, or between two stores made over one `KeyValueStore`: saves are compared and the
 * exclusive section is lent in memory. For files there is `stores/File`: `KeyValueStore.layerFileSystem` writes in place,
 * so that a process killed while it writes leaves half an entry behind, in a file that others may be able to read.
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
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the names of the entries begin with (default `"effect-auth/"`), so that they meet nothing else that is kept. */
  readonly prefix?: string | undefined
}

const Text = Schema.parseJson(
  Schema.Struct({
    generation: Schema.NonNegativeInt,
    revision: Schema.NonNegativeInt,
    /** The wall clock when it was written, in milliseconds since 1970. */
    at: Schema.Finite,
    contents: Schema.String
  })
)

const decode = Schema.decodeEither(Text)
const encode = Schema.encodeSync(Text)

/**
 * A store over the `KeyValueStore` of the context. It only gets and sets, and never removes or clears anything.
 *
 * The age of an entry is what the wall clock says since it was written, or more if this process wrote it and knows
 * better. An entry that cannot be read is a `StoreFailure` for whoever loads it and for whoever would replace it.
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
    const written = new Map<string, TokenStore.Version & { readonly since: Moment.Moment }>()

    const failed = (operation: StoreFailure["operation"]) => (error: KeyValueStoreError) =>
      new StoreFailure({ operation, problem: keyValueStoreProblem(error) })

    const find = Effect.fnUntraced(function* (operation: StoreFailure["operation"], key: string) {
      const name = prefix + key
      const text = yield* Effect.mapError(values.get(name), failed(operation))
      if (Option.isNone(text)) return Option.none()
      return Option.some(
        yield* Either.mapLeft(
          decode(text.value),
          () =>
            new StoreFailure({
              operation,
              problem: `what is kept under ${JSON.stringify(name)} is no entry of this library (nothing was changed; remove it by hand to start anew)`
            })
        )
      )
    })

    const read = Effect.fnUntraced(function* (key: string) {
      const found = yield* find("load", key)
      const now = yield* Moment.now
      return Option.map(found, ({ at, contents, generation, revision }): TokenStore.StoredEntry => {
        const own = written.get(key)
        const known = own?.generation === generation && own.revision === revision ? Moment.age(own.since, now) : 0
        return {
          generation,
          revision,
          contents: Redacted.make(contents),
          age: Duration.millis(Math.max(0, now.millis - at, known))
        }
      })
    })

    // Many a KeyValueStore shows what is half written: what cannot be read may only have to be waited for.
    const load = (key: string) => Effect.catchAll(read(key), () => semaphore.withPermits(1)(read(key)))

    const save = (key: string, { contents, generation, revision }: TokenStore.Entry) =>
      Effect.gen(function* () {
        const found = yield* find("save", key)
        if (Option.exists(found, (kept) => !TokenStore.isNewer({ generation, revision }, kept))) return false
        const since = yield* Moment.now
        const text = encode({ generation, revision, at: since.millis, contents: Redacted.value(contents) })
        yield* Effect.mapError(values.set(prefix + key, text), failed("save"))
        written.set(key, { generation, revision, since })
        return true
      }).pipe(
        // Law 19: a write goes on after whoever asked for it has left, and could undo a later one that did not wait for it.
        Effect.uninterruptible,
        semaphore.withPermits(1),
        disconnect
      )

    return { load, save, lease, release }
  })

/**
 * Keeps tokens in the `KeyValueStore` of the context, for one process. Not for `KeyValueStore.layerFileSystem`, whose files
 * others may be able to read: `stores/File` is for files.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<TokenStore.TokenStore, never, KeyValueStore.KeyValueStore> =>
  Layer.effect(TokenStore.TokenStore, make(options))
