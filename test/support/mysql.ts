import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { SqlClient } from "@effect/sql"
import { MysqlClient } from "@effect/sql-mysql2"
import { Config, Effect, Layer, Option, Redacted, Schedule, type Scope } from "effect"
import { exited, freePort, guard, run, servant } from "./servants.js"

/** A MariaDB or MySQL for tests. Nothing in its URL is worth anything to anybody. */
export interface Mysql {
  /** Without a database of the tests. */
  readonly url: string
  /** Makes an empty database that lasts as long as the scope, and answers its URL. */
  readonly database: Effect.Effect<string, never, Scope.Scope>
  /** Only of a server that the tests have for themselves. */
  readonly own: Option.Option<{
    /** Ends every connection, and the server, without losing what was committed. */
    readonly stop: Effect.Effect<void>
    readonly start: Effect.Effect<void>
    readonly restart: Effect.Effect<void>
  }>
}

const variable = "EFFECT_AUTH_TEST_MYSQL"
const programs = ["mariadb-install-db", "mariadbd"]
const password = "test-password"

/** Where each program is, if all are there: servers are not on everyone's path. */
const found = Effect.gen(function* () {
  const folders = [...(yield* Config.withDefault(Config.string("PATH"), "")).split(path.delimiter), "/usr/sbin"]
  const places = programs.map((name) =>
    folders
      .filter((folder) => folder !== "")
      .map((folder) => path.join(folder, name))
      .find((place) => fs.existsSync(place))
  )
  return Option.all(places.map(Option.fromNullable))
})

const databaseOf = (url: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.suspend(() => {
    const name = `test_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
    const admin = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
      Effect.flatMap(SqlClient.SqlClient, statement).pipe(
        Effect.provide(MysqlClient.layer({ url: Redacted.make(url), maxConnections: 1 })),
        Effect.orDie
      )
    return Effect.as(
      Effect.acquireRelease(
        admin((sql) => sql`CREATE DATABASE ${sql(name)}`),
        () => admin((sql) => sql`DROP DATABASE ${sql(name)}`)
      ),
      Object.assign(new URL(url), { pathname: `/${name}` }).href
    )
  })

const guarded = guard({ stop: "TERM", orphaned: "KILL" })

const privately = ([install = "", mariadbd = ""]: ReadonlyArray<string>): Effect.Effect<Mysql, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const user = servant("mysql", "nobody")
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "mysql-"))),
      (home) => Effect.sync(() => fs.rmSync(home, { recursive: true, force: true }))
    )
    const [data, setup] = [path.join(home, "data"), path.join(home, "setup.sql")]
    // What the server runs at each start, line by line.
    const statements = [
      `CREATE USER IF NOT EXISTS tester@'127.0.0.1' IDENTIFIED BY '${password}';`,
      "GRANT ALL ON *.* TO tester@'127.0.0.1' WITH GRANT OPTION;"
    ]
    fs.writeFileSync(setup, statements.join("\n"))
    if (user !== undefined) for (const one of [home, setup]) fs.chownSync(one, user.uid, user.gid)
    yield* run(
      install,
      [
        ...["--no-defaults", `--datadir=${data}`, "--skip-test-db", "--skip-name-resolve"],
        ...["--auth-root-authentication-method=normal", "--innodb-log-file-size=8M"]
      ],
      user
    )
    const port = yield* freePort
    const url = `mysql://tester:${password}@127.0.0.1:${port}/mysql`

    let server: { readonly child: ChildProcess; readonly pid: number } | undefined
    const start = Effect.gen(function* () {
      if (server !== undefined) return
      const args = [
        ...["--no-defaults", `--datadir=${data}`, `--port=${port}`, "--bind-address=127.0.0.1", "--skip-name-resolve"],
        ...[
          `--socket=${path.join(home, "socket")}`,
          `--pid-file=${path.join(home, "pid")}`,
          `--tmpdir=${home}`,
          `--init-file=${setup}`
        ],
        ...["--innodb-flush-method=nosync", "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"]
      ]
      const child = spawn("sh", ["-c", guarded, "sh", mariadbd, ...args], {
        ...user,
        cwd: "/",
        env: { FOLDER: home },
        stdio: ["pipe", "pipe", "ignore"],
        // Ctrl-C in a terminal is for the tests, which end the server in their own way.
        detached: true
      })
      child.stdin.on("error", () => {})
      const pid = yield* Effect.async<number>((resume) => {
        child.stdout.once("data", (text) => resume(Effect.succeed(Number(text))))
      })
      server = { child, pid }
      const responses = Effect.scoped(Layer.build(MysqlClient.layer({ url: Redacted.make(url), maxConnections: 1 })))
      yield* Effect.retry(responses, { schedule: Schedule.spaced("50 millis"), times: 400 })
    })
    const stop = Effect.gen(function* () {
      if (server === undefined) return
      const { child, pid } = server
      server = undefined
      child.stdin?.write("stop\n")
      const kill = Effect.sync(() => process.kill(pid, "SIGKILL"))
      yield* Effect.timeoutTo(exited(child), {
        duration: "10 seconds",
        onSuccess: () => Effect.void,
        onTimeout: () => Effect.zipRight(kill, exited(child))
      }).pipe(Effect.flatten)
    })
    yield* Effect.acquireRelease(start, () => stop)
    return {
      url,
      database: databaseOf(url),
      own: Option.some({
        stop,
        start: Effect.orDie(start),
        restart: Effect.zipRight(stop, Effect.orDie(start))
      })
    }
  })

const given = Effect.runSync(Config.option(Config.nonEmptyString(variable)))

/** Whether the tests have the server for themselves, and may restart it. */
export const isPrivate = Option.isNone(given)

/**
 * The server whose URL `EFFECT_AUTH_TEST_MYSQL` is, or else a private one, started from the programs on this machine
 * in a temporary folder, on a free port of the loopback interface. None where there is neither.
 */
export const mysql: Option.Option<Effect.Effect<Mysql, unknown, Scope.Scope>> = Option.isSome(given)
  ? Option.some(Effect.succeed({ url: given.value, database: databaseOf(given.value), own: Option.none() }))
  : Option.map(Effect.runSync(found), privately)

/** What is told of a suite that is skipped. */
export const missing = `skipped: ${variable} names no server, and ${programs.join(", ")} are not on this machine`
