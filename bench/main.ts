/**
 * Measures the library beside its peers and against the limits of its runtime.
 *
 *     npm run bench
 *     npm run bench -- read herd
 *     npm run bench -- --short
 *     npm run bench -- sessions --million
 *
 * A full run writes `bench/RESULTS.md` and its plots; `--short` runs a little of everything and checks counts only.
 */
import { parseArgs } from "node:util"
import { herds } from "./herd.js"
import type { Extent, Part } from "./Row.js"
import { read } from "./read.js"
import { renewal } from "./renewal.js"
import { print, write } from "./report.js"
import { request } from "./request.js"
import { sessions } from "./sessions.js"
import { size } from "./size.js"

const parts: Readonly<Record<string, (extent: Extent) => Promise<Part>>> = {
  read,
  herd: herds,
  request,
  sessions,
  renewal,
  size
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean", default: false }, million: { type: "boolean", default: false } }
})
const unknown = positionals.filter((name) => parts[name] === undefined)
if (unknown.length > 0) {
  console.error(`there is no "${unknown.join('", "')}"; there are: ${Object.keys(parts).join(", ")}`)
  process.exit(2)
}

const began = performance.now()
const done: Array<Part> = []
for (const [name, measure] of Object.entries(parts)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  const since = performance.now()
  const part = await measure(values)
  const seconds = (performance.now() - since) / 1000
  if (values.short) console.log(`${name}: every count is as expected (${seconds.toFixed(1)} s)`)
  else print(name, part, seconds)
  done.push(part)
}
if (positionals.length === 0 && !values.short) write(done, (performance.now() - began) / 60_000)
// Timers of some peers would keep the process alive.
process.exit(0)
