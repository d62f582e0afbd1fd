/** The lines of the timeline: faults, tokens and failures. */
import { Clock, DateTime, Effect, Option, Ref, Schedule, Stream } from "effect"
import type { AuthError, Session, Status } from "../src/index.js"
import type { Event } from "./Events.js"
import type { Meter, Readings } from "./Meter.js"
import type { Kind, Screen } from "./Screen.js"

const seconds = (millis: number) => `${(millis / 1000).toFixed(2)} s`

/** Describes an event of the sandbox, if it is worth a line. */
export const describeEvent = (event: Event): readonly [Kind, string] | undefined => {
  switch (event._tag) {
    case "Listening":
      return ["sandbox", `listens on ${event.url}, in a process of its own`]
    case "Revoked":
      return ["fault", "every access token is revoked"]
    case "Noticed":
      return ["sandbox", `within a second, ${event.rejections} requests got a response of 401`]
    case "ResponseLost":
      return ["fault", "the response to a refresh is lost"]
    case "OutageBegan":
      return ["fault", `the token endpoint is down for ${event.seconds} seconds`]
    case "OutageEnded":
      return ["fault", "the token endpoint is back"]
    default:
      return undefined
  }
}

/** Describes a failure without its URL, which is always the same. */
export const inShort = (failure: AuthError.AuthError): string =>
  `${failure._tag}, ${failure.message.replace(/ at https?:\S+/, "")}`

/**
 * The generation of the current token. While the first one is being saved, the session counts it before it serves it.
 */
const generation = (status: Status.Status) => (status.token === "none" ? 0 : status.generation)

/** Describes the change of a status, if it is worth a line. */
const describeChange = (
  before: Status.Status,
  after: Status.Status,
  now: number
): readonly [Kind, string] | undefined => {
  const timeLeft = (status: Status.Status) => Option.map(status.expiresAt, (end) => DateTime.toEpochMillis(end) - now)
  if (generation(after) > generation(before)) {
    const lives = Option.match(timeLeft(after), {
      onNone: () => "",
      onSome: (millis) => `, which lives ${seconds(millis)}`
    })
    const since = Option.match(timeLeft(before), {
      onNone: () => "",
      onSome: (millis) =>
        millis > 0
          ? `, ${seconds(millis)} before token ${before.generation} expires`
          : `, ${seconds(-millis)} after token ${before.generation} expired`
    })
    return ["token", `${before.token === "none" ? "signed in with " : ""}token ${after.generation}${lives}${since}`]
  }
  const failure = Option.getOrUndefined(after.failure)
  return failure === undefined || failure === Option.getOrUndefined(before.failure)
    ? undefined
    : ["token", `no new token yet: ${inShort(failure)}`]
}

const bar = (share: number) => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * 10)
  return "█".repeat(full) + "░".repeat(10 - full)
}

const drawStatus = (screen: Screen, status: Status.Status, readings: Readings, lifetime: number, now: number) => {
  const timeLeft = Option.match(status.expiresAt, {
    onNone: () => 0,
    onSome: (end) => DateTime.toEpochMillis(end) - now
  })
  const colour = status.token === "fresh" ? "green" : status.token === "stale" ? "yellow" : "red"
  const lanes = readings.lanes.map(({ page, retrying }) =>
    screen.style(retrying ? "yellow" : "green", `${retrying ? "↻" : "▸"}${String(page).padEnd(2)}`)
  )
  return screen.status(
    [
      `token ${status.generation} ${screen.style(colour, `${bar(lifetime > 0 ? timeLeft / lifetime : 0)} ${status.token.padEnd(7)}`)}`,
      `pages ${lanes.join(" ")}`,
      `${readings.arrived} arrived`,
      `${readings.retried} retried`,
      `${readings.tokenRequests} token requests`
    ].join("  ")
  )
}

/** Shows the session and the pipelines until the scope closes. */
export const show = Effect.fnUntraced(function* (session: Session.Service, meter: Meter, screen: Screen) {
  const seen = yield* Ref.make(yield* session.status)
  const lifetime = yield* Ref.make(0)
  const wasExpired = yield* Ref.make(false)

  const changed = Effect.fnUntraced(function* (after: Status.Status) {
    const before = yield* Ref.getAndSet(seen, after)
    const now = yield* Clock.currentTimeMillis
    const change = describeChange(before, after, now)
    if (generation(after) > generation(before)) {
      yield* Ref.set(
        lifetime,
        Option.match(after.expiresAt, { onNone: () => 0, onSome: (end) => DateTime.toEpochMillis(end) - now })
      )
    }
    if (change !== undefined) yield* screen.event(change[0], change[1])
  })

  // `changes` does not report that a token expires, because only time passes then.
  const tick = Effect.fnUntraced(function* () {
    const status = yield* session.status
    const expired = status.token === "expired"
    if (expired && !(yield* Ref.getAndSet(wasExpired, expired)))
      yield* screen.event("token", `token ${status.generation} has expired`)
    yield* Ref.set(wasExpired, expired)
    yield* drawStatus(screen, status, yield* Ref.get(meter), yield* Ref.get(lifetime), yield* Clock.currentTimeMillis)
  })

  const count = Effect.flatMap(Ref.get(meter), (readings) =>
    screen.event(
      "requests",
      `${readings.requests} requests, ${readings.arrived} pages, ${readings.tokenRequests} token requests so far`
    )
  )

  yield* Effect.forkScoped(Stream.runForEach(session.changes, changed))
  yield* Effect.forkScoped(Effect.repeat(tick(), Schedule.spaced("100 millis")))
  if (!screen.live) yield* Effect.forkScoped(Effect.schedule(count, Schedule.spaced("2 seconds")))
})
