/**
 * One process of the soak: an application that calls an API all the time, through a session that it shares with others.
 * It reports the result of each call on stdout. When its driver disconnects or ends, it ends after the current call.
 * `SIGTERM` ends it at once and cleanly.
 */
import { FetchHttpClient, HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Clock, Data, Duration, Effect, Fiber, Layer, Logger, Option, Random, Redacted, Schema } from "effect"
import { credentials } from "../demo/user.js"
import { AuthHttpClient, Credentials, Session, TeleTracker, Token, TokenStore } from "../src/index.js"
import { emit, type Failpoints, make } from "./failpoint.js"
import { Failpoint, type Settings, SettingsText } from "./Line.js"
import * as Stores from "./stores.js"

/** A clock whose wall time is wrong by some hours. Its monotonic time is right. */
const wrongBy = (hours: number): Clock.Clock => {
  const right = Clock.make()
  const millis = () => right.unsafeCurrentTimeMillis() + hours * 3_600_000
  return {
    ...right,
    sleep: (duration) => right.sleep(duration),
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: () => right.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: right.currentTimeNanos
  }
}

/** A client that adds the name of the process and reports the points of a token request. */
const bare = ({ client, name }: Settings, { reach }: Failpoints) =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (bare) =>
      bare.pipe(
        HttpClient.mapRequest(HttpClientRequest.setHeader("x-worker", name)),
        HttpClient.transform((send, { url }) =>
          url.includes("/auth/")
            ? Effect.gen(function* () {
                yield* reach("sending", url.endsWith("/login"))
                const sent = yield* Effect.fork(Effect.delay(reach("sent"), "15 millis"))
                const response = yield* Effect.ensuring(send, Fiber.interrupt(sent))
                yield* reach("received")
                return response
              })
            : send
        )
      )
    )
  ).pipe(Layer.provide(client === "fetch" ? FetchHttpClient.layer : NodeHttpClient.layerUndici))

const application = (settings: Settings, failpoints: Failpoints) =>
  TeleTracker.layer({
    baseUrl: settings.baseUrl,
    store: TokenStore.at("soak"),
    renewal: settings.renewal,
    reuseWindow: settings.reuseWindow === undefined ? undefined : Duration.seconds(settings.reuseWindow),
    seed: settings.seed === undefined ? undefined : Token.make({ refreshToken: Redacted.make(settings.seed) })
  }).pipe(
    Layer.provide(settings.credentials ? credentials : Credentials.layerNone),
    Layer.provide(bare(settings, failpoints)),
    Layer.provide(Stores.layer(settings.location, failpoints))
  )

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

/** Makes one call, and repeats it until it succeeds. */
const call = Effect.fnUntraced(function* (maxAttempts: number) {
  const client = yield* AuthHttpClient.AuthHttpClient
  const session = yield* Session.Session
  const attempt = client.get("/calls?size=1").pipe(
    Effect.flatMap((response) =>
      Effect.flatMap(response.text, (text) =>
        response.status === 200 ? Effect.void : new Refused({ message: `${response.status} ${text}` })
      )
    ),
    Effect.scoped,
    Effect.timeout("60 seconds")
  )
  const started = yield* Clock.currentTimeNanos
  for (let attempts = 1; attempts <= maxAttempts; attempts++) {
    const begun = yield* Clock.currentTimeNanos
    const result = yield* Effect.either(attempt)
    const now = yield* Clock.currentTimeNanos
    if (result._tag === "Right") {
      const { generation } = yield* session.status
      return emit({ _tag: "Called", attempts, millis: Number(now - started) / 1e6, generation })
    }
    const { _tag, message } = result.left
    emit({ _tag: "Failed", problem: `${_tag}: ${message}`, millis: Number(now - begun) / 1e6 })
    yield* Effect.sleep("250 millis")
  }
})

const decodeFailpoint = Schema.decodeUnknownOption(Failpoint)

const main = Effect.gen(function* () {
  const settings = yield* Schema.decode(SettingsText)(process.argv[2] ?? "")
  const failpoints = make(settings.failpoint)
  let ended = false
  const finish = () => {
    ended = true
  }
  process.on("disconnect", finish)
  process.on("message", (message) =>
    message === "finish" ? finish() : failpoints.arm(Option.getOrUndefined(decodeFailpoint(message)))
  )
  let remaining = settings.calls ?? Number.POSITIVE_INFINITY
  const calls = Effect.gen(function* () {
    while (!ended && remaining-- > 0) {
      yield* call(settings.attempts ?? Number.POSITIVE_INFINITY)
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 300))
    }
  })
  const clock = settings.hours === 0 ? Layer.empty : Layer.setClock(wrongBy(settings.hours))
  yield* Effect.provide(calls, Layer.provideMerge(application(settings, failpoints), clock))
  emit({ _tag: "Ended" })
  if (process.connected) process.disconnect()
})

NodeRuntime.runMain(
  main.pipe(
    Effect.provide(
      Logger.replace(
        Logger.defaultLogger,
        Logger.make(({ logLevel, message }) => emit({ _tag: "Logged", text: `${logLevel.label} ${message}` }))
      )
    )
  ),
  { disablePrettyLogger: true }
)
