/** A fleet of processes that share one session, and the counts of what they reported. */
import { Deferred, Effect, Scope } from "effect"
import type { Failpoint, Line, Point, Settings, StoreLocation } from "./Line.js"
import * as Processes from "./processes.js"

export interface Counts {
  /** Calls that succeeded. */
  calls: number
  /** Attempts that failed. Each call is tried until it succeeds. */
  failed: number
  /** Failed attempts that took longer than a token is valid after it was handed out. */
  late: number
  /** In milliseconds. */
  longestCall: number
  kills: number
  /** Kills between the intent of a process to send a token request and the end of its save. */
  killsInFlight: number
  stops: number
  stopsInFlight: number
  /** Calls that never succeeded, and processes that ended in an unexpected way. */
  readonly broken: Array<string>
  /** The failures and log messages of the processes, with how often each was reported. */
  readonly problems: Map<string, number>
}

/** A process, and the state of its last token request. */
interface Member {
  readonly worker: Processes.Worker
  /** It has reported its intent to send a token request, and not yet the end of its save. */
  inFlight: boolean
  /** The generation of its last call. */
  generation: number
  calls: number
  /** Whether it is expected to end. */
  expected: boolean
}

/** A process that hit the failpoint. */
export interface Hit {
  readonly nth: number
  readonly worker: Processes.Worker
  readonly point: Point
}

export interface Fleet {
  readonly counts: Counts
  readonly size: number
  /** The newest generation of any call. */
  readonly generation: () => number
  readonly member: (nth: number) => Member
  /** Sends a signal to a process, and starts another in its place. */
  readonly kill: (nth: number, signal: "SIGKILL" | "SIGTERM") => Effect.Effect<void>
  /** Arms a failpoint in every process, and waits for the first process that hits it. */
  readonly hit: (failpoint: Failpoint) => Effect.Effect<Hit>
  /** Removes the failpoint from every process. */
  readonly disarm: Effect.Effect<void>
  /** Counts the kill of a process by a failpoint, and starts another in its place. */
  readonly replace: (hit: Hit) => Effect.Effect<void>
  /** Ends every process after its current call. */
  readonly finish: Effect.Effect<void>
}

export interface Options {
  readonly program: string
  readonly location: StoreLocation
  readonly baseUrl: string
  readonly size: number
  /** How many hours the clock of the nth process is ahead. */
  readonly hours: (nth: number) => number
}

const starts: ReadonlySet<string> = new Set<Point>(["intending", "sending"])
const ends: ReadonlySet<string> = new Set<Point>(["saved", "released"])

/**
 * The least validity of a token that is handed out, in milliseconds: a fifth of the lifetime of 1 second. On a busy
 * machine a request may take longer and arrive with an expired token. No library can prevent that.
 */
const leeway = 200

/** Longer than waiting twice for the lease of a process that died. */
const lastCall = "45 seconds"

