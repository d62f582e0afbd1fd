import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { build } from "esbuild"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * Makes programs that Node starts at once, and answers the folder they are in until the scope closes. A process that
 * reads each module of Effect and compiles each source file for itself takes seconds before its first line runs.
 */
export const bundle = (files: ReadonlyArray<string>) =>
  Effect.tap(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-auth-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    ),
    (folder) =>
      Effect.promise(() =>
        build({
          absWorkingDir: root,
          entryPoints: [...files],
          outdir: folder,
          entryNames: "[name]",
          outExtension: { ".js": ".mjs" },
          bundle: true,
          splitting: true,
          format: "esm",
          platform: "node",
          target: "node20",
          logLevel: "error",
          // What is no ES module yet asks for Node's own modules with it.
          banner: {
            js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);'
          }
        })
      )
  )
