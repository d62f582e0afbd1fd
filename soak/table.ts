/** The counts of all runs, side by side. */
import type { Result } from "./run.js"

const columns: ReadonlyArray<readonly [string, (result: Result) => string | number]> = [
  ["store", ({ store }) => store],
  ["mode", ({ mode }) => mode],
  ["seconds", ({ seconds }) => seconds],
  ["rotations", ({ rotations }) => rotations],
  ["logins", ({ sandbox }) => sandbox.logins],
  ["reuses", ({ sandbox }) => sandbox.reuses],
  ["concurrent", ({ sandbox }) => sandbox.maxConcurrentTokenRequests],
  ["calls", ({ calls }) => calls],
  ["failed", ({ failed }) => failed],
  ["late", ({ late }) => late],
  ["longest ms", ({ longestCall }) => Math.round(longestCall)],
  ["kills", ({ kills }) => kills],
  ["in flight", ({ killsInFlight }) => killsInFlight],
  ["stops", ({ stops }) => stops],
  ["in flight", ({ stopsInFlight }) => stopsInFlight],
  ["", ({ broken }) => (broken.length === 0 ? "ok" : "BROKEN")]
]

export const table = (results: ReadonlyArray<Result>): string => {
  const rows = [
    columns.map(([name]) => name),
    ...results.map((result) => columns.map(([, value]) => `${value(result)}`))
  ]
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? "").length)))
  const lines = rows.map((row) =>
    row.map((text, at) => (at < 2 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0))).join("  ")
  )
  const problems = results.flatMap(({ mode, problems, store }) => problems.map((text) => `${store} ${mode}: ${text}`))
  return [...lines, ...(problems.length === 0 ? [] : ["", "what the processes reported:", ...problems])].join("\n")
}
