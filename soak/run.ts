/** The modes of a run, and the limits that its counts must keep. */
import { Array, type Duration, Effect, Fiber, Option, Random, type Scope } from "effect"
import * as Faults from "../src/testing/Faults.js"
import type { Report } from "../src/testing/internal/sandboxLog.js"
import * as Fleet from "./fleet.js"
import type { Point, StoreLocation } from "./Line.js"
import * as Server from "./server.js"

export const modes = ["plain", "clocks", "term", "kill", "stop"] as const
export type Mode = (typeof modes)[number]

export interface Options {
  readonly program: string
  readonly location: StoreLocation
  readonly mode: Mode
  readonly processes: number
  readonly rotations: number
  /** How many kills or stops there are. */
  readonly times: number
  readonly progress: (text: string) => Effect.Effect<void>
}

export interface Result extends Omit<Fleet.Counts, "problems"> {
  readonly store: string
  readonly mode: Mode
  readonly rotations: number
  readonly sandbox: Report
  readonly seconds: number
  /** The generation of the last call of each process. */
  readonly generations: ReadonlyArray<number>
  readonly problems: ReadonlyArray<string>
}

/** The points at which a process is stopped or killed, besides at random. */
const failpoints: ReadonlyArray<Point> = [
  "leased",
  "intending",
  "intended",
  "sending",
  "sent",
  "received",
  "saving",
  "writing",
  "saved"
]

/** Longer than a lease lasts. */
const pause = "13 seconds"

/** How often a condition is checked. */
const pollInterval = "50 millis"

const until = (condition: () => boolean, limit: Duration.DurationInput): Effect.Effect<boolean> =>
  Effect.sync(condition).pipe(
    Effect.delay(pollInterval),
    Effect.repeat({ until: (met) => met }),
    Effect.timeoutTo({ duration: limit, onSuccess: () => true, onTimeout: () => false })
  )

const hours: Record<Mode, (nth: number) => number> = {
  plain: () => 0,
  // An hour ahead, an hour behind, or right.
  clocks: (nth) => [1, -1, 0][nth % 3] ?? 0,
  term: () => 0,
  kill: () => 0,
  stop: () => 0
}

/** Lets the processes work until there were enough rotations. */
const rotate = ({ rotations }: Options, server: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    const enough = yield* until(
      () => server.rotations() >= rotations || fleet.counts.broken.length > 0,
      `${rotations * 3 + 60} seconds`
    )
    if (!enough) fleet.counts.broken.push(`only ${server.rotations()} rotations, with three seconds for each`)
  })

/** Ends a process with SIGTERM once a second, as a deployment does. */
const deploy = ({ times }: Options, _: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    for (let nth = 0; nth < times; nth++) {
      yield* Effect.sleep("1 second")
      yield* fleet.kill(nth % fleet.size, "SIGTERM")
    }
  })

/**
 * Kills a process once a second. Every 15th kill is at a chosen point of a flight, because random kills rarely hit one.
 * It is not more often, because after such a kill all processes wait for ten seconds.
 */
const kill = ({ times }: Options, _: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    let pending: Fiber.Fiber<Fleet.Hit> | undefined
    let armed = 0
    for (let nth = 0; nth < times; nth++) {
      if (pending === undefined && nth % 15 === 0) {
        const point = failpoints[armed++ % failpoints.length] ?? "leased"
        pending = yield* Effect.fork(fleet.hit({ point, signal: "SIGKILL", nth: 1 }))
      }
      yield* Effect.sleep("1 second")
      const hit: Option.Option<Fleet.Hit> =
        pending === undefined
          ? Option.none()
          : yield* Effect.flatMap(
              Fiber.poll(pending),
              Option.match({
                onNone: () => Effect.succeedNone,
                onSome: (exit) => Effect.asSome(exit)
              })
            )
      if (Option.isSome(hit)) {
        pending = undefined
        yield* fleet.replace(hit.value)
      } else {
        yield* fleet.kill(yield* Random.nextIntBetween(0, fleet.size), "SIGKILL")
      }
    }
    yield* fleet.disarm
    const last = pending === undefined ? Option.none() : yield* Fiber.poll(pending)
    if (Option.isSome(last)) yield* Effect.flatMap(last.value, fleet.replace)
    else if (pending !== undefined) yield* Fiber.interrupt(pending)
  })

