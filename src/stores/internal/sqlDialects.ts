/** What databases say differently: their tables and statements, and what their errors mean. */
import * as Predicate from "effect/Predicate"

/** What writes a statement, or a part of one: the `sql` of a client. */
type Write<S> = (strings: TemplateStringsArray, ...values: Array<unknown>) => S

/** Each commits by itself. */
interface Statements<S> {
  readonly create: S
  /** Answers generation, revision, contents, and age in milliseconds. */
  readonly load: (id: string) => S
  /**
   * Only where a statement either makes a row or changes it: makes one that says nothing, if there is none. The next two
   * change it, and where there is this one, the driver counts the rows that they changed; else they answer them.
   */
  readonly blank?: (id: string) => S
  /** Only where a row may be there and not be loaded: tells whether it is. */
  readonly isKept?: (id: string) => S
  readonly save: (id: string, generation: number, revision: number, contents: string) => S
  readonly lease: (id: string, owner: string, millis: number) => S
  readonly release: (id: string, owner: string) => S
}

export interface Dialect {
  readonly statements: <S>(sql: Write<S>, table: unknown) => Statements<S>
  /** Codes of errors that have changed nothing, and are not met again for ever. */
  readonly again: RegExp
  /** The same, where a table is made: of several that find none at once, one makes it. */
  readonly making: RegExp
  /** By their codes, in order. A code that is none of them is one of the network. */
  readonly problems: (table: string) => ReadonlyArray<readonly [RegExp, string]>
}

/**
 * The code of the database or of the network, which is all that may be told of an error: the rest may quote a row. Of
 * MySQL it is the number, as mysql2 gives those of MariaDB the names that MySQL has for them.
 */
export const codeOf = (cause: unknown): string => {
  if (Predicate.hasProperty(cause, "errno") && Predicate.isNumber(cause.errno) && cause.errno > 0)
    return `${cause.errno}`
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  return Predicate.isString(code) && /^[A-Z0-9_]{1,40}$/.test(code) ? code : ""
}

const missing = (table: string) => `the table ${table} is missing; run Sql.migration`
const malformed = (table: string) => `the table ${table} is not as Sql.migration makes it`
const forbidden = (table: string) => `the user of the database may not use the table ${table}`
const readOnly = "the database is read-only"
const gaveUp = "the database gave up the statement"
const stopping = "the database is starting or shutting down"
const exhausted = "the database is out of connections, memory or disk"
const unwelcome = "the database refuses the user"
const refused = "the database refused the statement"

/** Errors: [Postgres, appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html). */
export const postgres: Dialect = {
  statements: (sql, table) => {
    const until = (millis: number) => sql`clock_timestamp() + ${millis}::float8 * interval '1 millisecond'`
    return {
      create: sql`CREATE TABLE IF NOT EXISTS ${table} (
        key TEXT COLLATE "C" PRIMARY KEY,
        generation BIGINT, revision BIGINT, contents TEXT, saved_at TIMESTAMPTZ,
        lease_owner TEXT, lease_until TIMESTAMPTZ
      )`,
      load: (id) =>
        sql`SELECT generation::float8 AS generation, revision::float8 AS revision, contents,
            (extract(epoch from clock_timestamp() - saved_at) * 1000)::float8 AS age
          FROM ${table} WHERE key = ${id} AND generation IS NOT NULL`,
      // A row without a generation has only been leased so far.
      save: (id, generation, revision, contents) =>
        sql`INSERT INTO ${table} AS kept (key, generation, revision, contents, saved_at)
          VALUES (${id}, ${generation}, ${revision}, ${contents}, clock_timestamp())
          ON CONFLICT (key) DO UPDATE SET generation = excluded.generation, revision = excluded.revision,
            contents = excluded.contents, saved_at = clock_timestamp()
          WHERE kept.generation IS NULL
            OR (kept.generation, kept.revision) < (excluded.generation, excluded.revision)
          RETURNING 1`,
      // The clock is read again in the update, which may have waited for the row.
      lease: (id, owner, millis) =>
        sql`INSERT INTO ${table} AS kept (key, lease_owner, lease_until) VALUES (${id}, ${owner}, ${until(millis)})
          ON CONFLICT (key) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = ${until(millis)}
          WHERE kept.lease_owner IS NULL OR kept.lease_owner = excluded.lease_owner
            OR kept.lease_until IS NULL OR kept.lease_until <= clock_timestamp()
          RETURNING 1`,
      release: (id, owner) =>
        sql`UPDATE ${table} SET lease_owner = NULL, lease_until = NULL WHERE key = ${id} AND lease_owner = ${owner}`
    }
  },
  // Where transactions are serializable by default, who loses a race is told so.
  // The second is a cancellation, which may have been meant for a statement before this one on the same connection.
  again: /^(40001|57014)$/,
  making: /^(23505|42P07|42710)$/,
  problems: (table) => [
    [/^42P01$/, missing(table)],
    [/^42501$/, forbidden(table)],
    [/^(42...|22P02)$/, malformed(table)],
    [/^25006$/, readOnly],
    [/^57014$/, gaveUp],
    [/^57...$/, stopping],
    [/^53...$/, exhausted],
    [/^28...$/, unwelcome],
    [/^(?=\w*\d)\w{5}$/, refused]
  ]
}

