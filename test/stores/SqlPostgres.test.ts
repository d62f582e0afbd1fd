import * as net from "node:net"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Either, Fiber, Layer, Option, Redacted, Schedule } from "effect"
import type { StoreFailure } from "../../src/common/AuthError.js"
import * as Sql from "../../src/stores/Sql.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { layer } from "../support/layered.js"
import { isPrivate, missing, type Postgres, postgres } from "../support/postgres.js"
import { entry, fresh, pg, sharingSuite, sqlSuite, unused } from "./sqlSuite.js"

class Server extends Context.Tag("effect-auth/test/stores/SqlPostgres.test/Server")<
  Server,
  Postgres & { readonly db: string }
>() {}

const server = Layer.scoped(
  Server,
  Effect.gen(function* () {
    const server = yield* Option.getOrThrow(postgres)
    return { ...server, db: yield* server.database }
  })
)

const clientAt = (url: string, options?: Partial<PgClient.PgClientConfig>) =>
  Layer.fresh(PgClient.layer({ url: Redacted.make(url), maxConnections: 4, ...options }))

const pool = Layer.unwrapEffect(Effect.map(Server, ({ db }) => clientAt(db)))

/** A store of one more process, over a client of its own. */
const another = (table: string, url?: string, options?: Partial<PgClient.PgClientConfig>) =>
  Effect.gen(function* () {
    const { db } = yield* Server
    const context = yield* Layer.build(clientAt(url ?? db, options))
    return yield* Effect.provide(Sql.make({ table }), context)
  })

