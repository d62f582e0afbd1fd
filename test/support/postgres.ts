import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Option, Redacted, Schedule, type Scope } from "effect"
import { exited, freePort, guard, run, servant } from "./servants.js"

/** A Postgres for tests. Nothing in its URL is worth anything to anybody. */
export interface Postgres {
  /** Of its maintenance database. */
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

const variable = "EFFECT_AUTH_TEST_POSTGRES"
const programs = ["initdb", "postgres", "pg_isready"]
const password = "test-password"

/** The first folder with all programs: the newest of Debian's, or one of the path. */
const folder = Effect.gen(function* () {
  const debian = "/usr/lib/postgresql"
  const versions = fs.existsSync(debian) ? fs.readdirSync(debian) : []
  const found = yield* Config.withDefault(Config.string("PATH"), "")
  return Option.fromNullable(
    [
      ...versions.sort((a, b) => Number(b) - Number(a)).map((version) => path.join(debian, version, "bin")),
      ...found.split(path.delimiter)
    ].find((bin) => bin !== "" && programs.every((name) => fs.existsSync(path.join(bin, name))))
  )
})

const databaseOf = (url: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.suspend(() => {
    const name = `test_${globalThis.crypto.randomUUID().replaceAll("-", "")}`
    const admin = (statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, unknown>) =>
      Effect.flatMap(SqlClient.SqlClient, statement).pipe(
        Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })),
        Effect.orDie
      )
    return Effect.as(
      Effect.acquireRelease(
        admin((sql) => sql`CREATE DATABASE ${sql(name)}`),
        () => admin((sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`)
      ),
      Object.assign(new URL(url), { pathname: `/${name}` }).href
    )
  })

const guarded = guard({ stop: "INT", orphaned: "QUIT" })

const privately = (bin: string): Effect.Effect<Postgres, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const user = servant("postgres", "nobody")
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "postgres-"))),
      (home) => Effect.sync(() => fs.rmSync(home, { recursive: true, force: true }))
    )
    const [data, secret] = [path.join(home, "data"), path.join(home, "secret")]
    fs.writeFileSync(secret, password)
    if (user !== undefined) for (const one of [home, secret]) fs.chownSync(one, user.uid, user.gid)
    yield* run(
      path.join(bin, "initdb"),
      [
        ...["-D", data, "-U", "tester", "-A", "scram-sha-256", "--pwfile", secret],
        ...["-E", "UTF8", "--no-locale", "--no-sync"]
      ],
      user
    )
    const port = yield* freePort

    let server: { readonly child: ChildProcess; readonly pid: number } | undefined
    const start = Effect.gen(function* () {
      if (server !== undefined) return
      const settings = {
        listen_addresses: "127.0.0.1",
        port,
        unix_socket_directories: home,
        fsync: "off",
        max_connections: 60
      }
      const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      const child = spawn("sh", ["-c", guarded, "sh", path.join(bin, "postgres"), "-D", data, ...args], {
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
      yield* Effect.retry(run(path.join(bin, "pg_isready"), ["-h", "127.0.0.1", "-p", `${port}`], user), {
        schedule: Schedule.spaced("50 millis"),
        times: 400
      })
    })
    const stop = Effect.gen(function* () {
      if (server === undefined) return
      const { child, pid } = server
      server = undefined
      child.stdin?.write("stop\n")
      // A backend that was stopped does not hear of it, until it is killed.
      const quit = Effect.sync(() => process.kill(pid, "SIGQUIT"))
      yield* Effect.timeoutTo(exited(child), {
        duration: "5 seconds",
        onSuccess: () => Effect.void,
        onTimeout: () => Effect.zipRight(quit, exited(child))
      }).pipe(Effect.flatten)
    })
    yield* Effect.acquireRelease(start, () => stop)
    const url = `postgres://tester:${password}@127.0.0.1:${port}/postgres`
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
 * The server whose URL `EFFECT_AUTH_TEST_POSTGRES` is, or else a private one, started from the programs on this machine
 * in a temporary folder, on a free port of the loopback interface. None where there is neither.
 */
export const postgres: Option.Option<Effect.Effect<Postgres, Error, Scope.Scope>> = Option.isSome(given)
  ? Option.some(Effect.succeed({ url: given.value, database: databaseOf(given.value), own: Option.none() }))
  : Option.map(Effect.runSync(folder), privately)

/** What is told of a suite that is skipped. */
export const missing = `skipped: ${variable} names no server, and ${programs.join(", ")} are not on this machine`
