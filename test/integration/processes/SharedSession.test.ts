import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Processes from "../../../soak/processes.js"
import * as Run from "../../../soak/run.js"

describe("processes of the operating system", () => {
  // The long form is `npm run soak`.
  it.scopedLive("law 20: share one session, whatever their clocks say: one renews, and the others take over", () =>
    Effect.gen(function* () {
      const program = yield* Processes.program
      const result = yield* Run.run({
        program,
        location: { kind: "file", address: `${yield* Processes.folder}/tokens` },
        mode: "clocks",
        processes: 4,
        rotations: 4,
        times: 0,
        progress: () => Effect.void
      })
      const { broken, generations, rotations, sandbox } = result
      assert.deepStrictEqual(broken, [])
      assert.isAtLeast(rotations, 4)
      // Of all generations but the first, none was obtained by a login, and no process was left behind.
      assert.strictEqual(sandbox.logins, 1)
      assert.strictEqual(sandbox.refreshes, rotations)
      assert.strictEqual(sandbox.reuses, 0)
      assert.strictEqual(sandbox.maxConcurrentTokenRequests, 1)
      assert.lengthOf(generations, 4)
      for (const generation of generations) assert.isAtLeast(generation, 3)
    })
  )
})
