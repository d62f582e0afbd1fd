/** Several processes that share one session, and what they told. */
import { Deferred, Effect, Scope } from "effect"
import type { Ambush, Line, Place, Point, Settings } from "./Line.js"
import * as Processes from "./processes.js"

export interface Told {
  calls: number
  /** Attempts that failed; each call goes on until it succeeds. */
  failed: number
  /** Those of them that took longer than a token is good for after it was handed out. */
  late: number
  longestCall: number
  kills: number
  /** Kills between a process's intent to ask for tokens and the moment it had saved the answer. */
  killsInFlight: number
  stops: number
  stopsInFlight: number
  /** Calls that were not answered in the end, and processes that ended in another way than they were told to. */
  readonly broken: Array<string>
  readonly problems: Map<string, number>
}

/** A process, and where the last of its exchanges is. */
interface Member {
  readonly worker: Processes.Worker
  /** It has said that it will ask for tokens, and not yet that it saved any. */
  inFlight: boolean
  /** The last generation that a call of it was made with. */
  generation: number
  calls: number
  /** That it ends is what was wanted. */
  expected: boolean
}

/** The process that an ambush caught. */
export interface Caught {
  readonly nth: number
  readonly worker: Processes.Worker
  readonly point: Point
}

export interface Fleet {
  readonly told: Told
  readonly size: number
  /** The newest generation any process has used. */
  readonly generation: () => number
  readonly member: (nth: number) => Member
  /** Sends a process the signal, and starts another in its place. */
  readonly kill: (nth: number, signal: "SIGKILL" | "SIGTERM") => Effect.Effect<void>
  /** Lies in wait for whichever process comes to a point first. */
  readonly ambush: (ambush: Ambush) => Effect.Effect<Caught>
  readonly disarm: Effect.Effect<void>
  /** Notes the death of a process that an ambush killed, and starts another in its place. */
  readonly replace: (caught: Caught) => Effect.Effect<void>
  /** Has all processes end after the call in hand. */
  readonly finish: Effect.Effect<void>
}

export interface Options {
  readonly program: string
  readonly place: Place
  readonly baseUrl: string
  readonly size: number
  /** How many hours the clock of the n-th process is wrong. */
  readonly hours: (nth: number) => number
}

const starts: ReadonlySet<string> = new Set<Point>(["intending", "sending"])
const ends: ReadonlySet<string> = new Set<Point>(["saved", "released"])

/**
 * In milliseconds: tokens live for a second, and are handed out until they are to be renewed, a fifth of that before. A
 * request that is on its way for longer may meet a dead token, on a machine that is too busy; no library can help that.
 */
const leeway = 200

/** Longer than it takes to wait for the lock of a process that died, twice. */
const lastCall = "45 seconds"

export const make = (options: Options): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const told: Told = {
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
    let laid: Ambush | undefined
    let caught = yield* Deferred.make<Caught>()

    const note = (problem: string) => told.problems.set(problem, (told.problems.get(problem) ?? 0) + 1)

    const hear = (nth: number, member: () => Member | undefined) => (line: Line) => {
      const one = member()
      if (one === undefined) return
      switch (line._tag) {
        case "Called":
          told.calls++
          one.calls++
          told.longestCall = Math.max(told.longestCall, line.millis)
          if (line.generation < one.generation) {
            told.broken.push(`process ${nth} went back from generation ${one.generation} to ${line.generation}`)
          }
          one.generation = line.generation
          generation = Math.max(generation, line.generation)
          return
        case "Failed":
          told.failed++
          if (line.millis >= leeway) told.late++
          return note(line.problem)
        case "Logged":
          return note(line.text)
        case "Reached":
          if (starts.has(line.point)) one.inFlight = true
          if (ends.has(line.point)) one.inFlight = false
          return
        case "Ambushed":
          if (laid?.signal === "SIGSTOP") {
            told.stops++
            if (one.inFlight) told.stopsInFlight++
          } else one.expected = true
          laid = undefined
          return Deferred.unsafeDone(caught, Effect.succeed({ nth, worker: one.worker, point: line.point }))
        case "Ended":
          return
      }
    }

    const settings = (nth: number): Settings => ({
      name: `${nth}`,
      place: options.place,
      baseUrl: options.baseUrl,
      // Most renew in the background; either way and with either client, they share one session.
      renewal: nth % 4 === 3 ? "on-use" : "background",
      client: nth % 2 === 0 ? "undici" : "fetch",
      hours: options.hours(nth),
      credentials: true,
      ambush: laid
    })

    const start = (nth: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        let member: Member | undefined
        const worker = yield* Processes.start(
          options.program,
          settings(nth),
          hear(nth, () => member)
        )
        const started: Member = { worker, inFlight: false, generation: 0, calls: 0, expected: false }
        member = started
        members[nth] = started
        yield* worker.ended.pipe(
          Effect.tap(({ code, complaint, signal }) =>
            Effect.sync(() => {
              if (!started.expected || complaint !== "") {
                told.broken.push(`process ${nth} ended by itself (${signal ?? code}) ${complaint}`)
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

    const lay = (ambush: Ambush | undefined) =>
      Effect.suspend(() => {
        laid = ambush
        return Effect.forEach(members, ({ worker }) => worker.lay(ambush), { discard: true })
      })

    // One after the other: all at once, they would keep a small machine from anything else for longer than a token lives.
    for (let nth = 0; nth < options.size; nth++) {
      yield* start(nth)
      yield* Effect.sync(() => member(nth).calls > 0 || told.broken.length > 0).pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: (ready) => ready })
      )
    }

    const buried = (nth: number, signal: "SIGKILL" | "SIGTERM") =>
      Effect.gen(function* () {
        const one = member(nth)
        yield* one.worker.ended
        if (signal === "SIGKILL") {
          told.kills++
          if (one.inFlight) told.killsInFlight++
        }
        yield* start(nth)
      })

    return {
      told,
      size: options.size,
      generation: () => generation,
      member,
      kill: (nth, signal) =>
        Effect.suspend(() => {
          member(nth).expected = true
          return Effect.zipRight(member(nth).worker.signal(signal), buried(nth, signal))
        }),
      ambush: (ambush) =>
        Effect.gen(function* () {
          caught = yield* Deferred.make<Caught>()
          yield* lay(ambush)
          const found = yield* Deferred.await(caught)
          yield* lay(undefined)
          return found
        }),
      disarm: lay(undefined),
      replace: ({ nth, worker }) =>
        Effect.suspend(() => (member(nth).worker === worker ? buried(nth, "SIGKILL") : Effect.void)),
      finish: Effect.forEach(
        members,
        (_, nth) =>
          Effect.gen(function* () {
            const one = member(nth)
            one.expected = true
            yield* one.worker.finish
            const ended = yield* Effect.timeoutOption(one.worker.ended, lastCall)
            if (ended._tag === "None") told.broken.push(`the last call of process ${nth} had no answer`)
            else if (ended.value.code !== 0)
              told.broken.push(`process ${nth} did not end cleanly (${ended.value.code})`)
          }),
        { concurrency: "unbounded", discard: true }
      )
    }
  })
