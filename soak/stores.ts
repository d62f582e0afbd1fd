/** The stores that processes can share. Each is imported only where it is used: the others would cost time at each start. */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { TokenStore } from "../src/index.js"
import type { Watch } from "./failpoint.js"
import type { Place } from "./Line.js"

const file = ({ reach }: Watch, isSaving: () => boolean) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (fs) =>
      FileSystem.make({
        ...fs,
        open: (path, options) =>
          Effect.map(fs.open(path, options), (opened) =>
            isSaving() && path.includes("/text.")
              ? Object.assign(Object.create(opened), {
                  writeAll: (bytes: Uint8Array) => {
                    const half = Math.floor(bytes.length / 2)
                    return opened
                      .writeAll(bytes.subarray(0, half))
                      .pipe(Effect.zipRight(reach("tearing")), Effect.zipRight(opened.writeAll(bytes.subarray(half))))
                  }
                })
              : opened
          ),
        rename: (from, to) =>
          Effect.zipRight(isSaving() && to.includes("/head.") ? reach("writing") : Effect.void, fs.rename(from, to))
      })
    )
  ).pipe(Layer.provideMerge(NodeContext.layer))

const layerOf = ({ address, kind }: Place, watch: Watch, isSaving: () => boolean) => {
  switch (kind) {
    case "file":
      return Effect.map(
        Effect.promise(() => import("../src/stores/File.js")),
        (File) => Layer.provide(File.layer({ directory: address }), file(watch, isSaving))
      )
    case "postgres":
      return Effect.map(
        Effect.promise(() => Promise.all([import("../src/stores/Sql.js"), import("@effect/sql-pg")])),
        ([Sql, { PgClient }]) =>
          Layer.provide(
            Sql.layer({ migrate: true }),
            PgClient.layer({ url: Redacted.make(address), maxConnections: 2 })
          )
      )
    case "redis":
      return Effect.map(
        Effect.promise(() => import("../src/stores/Redis.js")),
        (Redis) => Redis.layer({ url: address })
      )
  }
}

/** The store at a place, which tells how far a flight is that uses it. */
export const layer = (place: Place, watch: Watch) => {
  let saving = false
  const watched = (store: TokenStore.Service): TokenStore.Service => ({
    load: store.load,
    lease: (key, owner, duration) =>
      Effect.tap(store.lease(key, owner, duration), (mine) => (mine ? watch.reach("leased") : Effect.void)),
    release: (key, owner) => Effect.tap(store.release(key, owner), () => watch.reach("released")),
    // A revision of the same generation is a note about its refresh token: the intent, mostly.
    save: (key, entry) =>
      entry.revision > 0
        ? watch
            .reach("intending")
            .pipe(Effect.zipRight(store.save(key, entry)), Effect.zipLeft(watch.reach("intended")))
        : Effect.gen(function* () {
            yield* watch.reach("saving")
            saving = true
            const done = yield* Effect.fork(store.save(key, entry))
            // The statement is on its way, and its answer cannot be there yet.
            if (place.kind !== "file") yield* Effect.zipRight(Effect.yieldNow(), watch.reach("writing"))
            const saved = yield* Effect.ensuring(
              Fiber.join(done),
              Effect.sync(() => (saving = false))
            )
            yield* watch.reach("saved")
            return saved
          })
  })
  return Layer.unwrapEffect(layerOf(place, watch, () => saving)).pipe((layer) =>
    Layer.effect(TokenStore.TokenStore, Effect.map(TokenStore.TokenStore, watched)).pipe(Layer.provide(layer))
  )
}