/** Stops one process after the other, at each point of a flight, for longer than its lease lasts; then it continues. */
const stop = ({ progress, times }: Options, server: Server.Server, fleet: Fleet.Fleet) =>
  Effect.gen(function* () {
    const { broken } = fleet.counts
    for (let nth = 0; nth < times; nth++) {
      const point = failpoints[nth % failpoints.length] ?? "leased"
      const before = (yield* server.sandbox.report).reuses
      const hit = yield* Effect.timeoutOption(fleet.hit({ point, signal: "SIGSTOP", nth: 1 }), "60 seconds")
      if (Option.isNone(hit)) {
        broken.push(`no process reached "${point}" within a minute`)
        continue
      }
      const { nth: loser, worker } = hit.value
      const old = fleet.generation()
      yield* Effect.sleep(pause)
      // On a busy machine, another process needs longer than the end of the lease.
      yield* until(() => fleet.generation() > old, "15 seconds")
      const newer = fleet.generation()
      if (newer <= old) broken.push(`while one process was stopped at "${point}", the others obtained nothing`)
      const { calls } = fleet.member(loser)
      yield* worker.signal("SIGCONT")
      // Its first call may still use the old token; the calls after that do not.
      const recovered = yield* until(
        () => fleet.member(loser).calls > calls && fleet.member(loser).generation >= newer,
        "30 seconds"
      )
      if (!recovered) broken.push(`the process that was stopped at "${point}" did not recover`)
      const renewedAgain = yield* until(() => fleet.generation() > newer + 1, "30 seconds")
      if (!renewedAgain) broken.push(`after one process was stopped at "${point}", no more tokens were obtained`)
      const reuses = (yield* server.sandbox.report).reuses - before
      if (reuses > 1) broken.push(`a stop at "${point}" led to ${reuses} uses of a spent token`)
      yield* progress(`stopped at "${point}": generations ${old} to ${newer}, ${reuses} reuses`)
    }
  })

const drive = { plain: rotate, clocks: rotate, term: deploy, kill, stop }

/** Compares the counts with the limits of the mode. Returns what is wrong. */
const violations = (
  options: Options,
  counts: Fleet.Counts,
  rotations: number,
  sandbox: Report
): ReadonlyArray<string> => {
  const atMost = (name: string, value: number, most: number) => (value <= most ? [] : [`${name}: ${value} > ${most}`])
  const always = [...counts.broken, ...atMost("complaints of the sandbox", sandbox.complaints, 0)]
  const undisturbed = [
    ...always,
    ...atMost("logins", sandbox.logins, 1),
    ...atMost("reuses of refresh tokens", sandbox.reuses, 0),
    ...atMost("concurrent token requests", sandbox.maxConcurrentTokenRequests, 1),
    ...atMost("failed calls", counts.failed - counts.late, 0)
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
        ...atMost("logins after the first", sandbox.logins - 1, counts.killsInFlight),
        ...atMost("reuses of refresh tokens", sandbox.reuses, counts.killsInFlight),
        ...atMost("concurrent token requests", sandbox.maxConcurrentTokenRequests, 1)
      ]
    case "stop":
      return [
        ...always,
        ...atMost("logins after the first", sandbox.logins - 1, counts.stopsInFlight + sandbox.reuses),
        ...atMost("reuses of refresh tokens", sandbox.reuses, counts.stops)
      ]
  }
}

/** Runs a mode: starts a sandbox and the processes, disturbs them, and checks the counts. */
export const run = (options: Options): Effect.Effect<Result, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { location, mode } = options
    const begun = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const server = yield* Server.serve()
    // The response to a token request is late, so that a process can be killed before it arrives, with its refresh
    // token spent, and so that two concurrent requests would be seen.
    const latency = mode === "kill" || mode === "stop" ? "60 millis" : "25 millis"
    const slow = Faults.Delay({ duration: latency, when: "after" })
    for (const endpoint of ["login", "refresh"] as const) {
      yield* server.sandbox.faults.inject(endpoint, slow, Number.POSITIVE_INFINITY)
    }
    const fleet = yield* Fleet.make({
      program: options.program,
      location,
      baseUrl: server.url,
      size: options.processes,
      hours: hours[mode]
    })
    const seconds = Effect.clockWith((clock) =>
      Effect.map(clock.currentTimeMillis, (now) => Math.round((now - begun) / 1000))
    )
    const { counts } = fleet
    const tick = Effect.gen(function* () {
      yield* Effect.sleep("10 seconds")
      const { logins, reuses } = yield* server.sandbox.report
      yield* options.progress(
        `${yield* seconds} s: ${server.rotations()} rotations, ${logins} logins, ${reuses} reuses, ` +
          `${counts.calls} calls, ${counts.failed} failed (${counts.late} late), ${counts.kills} kills (${counts.killsInFlight} in flight), ${counts.stops} stops`
      )
    })
    yield* Effect.raceFirst(drive[mode](options, server, fleet), Effect.forever(tick))
    yield* fleet.finish
    const sandbox = yield* server.sandbox.report
    const { problems, ...numbers } = counts
    return {
      ...numbers,
      store: location.kind,
      mode,
      rotations: server.rotations(),
      generations: Array.makeBy(options.processes, (nth) => fleet.member(nth).generation),
      sandbox,
      seconds: yield* seconds,
      broken: [...violations(options, counts, server.rotations(), sandbox)],
      problems: Array.fromIterable(problems).map(([problem, count]) => `${count} × ${problem}`)
    }
  })
