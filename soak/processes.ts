/** Operating-system processes of the soak's application, seen from their driver. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Deferred, Effect, Schema, type Scope } from "effect"
import { build } from "esbuild"
import { type Ambush, type Line, LineText, type Settings, SettingsText } from "./Line.js"

const decode = Schema.decodeSync(LineText)
const encode = Schema.encodeSync(SettingsText)

/** A folder that goes with the scope. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-auth-soak-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** The program of the processes, in one piece, as they are to start quickly and often. */
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
      // Packages that are no modules yet ask for this.
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` },
      logLevel: "error"
    })
  )
  return join(outdir, "worker.mjs")
})

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it wrote to stderr. */
  readonly complaint: string
}

export interface Worker {
  readonly settings: Settings
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly lay: (ambush: Ambush | undefined) => Effect.Effect<void>
  /** Has it end after the call in hand. */
  readonly finish: Effect.Effect<void>
  /** It is no more, and all that it told was heard. */
  readonly ended: Effect.Effect<Ended>
}

const children = new Set<ChildProcess>()

// Also what is stopped, and whatever becomes of this process: SIGKILL is for all.
const killAll = () => {
  for (const child of children) child.kill("SIGKILL")
}
process.on("exit", killAll)

/** Starts a process. It is killed with the scope at the latest. */
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
        let complaint = ""
        child.stderr?.on("data", (chunk: Buffer) => {
          complaint = (complaint + chunk.toString()).slice(-4000)
        })
        child.on("error", (error) => {
          complaint += error.message
        })
        if (child.stdout !== null) {
          createInterface({ input: child.stdout }).on("line", (text) => {
            // A process that is killed may have told half a line.
            if (text.endsWith("}")) onLine(decode(text))
          })
        }
        child.on("close", (code, signal) => {
          children.delete(child)
          Deferred.unsafeDone(ended, Effect.succeed({ code, signal, complaint }))
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
      lay: (ambush) =>
        Effect.sync(() => {
          if (child.connected) child.send(ambush ?? {}, () => {})
        }),
      finish: Effect.sync(() => {
        // Node would never report the end of a process whose channel this side has closed.
        if (child.connected) child.send("finish", () => {})
      }),
      ended: Deferred.await(ended)
    }
  })
