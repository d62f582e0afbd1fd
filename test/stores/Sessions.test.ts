import { FileSystem, KeyValueStore } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Redacted, Scope } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Encrypted from "../../src/stores/Encrypted.js"
import * as File from "../../src/stores/File.js"
import * as KeyValue from "../../src/stores/KeyValueStore.js"
import * as Redis from "../../src/stores/Redis.js"
import * as Sql from "../../src/stores/Sql.js"
import { fails, failure, paused, provider, session, value } from "../support/harness.js"
import * as TestMysql from "../support/mysql.js"
import * as TestPostgres from "../support/postgres.js"
import * as Records from "../support/records.js"
import * as TestRedis from "../support/redis.js"

/** The stores, each empty, or why one is missing. */
const stores: Record<
  string,
  Effect.Effect<Layer.Layer<TokenStore.TokenStore, unknown>, unknown, Scope.Scope> | string
> = {
  memory: Effect.succeed(TokenStore.layerMemory),
  "a KeyValueStore": Effect.succeed(KeyValue.layer().pipe(Layer.provide(KeyValueStore.layerMemory))),
  files: Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const directory = `${yield* fs.makeTempDirectoryScoped()}/tokens`
    return Encrypted.layer({ key: Redacted.make(Buffer.alloc(32, 1).toString("base64")) }).pipe(
      Layer.provide(File.layer({ directory })),
      Layer.provide(NodeContext.layer)
    )
  }).pipe(Effect.provide(NodeContext.layer)),
  Postgres: Option.match(TestPostgres.postgres, {
    onNone: () => TestPostgres.missing,
    onSome: Effect.flatMap(({ database }) =>
      Effect.map(database, (url) =>
        Sql.layer({ migrate: true }).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
      )
    )
  }),
  MySQL: Option.match(TestMysql.mysql, {
    onNone: () => TestMysql.missing,
    onSome: Effect.flatMap(({ database }) =>
      Effect.map(database, (url) =>
        Sql.layer({ migrate: true }).pipe(Layer.provide(MysqlClient.layer({ url: Redacted.make(url) })))
      )
    )
  }),
  Redis:
    TestRedis.missing ??
    Effect.map(Effect.map(TestRedis.server, Option.getOrThrow), ({ url }) =>
      Redis.layer({ url, prefix: globalThis.crypto.randomUUID() })
    )
}

const refreshOf = (store: TokenStore.Service) =>
  Effect.map(Records.stored(store, "key"), ({ refreshState }) => refreshState._tag)

for (const [name, made] of Object.entries(stores)) {
  const suite = typeof made === "string" ? describe.skip : describe
  suite(`sessions over ${name}${typeof made === "string" ? ` (${made})` : ""}`, () => {
    it.scopedLive("laws 18, 20, 21, 30 and 31: what a session keeps, another goes on with", () =>
      Effect.gen(function* () {
        if (typeof made === "string") return
        const store = yield* Effect.provide(TokenStore.TokenStore, yield* Layer.build(yield* made))
        const p = provider({ rotation: "single-use", lifetime: "1 hour" })
        const options = { store, key: "key", patience: 0, shutdownDeadline: "10 seconds" } as const
        const scope = yield* Scope.make()
        const one = yield* Scope.extend(session(p, options), scope)

        // Law 18: it is in the store before anyone sees it. Law 20: another session takes it over.
        assert.strictEqual(value(yield* one.accessToken), "test-access-1")
        assert.deepInclude(yield* Records.stored(store, "key"), { generation: 1 })
        const other = yield* session(p, options)
        assert.strictEqual(value(yield* other.accessToken), "test-access-1")

        // Law 21: the store knows before the refresh token is sent, and that it was not spent after all.
        const seen: Array<string> = []
        const peek = Effect.tap(Effect.orDie(refreshOf(store)), (tag) => Effect.sync(() => seen.push(tag)))
        p.next(() => Effect.zipRight(peek, fails(failure.unspent)()))
        yield* Effect.flip(one.refresh)
        assert.deepStrictEqual([...seen, yield* refreshOf(store)], ["InDoubt", "Usable"])

        // Law 31: the closing session waits for the answer, and keeps it.
        yield* Effect.sleep("400 millis")
        const late = yield* paused
        p.next(late.tokenRequest)
        const refresh = yield* Effect.fork(one.refresh)
        yield* late.sent
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* late.respond
        yield* Fiber.join(closing)
        assert.strictEqual(value(yield* Fiber.join(refresh)), "test-access-2")
        assert.deepInclude(yield* Records.stored(store, "key"), { generation: 2 })
        assert.deepStrictEqual(p.presented, ["test-refresh-1", "test-refresh-1"])

        // Law 30: a logout wins over the token request under way, whose answer is revoked and never kept.
        const lost = yield* paused
        const third = yield* session(p, options)
        assert.strictEqual(value(yield* third.accessToken), "test-access-2")
        p.next(lost.tokenRequest)
        const waiter = yield* Effect.fork(Effect.flip(third.refresh))
        yield* lost.sent
        yield* third.logout
        assert.strictEqual((yield* Fiber.join(waiter))._tag, "SignedOut")
        yield* lost.respond
        yield* Effect.sync(() => p.revoked.includes("test-access-3")).pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: (done) => done }),
          Effect.timeout("20 seconds")
        )
        const stored = yield* Records.stored(store, "key")
        assert.isTrue(Option.isNone(stored.tokens))
        assert.isAtLeast(stored.generation, 3)
        // Law 20: the other one sees it at its next token request.
        assert.strictEqual((yield* Effect.flip(other.refresh))._tag, "SignedOut")
        assert.strictEqual(p.count().login, 1)
      })
    )
  })
}
