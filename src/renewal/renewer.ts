import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Moment from "../common/Moment.js"
import { delayedByInput } from "../common/runtime.js"
import { TimerQueue } from "./timerQueue.js"

/** A session as the renewal fiber sees it. */
export interface Renewable {
  /** Milliseconds until the session is due; `undefined` while it is not. */
  readonly renewalDelay: (now: Moment.Moment) => number | undefined
  /** Starts the renewal if it is due, and does not wait for it. */
  readonly renew: Effect.Effect<void>
}

/** The renewal fiber of any number of sessions. */
export interface Renewer {
  /** Schedules a session again. Called after every change of its state. */
  readonly schedule: (session: Renewable) => Effect.Effect<void>
}

/**
 * The longest sleep of the renewal fiber: five minutes. A timer of more than 24.8 days never fires, and a machine that
 * was asleep must not wait out time that has passed already.
 */
const maxSleep = Duration.minutes(5)

/** The difference of the clocks in milliseconds. It changes when one of them is set, or when the machine was asleep. */
const clockOffset = ({ millis, nanos }: Moment.Moment) => millis - monotonicMillis(nanos)

const monotonicMillis = (nanos: bigint) => Number(nanos) / 1e6

/** Starts the renewal fiber. It survives the failure of any renewal, and ends with its scope (law 29). */
export const make: Effect.Effect<Renewer, never, Scope.Scope> = Effect.gen(function* () {
  const wake = yield* Effect.makeLatch(false)
  const queue = new TimerQueue<Renewable>()
  let offset = yield* Effect.map(Moment.now, clockOffset)

  const schedule = (session: Renewable): Effect.Effect<void> =>
    Effect.flatMap(Moment.now, (now) => {
      // Read and added in one step, so that a newer delay is never overwritten by an older one.
      const delay = session.renewalDelay(now)
      if (delay !== undefined) {
        return queue.set(session, monotonicMillis(now.nanos) + delay) ? Effect.asVoid(wake.open) : Effect.void
      }
      queue.remove(session)
      return Effect.void
    })

  /** Renews the sessions that are due. Returns the time until the next one is. */
  const tick: Effect.Effect<Duration.Duration> = Effect.gen(function* () {
    const now = yield* Moment.now
    // A changed offset of the clocks changes the due times as well: every session is scheduled again.
    if (Math.abs(clockOffset(now) - offset) > 1000) {
      offset = clockOffset(now)
      yield* Effect.forEach(queue.all(), schedule, { discard: true })
    }
    for (let next = queue.first; next !== undefined; next = queue.first) {
      const wait = queue.firstDue - monotonicMillis(now.nanos)
      if (wait > 0) return Duration.millis(Math.ceil(wait))
      queue.remove(next)
      yield* next.renew
      yield* schedule(next)
    }
    return Duration.infinity
  })

  yield* wake.close.pipe(
    Effect.zipRight(
      Effect.raceFirst(Effect.repeat(Effect.uninterruptible(tick), delayedByInput(maxSleep)), wake.await)
    ),
    Effect.forever,
    Effect.interruptible,
    Effect.forkScoped
  )
  return { schedule }
})
