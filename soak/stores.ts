/**
 * The stores that processes can share. Each is imported only if it is used, because importing all would slow every
 * start.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { TokenStore } from "../src/index.js"
import type { Failpoints } from "./failpoint.js"
import type { StoreLocation } from "./Line.js"

const file = ({ reach }: Failpoints, isSaving: () => boolean) =>
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

const layerOf = ({ address, kind }: StoreLocation, failpoints: Failpoints, isSaving: () => boolean) => {
  switch (kind) {
    case "file":
      return Effect.map(
        Effect.promise(() => import("../src/stores/File.js")),
        (File) => Layer.provide(File.layer({ directory: address }), file(failpoints, isSaving))
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

/** Provides the store at a location. It reports the points that a flight reaches in it. */
export const layer = (location: StoreLocation, failpoints: Failpoints) => {
  let saving = false
  const instrumented = (store: TokenStore.Service): TokenStore.Service => ({
    load: store.load,
    lease: (key, owner, duration) =>
      Effect.tap(store.lease(key, owner, duration), (acquired) =>
        acquired ? failpoints.reach("leased") : Effect.void
      ),
    release: (key, owner) => Effect.tap(store.release(key, owner), () => failpoints.reach("released")),
    // A revision of the same generation records the state of its refresh token: mostly an intent.
    save: (key, entry) =>
      entry.revision > 0
        ? failpoints
            .reach("intending")
            .pipe(Effect.zipRight(store.save(key, entry)), Effect.zipLeft(failpoints.reach("intended")))
        : Effect.gen(function* () {
            yield* failpoints.reach("saving")
            saving = true
            const done = yield* Effect.fork(store.save(key, entry))
            // The statement is on its way, and its result cannot have arrived.
            if (location.kind !== "file") yield* Effect.zipRight(Effect.yieldNow(), failpoints.reach("writing"))
            const saved = yield* Effect.ensuring(
              Fiber.join(done),
              Effect.sync(() => (saving = false))
            )
            yield* failpoints.reach("saved")
            return saved
          })
  })
  return Layer.unwrapEffect(layerOf(location, failpoints, () => saving)).pipe((layer) =>
    Layer.effect(TokenStore.TokenStore, Effect.map(TokenStore.TokenStore, instrumented)).pipe(Layer.provide(layer))
  )
}
