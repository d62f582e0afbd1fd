import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import type * as Moment from "../../common/Moment.js"
import * as Decision from "../machine/decision.js"
import * as Gate from "../machine/gate.js"
import * as Persistence from "../machine/persistence.js"
import { type Engine, forkOwned, notify, transition } from "./engine.js"
import { start } from "./flightRunner.js"
import { saveTwice } from "./saver.js"
import { Waiters } from "./waiters.js"

/** Milliseconds until the session is renewed; `undefined` if there is nothing to renew. */
export const renewalDelay = (engine: Engine, now: Moment.Moment): number | undefined =>
  engine.closed ? undefined : Gate.renewalDelay(engine, engine.snapshot.state, now)

/** Starts the renewal that is due, if one is, and does not wait for it. */
export const renew = (engine: Engine): Effect.Effect<void> =>
  Effect.uninterruptible(
    Effect.flatMap(
      transition(engine, (state, now) => Decision.renew(engine, state, now, new Waiters(engine))),
      (flight) => start(engine, flight)
    )
  )

/** Milliseconds until the session can be evicted. Infinite while it is watched; zero if it can be evicted now. */
export const evictableIn = (engine: Engine, now: Moment.Moment): number => {
  if (engine.watcherCount > 0) return Number.POSITIVE_INFINITY
  // Nothing reports the end of a fiber or a transition, so that the session is checked again in a second.
  const busy = engine.work === undefined ? 0 : 1000
  return Math.max(busy, Persistence.evictableIn(engine.snapshot.state, now))
}

/** Tells whether the session can close at once: nothing is lost, and no caller is left waiting. */
export const isIdle = (engine: Engine): boolean =>
  engine.work === undefined && engine.watchers === undefined && engine.snapshot.state.saved

/** Closes a session. Waits for its flights up to `shutdownDeadline`, then saves what is unsaved, each in bounded time (laws 8 and 31). */
export const close = (engine: Engine): Effect.Effect<void> =>
  Effect.gen(function* () {
    engine.closed = true
    yield* notify(engine)
    const owned = () => engine.work?.owned ?? new Set()
    if (engine.work?.saver !== undefined) yield* Fiber.interrupt(engine.work.saver)
    const ended: Effect.Effect<void> = Effect.suspend(() =>
      owned().size === 0 ? Effect.void : Effect.zipRight(Fiber.awaitAll(owned()), ended)
    )
    yield* Effect.timeoutOption(Effect.interruptible(ended), engine.config.shutdownDeadline)
    yield* Fiber.interruptAll([...owned()])
    if (!engine.snapshot.state.saved) {
      // In a fiber of its own, because the closing fiber may have been interrupted.
      yield* Effect.flatMap(forkOwned(engine, Effect.asVoid(saveTwice(engine))), Fiber.await)
    }
    const { watchers } = engine
    // Nothing is published from here on: publishing to a PubSub that is shut down interrupts.
    engine.watchers = undefined
    if (watchers !== undefined) yield* PubSub.shutdown(watchers)
  })
