/**
 * A store in a table of Postgres, MySQL or MariaDB, over the `SqlClient` of `@effect/sql`: sessions that last,
 * shared by processes, on any number of machines where the database is. An entry and the lease of its exclusive section
 * are one row; each step is one statement that commits by itself, by the clock of the database.
 *
 * The table is made by {@link migration}, or by hand. In Postgres (tested with `PgClient`):
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
 * What was acknowledged survives a crash of the database (unless `synchronous_commit` of Postgres or
 * `innodb_flush_log_at_trx_commit` of MySQL was turned down, or `autocommit` of MySQL off), but not the loss of the
 * machine before an asynchronous replica has it. `contents` can be read by whoever may read the table, its backups, and
 * the log of a server that logs parameters: wrap the store in encryption where that is not this application alone.
 *
 * A statement never joins a transaction of the caller, whose rollback would lose a refresh token that was rotated. So the
 * pool needs a connection to spare while a transaction waits for a token. A pool of `PgClient` keeps a connection that
 * fell silent until its `idleTimeout`, which should thus be no longer than calls may fail.
 *
 * SQLite is refused: after `SQLITE_BUSY`, its client for Node (`LibsqlClient`) answers that it wrote what it has not
 * committed. For processes of one machine there is the store on a file.
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
import * as Key from "../store/key.js"
import { type Service, TokenStore } from "../store/TokenStore.js"
import * as sqlDialects from "./internal/sqlDialects.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name of the table, with its schema where it is not on the search path: `auth.tokens`. Default: `"effect_auth_tokens"`. */
  readonly table?: string | undefined
}

/**
 * A store over the client of the context. It leaves the schema alone: without its table, each call fails and says so.
 *
 * Fails with `Misconfigured` when the table is no name, or the client is of a database that is none of these.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: Options) => Effect.Effect<Service, Misconfigured, SqlClient.SqlClient> =
  Effect.fnUntraced(function* (options) {
    const { dialect, name, statements } = yield* open(options)

    const run = <A>(operation: StoreFailure["operation"], steps: Effect.Effect<A, SqlError>) =>
      alone(steps).pipe(
        Effect.retry({ while: isOf(dialect.again), times: 20 }),
        Effect.mapError((error) => new StoreFailure({ operation, problem: problemOf(dialect, error, name) }))
      )

    /** Tells whether the statement changed the row of a key. */
    const change = (operation: StoreFailure["operation"], id: string, statement: Statement.Statement<unknown>) =>
      run(
        operation,
        statements.blank === undefined
          ? Effect.map(statement, (rows) => rows.length > 0)
          : Effect.map(Effect.zipRight(statements.blank(id), statement.raw), hasChanged)
      )

    /** Looks until there is a row, or none: see `isKept`. */
    const looked = (id: string, tries = 50): Effect.Effect<ReadonlyArray<unknown>, StoreFailure> =>
      Effect.flatMap(run("load", statements.load(id)), (rows) =>
        rows.length > 0 || statements.isKept === undefined
          ? Effect.succeed(rows)
          : Effect.flatMap(run("load", statements.isKept(id)), (kept) =>
              kept.length === 0
                ? Effect.succeed(rows)
                : tries === 0
                  ? new StoreFailure({ operation: "load", problem: "the row is being written for too long" })
                  : looked(id, tries - 1)
            )
      )

    return {
      load: Effect.fnUntraced(function* (key) {
        const rows = yield* looked(yield* idOf(key))
        // What could not be read is not told: it may be half a token.
        const problem = `a row of the table ${name} is damaged (nothing was changed; remove it by hand to start anew)`
        const [entry] = yield* Effect.mapError(
          readEntries(rows),
          () => new StoreFailure({ operation: "load", problem })
        )
        return Option.map(Option.fromNullable(entry), (kept) => ({
          ...kept,
          // Negative after the clock of the database was set back.
          age: Duration.millis(Math.max(0, kept.age))
        }))
      }),
      save: Effect.fnUntraced(function* (key, { contents, generation, revision }) {
        const id = yield* idOf(key)
        return yield* change("save", id, statements.save(id, generation, revision, Redacted.value(contents)))
      }),
      lease: Effect.fnUntraced(function* (key, owner, duration) {
        const id = yield* idOf(key)
        const millis = Duration.toMillis(Duration.min(duration, longest))
        return yield* change("lease", id, statements.lease(id, owner, millis))
      }),
      release: (key, owner) =>
        Effect.flatMap(idOf(key), (id) => Effect.asVoid(run("lease", statements.release(id, owner))))
    }
  })

