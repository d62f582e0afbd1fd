/**
 * The process of the sandbox: serves it on loopback, does mischief by a script, tells of it on stdout. It ends when its
 * stdin does, and so never outlives the demo; its last words are what it counted.
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

// Nobody reads on when the demo was killed, and that is no reason to leave a stack trace on its terminal.
process.stdout.on("error", () => {})

const tell = (event: Event) => Effect.flatMap(Effect.orDie(Schema.encode(Line)(event)), Console.log)

/**
 * The faults. Each is timed by a renewal instead of a clock, so that it meets the token at the same age in every run:
 * a revocation meets one in the middle of its life, and the outage outlives the token that was renewed just before it.
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
    yield* tell({ _tag: "Revoked" })
    yield* Effect.sleep("1 second")
    yield* tell({ _tag: "Noticed", rejections: (yield* rejections) - before })
  })

  yield* revocation

  yield* refreshed
  yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
  yield* refreshed
  yield* tell({ _tag: "AnswerLost" })

  yield* refreshed
  yield* Effect.sleep("200 millis")
  const unavailable = Faults.Status({ status: 503 })
  yield* sandbox.faults.inject("refresh", unavailable, Number.POSITIVE_INFINITY)
  yield* sandbox.faults.inject("login", unavailable, Number.POSITIVE_INFINITY)
  yield* tell({ _tag: "OutageBegan", seconds: outage })
  yield* Effect.sleep(`${outage} seconds`)
  yield* sandbox.faults.clear
  yield* tell({ _tag: "OutageEnded" })

  yield* revocation
  yield* tell({ _tag: "ScriptEnded" })
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
  yield* tell({ _tag: "Listening", url })
  yield* Effect.raceFirst(Stream.runDrain(NodeStream.stdin), Effect.zipRight(script(sandbox), Effect.never))
  const log = yield* sandbox.log
  yield* tell({
    _tag: "Counted",
    report: yield* sandbox.report,
    complaints: log.flatMap(({ complaint, method, path }) =>
      complaint === undefined ? [] : [`${method} ${path}: ${complaint}`]
    )
  })
})

NodeRuntime.runMain(Effect.scoped(main))
