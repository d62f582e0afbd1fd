import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import { type BuildOptions, transform } from "esbuild"
import { bundled } from "../test/integration/package/bundled.js"
import { count, type Extent, type Part, times } from "./Row.js"
import { figure, ratios } from "./statistics.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const built = join(root, "bench/.build")

const program = `
  import * as AuthHttpClient from "effect-auth/AuthHttpClient"
  import * as Violet from "effect-auth/providers/Violet"
  export const used = [Violet.layer, AuthHttpClient.AuthHttpClient]
`

const foreign = /src\/(providers\/(?!Violet)|stores\/)/

const bare = `
  import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
  import * as HttpClient from "@effect/platform/HttpClient"
  export const used = [HttpClient.execute, FetchHttpClient.layer]
`

const compressed = (code: string) => gzipSync(code, { level: 9 }).length

/** Returns the part of a bundle that is of this library. Each file in it begins with a line that names it. */
const own = (code: string): string =>
  code
    .split(/^(?=\/\/ \S+\.[jt]s$)/m)
    .filter((part) => part.startsWith("// src/"))
    .join("")

const bundle = async () => {
  const make = (program: string, options?: BuildOptions) => Effect.runPromise(bundled(root, program, options))
  const named = await make(program, { minify: false, minifyIdentifiers: true, minifySyntax: true })
  const { code } = await transform(own(named.code), { minifyWhitespace: true, target: "es2022", format: "esm" })
  const all = (await make(program)).gzipped - (await make(bare)).gzipped
  const others = named.parts.map(([path]) => path).filter((path) => foreign.test(path))
  return {
    work: "the library's own bytes in a bundle of the web, with one provider",
    limit: "0",
    figure: `${compressed(code)} B, compressed; with what it needs of Effect beyond \`HttpClient\`, ${all} B; other providers and stores in it: ${others.length}`,
    ratio: "",
    budget: "≤ 9,000 B, and none",
    met: compressed(code) <= 9000 && others.length === 0
  }
}

/** Returns the modules of Effect that a module imports, directly or through others. */
const needs = (file: string, found = new Set<string>(), seen = new Set<string>()): ReadonlySet<string> => {
  if (seen.has(file)) return found
  seen.add(file)
  for (const [, from = ""] of readFileSync(file, "utf8").matchAll(
    /^(?:import|export)\s(?:[\w*{},\s]+\sfrom\s)?"([^"]+)";?$/gm
  )) {
    if (from.startsWith(".")) needs(join(dirname(file), from), found, seen)
    else found.add(from)
  }
  return found
}

/** Returns the CPU time, in milliseconds, of a process that only imports a module. */
const importing = (file: string): number => {
  const source = `await import(${JSON.stringify(file)}); const { user, system } = process.cpuUsage(); console.log((user + system) / 1000)`
  return Number(execFileSync(process.execPath, ["--input-type=module", "-e", source], { encoding: "utf8" }))
}

const imports = ({ short }: Extent) => {
  const violet = join(built, "providers/Violet.js")
  const names = Array.from(needs(violet)).sort()
  const files = {
    nothing: join(built, "nothing.mjs"),
    peers: join(built, "peers.mjs"),
    barrels: join(built, "barrels.mjs"),
    violet
  }
  writeFileSync(files.nothing, "")
  writeFileSync(files.peers, names.map((name) => `import ${JSON.stringify(name)}\n`).join(""))
  writeFileSync(files.barrels, 'import "effect"\nimport "@effect/platform"\n')
  const spent = { nothing: [] as number[], peers: [] as number[], barrels: [] as number[], violet: [] as number[] }
  for (let round = 0; round < (short ? 1 : 15); round++) {
    for (const name of Object.keys(spent) as Array<keyof typeof spent>) spent[name].push(importing(files[name]))
  }
  count("imports of Effect that are whole barrels", names.filter((name) => /^(@effect\/)?\w+$/.test(name)).length, 0)
  const net = (name: keyof typeof spent) => spent[name].map((value, round) => value - (spent.nothing[round] ?? 0))
  const ratio = figure(ratios(net("violet"), net("peers")))
  const millis = (values: ReadonlyArray<number>) => `${figure(values).median.toFixed(0)} ms`
  return {
    work: `\`import "effect-auth/providers/Violet"\`, beyond an empty process (${millis(spent.nothing)})`,
    limit: `the same ${names.length} deep imports of \`effect\` and \`@effect/platform\`, ${millis(net("peers"))}; both barrels ${millis(net("barrels"))}`,
    figure: millis(net("violet")),
    ratio: `${times(ratio)}; the process and all, ${times(figure(ratios(spent.violet, spent.peers)))}`,
    budget: "≤ 1.2 ×",
    met: ratio.median <= 1.2
  }
}

/** Measures the size of the library in a bundle, and the time of its import. */
export const size = async (extent: Extent): Promise<Part> => ({ rows: [await bundle(), imports(extent)] })
