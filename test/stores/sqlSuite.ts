import { readFileSync } from "node:fs"
import { inspect } from "node:util"
import { type SqlError as Failures, Migrator, SqlClient, Statement } from "@effect/sql"
import { assert, type Vitest } from "@effect/vitest"
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Either,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Schedule,
  type Scope,
  Tracer
} from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Encrypted from "../../src/stores/Encrypted.js"
import * as Sql from "../../src/stores/Sql.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { Secrets, shown } from "../support/secrets.js"

type SqlError = Failures.SqlError

export const secret = "test-token-that-nobody-may-see"

export const entry = (generation: number, contents = secret, revision = 0): TokenStore.Entry => ({
  generation,
  revision,
  contents: Redacted.make(contents)
})

export const contentsOf = (stored: Option.Option<TokenStore.StoredEntry>) =>
  Option.match(stored, { onNone: () => undefined, onSome: ({ contents }) => Redacted.value(contents) })

/** The name of a table that is not there yet. */
export const unused = Effect.sync(() => `t_${globalThis.crypto.randomUUID().replaceAll("-", "")}`)

/** A store with a table of its own, and the client it goes by. */
export const fresh = Effect.gen(function* () {
  const table = yield* unused
  yield* Sql.migration({ table })
  const sql = yield* SqlClient.SqlClient
  return { table, sql, store: yield* Sql.make({ table }) }
})

/** What the suite says in the words of one database. */
export interface Database {
  /** Which of the tables in the documentation is its own. */
  readonly ddl: RegExp
  /** What is told of a table's columns, its key, and the rest of it. */
  readonly columns: (sql: SqlClient.SqlClient, table: string) => Statement.Statement<object>
  readonly rest: (sql: SqlClient.SqlClient, table: string) => Statement.Statement<object>
  /** A schema besides what the client has by default, or the name of that. */
  readonly schema: (sql: SqlClient.SqlClient) => Effect.Effect<string, SqlError>
  readonly missing: string
  /** The columns of a row, and when it was written where that can be told. */
  readonly row: string
  readonly inAnHour: string
  readonly now: string
  /** A table of another make, and what is told of it. */
  readonly foreign: ReadonlyArray<readonly [ddl: string, problem: (table: string) => string]>
  /** Lasts a little. */
  readonly pause: string
  /** Refuses generations from 2 on, and says so by a code. */
  readonly refusal: (table: string) => string
  readonly refused: string
}

export const damaged = (table: string) =>
  `a row of the table ${table} is damaged (nothing was changed; remove it by hand to start over)`

/** The clock of a machine that is wrong by so much. */
const wrongBy = (millis: number) => {
  const clock = Clock.make()
  const wrong: Clock.Clock = Object.assign(Object.create(clock), {
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis)
  })
  return Effect.withClock(wrong)
}

/** Everything that is traced and logged meanwhile, also what a statement told a transformer. */
const watched = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const seen: Array<unknown> = []
    const spans: Array<string> = []
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => {
        const attributes = new Map<string, unknown>()
        spans.push(name)
        return {
          _tag: "Span" as const,
          ...{ name, parent, context, links, kind, attributes, sampled: true },
          spanId: `${spans.length}`,
          traceId: "trace",
          status: { _tag: "Started" as const, startTime },
          attribute: (key, value) => void attributes.set(key, value),
          event: (...event) => void seen.push(event),
          addLinks: () => {},
          end: (_, exit) => void seen.push(attributes, exit)
        }
      },
      context: (f) => f()
    })
    const logger = Logger.make(
      ({ annotations, cause, message }) => void seen.push(message, Cause.pretty(cause), annotations)
    )
    return effect.pipe(
      Effect.withSpan("of the application"),
      Statement.withTransformer((statement) => {
        seen.push(statement.compile())
        return Effect.succeed(statement)
      }),
      Effect.withTracer(tracer),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.map((value) => ({ value, seen, spans }))
    )
  })

const holdsSecret = (...values: ReadonlyArray<unknown>) => {
  const secrets = new Secrets()
  secrets.add(secret)
  return values.flatMap(shown).some((text) => secrets.findIn(text) !== undefined)
}

