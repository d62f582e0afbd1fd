/** The closing table: each count beside its expected value. */
import { Data, Effect } from "effect"
import type { Counted } from "./Events.js"
import type { Readings } from "./Meter.js"
import type { Screen } from "./Screen.js"

interface Row {
  readonly name: string
  readonly value: number
  readonly wanted?: { readonly text: string; readonly met: boolean } | undefined
}

export class Wrong extends Data.TaggedError("Wrong")<{ readonly checks: ReadonlyArray<string> }> {
  override get message(): string {
    return `unexpected counts: ${this.checks.join("; ")}`
  }
}

const measured = (name: string, value: number): Row => ({ name, value })
const exactly = (name: string, value: number, wanted: number): Row => ({
  name,
  value,
  wanted: { text: String(wanted), met: value === wanted }
})
const atLeast = (name: string, value: number, least: number): Row => ({
  name,
  value,
  wanted: { text: `at least ${least}`, met: value >= least }
})
const atMost = (name: string, value: number, most: number): Row => ({
  name,
  value,
  wanted: { text: `at most ${most}`, met: value <= most }
})

/** The counts of the sandbox, and how many of its revocations caused a response of 401. */
export interface SandboxCounts extends Counted {
  readonly noticed: number
}

const rows = (readings: Readings, renewals: number, seen: SandboxCounts | undefined): ReadonlyArray<Row> => {
  const pages = [
    measured("requests", readings.requests),
    atLeast("pages that arrived", readings.arrived, 1),
    exactly("pages that never arrived", readings.missing, 0)
  ]
  if (seen === undefined) {
    return [
      ...pages,
      measured("attempts retried", readings.retried),
      measured("token requests", readings.tokenRequests),
      exactly("most concurrent token requests", readings.maxInFlight, 1),
      measured("renewals", renewals)
    ]
  }
  const { complaints, maxConcurrentTokenRequests, reuses, tokenRequests } = seen.report
  return [
    ...pages,
    atLeast("attempts retried", readings.retried, 1),
    // A login, ten renewals, a lost response and a few tries in the outage. A client in a loop would send thousands.
    atMost("token requests", readings.tokenRequests, 30),
    exactly("token requests, counted by the sandbox", tokenRequests, readings.tokenRequests),
    exactly("most concurrent token requests", Math.max(readings.maxInFlight, maxConcurrentTokenRequests), 1),
    atLeast("renewals", renewals, 5),
    exactly("revocations noticed", seen.noticed, 2),
    atLeast("requests repeated after a 401", readings.rejected, 2),
    atLeast("token requests refused in the outage", readings.refused, 1),
    exactly("token requests with a lost response", readings.lost, 1),
    exactly("spent refresh tokens presented again", reuses, 0),
    exactly("complaints of the sandbox", complaints, 0)
  ]
}

/** Writes the table. Fails with `Wrong` if a count is not as expected. */
export const report = Effect.fnUntraced(function* (
  screen: Screen,
  readings: Readings,
  renewals: number,
  seen: SandboxCounts | undefined
) {
  const table = rows(readings, renewals, seen)
  yield* screen.line("")
  for (const { name, value, wanted } of table) {
    const verdict =
      wanted === undefined
        ? ""
        : wanted.met
          ? `${screen.style("green", "ok")}     ${screen.style("gray", wanted.text)}`
          : `${screen.style("red", "WRONG")}  ${wanted.text}`
    yield* screen.line(`  ${name.padEnd(38)}${String(value).padStart(6)}   ${verdict}`.trimEnd())
  }
  yield* screen.line("")
  for (const complaint of seen?.complaints ?? []) yield* screen.line(`  the sandbox complains: ${complaint}`)
  const wrong = table.filter(({ wanted }) => wanted?.met === false)
  if (wrong.length > 0) {
    return yield* new Wrong({
      checks: wrong.map(({ name, value, wanted }) => `${name}: ${value} instead of ${wanted?.text}`)
    })
  }
})
