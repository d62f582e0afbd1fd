import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Clock, Config, Duration, Effect, Option, type Scope } from "effect"
import { createClient } from "redis"
import type { Service } from "../../src/store/TokenStore.js"

/** A Redis for tests: one that is named, or a private one for as long as the scope lives. */
export interface Server {
  readonly url: string
  /** Runs a command with a connection of its own. */
  readonly command: (...args: ReadonlyArray<string>) => Effect.Effect<unknown>
  /** What only a private server can do. */
  readonly own: Option.Option<Own>
}

export interface Own {
  /** Ends the process; `SIGKILL` is what a crash is like. */
  readonly stop: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  /** Starts it again, at the same port and over the same folder. */
  readonly start: Effect.Effect<void>
  readonly restart: (signal?: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  /** Has the process stand still, and go on. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

const variable = "EFFECT_AUTH_TEST_REDIS"

const named = Option.getOrUndefined(Effect.runSync(Config.option(Config.nonEmptyString(variable))))

export const hasBinary = spawnSync("redis-server", ["--version"], { stdio: "ignore" }).status === 0

/** What is missing for tests that need a Redis at all, or one of their own. */
export const missing: string | undefined =
  named !== undefined || hasBinary
    ? undefined
    : `skipped: ${variable} names no server, and redis-server is not on this machine`
export const missingOwn: string | undefined = hasBinary ? undefined : "skipped: redis-server is not on this machine"

const command =
  (url: string): Server["command"] =>
  (...args) =>
    Effect.acquireUseRelease(
      Effect.promise(async () => {
        const client = createClient({ url, socket: { reconnectStrategy: false } })
        client.on("error", () => {})
        await client.connect()
        return client
      }),
      (client) => Effect.promise(() => client.sendCommand(args)),
      (client) => Effect.sync(() => client.destroy())
    )

/** A free port below those that outgoing connections get, so that it is still free after a restart. */
const freePort: Effect.Effect<number> = Effect.async<number, Error>((resume) => {
  const port = 20_000 + Math.floor(Math.random() * 12_000)
  const probe = createServer()
  probe.once("error", (error) => resume(Effect.fail(error)))
  probe.listen(port, "127.0.0.1", () => probe.close(() => resume(Effect.succeed(port))))
}).pipe(Effect.retry({ times: 100 }), Effect.orDie)

/** A server on a free port of the loopback, that persists nothing unless told to. Needs the binary. */
export const privately = (...options: ReadonlyArray<string>): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-auth-redis-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const port = yield* freePort
    let child: ChildProcess | undefined
    // `process.exit` runs no finalizer.
    const kill = () => void child?.kill("SIGKILL")
    yield* Effect.acquireRelease(
      Effect.sync(() => process.on("exit", kill)),
      () => Effect.sync(() => process.off("exit", kill))
    )
    const stop: Own["stop"] = (signal = "SIGTERM") =>
      Effect.async<void>((resume) => {
        const stopping = child
        child = undefined
        if (stopping === undefined || stopping.exitCode !== null || stopping.signalCode !== null) {
          return resume(Effect.void)
        }
        stopping.once("exit", () => resume(Effect.void))
        stopping.kill(signal)
      })
    const start = Effect.async<void>((resume) => {
      const starting = spawn(
        "redis-server",
        // biome-ignore format: one option a line would be a page.
        ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no", ...options],
        { stdio: ["ignore", "pipe", "pipe"] }
      )
      child = starting
      let output = ""
      const read = (chunk: Buffer) => {
        output += chunk.toString()
        if (output.includes("Ready to accept connections")) resume(Effect.void)
      }
      starting.stdout.on("data", read)
      starting.stderr.on("data", read)
      starting.on("error", (error) => resume(Effect.die(error)))
      starting.on("exit", () => resume(Effect.die(new Error(`redis-server has ended:\n${output}`))))
    })
    yield* Effect.acquireRelease(start, () => stop("SIGKILL"))
    const signal = (signal: "SIGSTOP" | "SIGCONT") => Effect.sync(() => void child?.kill(signal))
    const url = `redis://127.0.0.1:${port}`
    return {
      url,
      command: command(url),
      own: Option.some({
        stop,
        start,
        restart: (signal) => Effect.zipRight(stop(signal), start),
        pause: signal("SIGSTOP"),
        resume: signal("SIGCONT")
      })
    }
  })

/** The Redis that `EFFECT_AUTH_TEST_REDIS` names, else a private one; none when there is neither. */
export const server: Effect.Effect<Option.Option<Server>, never, Scope.Scope> = Effect.suspend(() =>
  named !== undefined
    ? Effect.succeedSome({ url: named, command: command(named), own: Option.none() })
    : hasBinary
      ? Effect.asSome(privately())
      : Effect.succeedNone
)

/** For machines that stand still for seconds: a clock by which a store waits twenty times longer before it gives up. */
export const unhurriedClock = (clock: Clock.Clock): Clock.Clock => ({
  ...clock,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  sleep: (duration) => clock.sleep(Duration.times(duration, 20))
})

/** The same store, used by that clock. */
export const unhurried = (store: Service): Service => {
  const calm = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.clockWith((clock) => Effect.withClock(effect, unhurriedClock(clock)))
  return {
    load: (key) => calm(store.load(key)),
    save: (key, entry) => calm(store.save(key, entry)),
    lease: (key, owner, duration) => calm(store.lease(key, owner, duration)),
    release: (key, owner) => calm(store.release(key, owner))
  }
}
