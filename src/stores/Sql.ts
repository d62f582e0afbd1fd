/**
 * A token store in a table of Postgres, MySQL or MariaDB, over the `SqlClient` of `@effect/sql`, for processes on any number of
 * machines. An entry and its lease are one row. Each step is one statement, which commits by itself and uses the clock of the
 * database.
 *
 * Make the table with {@link migration} or by hand. In Postgres (tested with `PgClient`):
 *
 * ```sql
 * CREATE TABLE IF NOT EXISTS "effect_auth_tokens" (
 *   key TEXT COLLATE "C" PRIMARY KEY,
 *   generation BIGINT, revision BIGINT, contents TEXT, saved_at TIMESTAMPTZ,
 *   lease_owner TEXT, lease_until TIMESTAMPTZ
 * )
 * ```
 *
 * In MariaDB, and by the same statements in MySQL 8 (tested with `MysqlClient` and MariaDB 10.11):
 *
 * ```sql
 * CREATE TABLE IF NOT EXISTS `effect_auth_tokens` (
 *   `key` VARBINARY(1500) NOT NULL PRIMARY KEY,
 *   generation BIGINT, revision BIGINT, contents LONGTEXT CHARACTER SET utf8mb4, saved_at DATETIME(6),
 *   lease_owner BLOB, lease_until DATETIME(6)
 * ) ENGINE = InnoDB
 * ```
 *
 * - **Durability.** A save that was acknowledged survives a crash of the database, unless `synchronous_commit` of Postgres or
 *   `innodb_flush_log_at_trx_commit` of MySQL was lowered, or `autocommit` of MySQL turned off. It does not survive the loss of
 *   the machine before an asynchronous replica has it.
 * - **Secrecy.** Every user who may read the table, its backups, or the log of a server that logs parameters can read
 *   `contents`. If that is not this application alone, wrap the store in `Encrypted`.
 * - **Transactions.** A statement never joins a transaction of the caller, whose rollback would lose a rotated refresh token. So
 *   the pool needs a spare connection while a transaction waits for a token.
 * - **Dead connections.** A pool of `PgClient` keeps a connection that stopped responding until its `idleTimeout`, and calls on
 *   it fail until then. So keep that short.
 *
 * SQLite is refused: after `SQLITE_BUSY`, its client for Node (`LibsqlClient`) acknowledges writes that it has not committed.
 * For processes of one machine, use `stores/File`.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Misconfigured, StoreFailure } from "../common/AuthError.js"
import { longest } from "../common/duration.js"
import { sqlDriverError } from "../common/foreignErrors.js"
import { provideOnly } from "../common/runtime.js"
import * as Key from "../store/key.js"
import { type Service, TokenStore } from "../store/TokenStore.js"
import * as sqlDialects from "./internal/sqlDialects.js"

/**
 * The options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The name of the table, with its schema if that is not on the search path: `"auth.tokens"`. Default: `"effect_auth_tokens"`.
   */
  readonly table?: string | undefined
}

/**
 * Makes a store over the `SqlClient` of the context. It does not make the table: without it, each call is a `StoreFailure` that
 * says so.
 *
 * Fails with `Misconfigured` if `table` is not a valid identifier or the client is not for Postgres, MySQL or MariaDB.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: Options) => Effect.Effect<Service, Misconfigured, SqlClient.SqlClient> =
  Effect.fnUntraced(function* (options) {
    const { dialect, name, statements } = yield* prepare(options)

    const run = <A>(operation: StoreFailure["operation"], steps: Effect.Effect<A, SqlError>) =>
      isolated(steps).pipe(
        Effect.retry({ while: hasCode(dialect.retryable), times: 20 }),
        Effect.mapError((error) => new StoreFailure({ operation, problem: problemOf(dialect, error, name) }))
      )

    /** Runs a statement that may change the row of a key. Returns `true` if it did. */
    const changeRow = (operation: StoreFailure["operation"], id: string, statement: Statement.Statement<unknown>) =>
      run(
        operation,
        statements.insertEmpty === undefined
          ? Effect.map(statement, (rows) => rows.length > 0)
          : Effect.map(Effect.zipRight(statements.insertEmpty(id), statement.raw), hasChanged)
      )

    /** Loads the row of a key. Retries while there is one that cannot be loaded yet: see `Statements.exists`. */
    const loadRows = (id: string, retries = 50): Effect.Effect<ReadonlyArray<unknown>, StoreFailure> =>
      Effect.flatMap(run("load", statements.load(id)), (rows) =>
        rows.length > 0 || statements.exists === undefined
          ? Effect.succeed(rows)
          : Effect.flatMap(run("load", statements.exists(id)), (existing) =>
              existing.length === 0
                ? Effect.succeed(rows)
                : retries === 0
                  ? new StoreFailure({
                      operation: "load",
                      problem: "the row is still being written by another process"
                    })
                  : loadRows(id, retries - 1)
            )
      )

    return {
      load: Effect.fnUntraced(function* (key) {
        const rows = yield* loadRows(yield* idOf(key))
        // The error does not quote what could not be read: it may be half a token.
        const problem = `a row of the table ${name} is damaged (nothing was changed; remove it by hand to start over)`
        const [entry] = yield* Effect.mapError(
          readEntries(rows),
          () => new StoreFailure({ operation: "load", problem })
        )
        return Option.map(Option.fromNullable(entry), (stored) => ({
          ...stored,
          // The age is negative after the clock of the database was set back.
          age: Duration.millis(Math.max(0, stored.age))
        }))
      }),
      save: Effect.fnUntraced(function* (key, { contents, generation, revision }) {
        const id = yield* idOf(key)
        return yield* changeRow("save", id, statements.save(id, generation, revision, Redacted.value(contents)))
      }),
      lease: Effect.fnUntraced(function* (key, owner, duration) {
        const id = yield* idOf(key)
        const millis = Duration.toMillis(Duration.min(duration, longest))
        return yield* changeRow("lease", id, statements.lease(id, owner, millis))
      }),
      release: (key, owner) =>
        Effect.flatMap(idOf(key), (id) => Effect.asVoid(run("lease", statements.release(id, owner))))
    }
  })

