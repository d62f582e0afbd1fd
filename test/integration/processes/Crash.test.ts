import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Array, Deferred, Effect, Exit, Option, Scope } from "effect"
import type { Line, Point, Settings, StoreLocation } from "../../../soak/Line.js"
import * as Processes from "../../../soak/processes.js"
import * as Server from "../../../soak/server.js"
import { postgres } from "../../support/postgres.js"
import * as Redis from "../../support/redis.js"

/** Where a process dies in the middle of its second token request. `held`: the server has processed it, and holds the answer. */
interface Death {
  readonly at: Point | "held"
  readonly store: StoreLocation["kind"]
  readonly credentials: boolean
  /** Whether the server declares that it forgives a second use, and does. */
  readonly window: boolean
}

/** What the next process did, as the server and itself saw it. */
interface Aftermath {
  readonly logins: number
  readonly refreshes: number
  readonly reuses: number
  readonly most: number
  readonly complaints: number
  /** How long its first call took, if it had an answer. */
  readonly millis: number | undefined
  readonly problems: ReadonlyArray<string>
}

type Locations = Record<StoreLocation["kind"], Effect.Effect<StoreLocation, unknown, Scope.Scope>>

/** An empty location in each store. The servers are started when they are first needed, and once. */
const makeLocations: Effect.Effect<Locations, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const database = yield* Effect.cached(Scope.extend(Effect.flatten(postgres), scope))
  const redis = yield* Effect.cached(Scope.extend(Effect.flatten(Redis.server), scope))
  return {
    file: Effect.map(Processes.folder, (folder) => ({ kind: "file", address: `${folder}/tokens` })),
    postgres: Effect.flatMap(database, ({ database }) =>
      Effect.map(database, (address) => ({ kind: "postgres", address }))
    ),
    redis: Effect.map(redis, ({ url }) => ({ kind: "redis", address: url }))
  }
})

const crash = (
  program: string,
  locations: Locations,
  { at, credentials, store, window }: Death
): Effect.Effect<Aftermath, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const location = yield* locations[store]
    const paused = yield* Deferred.make<void>()
    let responses = 0
    const server: Server.Server = yield* Server.serve({
      reuseWindow: window ? "1 minute" : undefined,
      // The first set is for a second, so that it has to be renewed. What comes of that is good for the rest of the test.
      onResponse: () =>
        Effect.suspend(() => {
          responses++
          if (responses === 1) return server.sandbox.setLifetime("1 hour")
          return responses === 2 && at === "held"
            ? Effect.zipRight(Deferred.succeed(paused, undefined), Effect.never)
            : Effect.void
        })
    })
    const settings: Settings = {
      name: "one",
      location,
      baseUrl: server.url,
      renewal: "background",
      client: "undici",
      hours: 0,
      credentials,
      seed: credentials ? undefined : yield* server.sandbox.mintRefreshToken,
      reuseWindow: window ? 60 : undefined,
      // A login writes down no intent.
      failpoint:
        at === "held" ? undefined : { point: at, signal: "SIGKILL", nth: credentials && at === "intended" ? 1 : 2 }
    }
    const first = yield* Processes.start(program, settings, () => {})
    if (at === "held") yield* Effect.zipRight(Deferred.await(paused), first.signal("SIGKILL"))
    const death = yield* first.ended
    assert.deepStrictEqual(death, { code: null, signal: "SIGKILL", stderr: "" })

    const before = yield* server.sandbox.report
    const lines: Array<Line> = []
    const { failpoint: _, ...again } = settings
    const second = yield* Processes.start(program, { ...again, name: "two", calls: 1, attempts: 3 }, (line) =>
      lines.push(line)
    )
    assert.deepStrictEqual(yield* second.ended, { code: 0, signal: null, stderr: "" })
    const after = yield* server.sandbox.report
    return {
      logins: after.logins - before.logins,
      refreshes: after.refreshes - before.refreshes,
      reuses: after.reuses,
      most: after.maxConcurrentTokenRequests,
      complaints: after.complaints,
      millis: lines.flatMap((line) => (line._tag === "Called" ? [line.millis] : []))[0],
      problems: lines.flatMap((line) =>
        line._tag === "Failed" || line._tag === "Logged" ? [line._tag === "Failed" ? line.problem : line.text] : []
      )
    }
  })

const title = ({ at, credentials, store, window }: Death) =>
  [`${store}: ${at}`, credentials ? "with credentials" : "without", ...(window ? ["within a reuse window"] : [])].join(
    ", "
  )

