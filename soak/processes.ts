/** Starts and controls the operating-system processes of the soak. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, Schema, type Scope } from "effect"
import { build } from "esbuild"
import { type Failpoint, type Line, LineText, type Settings, SettingsText } from "./Line.js"

const decode = Schema.decodeSync(LineText)
const encode = Schema.encodeSync(SettingsText)

/** Makes a folder, which is removed with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-auth-soak-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Bundles the program of the processes, because they start often and should start quickly. */
export const program: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function* () {
  const outdir = yield* folder
  yield* Effect.promise(() =>
    build({
      entryPoints: [fileURLToPath(new URL("worker.ts", import.meta.url))],
      outdir,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node20",
      external: ["pg-native"],
      outExtension: { ".js": ".mjs" },
      // For packages that are not ES modules.
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` },
      logLevel: "error"
    })
  )
  return join(outdir, "worker.mjs")
})

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The end of its stderr. */
  readonly stderr: string
}

export interface Worker {
  readonly settings: Settings
  /** Sends a signal to the process. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Sets the failpoint of the process, or removes it. */
  readonly arm: (failpoint: Failpoint | undefined) => Effect.Effect<void>
  /** Ends the process after its current call. */
  readonly finish: Effect.Effect<void>
  /** Waits for the end of the process and of its output. */
  readonly ended: Effect.Effect<Ended>
}

const children = new Set<ChildProcess>()

// SIGKILL also ends a stopped process. This runs however this process exits.
const killAll = () => {
  for (const child of children) child.kill("SIGKILL")
}
process.on("exit", killAll)

/** Starts a process. It is killed when the scope closes, if it has not ended before. */
export const start = (
  program: string,
  settings: Settings,
  onLine: (line: Line) => void
): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ended = yield* Deferred.make<Ended>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [program, encode(settings)], {
          stdio: ["ignore", "pipe", "pipe", "ipc"],
          env: { ...process.env, NODE_OPTIONS: "" }
        })
        children.add(child)
        let stderr = ""
        child.stderr?.on("data", (chunk: Buffer) => {
          stderr = (stderr + chunk.toString()).slice(-4000)
        })
        child.on("error", (error) => {
          stderr += error.message
        })
        if (child.stdout !== null) {
          createInterface({ input: child.stdout }).on("line", (text) => {
            // A killed process may have written half a line.
            if (text.endsWith("}")) onLine(decode(text))
          })
        }
        child.on("close", (code, signal) => {
          children.delete(child)
          Deferred.unsafeDone(ended, Effect.succeed({ code, signal, stderr }))
        })
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          Deferred.await(ended)
        )
    )
    return {
      settings,
      signal: (signal) => Effect.sync(() => void child.kill(signal)),
      arm: (failpoint) =>
        Effect.sync(() => {
          if (child.connected) child.send(failpoint ?? {}, () => {})
        }),
      finish: Effect.sync(() => {
        // Node would never report the end of a process whose channel this side has closed.
        if (child.connected) child.send("finish", () => {})
      }),
      ended: Deferred.await(ended)
    }
  })