/**
 * Provides a store over the `SqlClient` of the context. Fails as {@link make} does.
 *
 * With `migrate: true` (default: `false`), it makes the table first if there is none, as {@link migration} does. That needs a
 * user who may create tables, and fails with the `SqlError` of that statement.
 *
 * ```ts
 * import { PgClient } from "@effect/sql-pg"
 * import { Config, Layer } from "effect"
 * import * as Sql from "effect-auth/stores/Sql"
 *
 * const tokens = Sql.layer({ migrate: true }).pipe(
 *   Layer.provide(PgClient.layerConfig({ url: Config.redacted("DATABASE_URL") }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options & {
    /** Makes the table first if there is none. Default: `false`. */
    readonly migrate?: boolean | undefined
  }
): Layer.Layer<TokenStore, Misconfigured | SqlError, SqlClient.SqlClient> =>
  Layer.effect(TokenStore, Effect.zipRight(options?.migrate === true ? migration(options) : Effect.void, make(options)))

/**
 * Makes the table if there is none. Several processes may do so at once. Fails with the `SqlError` of the statement, and with
 * `Misconfigured` as {@link make} does.
 *
 * Run it by itself, or as a migration of a `Migrator` of `@effect/sql`. It joins the transaction of the `Migrator`, except in
 * MySQL, where making a table commits the transaction.
 *
 * ```ts
 * import { PgMigrator } from "@effect/sql-pg"
 * import * as Sql from "effect-auth/stores/Sql"
 *
 * const migrations = PgMigrator.layer({ loader: PgMigrator.fromRecord({ "0001_effect_auth": Sql.migration() }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const migration = (options?: Options): Effect.Effect<void, Misconfigured | SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(prepare(options), ({ dialect, statements }) =>
    Effect.asVoid(Effect.retry(statements.create, { while: hasCode(dialect.retryableOnCreate), times: 5 }))
  )

/** Validates the options, and makes the statements in the dialect of the client. */
const prepare = Effect.fnUntraced(function* ({ table = "effect_auth_tokens" }: Options = {}) {
  // The client may translate names for the application. Here the table and its columns keep theirs.
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const unsupported = (dialect: string) => (): Effect.Effect<sqlDialects.Dialect, Misconfigured> =>
    new Misconfigured({
      field: "SqlClient",
      problem: `must be a client for Postgres, MySQL or MariaDB, but this one is for ${dialect}`
    })
  const dialect = yield* sql.onDialect({
    pg: () => Effect.succeed(sqlDialects.postgres),
    sqlite: unsupported("sqlite"),
    mysql: () => Effect.succeed(sqlDialects.mysql),
    mssql: unsupported("mssql"),
    clickhouse: unsupported("clickhouse")
  })
  // Postgres truncates longer names, so that two of them would be the same table.
  if (!/^[a-z_][\w$]{0,62}(\.[a-z_][\w$]{0,62})?$/i.test(table)) {
    return yield* new Misconfigured({
      field: "table",
      problem: "must be a name or schema.name, of at most 63 ASCII letters, digits, _ and $ each"
    })
  }
  return {
    name: table,
    dialect,
    statements: dialect.statements((strings, ...values) => sql<object>(strings, ...values), sql(table))
  }
})

/**
 * Runs a statement outside the caller's transaction, without its transformers, and without a span. A span would end with the
 * driver's error, in which databases quote rows and parameters (law 27).
 */
const isolated = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  provideOnly(statement, Context.empty()).pipe(Statement.withTransformerDisabled, Effect.withTracerEnabled(false))

/** Returns the row's key: printable, short enough for an index, and different for each session key. */
const idOf = (key: string): Effect.Effect<string> => {
  const id = Key.printable(key)
  // The prefix is not an escape of JSON, so it collides with no printable key.
  return id.length <= 500 ? Effect.succeed(id) : Effect.map(Key.sha256(id), (digest) => `\\sha256:${digest}`)
}

/** A version number. Some drivers return large integers as text, others all integers. */
const version = Schema.Union(Schema.Int, Schema.compose(Schema.NumberFromString, Schema.Int))

const contents = Schema.Redacted(Schema.String)

const readEntries = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ generation: version, revision: version, contents, age: Schema.Finite }))
)

/** Tells whether a statement changed a row, from the raw result of the MySQL driver. */
const hasChanged = (result: unknown): boolean =>
  Predicate.hasProperty(result, "affectedRows") && result.affectedRows === 1

const hasCode =
  (codes: RegExp) =>
  (error: SqlError): boolean =>
    codes.test(sqlDialects.codeOf(sqlDriverError(error)))

/** Describes an error by its code alone. */
const problemOf = (dialect: sqlDialects.Dialect, error: SqlError, table: string): string => {
  const code = sqlDialects.codeOf(sqlDriverError(error))
  const [, problem = "the connection to the database failed"] =
    dialect.problems(table).find(([codes]) => codes.test(code)) ?? []
  return code === "" ? problem : `${problem} (${code})`
}
