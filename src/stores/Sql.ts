/**
 * A store in a table of Postgres, over the `SqlClient` of `@effect/sql`: sessions that last, shared by processes on any
 * number of machines. An entry and the lease of its exclusive section are one row; each operation is one statement that
 * commits by itself, by the clock of the database.
 *
 * The table is made by {@link migration}, or by hand:
 *
 * ```sql
 * CREATE TABLE IF NOT EXISTS "effect_auth_tokens" (
 *   key TEXT COLLATE "C" PRIMARY KEY,
 *   generation BIGINT,
 *   revision BIGINT,
 *   contents TEXT,
 *   saved_at TIMESTAMPTZ,
 *   lease_owner TEXT,
 *   lease_until TIMESTAMPTZ
 * )
 * ```
 *
 * What was acknowledged survives a crash of the database (unless its `synchronous_commit` is off), but not the loss of
 * the machine before an asynchronous replica has it. `contents` can be read by whoever may read the table, its backups,
 * and the log of a server that logs parameters: wrap the store in encryption where that is not this application alone.
 *
 * A statement never joins a transaction of the caller, whose rollback would lose a refresh token that was rotated. So the
 * pool needs a connection to spare while a transaction waits for a token.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Misconfigured, StoreFailure } from "../AuthError.js"
import * as Token from "../Token.js"
import { type Service, TokenStore } from "../TokenStore.js"

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
 * Fails with `Misconfigured` when the table is no name, or the client is of another database than Postgres.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: Options) => Effect.Effect<Service, Misconfigured, SqlClient.SqlClient> =
  Effect.fnUntraced(function* (options) {
    const { name, sql, table } = yield* open(options)

    const run = (operation: StoreFailure["operation"], statement: Statement.Statement<unknown>) =>
      alone(statement).pipe(
        // Where transactions are serializable by default, who loses a race is told so, and has changed nothing.
        Effect.retry({ while: (error) => codeOf(error) === "40001", times: 20 }),
        Effect.mapError((error) => new StoreFailure({ operation, problem: problemOf(error, name) }))
      )

    return {
      load: Effect.fnUntraced(function* (key) {
        const id = yield* idOf(key)
        const rows = yield* run(
          "load",
          sql`SELECT generation::float8 AS generation, revision::float8 AS revision, contents,
              (extract(epoch from clock_timestamp() - saved_at) * 1000)::float8 AS age
            FROM ${table} WHERE key = ${id} AND generation IS NOT NULL`
        )
        // What could not be read is not told: it may be half a token.
        const problem = `a row of the table ${name} is damaged (nothing was changed; remove it by hand to start anew)`
        const [entry] = yield* Effect.mapError(
          readEntries(rows),
          () => new StoreFailure({ operation: "load", problem })
        )
        // No duration is negative, also after a clock that was set back.
        return Option.map(Option.fromNullable(entry), (kept) => ({ ...kept, age: Duration.millis(kept.age) }))
      }),
      save: Effect.fnUntraced(function* (key, { contents, generation, revision }) {
        const id = yield* idOf(key)
        // A row without a generation has only been leased so far.
        const saved = yield* run(
          "save",
          sql`INSERT INTO ${table} AS kept (key, generation, revision, contents, saved_at)
            VALUES (${id}, ${generation}, ${revision}, ${Redacted.value(contents)}, clock_timestamp())
            ON CONFLICT (key) DO UPDATE SET generation = excluded.generation, revision = excluded.revision,
              contents = excluded.contents, saved_at = clock_timestamp()
            WHERE kept.generation IS NULL
              OR (kept.generation, kept.revision) < (excluded.generation, excluded.revision)
            RETURNING 1`
        )
        return saved.length > 0
      }),
      lease: Effect.fnUntraced(function* (key, owner, duration) {
        const id = yield* idOf(key)
        const millis = Duration.toMillis(Duration.min(duration, Token.longestLifetime))
        // The clock is read again in the update, which may have waited for the row.
        const until = sql`clock_timestamp() + ${millis}::float8 * interval '1 millisecond'`
        const leased = yield* run(
          "lock",
          sql`INSERT INTO ${table} AS kept (key, lease_owner, lease_until) VALUES (${id}, ${owner}, ${until})
            ON CONFLICT (key) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = ${until}
            WHERE kept.lease_owner IS NULL OR kept.lease_owner = excluded.lease_owner
              OR kept.lease_until IS NULL OR kept.lease_until <= clock_timestamp()
            RETURNING 1`
        )
        return leased.length > 0
      }),
      release: (key, owner) =>
        Effect.flatMap(idOf(key), (id) =>
          Effect.asVoid(
            run(
              "lock",
              sql`UPDATE ${table} SET lease_owner = NULL, lease_until = NULL
                WHERE key = ${id} AND lease_owner = ${owner}`
            )
          )
        )
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
 * `@effect/sql`, whose transaction it joins, or a step of its own.
 *
 * ```ts
 * PgMigrator.layer({ loader: PgMigrator.fromRecord({ "0001_effect_auth": Sql.migration() }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const migration = (options?: Options): Effect.Effect<void, Misconfigured | SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(open(options), ({ sql, table }) =>
    sql`CREATE TABLE IF NOT EXISTS ${table} (
      key TEXT COLLATE "C" PRIMARY KEY,
      generation BIGINT, revision BIGINT, contents TEXT, saved_at TIMESTAMPTZ,
      lease_owner TEXT, lease_until TIMESTAMPTZ
    )`.pipe(
      // Of several that find no table at once, Postgres lets one make it and fails the others.
      Effect.retry({ while: (error) => ["23505", "42P07", "42710"].includes(codeOf(error)), times: 5 }),
      Effect.asVoid
    )
  )

const open = Effect.fnUntraced(function* ({ table = "effect_auth_tokens" }: Options = {}) {
  // A name's case is kept, and names of the columns are not translated, whatever the client does for the application.
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const foreign = (dialect: string) => (): Effect.Effect<void, Misconfigured> =>
    new Misconfigured({ field: "SqlClient", problem: `must be a client of Postgres, and is one of ${dialect}` })
  yield* sql.onDialect({
    pg: () => Effect.void,
    sqlite: foreign("sqlite"),
    mysql: foreign("mysql"),
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
  return { sql, name: table, table: sql(table) }
})

/**
 * A statement by itself: in no transaction, seen by no transformer, and without a span. A span ends with the driver's
 * error, in which Postgres quotes rows and parameters (law 27).
 */
