/**
 * Reports the points that a flight reaches, and stops or kills its own process at one of them. A signal from outside
 * would not arrive at an exact point.
 */
import { writeSync } from "node:fs"
import { Effect, Schema } from "effect"
import { type Failpoint, type Line, LineText, type Point } from "./Line.js"

const encode = Schema.encodeSync(LineText)

/** Writes a line synchronously, so that the driver gets it before a kill. If the driver is gone, the process ends. */
export const emit = (line: Line): void => {
  try {
    writeSync(1, `${encode(line)}\n`)
  } catch {
    process.exit(1)
  }
}

export interface Failpoints {
  /** Reports a point, and sends the signal of the failpoint if it is this one. */
  readonly reach: (point: Point, login?: boolean) => Effect.Effect<void>
  /** Sets the failpoint, or removes it. */
  readonly arm: (failpoint: Failpoint | undefined) => void
}

export const make = (first: Failpoint | undefined): Failpoints => {
  let armed = first
  let passes = 0
  return {
    arm: (failpoint) => {
      armed = failpoint
      passes = 0
    },
    reach: (point, login = false) =>
      Effect.sync(() => {
        emit({ _tag: "Reached", point, login })
        if (armed?.point !== point || ++passes < armed.nth) return
        const { signal } = armed
        armed = undefined
        emit({ _tag: "FailpointHit", point })
        process.kill(process.pid, signal)
      })
  }
}