/** What every database must bear out. */
export const sqlSuite = (it: Vitest.MethodsNonLive<SqlClient.SqlClient, true>, database: Database) => {
  for (const { check, name } of laws()) {
    it.effect(`law 19, law 20: ${name}`, () => Effect.provide(check, Sql.layer({ migrate: true })), {
      concurrent: true
    })
  }

  it.effect("the table is made by the migration what the documentation says, once, also by a Migrator", () =>
    Effect.gen(function* () {
      const [table, byHand, migrated, journal] = yield* Effect.all([unused, unused, unused, unused])
      const sql = yield* SqlClient.SqlClient
      const source = readFileSync(new URL("../../src/stores/Sql.ts", import.meta.url), "utf8")
      const blocks = Array.from(source.matchAll(/```sql\n([\s\S]*?)```/g), ([, block = ""]) => block)
      const [ddl = "", ...others] = blocks.filter((block) => database.ddl.test(block))
      assert.lengthOf(others, 0)
      assert.include(ddl, "effect_auth_tokens")
      yield* sql.unsafe(ddl.replaceAll(/^ \* /gm, "").replace("effect_auth_tokens", byHand))
      yield* Sql.migration({ table })
      const migrator = Migrator.make({})({
        table: journal,
        loader: Migrator.fromRecord({ "0001_effect_auth": Sql.migration({ table: migrated }) })
      })
      assert.lengthOf(yield* migrator, 1)
      assert.lengthOf(yield* migrator, 0)
      const madeOf = (name: string) =>
        Effect.map(Effect.all([database.columns(sql, name), database.rest(sql, name)]), ([columns, rest]) => {
          assert.lengthOf(columns, 7)
          assert.isNotEmpty(rest)
          // The layout of what is told is the author's of the statement.
          return JSON.stringify([columns, rest])
            .replaceAll(name, "T")
            .replaceAll(/\\n|\s/g, "")
        })
      const expected = yield* madeOf(table)
      for (const name of [byHand, migrated]) assert.strictEqual(yield* madeOf(name), expected)
      const store = yield* Sql.make({ table: byHand })
      assert.isTrue(yield* store.save("alice", entry(1)))
      yield* Sql.migration({ table: byHand })
      assert.strictEqual(contentsOf(yield* store.load("alice")), secret)
    })
  )

  it.effect("the table may have any name, in a schema of its own; the default is effect_auth_tokens", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const schema = yield* database.schema(sql)
      for (const table of [`${schema}.Tokens$1`, `${schema}.select`]) {
        yield* sql`DROP TABLE IF EXISTS ${sql(table)}`
        const store = yield* Effect.provide(TokenStore.TokenStore, Sql.layer({ table, migrate: true }))
        assert.isTrue(yield* store.save("alice", entry(1)))
        const rows = yield* sql<{ generation: unknown }>`SELECT generation FROM ${sql(table)}`
        assert.deepStrictEqual(
          rows.map(({ generation }) => Number(generation)),
          [1]
        )
      }
      yield* Sql.migration()
      yield* (yield* Sql.make()).save("of the default", entry(1))
      assert.lengthOf(yield* sql`SELECT 1 FROM effect_auth_tokens WHERE ${sql("key")} = 'of the default'`, 1)
    })
  )

  it.effect("a store without its table fails and says what to do; the layer makes none by itself", () =>
    Effect.gen(function* () {
      const table = yield* unused
      const store = yield* Effect.provide(TokenStore.TokenStore, Sql.layer({ table }))
      const calls: ReadonlyArray<readonly ["load" | "save" | "lease", Effect.Effect<unknown, StoreFailure>]> = [
        ["load", store.load("alice")],
        ["save", store.save("alice", entry(1))],
        ["lease", store.lease("alice", "a", Duration.seconds(10))],
        ["lease", store.release("alice", "a")]
      ]
      for (const [operation, call] of calls) {
        assert.deepStrictEqual(
          yield* Effect.either(call),
          Either.left(
            new StoreFailure({
              operation,
              problem: `the table ${table} is missing; run Sql.migration (${database.missing})`
            })
          )
        )
      }
      yield* Sql.migration({ table })
      for (const [, call] of calls) yield* call
    })
  )

  it.effect("a row that was only leased is empty; a save leaves the lease, and a release the entry", () =>
    Effect.gen(function* () {
      const { store } = yield* fresh
      const lease = (owner: string) => store.lease("alice", owner, Duration.minutes(1))
      assert.isTrue(yield* lease("a"))
      assert.isTrue(Option.isNone(yield* store.load("alice")))
      assert.isTrue(yield* store.save("alice", entry(0)))
      assert.isFalse(yield* lease("b"))
      yield* store.release("alice", "a")
      assert.strictEqual(contentsOf(yield* store.load("alice")), secret)
      assert.isTrue(yield* lease("b"))
      assert.strictEqual(contentsOf(yield* store.load("alice")), secret)
    })
  )

  it.effect("any text is a key of its own, and a plain one can be read in the row", () =>
    Effect.gen(function* () {
      const { sql, store, table } = yield* fresh
      const keys = [
        "tele tracker/älice",
        "tele tracker/Älice",
        "tele tracker/alice",
        "tele tracker/älice ",
        "tele tracker/a\u0308lice",
        "",
        " ",
        "\u0000",
        "\\u0000",
        "\ud800",
        "\ud801",
        "\ufffd",
        "k".repeat(500),
        "k".repeat(501),
        // Nothing that the index could make shorter.
        ...[0, 1].map((first) =>
          Array.from({ length: 20_000 }, (_, index) =>
            String.fromCharCode(0x4e00 + ((first + index * 7919) % 20_000))
          ).join("")
        )
      ]
      for (const [index, key] of keys.entries()) assert.isTrue(yield* store.save(key, entry(index)), key.slice(0, 20))
      for (const [index, key] of keys.entries()) {
        const stored = yield* store.load(key)
        assert.isTrue(
          Option.exists(stored, ({ generation }) => generation === index),
          key.slice(0, 20)
        )
      }
      assert.lengthOf(yield* sql`SELECT 1 FROM ${sql(table)} WHERE ${sql("key")} = 'tele tracker/älice'`, 1)
      // The key of a digest is not the name of its row.
      const [long] = yield* sql<{ key: unknown }>`SELECT ${sql("key")} FROM ${sql(table)}
        WHERE ${sql("key")} LIKE '_sha256:%' LIMIT 1`
      const name = String(long?.key)
      assert.match(name, /^\\sha256:[0-9a-f]{64}$/)
      assert.isTrue(Option.isNone(yield* store.load(name)))
    })
  )

  it.effect("law 20: ages and leases go by the clock of the database, whatever the clocks of the processes say", () =>
    Effect.gen(function* () {
      const { store } = yield* fresh
      const hour = 3_600_000
      assert.isTrue(yield* wrongBy(hour)(store.save("alice", entry(1))))
      for (const wrong of [-hour, hour]) {
        const { age } = Option.getOrThrow(yield* wrongBy(wrong)(store.load("alice")))
        assert.isBelow(Duration.toMillis(age), hour / 2)
      }
      assert.isTrue(yield* wrongBy(-hour)(store.lease("alice", "a", Duration.minutes(10))))
      assert.isFalse(yield* wrongBy(hour)(store.lease("alice", "b", Duration.minutes(10))))
    })
  )

  it.effect(
    "an entry from the future is as if just saved; what a row says otherwise is damaged, and stays as it is",
    () =>
      Effect.gen(function* () {
        const { sql, store, table } = yield* fresh
        yield* store.save("alice", entry(3))
        const set = (assignment: string) => sql.unsafe(`UPDATE ${table} SET ${assignment}`)
        const row = sql.unsafe(`SELECT ${database.row} FROM ${table}`)
        yield* set(`saved_at = ${database.inAnHour}`)
        assert.deepStrictEqual(Option.getOrThrow(yield* store.load("alice")).age, Duration.zero)
        yield* set("contents = '<html>'")
        assert.strictEqual(contentsOf(yield* store.load("alice")), "<html>")
        yield* set(`contents = '${secret}'`)
        const damages = ["saved_at = NULL", "revision = NULL", "generation = 9007199254740993", "contents = NULL"]
        for (const damage of damages) {
          yield* set(damage)
          const before = yield* row
          const failure = yield* Effect.flip(store.load("alice"))
          assert.strictEqual(failure.message, `the token store cannot load: ${damaged(table)}`)
          assert.isFalse(holdsSecret(failure))
          assert.isFalse(yield* store.save("alice", entry(2)))
          assert.deepStrictEqual(yield* row, before)
          yield* set(`saved_at = ${database.now}, revision = 0, generation = 3, contents = '${secret}'`)
        }
      })
  )

  it.effect("a table of another make fails by its code, and what it holds is neither told nor changed", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      for (const [ddl, problem] of database.foreign) {
        const table = yield* unused
        yield* sql.unsafe(`CREATE TABLE ${table} (${ddl})`)
        yield* sql`INSERT INTO ${sql(table)} (${sql("key")}, generation, contents) VALUES ('alice', ${secret}, ${secret})`
        const store = yield* Sql.make({ table })
        const failure = yield* Effect.flip(store.load("alice"))
        assert.strictEqual(failure.problem, problem(table))
        assert.isFalse(yield* Effect.orElseSucceed(store.save("alice", entry(1)), () => false))
        assert.isFalse(holdsSecret(failure))
        assert.lengthOf(yield* sql.unsafe(`SELECT * FROM ${table} WHERE contents = '${secret}'`), 1)
      }
    })
  )

  it.effect("law 18: a rolled-back transaction of the application takes nothing back that was saved in it", () =>
    Effect.gen(function* () {
      const { sql, store, table } = yield* fresh
      // With one connection, a save that is alone waits until the transaction ends.
      const inside = Effect.gen(function* () {
        yield* sql`INSERT INTO ${sql(table)} (${sql("key")}) VALUES ('of the application')`
        const saving = yield* Effect.forkDaemon(store.save("alice", entry(1)))
        yield* Effect.yieldNow()
        // What was sent over the connection of the transaction is done by now.
        for (let i = 0; i < 5; i++) yield* sql.unsafe(database.pause)
        return yield* Effect.fail(saving)
      })
      const saving = yield* Effect.flip(sql.withTransaction(inside))
      assert.isTrue(Effect.isEffect(saving) && (yield* saving))
      assert.strictEqual(contentsOf(yield* store.load("alice")), secret)
      assert.isTrue(Option.isNone(yield* store.load("of the application")))
      assert.lengthOf(yield* sql.unsafe(`SELECT 1 FROM ${table}`), 1)
    })
  )

  it.effect(
    "law 27: neither spans nor logs, transformers or failures hold what is kept, also where the database quotes the row",
    () =>
      Effect.gen(function* () {
        const { sql, store, table } = yield* fresh
        const all = Effect.gen(function* () {
          yield* store.save("alice", entry(1))
          const stored = yield* store.load("alice")
          yield* store.lease("alice", "a", Duration.seconds(1))
          yield* store.release("alice", "a")
          yield* sql.unsafe(database.refusal(table))
          const refused = yield* Effect.flip(store.save("alice", entry(2)))
          assert.strictEqual(refused.problem, `the database refused the statement (${database.refused})`)
          yield* Effect.logError("it failed", Cause.fail(refused))
          return { stored, refused }
        })
        const { seen, spans, value } = yield* watched(all)
        assert.isFalse(holdsSecret(value.refused, seen, inspect(value.stored)))
        // The application's own statement, and none of the store's.
        assert.deepStrictEqual(spans, ["of the application", "sql.execute"])
        // The same error, seen by the one who looks at it, holds the row: the test would see it.
        const plain = yield* watched(Effect.either(sql`UPDATE ${sql(table)} SET generation = 2, contents = ${secret}`))
        assert.isTrue(holdsSecret(plain.seen))
      })
  )

  it.effect("law 28: with encryption over it, neither the row nor its key holds a secret", () =>
    Effect.gen(function* () {
      const { sql, store, table } = yield* fresh
      const encrypted = yield* Effect.provide(
        TokenStore.TokenStore,
        Encrypted.layer({ key: Redacted.make(Buffer.alloc(32, 7).toString("base64")) }).pipe(
          Layer.provide(Layer.succeed(TokenStore.TokenStore, store))
        )
      )
      assert.isTrue(yield* encrypted.save("alice", entry(1)))
      assert.isTrue(yield* encrypted.lease("alice", "a", Duration.minutes(1)))
      assert.strictEqual(contentsOf(yield* encrypted.load("alice")), secret)
      const row = sql.unsafe(`SELECT * FROM ${table}`)
      assert.lengthOf(yield* row, 1)
      assert.isFalse(holdsSecret(yield* row))
      yield* store.save("alice", entry(2))
      assert.isTrue(holdsSecret(yield* row))
    })
  )
}