const alone = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  statement.pipe(
    Effect.mapInputContext((_: Context.Context<never>) => Context.empty()),
    Statement.withTransformerDisabled,
    Effect.withTracerEnabled(false)
  )

/** What stands in the row for a key: something that can be read, of no more than an index takes, and its own for each key. */
const idOf = (key: string): Effect.Effect<string> => {
  // Postgres has no NUL, and UTF-8 no half of a character.
  const id = JSON.stringify(key).slice(1, -1)
  return id.length <= 500
    ? Effect.succeed(id)
    : Effect.map(
        Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(id))),
        // No JSON has this escape.
        (digest) => `\\sha256:${Encoding.encodeHex(new Uint8Array(digest))}`
      )
}

const contents = Schema.Redacted(Schema.String)

const readEntries = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ generation: Schema.Int, revision: Schema.Int, contents, age: Schema.Finite }))
)

/** The code of the database ([Postgres, appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html)) or of the network. */
const codeOf = ({ cause }: SqlError): string =>
  Predicate.hasProperty(cause, "code") && Predicate.isString(cause.code) && /^[A-Z0-9_]{1,40}$/.test(cause.code)
    ? cause.code
    : ""

/** What is wrong, by the code alone: the rest of an error may quote a row. */
const problemOf = (error: SqlError, table: string): string => {
  const code = codeOf(error)
  if (!/^(?=.*\d)\w{5}$/.test(code)) return `the connection to the database failed${code === "" ? "" : ` (${code})`}`
  const malformed = `the table ${table} is not as Sql.migration makes it`
  const problems: Readonly<Record<string, string>> = {
    "42P01": `the table ${table} is missing; run Sql.migration`,
    "42501": `the user of the database may not use the table ${table}`,
    "42": malformed,
    "22P02": malformed,
    "25006": "the database is read-only",
    "57014": "the database gave up the statement",
    "57": "the database is starting or shutting down",
    "53": "the database is out of connections, memory or disk",
    "28": "the database refuses the user"
  }
  return `${problems[code] ?? problems[code.slice(0, 2)] ?? "the database refused the statement"} (${code})`
}
