/** What is done to the processes, and what must not come of it. */
import { Array, type Duration, Effect, Fiber, Option, Random, type Scope } from "effect"
import * as Faults from "../src/testing/Faults.js"
import type { Report } from "../src/testing/internal/sandboxLog.js"
import * as Fleet from "./fleet.js"
import type { Place, Point } from "./Line.js"
import * as Server from "./server.js"

export const modes = ["plain", "clocks", "term", "kill", "stop"] as const
export type Mode = (typeof modes)[number]

export interface Options {
  readonly program: string
  readonly place: Place
  readonly mode: Mode
  readonly processes: number
  readonly rotations: number
  /** How many kills or stops. */
  readonly times: number
  readonly progress: (text: string) => Effect.Effect<void>
}

export interface Result extends Omit<Fleet.Told, "problems"> {
  readonly store: string
  readonly mode: Mode
  readonly rotations: number
  readonly sandbox: Report
  readonly seconds: number
  /** What the last call of each process was made with. */
  readonly generations: ReadonlyArray<number>
  readonly problems: ReadonlyArray<string>
}

/** Where a process is stopped or killed, besides at random. */
const ambushes: ReadonlyArray<Point> = [
  "leased",
  "intending",
  "intended",
  "sending",
  "sent",
  "answered",
  "saving",
  "writing",
  "saved"
]

/** Longer than a lease lives. */
const stopped = "13 seconds"

/** How often something is looked at that nobody tells. */
const look = "50 millis"

const until = (condition: () => boolean, limit: Duration.DurationInput): Effect.Effect<boolean> =>
  Effect.sync(condition).pipe(
    Effect.delay(look),
    Effect.repeat({ until: (met) => met }),
    Effect.timeoutTo({ duration: limit, onSuccess: () => true, onTimeout: () => false })
  )

const hours: Record<Mode, (nth: number) => number> = {
  plain: () => 0,
  // An hour ahead, an hour behind, and right.
  clocks: (nth) => [1, -1, 0][nth % 3] ?? 0,
  term: () => 0,
  kill: () => 0,
  stop: () => 0
}

/** Rotations and nothing else. */
const rotate = ({ rotations }: Options, server: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    const enough = yield* until(
      () => server.rotations() >= rotations || fleet.told.broken.length > 0,
      `${rotations * 3 + 60} seconds`
    )
    if (!enough) fleet.told.broken.push(`only ${server.rotations()} rotations in three seconds for each`)
  })

/** Once a second some process ends as it does when it is deployed anew. */
const deploy = ({ times }: Options, _: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    for (let nth = 0; nth < times; nth++) {
      yield* Effect.sleep("1 second")
      yield* fleet.kill(nth % fleet.size, "SIGTERM")
    }
  })

/**
 * Once a second some process is killed, now and then at a chosen place of a flight: by chance alone few kills would hit
 * one. Not much more often, as everybody waits for ten seconds each time.
 */
const kill = ({ times }: Options, _: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    let ambush: Fiber.Fiber<Fleet.Caught> | undefined
    let laid = 0
    for (let nth = 0; nth < times; nth++) {
      if (ambush === undefined && nth % 15 === 0) {
        const point = ambushes[laid++ % ambushes.length] ?? "leased"
        ambush = yield* Effect.fork(fleet.ambush({ point, signal: "SIGKILL", nth: 1 }))
      }
      yield* Effect.sleep("1 second")
      const caught: Option.Option<Fleet.Caught> =
        ambush === undefined
          ? Option.none()
          : yield* Effect.flatMap(
              Fiber.poll(ambush),
              Option.match({
                onNone: () => Effect.succeedNone,
                onSome: (exit) => Effect.asSome(exit)
              })
            )
      if (Option.isSome(caught)) {
        ambush = undefined
        yield* fleet.replace(caught.value)
      } else {
        yield* fleet.kill(yield* Random.nextIntBetween(0, fleet.size), "SIGKILL")
      }
    }
    yield* fleet.disarm
    const last = ambush === undefined ? Option.none() : yield* Fiber.poll(ambush)
    if (Option.isSome(last)) yield* Effect.flatMap(last.value, fleet.replace)
    else if (ambush !== undefined) yield* Fiber.interrupt(ambush)
  })

