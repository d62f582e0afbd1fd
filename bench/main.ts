/**
 * Measures the library beside its peers and against the limits of its runtime.
 *
 *     npm run bench
 *     npm run bench -- read herd
 *     npm run bench -- --short
 *
 * A full run writes `bench/RESULTS.md` and its plots; `--short` runs a little of everything, and looks at counts only.
 */
import { parseArgs } from "node:util"
import { herds } from "./herd.js"
import type { Extent, Part } from "./Row.js"
import { read } from "./read.js"
import { request } from "./request.js"
import { sessions } from "./sessions.js"

const parts: Readonly<Record<string, (extent: Extent) => Promise<Part>>> = { read, herd: herds, request, sessions }

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean", default: false } }
})
const unknown = positionals.filter((name) => parts[name] === undefined)
if (unknown.length > 0) {
  console.error(`there is no "${unknown.join('", "')}"; there is: ${Object.keys(parts).join(", ")}`)
  process.exit(2)
}
for (const [name, part] of Object.entries(parts)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const began = performance.now()
  const { asides = [], rows } = await part({ short: values.short })
  console.log(`\n${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`)
  console.table(rows)
  for (const { head, lines, title } of asides) {
    console.log(title)
    console.table(lines.map((line) => Object.fromEntries(line.map((cell, n) => [head[n], cell]))))
  }
}
