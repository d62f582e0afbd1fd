/** The differences between databases: their tables, their statements and their error codes. */
import * as Predicate from "effect/Predicate"

/** The `sql` of a client: writes a statement, or a part of one. */
type Sql<S> = (strings: TemplateStringsArray, ...values: Array<unknown>) => S

/** The statements of the store. Each commits by itself. */
interface Statements<S> {
  /** Makes the table if there is none. */
  readonly create: S
  /** Returns generation, revision, contents, and age in milliseconds. */
  readonly load: (id: string) => S
  /**
   * Inserts an empty row if there is none. Only for databases in which `save` and `lease` cannot insert or update in one
   * statement. With it, the driver counts the rows that they changed; without it, they return those rows.
   */
  readonly insertEmpty?: (id: string) => S
  /** Returns a row if there is an entry. Only for databases in which `load` may miss one that is being written. */
  readonly exists?: (id: string) => S
  /** Saves an entry if its version is newer than the stored one. */
  readonly save: (id: string, generation: number, revision: number, contents: string) => S
  /** Acquires or extends a lease. */
  readonly lease: (id: string, owner: string, millis: number) => S
  /** Releases a lease, if the owner still has it. */
  readonly release: (id: string, owner: string) => S
}

/** The statements and the error codes of one kind of database. */
export interface Dialect {
  readonly statements: <S>(sql: Sql<S>, table: unknown) => Statements<S>
  /** The codes after which a statement is run again: it changed nothing, and may succeed. */
  readonly retryable: RegExp
  /** The same for making the table: of several processes that find none at once, one makes it. */
  readonly retryableOnCreate: RegExp
  /** Problems by their codes; the first match counts. Any other code is one of the network. */
  readonly problems: (table: string) => ReadonlyArray<readonly [RegExp, string]>
}

/**
 * Returns the code of the database or of the network. The rest of an error is never reported, because it may quote a row. For
 * MySQL it is the number, because mysql2 gives the codes of MariaDB the names that they have in MySQL.
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
const aborted = "the database aborted the statement"
const stopping = "the database is starting or shutting down"
const exhausted = "the database is out of connections, memory or disk"
const userRefused = "the database refuses the user"
const refused = "the database refused the statement"

/**
 * Postgres.
 *
 * @see https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
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
        sql`INSERT INTO ${table} AS entry (key, generation, revision, contents, saved_at)
          VALUES (${id}, ${generation}, ${revision}, ${contents}, clock_timestamp())
          ON CONFLICT (key) DO UPDATE SET generation = excluded.generation, revision = excluded.revision,
            contents = excluded.contents, saved_at = clock_timestamp()
          WHERE entry.generation IS NULL
            OR (entry.generation, entry.revision) < (excluded.generation, excluded.revision)
          RETURNING 1`,
      // The update reads the clock again, because it may have waited for the row.
      lease: (id, owner, millis) =>
        sql`INSERT INTO ${table} AS entry (key, lease_owner, lease_until) VALUES (${id}, ${owner}, ${until(millis)})
          ON CONFLICT (key) DO UPDATE SET lease_owner = excluded.lease_owner, lease_until = ${until(millis)}
          WHERE entry.lease_owner IS NULL OR entry.lease_owner = excluded.lease_owner
            OR entry.lease_until IS NULL OR entry.lease_until <= clock_timestamp()
          RETURNING 1`,
      release: (id, owner) =>
        sql`UPDATE ${table} SET lease_owner = NULL, lease_until = NULL WHERE key = ${id} AND lease_owner = ${owner}`
    }
  },
  // 40001: a lost race, if transactions are serializable by default. 57014: a cancellation, which may have been meant for an
  // earlier statement on the same connection.
  retryable: /^(40001|57014)$/,
  retryableOnCreate: /^(23505|42P07|42710)$/,
  problems: (table) => [
    [/^42P01$/, missing(table)],
    [/^42501$/, forbidden(table)],
    [/^(42...|22P02)$/, malformed(table)],
    [/^25006$/, readOnly],
    [/^57014$/, aborted],
    [/^57...$/, stopping],
    [/^53...$/, exhausted],
    [/^28...$/, userRefused],
    [/^(?=\w*\d)\w{5}$/, refused]
  ]
}

/**
 * MySQL and MariaDB: only SQL that both have.
 *
 * One statement cannot insert or update here. `INSERT … ON DUPLICATE KEY UPDATE` has no condition: each column would need its
 * own, and would see the columns before it changed already. Its row count is of no use either: with a driver that counts the
 * rows found, as mysql2 does, a row that was inserted counts like one that was left alone. `RETURNING` exists in MariaDB only.
 *
 * So an empty row is inserted first, which counts as no entry, and then one `UPDATE` decides. It always changes the row that it
 * finds (to a newer version, to another end), so both ways of counting agree.
 *
 * @see https://mariadb.com/docs/server/reference/error-codes
 */
export const mysql: Dialect = {
  statements: (sql, table) => {
    // The time at which the statement began, in UTC. If the statement waits for the row, the lease is shorter by that time.
    const now = sql`UTC_TIMESTAMP(6)`
    return {
      // Binary, because in every collation that both databases have, texts are equal if they differ in trailing spaces only.
      create: sql`CREATE TABLE IF NOT EXISTS ${table} (
        \`key\` VARBINARY(1500) NOT NULL PRIMARY KEY,
        generation BIGINT, revision BIGINT, contents LONGTEXT CHARACTER SET utf8mb4, saved_at DATETIME(6),
        lease_owner BLOB, lease_until DATETIME(6)
      ) ENGINE = InnoDB`,
      load: (id) =>
        sql`SELECT generation, revision, contents, TIMESTAMPDIFF(MICROSECOND, saved_at, ${now}) / 1e3 AS age
          FROM ${table} WHERE \`key\` = ${id} AND generation IS NOT NULL`,
      // With READ UNCOMMITTED, InnoDB skips a row whose long text is being written.
      exists: (id) => sql`SELECT 1 AS present FROM ${table} WHERE \`key\` = ${id} AND generation IS NOT NULL`,
      insertEmpty: (id) => sql`INSERT IGNORE INTO ${table} (\`key\`) VALUES (${id})`,
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
  // 1213: a deadlock. 1020: a row that changed while the statement waited for it, with snapshot reads.
  retryable: /^(1213|1020)$/,
  retryableOnCreate: /^(1213|1020|1050)$/,
  problems: (table) => [
    [/^1146$/, missing(table)],
    [/^(1142|1143)$/, forbidden(table)],
    [/^(1054|1264|1292|1366|1406)$/, malformed(table)],
    [/^(1290|1792|1836)$/, readOnly],
    [/^(1020|1205|1213|1317|1969|3024)$/, aborted],
    [/^(1053|1927)$/, stopping],
    [/^(1021|1037|1040|1041|1114|1203|1226)$/, exhausted],
    [/^(1044|1045|1049|1698)$/, userRefused],
    [/^\d+$/, refused]
  ]
}