/** A way to a server that can fall silent: what comes is taken, and leads nowhere. */
const proxyTo = (url: string) =>
  Effect.gen(function* () {
    let silent = false
    const sockets = new Set<net.Socket>()
    const listener = net.createServer((near) => {
      const far = net.connect(Number(new URL(url).port), "127.0.0.1")
      for (const [from, to] of [
        [near, far],
        [far, near]
      ] as const) {
        sockets.add(from)
        from.on("error", () => to.destroy())
        from.on("close", () => to.destroy())
        from.on("data", (data) => {
          if (!silent) to.write(data)
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void listener.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          listener.close()
        })
    )
    const { port } = listener.address() as net.AddressInfo
    return {
      url: Object.assign(new URL(url), { port: `${port}` }).href,
      fallSilent: Effect.sync(() => {
        silent = true
      }),
      speak: Effect.sync(() => {
        silent = false
      })
    }
  })

/** Gives a call as long as a session does, and no longer. */
const bounded = <A, E>(call: Effect.Effect<A, E>) => Effect.timeoutOption(Effect.disconnect(call), "300 millis")

if (Option.isNone(postgres))
  describe.skip(`the store on a Postgres server (${missing})`, () => it("is skipped", () => {}))
else {
  layer(Layer.provideMerge(pool, server), { timeout: "60 seconds" })("the store on a Postgres server", (it) => {
    sqlSuite(it, pg)
    sharingSuite(it, another)

    it.scoped("law 18: a save inside of a transaction is committed at once, and a lease seen by others", () =>
      Effect.gen(function* () {
        const { sql, store, table } = yield* fresh
        const other = yield* another(table)
        const inside = Effect.gen(function* () {
          yield* sql`SELECT 1`
          assert.isTrue(yield* store.save("alice", entry(1)))
          assert.isTrue(yield* store.lease("alice", "a", Duration.minutes(1)))
          assert.isTrue(Option.isSome(yield* other.load("alice")))
          assert.isFalse(yield* other.lease("alice", "b", Duration.minutes(1)))
          return yield* Effect.fail("rolled back")
        })
        assert.strictEqual(yield* Effect.flip(sql.withTransaction(inside)), "rolled back")
        assert.isTrue(Option.isSome(yield* store.load("alice")))
        assert.isFalse(yield* other.lease("alice", "b", Duration.minutes(1)))
      })
    )

    it.scoped("several processes may make the table at once", () =>
      Effect.gen(function* () {
        const { db } = yield* Server
        const clients = yield* Effect.replicateEffect(Layer.build(clientAt(db, { maxConnections: 1 })), 6, {
          concurrency: "unbounded"
        })
        for (let round = 0; round < 5; round++) {
          const table = yield* unused
          yield* Effect.forEach(clients, (client) => Effect.provide(Sql.migration({ table }), client), {
            concurrency: "unbounded"
          })
        }
      })
    )

    it.scoped("the laws hold where transactions are serializable by default", () =>
      Effect.gen(function* () {
        const { database } = yield* Server
        const url = yield* database
        const sql = yield* Effect.map(Layer.build(clientAt(url)), Context.get(SqlClient.SqlClient))
        yield* sql`ALTER DATABASE ${sql(new URL(url).pathname.slice(1))} SET default_transaction_isolation = 'serializable'`
        // Of connections that are made from now on.
        const store = Sql.layer({ migrate: true }).pipe(Layer.provide(clientAt(url, { maxConnections: 10 })))
        const concurrent = laws().filter(({ name }) => name.includes("concurrent"))
        assert.isAbove(concurrent.length, 2)
        yield* Effect.provide(
          Effect.forEach(concurrent, ({ check }) => check),
          store
        )
      })
    )

    it.scoped("who may not use the table, or has no such database, is told so", () =>
      Effect.gen(function* () {
        const { db } = yield* Server
        const { sql, table } = yield* fresh
        const role = yield* unused
        yield* Effect.acquireRelease(sql`CREATE ROLE ${sql(role)} LOGIN PASSWORD 'test-password'`, () =>
          Effect.orDie(Effect.zipRight(sql`DROP OWNED BY ${sql(role)}`, sql`DROP ROLE ${sql(role)}`))
        )
        const store = yield* another(
          table,
          Object.assign(new URL(db), { username: role, password: "test-password" }).href
        )
        assert.strictEqual(
          (yield* Effect.flip(store.save("alice", entry(1)))).problem,
          `the user of the database may not use the table ${table} (42501)`
        )
        yield* sql`ALTER ROLE ${sql(role)} SET default_transaction_read_only = on`
        yield* sql`GRANT ALL ON ${sql(table)} TO ${sql(role)}`
        const reader = yield* another(
          table,
          Object.assign(new URL(db), { username: role, password: "test-password" }).href
        )
        assert.strictEqual(
          (yield* Effect.flip(reader.save("alice", entry(1)))).problem,
          "the database is read-only (25006)"
        )
        assert.isTrue(Option.isNone(yield* reader.load("alice")))
      })
    )

    it.scoped("calls that are given up while the row is locked leave the pool as it was", () =>
      Effect.gen(function* () {
        const { sql, store, table } = yield* fresh
        const other = yield* another(table, undefined, { maxConnections: 2 })
        yield* store.save("alice", entry(1))
        const locked = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const holder = yield* Effect.fork(
          sql.withTransaction(
            Effect.gen(function* () {
              yield* sql`SELECT 1 FROM ${sql(table)} FOR UPDATE`
              yield* Deferred.succeed(locked, undefined)
              yield* Deferred.await(release)
            })
          )
        )
        yield* Deferred.await(locked)
        for (let generation = 2; generation < 7; generation++) {
          assert.isTrue(Option.isNone(yield* bounded(other.save("alice", entry(generation)))))
        }
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(holder)
        // What is left of them is cancelled by now, or was never sent.
        yield* Effect.forEach([1, 2, 3, 4], () => other.load("bob"), { concurrency: "unbounded" })
        const stored = Option.getOrThrow(yield* other.load("alice"))
        assert.isTrue(yield* other.save("alice", entry(stored.generation + 1)))
        assert.strictEqual(Option.getOrThrow(yield* store.load("alice")).generation, stored.generation + 1)
      })
    )

    it.scoped("a server that falls silent costs the calls of that time, and no later ones", () =>
      Effect.gen(function* () {
        const { db } = yield* Server
        const { table } = yield* fresh
        const proxy = yield* proxyTo(db)
        const options = { maxConnections: 2, connectTimeout: "1 seconds", idleTimeout: "200 millis" } as const
        const store = yield* another(table, proxy.url, options)
        assert.isTrue(yield* store.save("alice", entry(1)))
        yield* proxy.fallSilent
        for (let generation = 2; generation < 7; generation++) {
          const response = yield* Effect.either(bounded(store.save("alice", entry(generation))))
          assert.isTrue(Either.isLeft(response) || Option.isNone(response.right))
        }
        yield* proxy.speak
        // The silent connections never answer again: the pool puts them away when they have been idle for long enough.
        const again = yield* Effect.retry(
          Effect.filterOrFail(Effect.orElseSucceed(bounded(store.load("alice")), Option.none), Option.isSome),
          { schedule: Schedule.spaced("500 millis"), times: 40 }
        )
        assert.isTrue(Option.isSome(again))
        assert.isTrue(yield* store.save("alice", entry(10)))
      })
    )

    it.scoped.skipIf(!isPrivate)(
      "while the server restarts each call fails typed; afterwards the same store works, with what it kept",
      () =>
        Effect.gen(function* () {
          const own = Option.getOrThrow((yield* Server).own)
          const { store } = yield* fresh
          yield* store.save("alice", entry(1))
          yield* store.lease("alice", "a", Duration.minutes(1))
          let restarting = true
          let failed = 0
          const calls = Effect.gen(function* () {
            const responses = yield* Effect.all(
              [store.load("alice"), store.save("alice", entry(1)), store.lease("alice", "b", Duration.seconds(1))],
              { concurrency: "unbounded", mode: "either" }
            )
            for (const failure of responses.flatMap(
              (response): ReadonlyArray<StoreFailure> => Option.toArray(Either.getLeft<unknown, StoreFailure>(response))
            )) {
              failed++
              assert.match(
                failure.problem,
                /^the (connection to the database failed( \((ECONN\w+|EPIPE)\))?|database is starting or shutting down \(57P0\d\))$/
              )
            }
            yield* Effect.sleep("10 millis")
          })
          const traffic = yield* Effect.fork(Effect.repeat(calls, { while: () => restarting }))
          yield* own.stop
          // The first call may still meet a connection that has just broken.
          const failure = yield* Effect.repeat(Effect.flip(store.load("alice")), {
            until: ({ message }) => message.includes("ECONNREFUSED"),
            times: 20
          })
          assert.strictEqual(
            failure.message,
            "the token store cannot load: the connection to the database failed (ECONNREFUSED)"
          )
          yield* own.start
          restarting = false
          yield* Fiber.join(traffic)
          assert.isAbove(failed, 0)
          assert.isTrue(Option.isSome(yield* store.load("alice")))
          assert.isFalse(yield* store.lease("alice", "b", Duration.minutes(1)))
          assert.isTrue(yield* store.save("alice", entry(2)))
        })
    )
  })
}
