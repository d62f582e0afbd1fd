/**
 * The fiber that renews sessions before anyone has to wait. One fiber serves any number of sessions; it owns no token.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Moment from "../common/Moment.js"
import type { Renewable } from "../session/Session.js"
import * as RenewalPolicy from "../token/RenewalPolicy.js"
import { Agenda } from "./timerQueue.js"

/**
 * Renews the sessions it watches.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Looks at a session's delay anew; to be called whenever its state changed. */
  readonly watch: (session: Renewable) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Renewal extends Context.Tag("effect-auth/Renewal")<Renewal, Service>() {}

/** How far the clocks are apart, in milliseconds: that changes when one is set, or when the machine slept. */
const distance = ({ millis, nanos }: Moment.Moment) => millis - monotonic(nanos)

const monotonic = (nanos: bigint) => Number(nanos) / 1e6

/**
 * Starts the fiber. It survives whatever becomes of the renewals, and ends with its scope (law 29).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, never, Scope.Scope> = Effect.gen(function* () {
  const wake = yield* Effect.makeLatch(false)
  const agenda = new Agenda<Renewable>()
  let apart = yield* Effect.map(Moment.now, distance)

  const watch = (session: Renewable): Effect.Effect<void> =>
    Effect.flatMap(Moment.now, (now) => {
      // Looked at and entered in one step: nothing that another look finds meanwhile is overwritten.
      const delay = session.renewalDelay(now)
      if (delay !== undefined) {
        return agenda.put(session, monotonic(now.nanos) + delay) ? Effect.asVoid(wake.open) : Effect.void
      }
      agenda.remove(session)
      return Effect.void
    })

  /** Renews what is due, and answers how long nothing will be. */
  const tick: Effect.Effect<Duration.Duration> = Effect.gen(function* () {
    const now = yield* Moment.now
    // Whatever moved the clocks apart moved the moments of renewal as well: all are looked at again.
    if (Math.abs(distance(now) - apart) > 1000) {
      apart = distance(now)
      yield* Effect.forEach(agenda.all(), watch, { discard: true })
    }
    for (let next = agenda.first; next !== undefined; next = agenda.first) {
      const wait = agenda.at - monotonic(now.nanos)
      if (wait > 0) return Duration.millis(Math.ceil(wait))
      agenda.remove(next)
      yield* next.renew
      yield* watch(next)
    }
    return Duration.infinity
  })

  yield* wake.close.pipe(
    Effect.zipRight(Effect.raceFirst(Effect.repeat(Effect.uninterruptible(tick), RenewalPolicy.schedule), wake.await)),
    Effect.forever,
    Effect.interruptible,
    Effect.forkScoped
  )
  return { watch }
})

/**
 * The renewal fiber, for as long as the layer lives.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Renewal> = /* @__PURE__ */ Layer.scoped(Renewal, make)