export const make = (options: Options): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const counts: Counts = {
      calls: 0,
      failed: 0,
      late: 0,
      longestCall: 0,
      kills: 0,
      killsInFlight: 0,
      stops: 0,
      stopsInFlight: 0,
      broken: [],
      problems: new Map()
    }
    const members: Array<Member> = []
    let generation = 0
    let armed: Failpoint | undefined
    let hit = yield* Deferred.make<Hit>()

    const note = (problem: string) => counts.problems.set(problem, (counts.problems.get(problem) ?? 0) + 1)

    const receive = (nth: number, member: () => Member | undefined) => (line: Line) => {
      const one = member()
      if (one === undefined) return
      switch (line._tag) {
        case "Called":
          counts.calls++
          one.calls++
          counts.longestCall = Math.max(counts.longestCall, line.millis)
          if (line.generation < one.generation) {
            counts.broken.push(`process ${nth} went back from generation ${one.generation} to ${line.generation}`)
          }
          one.generation = line.generation
          generation = Math.max(generation, line.generation)
          return
        case "Failed":
          counts.failed++
          if (line.millis >= leeway) counts.late++
          return note(line.problem)
        case "Logged":
          return note(line.text)
        case "Reached":
          if (starts.has(line.point)) one.inFlight = true
          if (ends.has(line.point)) one.inFlight = false
          return
        case "FailpointHit":
          if (armed?.signal === "SIGSTOP") {
            counts.stops++
            if (one.inFlight) counts.stopsInFlight++
          } else one.expected = true
          armed = undefined
          return Deferred.unsafeDone(hit, Effect.succeed({ nth, worker: one.worker, point: line.point }))
        case "Ended":
          return
      }
    }

    const settings = (nth: number): Settings => ({
      name: `${nth}`,
      location: options.location,
      baseUrl: options.baseUrl,
      // Most renew in the background. All of them share one session, with either client.
      renewal: nth % 4 === 3 ? "on-use" : "background",
      client: nth % 2 === 0 ? "undici" : "fetch",
      hours: options.hours(nth),
      credentials: true,
      failpoint: armed
    })

    const start = (nth: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        let member: Member | undefined
        const worker = yield* Processes.start(
          options.program,
          settings(nth),
          receive(nth, () => member)
        )
        const started: Member = { worker, inFlight: false, generation: 0, calls: 0, expected: false }
        member = started
        members[nth] = started
        yield* worker.ended.pipe(
          Effect.tap(({ code, signal, stderr }) =>
            Effect.sync(() => {
              if (!started.expected || stderr !== "") {
                counts.broken.push(`process ${nth} ended unexpectedly (${signal ?? code}) ${stderr}`)
              }
            })
          ),
          Effect.forkScoped
        )
      }).pipe(Effect.provideService(Scope.Scope, scope))

    const member = (nth: number): Member => {
      const found = members[nth]
      if (found === undefined) throw new Error(`there is no process ${nth}`)
      return found
    }

    const arm = (failpoint: Failpoint | undefined) =>
      Effect.suspend(() => {
        armed = failpoint
        return Effect.forEach(members, ({ worker }) => worker.arm(failpoint), { discard: true })
      })

    // One after the other: together they would keep a small machine busy for longer than a token lives.
    for (let nth = 0; nth < options.size; nth++) {
      yield* start(nth)
      yield* Effect.sync(() => member(nth).calls > 0 || counts.broken.length > 0).pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: (ready) => ready })
      )
    }

    const replaced = (nth: number, signal: "SIGKILL" | "SIGTERM") =>
      Effect.gen(function* () {
        const one = member(nth)
        yield* one.worker.ended
        if (signal === "SIGKILL") {
          counts.kills++
          if (one.inFlight) counts.killsInFlight++
        }
        yield* start(nth)
      })

    return {
      counts,
      size: options.size,
      generation: () => generation,
      member,
      kill: (nth, signal) =>
        Effect.suspend(() => {
          member(nth).expected = true
          return Effect.zipRight(member(nth).worker.signal(signal), replaced(nth, signal))
        }),
      hit: (failpoint) =>
        Effect.gen(function* () {
          hit = yield* Deferred.make<Hit>()
          yield* arm(failpoint)
          const found = yield* Deferred.await(hit)
          yield* arm(undefined)
          return found
        }),
      disarm: arm(undefined),
      replace: ({ nth, worker }) =>
        Effect.suspend(() => (member(nth).worker === worker ? replaced(nth, "SIGKILL") : Effect.void)),
      finish: Effect.forEach(
        members,
        (_, nth) =>
          Effect.gen(function* () {
            const one = member(nth)
            one.expected = true
            yield* one.worker.finish
            const ended = yield* Effect.timeoutOption(one.worker.ended, lastCall)
            if (ended._tag === "None") counts.broken.push(`the last call of process ${nth} did not end`)
            else if (ended.value.code !== 0)
              counts.broken.push(`process ${nth} did not end cleanly (${ended.value.code})`)
          }),
        { concurrency: "unbounded", discard: true }
      )
    }
  })
