import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Option, Redacted } from "effect"
import * as Sql from "../../src/stores/Sql.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { layer } from "../support/layered.js"
import { isPrivate, type Mysql, missing, mysql } from "../support/mysql.js"
import { contentsOf, type Database, damaged, entry, fresh, secret, sharingSuite, sqlSuite, unused } from "./sqlSuite.js"

const maria: Database = {
  ddl: /DATETIME/,
  columns: (sql, table) =>
    sql`SELECT column_name, column_type, is_nullable, collation_name FROM information_schema.columns
      WHERE table_schema = DATABASE() AND table_name = ${table} ORDER BY ordinal_position`,
  rest: (sql, table) =>
    sql`SELECT index_name, column_name, sub_part, engine FROM information_schema.statistics
      JOIN information_schema.tables USING (table_schema, table_name)
      WHERE table_schema = DATABASE() AND table_name = ${table}`,
  schema: (sql) => Effect.map(sql<{ name: string }>`SELECT DATABASE() AS name`, ([row]) => row?.name ?? ""),
  missing: "1146",
  row: "*",
  inAnHour: "UTC_TIMESTAMP(6) + INTERVAL 1 HOUR",
  now: "UTC_TIMESTAMP(6)",
  foreign: [
    [
      "`key` VARCHAR(500) PRIMARY KEY, generation TEXT, revision TEXT, contents TEXT, saved_at TEXT, lease_owner TEXT, lease_until TEXT",
      damaged
    ],
    [
      "`key` VARCHAR(500) PRIMARY KEY, contents TEXT, generation TEXT",
      (table) => `the table ${table} is not as Sql.migration makes it (1054)`
    ]
  ],
  pause: "SELECT SLEEP(0.02)",
  refusal: (table) => `ALTER TABLE ${table} ADD CONSTRAINT strict CHECK (generation < 2)`,
  refused: "4025"
}

class Server extends Context.Tag("effect-auth/test/stores/SqlMysql.test/Server")<
  Server,
  Mysql & { readonly db: string }
>() {}

const server = Layer.scoped(
  Server,
  Effect.gen(function* () {
    const server = yield* Option.getOrThrow(mysql)
    return { ...server, db: yield* server.database }
  })
)

const clientAt = (url: string, maxConnections = 4) =>
  Layer.fresh(MysqlClient.layer({ url: Redacted.make(url), maxConnections }))

const pool = Layer.unwrapEffect(Effect.map(Server, ({ db }) => clientAt(db)))

/** The client of one more process. */
const client = (maxConnections?: number) =>
  Effect.flatMap(Server, ({ db }) => Layer.build(clientAt(db, maxConnections)))

const another = (table: string) => Effect.flatMap(client(), (context) => Effect.provide(Sql.make({ table }), context))

if (Option.isNone(mysql)) describe.skip(`the store on a MariaDB server (${missing})`, () => it("is skipped", () => {}))
else {
  layer(Layer.provideMerge(pool, server), { timeout: "60 seconds" })("the store on a MariaDB server", (it) => {
    sqlSuite(it, maria)
    sharingSuite(it, another)

    it.scoped("several processes may make the table at once", () =>
      Effect.gen(function* () {
        const clients = yield* Effect.replicateEffect(client(1), 4, { concurrency: "unbounded" })
        const table = yield* unused
        yield* Effect.forEach(clients, (client) => Effect.provide(Sql.migration({ table }), client), {
          concurrency: "unbounded"
        })
      })
    )

    it.scoped.skipIf(!isPrivate)("the laws hold whatever is isolated by default", () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const concurrent = laws().filter(({ name }) => name.includes("concurrent"))
        assert.isAbove(concurrent.length, 2)
        const set = (snapshot: string, level: string) =>
          Effect.orDie(
            Effect.zipRight(
              sql.unsafe(`SET GLOBAL innodb_snapshot_isolation = ${snapshot}`),
              sql.unsafe(`SET GLOBAL TRANSACTION ISOLATION LEVEL ${level}`)
            )
          )
        for (const level of ["SERIALIZABLE", "REPEATABLE READ", "READ UNCOMMITTED"]) {
          yield* Effect.acquireUseRelease(
            set("ON", level),
            () =>
              Effect.flatMap(client(10), (context) =>
                Effect.provide(
                  Effect.forEach(concurrent, ({ check }) => check),
                  Layer.provide(Sql.layer({ migrate: true }), Layer.succeedContext(context))
                )
              ),
            () => set("OFF", "REPEATABLE READ")
          )
        }
      })
    )

    it.scoped("who may not use the table, or may only read, is told so", () =>
      Effect.gen(function* () {
        const { db } = yield* Server
        const { sql, table } = yield* fresh
        const user = (yield* unused).slice(0, 30)
        yield* Effect.acquireRelease(sql.unsafe(`CREATE USER ${user}@'%' IDENTIFIED BY 'test-password'`), () =>
          Effect.orDie(sql.unsafe(`DROP USER ${user}@'%'`))
        )
        yield* sql.unsafe(`GRANT CREATE ON * TO ${user}@'%'`)
        const url = Object.assign(new URL(db), { username: user, password: "test-password" }).href
        const store = yield* Effect.provide(Sql.make({ table }), yield* Layer.build(clientAt(url, 1)))
        const problem = `the user of the database may not use the table ${table}`
        assert.strictEqual((yield* Effect.flip(store.load("alice"))).problem, `${problem} (1142)`)
        yield* sql.unsafe(`GRANT SELECT ON ${table} TO ${user}@'%'`)
        assert.isTrue(Option.isNone(yield* store.load("alice")))
        assert.strictEqual((yield* Effect.flip(store.save("alice", entry(1)))).problem, `${problem} (1142)`)
        yield* sql.unsafe(`GRANT ALL ON ${table} TO ${user}@'%'`)
        assert.isTrue(yield* store.save("alice", entry(1)))
      })
    )

    it.scoped("versions up to 2^53 and contents of a megabyte are kept as they are", () =>
      Effect.gen(function* () {
        const { store } = yield* fresh
        const most = Number.MAX_SAFE_INTEGER
        const contents = "ä€😀x".repeat(200_000)
        assert.isTrue(yield* store.save("alice", entry(most - 1, secret, most)))
        assert.isFalse(yield* store.save("alice", entry(most - 1, contents, most)))
        assert.isTrue(yield* store.save("alice", entry(most, contents, most - 1)))
        assert.isFalse(yield* store.save("alice", entry(most, secret, most - 1)))
        const stored = yield* store.load("alice")
        assert.strictEqual(contentsOf(stored), contents)
        assert.deepInclude(Option.getOrThrow(stored), { generation: most, revision: most - 1 })
      })
    )

    it.scoped.skipIf(!isPrivate)(
      "while the server is away each call fails typed; afterwards the same store works",
      () =>
        Effect.gen(function* () {
          const own = Option.getOrThrow((yield* Server).own)
          const { store } = yield* fresh
          yield* store.save("alice", entry(1))
          yield* store.lease("alice", "a", Duration.minutes(5))
          yield* own.stop
          assert.strictEqual(
            (yield* Effect.flip(store.load("alice"))).message,
            "the token store cannot load: the connection to the database failed (ECONNREFUSED)"
          )
          yield* own.start
          assert.strictEqual(contentsOf(yield* store.load("alice")), secret)
          assert.isFalse(yield* store.lease("alice", "b", Duration.seconds(1)))
          assert.isTrue(yield* store.save("alice", entry(2)))
        })
    )
  })
}
