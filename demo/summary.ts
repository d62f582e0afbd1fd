/** What was measured, beside what it had to be. */
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
    return `not as it should be: ${this.checks.join("; ")}`
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

/** What the sandbox saw, and how many of its revocations made some answer a 401. */
export interface Seen extends Counted {
  readonly noticed: number
}

const rows = (readings: Readings, renewals: number, seen: Seen | undefined): ReadonlyArray<Row> => {
  const pages = [
    measured("requests", readings.requests),
    atLeast("pages that arrived", readings.arrived, 1),
    exactly("pages that never arrived", readings.missing, 0)
  ]
  if (seen === undefined) {
    return [
      ...pages,
      measured("attempts retried", readings.retried),
      measured("exchanges", readings.exchanges),
      exactly("the most concurrent exchanges", readings.mostExchanging, 1),
      measured("renewals", renewals)
    ]
  }
  const { complaints, exchanges, maxConcurrentExchanges, reuses } = seen.report
  return [
    ...pages,
    atLeast("attempts retried", readings.retried, 1),
    // A log in, ten renewals, a lost answer and a handful of tries in the outage; a client in a loop makes thousands.
    atMost("exchanges", readings.exchanges, 30),
    exactly("exchanges, as the sandbox counted", exchanges, readings.exchanges),
    exactly("the most concurrent exchanges", Math.max(readings.mostExchanging, maxConcurrentExchanges), 1),
    atLeast("renewals", renewals, 5),
    exactly("revocations noticed", seen.noticed, 2),
    atLeast("requests answered 401, then repeated", readings.rejected, 2),
    atLeast("exchanges turned away in the outage", readings.turnedAway, 1),
    exactly("exchanges whose answer was lost", readings.unanswered, 1),
    exactly("spent refresh tokens presented again", reuses, 0),
    exactly("counted against the client", complaints, 0)
  ]
}

/** Writes the table, and fails if a value is not what it had to be. */
export const report = Effect.fnUntraced(function* (
  screen: Screen,
  readings: Readings,
  renewals: number,
  seen: Seen | undefined
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
