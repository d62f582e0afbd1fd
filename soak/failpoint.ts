/** Tells where a flight is, and stops or kills its own process there: no signal from outside comes so exactly. */
import { writeSync } from "node:fs"
import { Effect, Schema } from "effect"
import { type Ambush, type Line, LineText, type Point } from "./Line.js"

const encode = Schema.encodeSync(LineText)

/** At once, so that whoever reads it knows what came before a death. When nobody reads it any more, that is the end. */
export const tell = (line: Line): void => {
  try {
    writeSync(1, `${encode(line)}\n`)
  } catch {
    process.exit(1)
  }
}

export interface Watch {
  readonly reach: (point: Point, login?: boolean) => Effect.Effect<void>
  readonly lay: (ambush: Ambush | undefined) => void
}

export const watch = (first: Ambush | undefined): Watch => {
  let laid = first
  let passed = 0
  return {
    lay: (ambush) => {
      laid = ambush
      passed = 0
    },
    reach: (point, login = false) =>
      Effect.sync(() => {
        tell({ _tag: "Reached", point, login })
        if (laid?.point !== point || ++passed < laid.nth) return
        const { signal } = laid
        laid = undefined
        tell({ _tag: "Ambushed", point })
        process.kill(process.pid, signal)
      })
  }
}