type Expected = Pick<Aftermath, "logins" | "refreshes" | "reuses">
const nothing: Expected = { logins: 0, refreshes: 0, reuses: 0 }
const login: Expected = { logins: 1, refreshes: 0, reuses: 0 }
const refresh: Expected = { logins: 0, refreshes: 1, reuses: 0 }
const reuse: Expected = { logins: 0, refreshes: 1, reuses: 1 }

const file = (at: Death["at"], credentials: boolean, window = false): Death => ({
  store: "file",
  at,
  credentials,
  window
})

const deaths: ReadonlyArray<readonly [string, Death, Expected]> = [
  ["law 20: before the intent, nothing is in doubt", file("leased", true), refresh],
  ["law 21: before the request, the intent says that it is in doubt", file("intended", true), login],
  ["law 13: after it was sent, there is a login", file("held", true), login],
  ["law 13: after the answer, there is a login", file("received", true), login],
  ["law 19: half a file is no save", file("tearing", true), login],
  ["law 19: a file that is not in force is no save", file("writing", true), login],
  ["law 18: after the save, what was saved is used", file("saved", true), nothing],
  ["law 13: before the request, without credentials, it is presented once more", file("intended", false), refresh],
  [
    "law 13: after it was sent, without credentials, it is presented once more, and no more",
    file("held", false),
    reuse
  ],
  ["law 18: after the save, without credentials, what was saved is used", file("saved", false), nothing],
  ["law 13: within a reuse window, a spent one is presented once more", file("held", false, true), refresh],
  ["law 13: within a reuse window, that comes before a login", file("writing", true, true), refresh],
  ...(["postgres", "redis"] as const).flatMap(
    (store): ReadonlyArray<readonly [string, Death, Expected]> => [
      ["law 13: after it was sent, there is a login", { store, at: "held", credentials: true, window: false }, login],
      [
        "law 18: after the save, what was saved is used",
        { store, at: "saved", credentials: true, window: false },
        nothing
      ]
    ]
  )
]

const missing: Record<StoreLocation["kind"], string | undefined> = {
  file: undefined,
  postgres: Option.isSome(postgres) ? undefined : "there is no Postgres",
  redis: Redis.missing
}

describe("a process is killed, and the next one starts", () => {
  const scope = Effect.runSync(Scope.make())
  const aftermaths = new Map<Death, Exit.Exit<Aftermath, unknown>>()

  // All at once, as each of them waits for the lease of the dead.
  beforeAll(
    () =>
      Effect.gen(function* () {
        const program = yield* Processes.program
        const locations = yield* makeLocations
        yield* Effect.forEach(
          deaths.filter(([, { store }]) => missing[store] === undefined),
          ([, death]) =>
            Effect.map(Effect.exit(Effect.timeout(crash(program, locations, death), "60 seconds")), (exit) =>
              aftermaths.set(death, exit)
            ),
          { concurrency: "unbounded" }
        )
      }).pipe(Scope.extend(scope), Effect.runPromise),
    90_000
  )
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  for (const [law, death, expected] of deaths) {
    it.effect.skipIf(missing[death.store] !== undefined)(`${law} (${title(death)})`, () =>
      Effect.gen(function* () {
        const exit = aftermaths.get(death)
        assert.isDefined(exit)
        const { complaints, logins, millis, most, problems, refreshes, reuses } = yield* exit
        assert.deepStrictEqual({ logins, refreshes, reuses }, expected)
        assert.strictEqual(most, 1)
        assert.strictEqual(complaints, 0)
        if (expected === reuse) {
          // What was presented was spent, and the strict server has revoked it all: that is the end, and no loop.
          assert.isUndefined(millis)
          const [logged, failed] = Array.partition(problems, (problem) => problem.startsWith("InvalidRefreshToken"))
          assert.lengthOf(failed, 3)
          assert.lengthOf(logged, 1)
          assert.match(logged[0] ?? "", /the refresh token cannot be used any more/)
        } else {
          assert.deepStrictEqual(problems, [])
          // An orphaned lock costs seconds, generously for a busy machine, and no manual delete; where the store is a server,
          // they pass while the next process starts.
          const [least, most] = expected === nothing ? [0, 20_000] : [death.store === "file" ? 9000 : 0, 40_000]
          assert.isAbove(millis ?? 0, least)
          assert.isBelow(millis ?? Number.POSITIVE_INFINITY, most)
        }
      })
    )
  }
})
