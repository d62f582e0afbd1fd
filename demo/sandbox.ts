/**
 * The process of the sandbox. It serves the sandbox on loopback, injects faults by a script, and reports them on
 * stdout. It ends when its stdin does, and so never outlives the demo. The last event has its counts.
 */
import { createServer } from "node:http"
import { HttpServer } from "@effect/platform"
import { NodeHttpServer, NodeRuntime, NodeStream } from "@effect/platform-node"
import { Console, Effect, Layer, Schedule, Schema, Stream } from "effect"
import * as Faults from "../src/testing/Faults.js"
import type * as Sandbox from "../src/testing/internal/sandbox.js"
import { fromArguments } from "./apis.js"
import { type Event, Line } from "./Events.js"

const lifetime = "3 seconds"
const outage = 5

// After the demo was killed, nothing reads the output. That should not leave a stack trace on the terminal.
process.stdout.on("error", () => {})

const emit = (event: Event) => Effect.flatMap(Effect.orDie(Schema.encode(Line)(event)), Console.log)

/**
 * The script of faults. Each follows a renewal and not a clock, so that it meets a token of the same age in every run:
 * a revocation meets a token in the middle of its life, and the outage lasts longer than the token that was renewed
 * before it.
 */
const script = Effect.fnUntraced(function* (sandbox: Sandbox.Service) {
  const refreshes = Effect.map(sandbox.report, (report) => report.refreshes)
  const refreshed = Effect.flatMap(refreshes, (before) =>
    Effect.repeat(refreshes, { until: (count) => count > before, schedule: Schedule.spaced("10 millis") })
  )
  const rejections = Effect.map(sandbox.report, (report) => report.rejections)

  const revocation = Effect.gen(function* () {
    yield* refreshed
    yield* Effect.sleep("500 millis")
    const before = yield* rejections
    yield* sandbox.revokeAccessTokens
    yield* emit({ _tag: "Revoked" })
    yield* Effect.sleep("1 second")
    yield* emit({ _tag: "Noticed", rejections: (yield* rejections) - before })
  })

  yield* revocation

  yield* refreshed
  yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
  yield* refreshed
  yield* emit({ _tag: "ResponseLost" })

  yield* refreshed
  yield* Effect.sleep("200 millis")
  const unavailable = Faults.Status({ status: 503 })
  yield* sandbox.faults.inject("refresh", unavailable, Number.POSITIVE_INFINITY)
  yield* sandbox.faults.inject("login", unavailable, Number.POSITIVE_INFINITY)
  yield* emit({ _tag: "OutageBegan", seconds: outage })
  yield* Effect.sleep(`${outage} seconds`)
  yield* sandbox.faults.clear
  yield* emit({ _tag: "OutageEnded" })

  yield* revocation
  yield* emit({ _tag: "ScriptEnded" })
})

const main = Effect.gen(function* () {
  const [api] = yield* fromArguments(process.argv.slice(2))
  const sandbox = yield* api.sandbox({ lifetime })
  const server = createServer()
  const listening = yield* Layer.build(
    HttpServer.serve(sandbox.served).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" }))
    )
  )
  // Idle connections would keep the server from closing.
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  const url = yield* HttpServer.addressFormattedWith((address) =>
    Effect.succeed(`${address}${new URL(sandbox.baseUrl).pathname.replace(/\/$/, "")}`)
  ).pipe(Effect.provide(listening))
  yield* emit({ _tag: "Listening", url })
  yield* Effect.raceFirst(Stream.runDrain(NodeStream.stdin), Effect.zipRight(script(sandbox), Effect.never))
  const log = yield* sandbox.log
  yield* emit({
    _tag: "Counted",
    report: yield* sandbox.report,
    complaints: log.flatMap(({ complaint, method, path }) =>
      complaint === undefined ? [] : [`${method} ${path}: ${complaint}`]
    )
  })
})

NodeRuntime.runMain(Effect.scoped(main))
