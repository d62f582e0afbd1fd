import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import type { Settings } from "../../../soak/Line.js"
import * as Processes from "../../../soak/processes.js"
import * as Server from "../../../soak/server.js"

const until = (condition: () => boolean) =>
  Effect.repeat(Effect.sync(condition), { until: (met) => met, schedule: Schedule.spaced("20 millis") })

describe("a process is stopped for longer than its lease lives, and goes on", () => {
  it.scopedLive("law 19: it sends what it was about to send, and takes over what the other obtained meanwhile", () =>
    Effect.gen(function* () {
      const program = yield* Processes.program
      // There is nothing to log in with, so that the other presents the same refresh token: here it may be used twice.
      const server = yield* Server.serve({ lifetime: "3 seconds", reuseWindow: "1 minute" })
      const settings: Settings = {
        name: "one",
        location: { kind: "file", address: `${yield* Processes.folder}/tokens` },
        baseUrl: server.url,
        renewal: "background",
        client: "undici",
        hours: 0,
        credentials: false,
        seed: yield* server.sandbox.mintRefreshToken,
        reuseWindow: 60,
        failpoint: { point: "intended", signal: "SIGSTOP", nth: 2 }
      }
      let stopped = false
      const generations = { one: 0, two: 0 }
      const problems: Array<string> = []
      const start = (name: "one" | "two", failpoint: Settings["failpoint"]) =>
        Processes.start(program, { ...settings, name, failpoint }, (line) => {
          if (line._tag === "Called") generations[name] = line.generation
          if (line._tag === "FailpointHit") stopped = true
          if (line._tag === "Failed") problems.push(`${name}: ${line.problem}`)
        })

      const one = yield* start("one", settings.failpoint)
      yield* until(() => stopped)
      const two = yield* start("two", undefined)
      yield* until(() => generations.two >= 2)
      const granted = server.rotations()
      const newest = generations.two

      yield* one.signal("SIGCONT")
      yield* until(() => generations.one >= newest && generations.two > newest)
      // The seed, the first set, and what the process that went on was given for nothing; and no login.
      assert.isAbove(server.rotations(), granted)
      for (const { finish } of [one, two]) yield* finish
      assert.strictEqual((yield* one.ended).code, 0)
      assert.strictEqual((yield* two.ended).code, 0)
      const { logins, reuses } = yield* server.sandbox.report
      assert.deepStrictEqual({ logins, reuses, problems }, { logins: 0, reuses: 0, problems: [] })
      // One token request was for nothing: its answer came too late, and did not take the place of a newer one.
      assert.strictEqual(server.rotations(), Math.max(generations.one, generations.two) + 1)
    }).pipe(Effect.timeout("50 seconds"))
  )
})