/**
 * MySQL and MariaDB, with what both have. Errors: [MariaDB](https://mariadb.com/docs/server/reference/error-codes).
 *
 * `INSERT … ON DUPLICATE KEY UPDATE` has no condition: each column would need its own, and sees the columns before it
 * changed already; nor can its count tell a row that it made from one that it left, to a driver that counts rows found,
 * as mysql2 does. `RETURNING` is MariaDB's alone. So an empty row comes first, which is as good as none, and then one
 * `UPDATE` decides. It always changes what it finds (to a newer version, to another end), so that both ways of counting agree.
 */
export const mysql: Dialect = {
  statements: (sql, table) => {
    // As the statement began, and of no time zone. After waiting for the row it is early, which shortens a lease.
    const now = sql`UTC_TIMESTAMP(6)`
    return {
      // Texts are equal here if they differ in spaces at their end only, in every collation that both databases have.
      create: sql`CREATE TABLE IF NOT EXISTS ${table} (
        \`key\` VARBINARY(1500) NOT NULL PRIMARY KEY,
        generation BIGINT, revision BIGINT, contents LONGTEXT CHARACTER SET utf8mb4, saved_at DATETIME(6),
        lease_owner BLOB, lease_until DATETIME(6)
      ) ENGINE = InnoDB`,
      load: (id) =>
        sql`SELECT generation, revision, contents, TIMESTAMPDIFF(MICROSECOND, saved_at, ${now}) / 1e3 AS age
          FROM ${table} WHERE \`key\` = ${id} AND generation IS NOT NULL`,
      // Where uncommitted rows may be read, InnoDB passes over one whose long text is just being written.
      isKept: (id) => sql`SELECT 1 AS kept FROM ${table} WHERE \`key\` = ${id} AND generation IS NOT NULL`,
      blank: (id) => sql`INSERT IGNORE INTO ${table} (\`key\`) VALUES (${id})`,
      save: (id, generation, revision, contents) =>
        sql`UPDATE ${table} SET generation = ${generation}, revision = ${revision}, contents = ${contents}, saved_at = ${now}
          WHERE \`key\` = ${id} AND (generation IS NULL OR (generation, revision) < (${generation}, ${revision}))`,
      lease: (id, owner, millis) =>
        sql`UPDATE ${table} SET lease_owner = ${owner}, lease_until = ${now} + INTERVAL ${Math.round(millis * 1000)} MICROSECOND
          WHERE \`key\` = ${id} AND (lease_owner IS NULL OR lease_owner = ${owner}
            OR lease_until IS NULL OR lease_until <= ${now})`,
      release: (id, owner) =>
        sql`UPDATE ${table} SET lease_owner = NULL, lease_until = NULL WHERE \`key\` = ${id} AND lease_owner = ${owner}`
    }
  },
  // A deadlock; and where reads are of a snapshot, a row that changed while the statement waited for it.
  again: /^(1213|1020)$/,
  making: /^(1213|1020|1050)$/,
  problems: (table) => [
    [/^1146$/, missing(table)],
    [/^(1142|1143)$/, forbidden(table)],
    [/^(1054|1264|1292|1366|1406)$/, malformed(table)],
    [/^(1290|1792|1836)$/, readOnly],
    [/^(1020|1205|1213|1317|1969|3024)$/, gaveUp],
    [/^(1053|1927)$/, stopping],
    [/^(1021|1037|1040|1041|1114|1203|1226)$/, exhausted],
    [/^(1044|1045|1049|1698)$/, unwelcome],
    [/^\d+$/, refused]
  ]
}