/** What every database must bear out whose clients, of several processes, work at the same time. */
export const sharingSuite = <R>(
  it: Vitest.MethodsNonLive<SqlClient.SqlClient | R, true>,
  another: (table: string) => Effect.Effect<TokenStore.Service, unknown, SqlClient.SqlClient | R | Scope.Scope>
) => {
  it.scoped("law 19: of two clients that save the same versions, one is told true for each", () =>
    Effect.gen(function* () {
      const { store, table } = yield* fresh
      const stores = [store, yield* another(table)]
      for (let generation = 1; generation <= 25; generation++) {
        const responses = yield* Effect.forEach(
          [...stores, ...stores],
          (store, index) => store.save("alice", entry(generation, `by ${index}`)),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(responses.filter(Boolean), 1)
        assert.strictEqual(contentsOf(yield* store.load("alice")), `by ${responses.indexOf(true)}`)
      }
    })
  )

  it.scoped("law 20: of eight owners with two clients, one at a time is in the lease, and each has its turn", () =>
    Effect.gen(function* () {
      const { store, table } = yield* fresh
      const stores = [store, yield* another(table)]
      let inside = 0
      let most = 0
      let refused = 0
      const turns = new Map<string, number>()
      const turn = (store: TokenStore.Service, owner: string) =>
        Effect.gen(function* () {
          const lease = Effect.tap(store.lease("alice", owner, Duration.minutes(1)), (leased) => {
            if (!leased) refused++
          })
          yield* Effect.repeat(lease, { until: (leased) => leased, schedule: Schedule.spaced("1 millis") })
          most = Math.max(most, ++inside)
          turns.set(owner, (turns.get(owner) ?? 0) + 1)
          // A call of one's own, so that others certainly ask meanwhile.
          yield* store.load("alice")
          inside--
          yield* store.release("alice", owner)
        })
      yield* Effect.forEach(
        Array.from({ length: 8 }, (_, index) => index),
        (index) => Effect.repeatN(turn(stores[index % 2] ?? store, `owner ${index}`), 9),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(most, 1)
      assert.isAbove(refused, 0)
      assert.deepStrictEqual(
        [...turns.values()],
        Array.from({ length: 8 }, () => 10)
      )
    })
  )
}

/** The words of Postgres. */
export const pg: Database = {
  ddl: /TIMESTAMPTZ/,
  columns: (sql, table) =>
    sql`SELECT column_name, data_type, is_nullable, collation_name FROM information_schema.columns
      WHERE table_name = ${table} ORDER BY ordinal_position`,
  rest: (sql, table) => sql`SELECT indexdef FROM pg_indexes WHERE tablename = ${table}`,
  schema: (sql) => Effect.flatMap(unused, (schema) => Effect.as(sql`CREATE SCHEMA ${sql(schema)}`, schema)),
  missing: "42P01",
  row: "*, xmin::text AS written",
  inAnHour: "now() + interval '1 hour'",
  now: "now()",
  foreign: [
    [
      "key TEXT PRIMARY KEY, generation TEXT, revision TEXT, contents TEXT, saved_at TIMESTAMPTZ, lease_owner TEXT, lease_until TIMESTAMPTZ",
      (table) => `the table ${table} is not as Sql.migration makes it (22P02)`
    ],
    [
      "key TEXT PRIMARY KEY, contents TEXT, generation TEXT",
      (table) => `the table ${table} is not as Sql.migration makes it (42703)`
    ]
  ],
  pause: "SELECT pg_sleep(0.02)",
  refusal: (table) => `ALTER TABLE ${table} ADD CONSTRAINT strict CHECK (generation < 2)`,
  refused: "23514"
}