/**
 * A store over the client of the context. With `migrate: true` (default `false`) the table is made first where it is not
 * there, which takes a user that may create tables, and fails with the `SqlError` of that statement. Otherwise fails as `make`.
 *
 * ```ts
 * Sql.layer({ migrate: true }).pipe(Layer.provide(PgClient.layerConfig({ url: Config.redacted("DATABASE_URL") })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options & { readonly migrate?: boolean | undefined }
): Layer.Layer<TokenStore, Misconfigured | SqlError, SqlClient.SqlClient> =>
  Layer.effect(TokenStore, Effect.zipRight(options?.migrate === true ? migration(options) : Effect.void, make(options)))

/**
 * Makes the table where it is not there; several processes may do so at once. An entry for a `Migrator` of
 * `@effect/sql`, whose transaction it joins (in MySQL it ends that), or a step of its own.
 *
 * ```ts
 * PgMigrator.layer({ loader: PgMigrator.fromRecord({ "0001_effect_auth": Sql.migration() }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const migration = (options?: Options): Effect.Effect<void, Misconfigured | SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(open(options), ({ dialect, statements }) =>
    Effect.asVoid(Effect.retry(statements.create, { while: isOf(dialect.making), times: 5 }))
  )

const open = Effect.fnUntraced(function* ({ table = "effect_auth_tokens" }: Options = {}) {
  // A name's case is kept, and names of the columns are not translated, whatever the client does for the application.
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const foreign = (dialect: string) => (): Effect.Effect<sqlDialects.Dialect, Misconfigured> =>
    new Misconfigured({
      field: "SqlClient",
      problem: `must be a client of Postgres, MySQL or MariaDB, and is one of ${dialect}`
    })
  const dialect = yield* sql.onDialect({
    pg: () => Effect.succeed(sqlDialects.postgres),
    sqlite: foreign("sqlite"),
    mysql: () => Effect.succeed(sqlDialects.mysql),
    mssql: foreign("mssql"),
    clickhouse: foreign("clickhouse")
  })
  // Postgres cuts longer names, so that two would be one.
  if (!/^[a-z_][\w$]{0,62}(\.[a-z_][\w$]{0,62})?$/i.test(table)) {
    return yield* new Misconfigured({
      field: "table",
      problem: "must be a name of ASCII letters, digits, _ and $, at most 63 long, or schema.name"
    })
  }
  return {
    name: table,
    dialect,
    statements: dialect.statements((strings, ...values) => sql<object>(strings, ...values), sql(table))
  }
})

/**
 * A statement by itself: in no transaction, seen by no transformer, and without a span. A span ends with the driver's
 * error, in which databases quote rows and parameters (law 27).
 */
const alone = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  statement.pipe(
    Effect.mapInputContext((_: Context.Context<never>) => Context.empty()),
    Statement.withTransformerDisabled,
    Effect.withTracerEnabled(false)
  )

/** What stands in the row for a key: something that can be read, of no more than an index takes, and its own for each key. */
const idOf = (key: string): Effect.Effect<string> => {
  const id = Key.printable(key)
  // No JSON has this escape.
  return id.length <= 500 ? Effect.succeed(id) : Effect.map(Key.sha256(id), (digest) => `\\sha256:${digest}`)
}

/** Some drivers answer large numbers as text, others all. */
const version = Schema.Union(Schema.Int, Schema.compose(Schema.NumberFromString, Schema.Int))

const contents = Schema.Redacted(Schema.String)

const readEntries = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ generation: version, revision: version, contents, age: Schema.Finite }))
)

/** Whether a statement changed a row, by what a driver of MySQL answers. */
const hasChanged = (answer: unknown): boolean =>
  Predicate.hasProperty(answer, "affectedRows") && answer.affectedRows === 1

const isOf =
  (codes: RegExp) =>
  (error: SqlError): boolean =>
    codes.test(sqlDialects.codeOf(sqlDriverError(error)))

/** What is wrong, by the code alone. */
const problemOf = (dialect: sqlDialects.Dialect, error: SqlError, table: string): string => {
  const code = sqlDialects.codeOf(sqlDriverError(error))
  const [, problem = "the connection to the database failed"] =
    dialect.problems(table).find(([codes]) => codes.test(code)) ?? []
  return code === "" ? problem : `${problem} (${code})`
}
