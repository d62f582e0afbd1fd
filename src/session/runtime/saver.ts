import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Moment from "../../common/Moment.js"
import type * as TokenStore from "../../store/TokenStore.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import * as Question from "../machine/decision.js"
import * as Flight from "../machine/flight.js"
import type { Command, Event, Landed } from "../machine/order.js"
import * as Resting from "../machine/persistence.js"
import * as SessionState from "../machine/state.js"
import { hasClosed } from "./closed.js"
import * as Courier from "./commands.js"
import { busy, type Engine, own, rest, told, transition } from "./engine.js"
import * as Section from "./lease.js"
import * as Telemetry from "./tokenRequestTelemetry.js"
import { Landing, type Left } from "./waiters.js"

/** Carries a flight to its landing. It runs uninterruptibly, but for the time it waits for someone else. */
const fly = (engine: Engine, landing: Landing): Effect.Effect<void> => {
  if (engine.closed) {
    const dropped = transition(engine, (state) => [
      undefined,
      state.flight?.landing === landing ? { ...state, flight: undefined } : state
    ])
    const failure = hasClosed(engine.provider.name)
    return Effect.zipRight(dropped, land(landing, { _tag: "Failure", failure }))
  }
  const advance = (event: Event) => transition(engine, (state, now) => Flight.step(engine, state, landing, event, now))
  const work = busy(engine)
  const enter = (known: TokenStore.Version) =>
    Effect.suspend(() => {
      work.section ??= Section.make(engine)
      return work.section.enter(landing, known, isWanted(engine, landing))
    })
  const carryOut = (command: Exclude<Command, { readonly _tag: "Land" }>): Effect.Effect<Event> => {
    if (command._tag === "Lock") return enter(command.known)
    const event = Courier.carryOut(engine, command)
    const kind = Telemetry.kindOf(command)
    return kind === undefined ? event : Telemetry.exchange(engine, kind, event, Telemetry.failureOf, landing)
  }
  const landed = Effect.gen(function* () {
    let command = yield* advance({ _tag: "Started" })
    while (command._tag !== "Land") {
      command = yield* advance(yield* carryOut(command))
    }
    return command.result
  })
  return landed.pipe(
    Effect.catchAllDefect(() => transition(engine, (state, now) => Flight.crash(engine, state, landing, now))),
    Effect.flatMap((result) => land(landing, result)),
    Effect.ensuring(Effect.suspend(() => work.section?.leave(landing) ?? Effect.void)),
    Effect.zipRight(saveAgain(engine))
  )
}

const isWanted = (engine: Engine, landing: Landing) =>
  Effect.sync(() => !engine.closed && engine.snapshot.state.flight?.landing === landing)

const land = (landing: Landing, result: Landed): Effect.Effect<void> => Effect.sync(() => landing.land(leftBy(result)))

const leftBy = (result: Landed): Left => {
  switch (result._tag) {
    case "Token":
      return Exit.succeed(Option.some(result.token))
    case "AskAgain":
      return Exit.succeed(Option.none())
    case "Failure":
      return Exit.fail(result.failure)
  }
}

export const launch = (engine: Engine, flight: SessionState.Flight | undefined): Effect.Effect<void> =>
  flight === undefined
    ? Effect.void
    : Effect.asVoid(
        own(
          engine,
          Effect.suspend(() => fly(engine, flight.landing))
        )
      )

/** The callers of a flight in whose place something else came ask again. */
export const supersede = (flight: SessionState.Flight | undefined): Effect.Effect<void> =>
  flight === undefined ? Effect.void : land(flight.landing, { _tag: "AskAgain" })

/** Law 18: what the store could not keep is saved in the background until it is, or until there is something newer. */
export const saveAgain = (engine: Engine): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (engine.closed || engine.work?.saving || engine.snapshot.state.saved) return Effect.void
    const work = busy(engine)
    work.saving = true
    return Effect.suspend(() => (engine.closed ? Effect.succeed(true) : saveNow(engine))).pipe(
      Effect.flatMap((saved) => (saved ? Effect.void : Effect.fail("unsaved" as const))),
      Effect.retry(RenewalPolicy.saving),
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          work.saving = false
          rest(engine)
        })
      ),
      // A set that came in the meantime may be unsaved as well.
      Effect.zipRight(saveAgain(engine)),
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.flatMap((fiber) => Effect.sync(() => (work.saver = fiber)))
    )
  })

const saveNow = (engine: Engine): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const { state } = engine.snapshot
    if (state.saved) return true
    // A flight that is saving what it obtained takes the place of what is unsaved.
    if (state.flight?.pending !== undefined || state.flight?.amending !== undefined) return false
    const record = Resting.record(state, yield* Moment.now)
    const result = yield* Courier.save(engine, record)
    const kept = result === "older" ? yield* Courier.load(engine) : Either.right(Option.none())
    return yield* Effect.uninterruptible(
      transition(engine, (now) => (Either.isLeft(kept) ? [false, now] : Resting.saved(now, record, result, kept.right)))
    )
  })

/** The second try is for a store that turned out to keep a newer generation than this session knew of. */
export const saveTwice = (engine: Engine): Effect.Effect<boolean> =>
  Effect.flatMap(saveNow(engine), (saved) => (saved ? Effect.succeed(saved) : saveNow(engine)))

/** In how many milliseconds a session wants to be renewed. */
export const renewalDelay = (engine: Engine, now: Moment.Moment): number | undefined =>
  engine.closed ? undefined : SessionState.renewalDelay(engine, engine.snapshot.state, now)

/** Starts the exchange if it is due, and waits for nothing. */
export const renew = (engine: Engine): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.flatMap(
      transition(engine, (state, now) => Question.renew(engine, state, now, new Landing(engine))),
      (flight) => launch(engine, flight)
    )
  )

/** For how many milliseconds more a session must not go, whoever uses it: zero when nothing would be lost with it. */
export const holdsOn = (engine: Engine, now: Moment.Moment): number => {
  if (engine.watched > 0) return Number.POSITIVE_INFINITY
  // A fiber that is about to end, or a change: nothing tells when it has, so it is looked at again.
  const atWork = engine.work === undefined ? 0 : 1000
  return Math.max(atWork, Resting.holdsOn(engine.snapshot.state, now))
}

/** Whether nothing is lost, and nobody left waiting, when a session closes at once. */
export const isAtRest = (engine: Engine): boolean =>
  engine.work === undefined && engine.watchers === undefined && engine.snapshot.state.saved

/** Laws 8 and 31: what is under way is waited for, what is not saved is saved, and neither for ever. */
export const close = (engine: Engine): Effect.Effect<void> =>
  Effect.gen(function* () {
    engine.closed = true
    yield* told(engine)
    const owned = () => engine.work?.owned ?? new Set()
    if (engine.work?.saver !== undefined) yield* Fiber.interrupt(engine.work.saver)
    const landed: Effect.Effect<void> = Effect.suspend(() =>
      owned().size === 0 ? Effect.void : Effect.zipRight(Fiber.awaitAll(owned()), landed)
    )
    yield* Effect.timeoutOption(Effect.interruptible(landed), engine.setting.shutdownDeadline)
    yield* Fiber.interruptAll([...owned()])
    if (!engine.snapshot.state.saved) {
      // In a fiber of its own, as the one that closes may have been interrupted itself.
      yield* Effect.flatMap(own(engine, Effect.asVoid(saveTwice(engine))), Fiber.await)
    }
    const { watchers } = engine
    // Nobody is told any more: to publish where all is shut down interrupts.
    engine.watchers = undefined
    if (watchers !== undefined) yield* PubSub.shutdown(watchers)
  })
