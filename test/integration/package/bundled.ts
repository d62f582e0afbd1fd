import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import { type BuildOptions, build } from "esbuild"

/** What came of a bundle. */
export interface Bundled {
  readonly code: string
  /** The compressed size in bytes. */
  readonly gzipped: number
  /** Each file that is in it, and how many of its bytes are. */
  readonly parts: ReadonlyArray<readonly [path: string, bytes: number]>
  /** What it still imports. */
  readonly imports: ReadonlyArray<string>
}

/** Bundles a program for the web, minified, as if it were a file in a folder. */
export const bundled = (folder: string, program: string, options: BuildOptions = {}): Effect.Effect<Bundled> =>
  Effect.map(
    Effect.promise(() =>
      build({
        stdin: { contents: program, resolveDir: folder, loader: "ts" },
        bundle: true,
        minify: true,
        format: "esm",
        platform: "browser",
        target: "es2022",
        metafile: true,
        write: false,
        logLevel: "silent",
        ...options
      })
    ),
    ({ metafile, outputFiles = [] }) => {
      const outputs = Object.values(metafile?.outputs ?? {})
      const code = outputFiles.map(({ text }) => text).join("\n")
      return {
        code,
        gzipped: gzipSync(code, { level: 9 }).length,
        parts: outputs.flatMap(({ inputs }) =>
          Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
            bytesInOutput > 0 ? [[path, bytesInOutput] as const] : []
          )
        ),
        imports: outputs.flatMap(({ imports }) => imports.map(({ path }) => path))
      }
    }
  )

/** Leaves the peers out: what remains are the library's own bytes. */
export const withoutPeers = { external: ["effect", "@effect/*"] } satisfies BuildOptions
