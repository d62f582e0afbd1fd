import { execFileSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import { svg } from "./plot.js"
import type { Part, Row } from "./Row.js"

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const table = (head: ReadonlyArray<string>, lines: ReadonlyArray<ReadonlyArray<string>>) =>
  [head, head.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`)
    .join("\n")

const verdict = ({ met }: Row) => (met === undefined ? "reported" : met ? "met" : "**not met**")

/** The measured versions: those of the root for Effect, and those of the bench for its peers. */
const versions = () => {
  const version = (path: string) => (JSON.parse(readFileSync(here(path), "utf8")) as { version: string }).version
  const { dependencies } = JSON.parse(readFileSync(here("package.json"), "utf8")) as {
    dependencies: Record<string, string>
  }
  return [
    `effect ${version("../node_modules/effect/package.json")}`,
    `@effect/platform ${version("../node_modules/@effect/platform/package.json")}`,
    ...Object.entries(dependencies).map(([name, version]) => `${name} ${version}`)
  ].join(", ")
}

/** Read when a run begins, because it measures what was built then. */
const revision = (() => {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: here("."), encoding: "utf8" }).trim()
  } catch {
    return "unknown"
  }
})()

const page = (parts: ReadonlyArray<Part>, minutes: number): string => {
  const plots = parts.flatMap(({ plots = [] }) => plots)
  return [
    "# What it costs",
    "Written by `npm run bench`; do not edit. CPU time of the whole process, garbage collection included; contenders take turns, and each ratio is the median of the rounds' own ratios, with the middle half of them in brackets.",
    [
      `- ${new Date().toISOString().slice(0, 10)}, revision ${revision}, a run of ${minutes.toFixed(1)} minutes`,
      `- ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB; Node ${process.version} on ${process.platform} ${process.arch}`,
      `- ${versions()}`
    ].join("\n"),
    "## Budgets",
    table(
      ["work", "limit", "figure", "ratio", "budget", ""],
      parts
        .flatMap(({ rows }) => rows)
        .map((row) => [row.work, row.limit, row.figure, row.ratio, row.budget, verdict(row)])
    ),
    "## Growth",
    ...plots.map(({ file, title }) => `![${title}](plots/${file})`),
    "## Beside others",
    ...parts
      .flatMap(({ asides = [] }) => asides)
      .flatMap(({ head, lines, title }) => [`### ${title}`, table(head, lines)])
  ].join("\n\n")
}

/** Writes the page and its plots. */
export const write = (parts: ReadonlyArray<Part>, minutes: number): void => {
  mkdirSync(here("plots"), { recursive: true })
  for (const plot of parts.flatMap(({ plots = [] }) => plots)) writeFileSync(here(`plots/${plot.file}`), svg(plot))
  writeFileSync(here("RESULTS.md"), `${page(parts, minutes)}\n`)
}

/** Prints the results to the terminal. */
export const print = (name: string, { asides = [], rows }: Part, seconds: number): void => {
  console.log(`\n${name} (${seconds.toFixed(1)} s)`)
  for (const row of rows) {
    const mark = row.met === undefined ? " " : row.met ? "+" : "-"
    console.log(
      `${mark} ${row.work}\n    ${row.figure}\n    limit: ${row.limit}\n    ratio: ${row.ratio}   budget: ${row.budget}`
    )
  }
  for (const { lines, title } of asides)
    console.log(`  ${title}\n${lines.map((line) => `    ${line.join("  ")}`).join("\n")}`)
}
