import { Reactivity } from "@effect/experimental"
import { SqlClient, Statement } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { PGlite } from "@electric-sql/pglite"
import { PGLiteSocketServer } from "@electric-sql/pglite-socket"
import { Effect, Layer, Redacted } from "effect"
import * as Sql from "../../src/stores/Sql.js"
import { layer } from "../support/layered.js"
import { pg, sqlSuite } from "./sqlSuite.js"

/** The URL of a Postgres inside of this process. */
const pglite = Effect.gen(function* () {
  const db = yield* Effect.acquireRelease(
    Effect.promise(() => PGlite.create()),
    (db) => Effect.promise(() => db.close())
  )
  const server = new PGLiteSocketServer({ db, port: 0, host: "127.0.0.1", maxConnections: 4 })
  yield* Effect.acquireRelease(
    Effect.promise(() => server.start()),
    () => Effect.promise(() => server.stop())
  )
  return `postgres://postgres:test-password@${server.getServerConn()}/postgres`
})

const client = Layer.unwrapScoped(
  Effect.map(pglite, (url) => PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
)

layer(client, { timeout: "60 seconds" })("the store on PGlite", (it) => {
  sqlSuite(it, pg)

  it.effect("a client that translates names for the application changes nothing here", () =>
    Effect.gen(function* () {
      const { config } = yield* PgClient.PgClient
      const other = PgClient.layer({
        ...config,
        maxConnections: 1,
        transformQueryNames: (name) => `${name}_there`,
        transformResultNames: (name) => `${name}_here`
      })
      const check = Effect.gen(function* () {
        const store = yield* Sql.make({ table: "translated" })
        assert.isTrue(yield* store.save("alice", { generation: 1, revision: 0, contents: Redacted.make("x") }))
        assert.strictEqual((yield* store.load("alice"))._tag, "Some")
      })
      yield* Sql.migration({ table: "translated" })
      yield* Effect.provide(check, other)
    })
  )
})

describe("the options of the store", () => {
  const clientOf = (compiler: Statement.Compiler) =>
    Layer.effect(
      SqlClient.SqlClient,
      SqlClient.make({ acquirer: Effect.die("no statement is made"), compiler, spanAttributes: [] })
    ).pipe(Layer.provide(Reactivity.layer))

  const refusal = (options: Sql.Options, compiler = PgClient.makeCompiler()) =>
    Effect.all(
      [Sql.make(options), Effect.scoped(Layer.build(Sql.layer(options))), Sql.migration(options)].map((use) =>
        Effect.map(Effect.flip(Effect.asVoid(use)), ({ message }) => message)
      )
    ).pipe(
      Effect.provide(clientOf(compiler)),
      Effect.map((messages) => [...new Set(messages)])
    )

  it.effect("a table must be a name", () =>
    Effect.gen(function* () {
      for (const table of ["", " ", "a b", 'a"b', "a;b", "1a", "a.b.c", ".a", "a.", "tökens", "a\n", "t".repeat(64)]) {
        assert.deepStrictEqual(yield* refusal({ table }), [
          "table: must be a name or schema.name, of at most 63 ASCII letters, digits, _ and $ each"
        ])
      }
      for (const table of ["a", "_", "A.b$1", `${"s".repeat(63)}.${"t".repeat(63)}`]) {
        yield* Effect.provide(Sql.make({ table }), clientOf(PgClient.makeCompiler()))
      }
    })
  )

  it.effect("a client of another database is refused, by the name of its dialect", () =>
    Effect.gen(function* () {
      for (const dialect of ["sqlite", "mssql", "clickhouse"] as const) {
        const compiler = Statement.makeCompiler({
          dialect,
          placeholder: () => "?",
          onIdentifier: (name) => name,
          onCustom: () => ["", []],
          onRecordUpdate: () => ["", []]
        })
        assert.deepStrictEqual(yield* refusal({}, compiler), [
          `SqlClient: must be a client for Postgres, MySQL or MariaDB, but this one is for ${dialect}`
        ])
      }
    })
  )
})