/** One after the other is stopped, at each place of a flight, for longer than its lock lives, and goes on. */
const stop = ({ progress, times }: Options, server: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    const { broken } = fleet.told
    for (let nth = 0; nth < times; nth++) {
      const point = ambushes[nth % ambushes.length] ?? "leased"
      const before = (yield* server.sandbox.report).reuses
      const caught = yield* Effect.timeoutOption(fleet.ambush({ point, signal: "SIGSTOP", nth: 1 }), "60 seconds")
      if (Option.isNone(caught)) {
        broken.push(`no process came to "${point}" within a minute`)
        continue
      }
      const { nth: loser, worker } = caught.value
      const old = fleet.generation()
      yield* Effect.sleep(stopped)
      // Where the machine is busy, taking over takes longer than waiting for the lock.
      yield* until(() => fleet.generation() > old, "15 seconds")
      const newer = fleet.generation()
      if (newer <= old) broken.push(`while one process was stopped at "${point}", the others obtained nothing`)
      const { calls } = fleet.member(loser)
      yield* worker.signal("SIGCONT")
      // Its first answer may still be that of the token it had; the ones after that are not.
      const recovered = yield* until(
        () => fleet.member(loser).calls > calls && fleet.member(loser).generation >= newer,
        "30 seconds"
      )
      if (!recovered) broken.push(`the process that was stopped at "${point}" did not recover`)
      const onwards = yield* until(() => fleet.generation() > newer + 1, "30 seconds")
      if (!onwards) broken.push(`after one process was stopped at "${point}", no more tokens were obtained`)
      const reuses = (yield* server.sandbox.report).reuses - before
      if (reuses > 1) broken.push(`a stop at "${point}" led to ${reuses} presentations of a spent token`)
      yield* progress(`stopped at "${point}": generations ${old} to ${newer}, ${reuses} old presentations`)
    }
  })

const drive = { plain: rotate, clocks: rotate, term: deploy, kill, stop }

/** What the issue promises of each mode. */
const judge = (options: Options, told: Fleet.Told, rotations: number, sandbox: Report): ReadonlyArray<string> => {
  const atMost = (name: string, value: number, most: number) => (value <= most ? [] : [`${name}: ${value} > ${most}`])
  const always = [...told.broken, ...atMost("complaints of the sandbox", sandbox.complaints, 0)]
  const undisturbed = [
    ...always,
    ...atMost("log ins", sandbox.logins, 1),
    ...atMost("old presentations", sandbox.reuses, 0),
    ...atMost("exchanges at once", sandbox.maxConcurrentExchanges, 1),
    ...atMost("failed calls", told.failed - told.late, 0)
  ]
  switch (options.mode) {
    case "plain":
    case "clocks":
      return rotations < options.rotations ? [...undisturbed, `rotations: ${rotations}`] : undisturbed
    case "term":
      return undisturbed
    case "kill":
      return [
        ...always,
        ...atMost("log ins after the first", sandbox.logins - 1, told.killsInFlight),
        ...atMost("old presentations", sandbox.reuses, told.killsInFlight),
        ...atMost("exchanges at once", sandbox.maxConcurrentExchanges, 1)
      ]
    case "stop":
      return [
        ...always,
        ...atMost("log ins after the first", sandbox.logins - 1, told.stopsInFlight + sandbox.reuses),
        ...atMost("old presentations", sandbox.reuses, told.stops)
      ]
  }
}

/** Starts a sandbox and the processes, does what the mode says, and judges the result. */
export const run = (options: Options): Effect.Effect<Result, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { mode, place } = options
    const begun = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const server = yield* Server.serve()
    // An exchange takes its time, so that something can happen to it, and so that two would be seen to overlap. The
    // answer is what is late: when a process dies for want of it, its token is spent.
    const latency = mode === "kill" || mode === "stop" ? "60 millis" : "25 millis"
    const slow = Faults.Delay({ duration: latency, when: "after" })
    for (const endpoint of ["login", "refresh"] as const) {
      yield* server.sandbox.faults.inject(endpoint, slow, Number.POSITIVE_INFINITY)
    }
    const fleet = yield* Fleet.make({
      program: options.program,
      place,
      baseUrl: server.url,
      size: options.processes,
      hours: hours[mode]
    })
    const seconds = Effect.clockWith((clock) =>
      Effect.map(clock.currentTimeMillis, (now) => Math.round((now - begun) / 1000))
    )
    const told = fleet.told
    const tick = Effect.gen(function* () {
      yield* Effect.sleep("10 seconds")
      const { logins, reuses } = yield* server.sandbox.report
      yield* options.progress(
        `${yield* seconds} s: ${server.rotations()} rotations, ${logins} log ins, ${reuses} old presentations, ` +
          `${told.calls} calls, ${told.failed} failed (${told.late} late), ${told.kills} kills (${told.killsInFlight} in flight), ${told.stops} stops`
      )
    })
    yield* Effect.raceFirst(drive[mode](options, server, fleet), Effect.forever(tick))
    yield* fleet.finish
    const sandbox = yield* server.sandbox.report
    const { problems, ...counts } = told
    return {
      ...counts,
      store: place.kind,
      mode,
      rotations: server.rotations(),
      generations: Array.makeBy(options.processes, (nth) => fleet.member(nth).generation),
      sandbox,
      seconds: yield* seconds,
      broken: [...judge(options, told, server.rotations(), sandbox)],
      problems: Array.fromIterable(problems).map(([problem, count]) => `${count} × ${problem}`)
    }
  })
