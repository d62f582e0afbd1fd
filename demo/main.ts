/**
 * Several pipelines read pages through one session for about 20 seconds. The sandbox is a process of its own; its
 * tokens live for 3 seconds and its token endpoint is unreliable. If the variables of the real API are set, that is
 * used instead.
 *
 *     npm run demo
 *     npm run demo -- teletracker
 *     npm run demo -- all
 */
import { HttpClient } from "@effect/platform"
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Deferred, type Duration, Effect, Exit, Layer, Option, Ref } from "effect"
import { Session } from "../src/index.js"
import type { Api } from "./Api.js"
import { fromArguments } from "./apis.js"
import * as Child from "./child.js"
import type { Event } from "./Events.js"
import * as Meter from "./Meter.js"
import { pipeline } from "./pipelines.js"
import * as Screen from "./Screen.js"
import * as Summary from "./summary.js"
import * as Timeline from "./timeline.js"

const lanes = 4
const duration = "20 seconds"

/** Signs in and runs the pipelines, for the duration and until `done`. Returns how many tokens followed the first. */
const work = Effect.fnUntraced(function* <E>(
  { api, done, meter, screen }: { api: Api; done: Effect.Effect<void, E>; meter: Meter.Meter; screen: Screen.Screen },
  pause: Duration.DurationInput
) {
  const session = yield* Session.Session
  const stop = yield* Deferred.make<void>()
  yield* Timeline.show(session, meter, screen)
  yield* session.accessToken
  const first = (yield* session.status).generation
  const options = { api, meter, screen, pause, stopped: Deferred.isDone(stop) }
  yield* Effect.all(
    [
      Effect.forEach(Array.from({ length: lanes }).keys(), (nth) => pipeline(nth, options), {
        concurrency: "unbounded"
      }),
      // If the script waits for a renewal that never comes, the summary shows the failure.
      Effect.zip(Effect.sleep(duration), Effect.timeoutOption(done, "40 seconds"), { concurrent: true }).pipe(
        Effect.zipRight(Deferred.succeed(stop, undefined))
      )
    ],
    { concurrency: "unbounded", discard: true }
  )
  return (yield* session.status).generation - first
}, Effect.scoped)

const bareClient = (api: Api, meter: Meter.Meter) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (bare) => Meter.metered(bare, api, meter))
  ).pipe(Layer.provide(NodeHttpClient.layerUndici))

const againstSandbox = Effect.fnUntraced(function* (api: Api, screen: Screen.Screen) {
  const meter = yield* Meter.make(lanes)
  const noticed = yield* Ref.make(0)
  const onEvent = (event: Event) => {
    const text = Timeline.describeEvent(event)
    return Effect.zipRight(
      event._tag === "Noticed" && event.rejections > 0 ? Ref.update(noticed, (n) => n + 1) : Effect.void,
      text === undefined ? Effect.void : screen.event(text[0], text[1])
    )
  }
  yield* screen.status("starting the sandbox …")
  const child = yield* Child.start(api.name, onEvent)
  const url = yield* child.url
  // The session has closed before the sandbox reports its counts, so it sends no more requests.
  const renewals = yield* work({ api, done: child.scriptEnded, meter, screen }, "100 millis").pipe(
    Effect.provide(Layer.provide(api.layerSandbox(url), bareClient(api, meter)))
  )
  const counted = yield* child.counted
  yield* screen.status("")
  yield* Summary.report(screen, yield* Ref.get(meter), renewals, { ...counted, noticed: yield* Ref.get(noticed) })
})

const againstApi = Effect.fnUntraced(function* (
  api: Api,
  layer: NonNullable<Api["live"]>["layer"],
  screen: Screen.Screen
) {
  const meter = yield* Meter.make(lanes)
  // Slower, because this API is not ours.
  const renewals = yield* work({ api, done: Effect.void, meter, screen }, "500 millis").pipe(
    Effect.provide(Layer.provide(layer, bareClient(api, meter)))
  )
  yield* screen.status("")
  yield* Summary.report(screen, yield* Ref.get(meter), renewals, undefined)
})

const main = Effect.gen(function* () {
  const apis = yield* fromArguments(process.argv.slice(2))
  for (const api of apis) {
    const screen = yield* Screen.make
    if (apis.length > 1) yield* screen.line(`\n${screen.style("bold", api.name)}\n`)
    const variables = yield* Effect.forEach(api.live?.variables ?? [], (name) => Config.option(Config.redacted(name)))
    const live = variables.some(Option.isSome) ? api.live : undefined
    yield* live === undefined ? againstSandbox(api, screen) : againstApi(api, live.layer, screen)
  }
}).pipe(
  Effect.scoped,
  Effect.tapError((error) => Console.error(`demo: ${error.message}`)),
  Effect.provide(NodeContext.layer)
)

NodeRuntime.runMain(main, {
  // The message was written above, and a stack trace of this file would not help. An interrupted demo did not pass.
  disableErrorReporting: true,
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? 130 : 1)
})
