/**
 * Checks that operating-system processes that share one session lose nothing. Eight processes use a strict sandbox,
 * whose tokens live for a second and whose refresh tokens are single-use, with each store. The modes: `plain` leaves
 * them alone, `clocks` sets their clocks an hour wrong, `term` ends them as a deployment does, `kill` kills one a
 * second, and `stop` stops one for longer than its lease lasts.
 *
 *     npm run soak
 *     npm run soak -- --short
 *     npm run soak -- --stores file,postgres,redis --mode kill --times 120
 *
 * Postgres and Redis are those of EFFECT_AUTH_TEST_POSTGRES and EFFECT_AUTH_TEST_REDIS, or private ones on loopback.
 */
import { parseArgs } from "node:util"
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Console, Data, Effect, Exit, Option, type Scope } from "effect"
import { postgres } from "../test/support/postgres.js"
import * as Redis from "../test/support/redis.js"
import type { StoreLocation } from "./Line.js"
import * as Processes from "./processes.js"
import * as Run from "./run.js"
import { table } from "./table.js"

class Unusable extends Data.TaggedError("Unusable")<{ readonly message: string }> {}
class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

const kinds = ["file", "postgres", "redis"] as const

const oneOf = <A extends string>(known: ReadonlyArray<A>, asked: string) =>
  asked === "all"
    ? Effect.succeed(known)
    : Effect.forEach(asked.split(","), (one) =>
        Option.match(Option.fromNullable(known.find((name) => name === one)), {
          onNone: () => new Unusable({ message: `there is no "${one}"; there are: ${known.join(", ")}, all` }),
          onSome: Effect.succeed
        })
      )

const options = Effect.gen(function* () {
  const { values } = yield* Effect.try({
    try: () =>
      parseArgs({
        options: {
          stores: { type: "string", default: "all" },
          mode: { type: "string", default: "all" },
          processes: { type: "string", default: "8" },
          rotations: { type: "string" },
          times: { type: "string" },
          short: { type: "boolean", default: false }
        }
      }),
    catch: (error) => new Unusable({ message: error instanceof Error ? error.message : "unreadable arguments" })
  })
  const number = (name: string, text: string | undefined, otherwise: number) =>
    text === undefined
      ? Effect.succeed(otherwise)
      : /^[1-9]\d*$/.test(text)
        ? Effect.succeed(Number(text))
        : new Unusable({ message: `--${name} must be a positive whole number` })
  const times = {
    plain: 0,
    clocks: 0,
    term: values.short ? 8 : 60,
    kill: values.short ? 8 : 120,
    stop: values.short ? 1 : 18
  }
  return {
    kinds: yield* oneOf(kinds, values.stores),
    modes: yield* oneOf(Run.modes, values.mode),
    processes: yield* number("processes", values.processes, 8),
    rotations: yield* number("rotations", values.rotations, values.short ? 15 : 500),
    times: (mode: Run.Mode) => number("times", values.times, times[mode])
  }
})

/** Makes an empty store of a kind, which is removed with the scope. */
const location = {
  file: Effect.map(Processes.folder, (folder): StoreLocation => ({ kind: "file", address: `${folder}/tokens` })),
  postgres: Option.match(postgres, {
    onNone: () => new Unusable({ message: "there is no Postgres" }),
    onSome: Effect.flatMap(({ database }) =>
      Effect.map(database, (address): StoreLocation => ({ kind: "postgres", address }))
    )
  }),
  redis: Effect.flatMap(
    Redis.server,
    Option.match({
      onNone: () => new Unusable({ message: "there is no Redis" }),
      onSome: ({ url }) => Effect.succeed<StoreLocation>({ kind: "redis", address: url })
    })
  )
} satisfies Record<StoreLocation["kind"], Effect.Effect<StoreLocation, unknown, Scope.Scope>>

const main = Effect.gen(function* () {
  const asked = yield* options
  const program = yield* Processes.program
  const results = yield* Effect.forEach(
    asked.kinds,
    (kind) =>
      Effect.forEach(asked.modes, (mode) =>
        Effect.gen(function* () {
          return yield* Run.run({
            program,
            location: yield* location[kind],
            mode,
            processes: asked.processes,
            rotations: asked.rotations,
            times: yield* asked.times(mode),
            progress: (text) => Console.log(`${kind} ${mode}: ${text}`)
          })
        }).pipe(Effect.scoped)
      ),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((all) => all.flat()))
  yield* Console.log(`\n${table(results)}`)
  const broken = results.flatMap(({ broken, mode, store }) => broken.map((reason) => `${store} ${mode}: ${reason}`))
  if (broken.length > 0) return yield* new Broken({ message: `the soak failed:\n  ${broken.join("\n  ")}` })
}).pipe(
  Effect.scoped,
  Effect.tapErrorCause((cause) =>
    Cause.isInterruptedOnly(cause) ? Effect.void : Console.error(`soak: ${Cause.squash(cause)}`)
  )
)

NodeRuntime.runMain(main, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
