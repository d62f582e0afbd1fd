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
import { Agenda } from "./internal/agenda.js"
import * as RenewalPolicy from "./RenewalPolicy.js"
import type { Renewable } from "./Session.js"

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

/** Both clocks in milliseconds: they drift apart when one is set, or when the machine slept. */
const clocks = Effect.map(Effect.clock, (clock) => ({
  wall: clock.unsafeCurrentTimeMillis(),
  monotonic: Number(clock.unsafeCurrentTimeNanos()) / 1e6
}))

/**
 * Starts the fiber. It survives whatever becomes of the renewals, and ends with its scope (law 29).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, never, Scope.Scope> = Effect.gen(function* () {
  const wake = yield* Effect.makeLatch(false)
  const agenda = new Agenda<Renewable>()
  let apart = yield* Effect.map(clocks, ({ monotonic, wall }) => wall - monotonic)

  const watch = (session: Renewable): Effect.Effect<void> =>
    Effect.flatMap(Effect.all([session.renewalDelay, clocks]), ([delay, { monotonic }]) => {
      if (delay === undefined) {
        agenda.remove(session)
        // Looked at twice: what changed since the first look was perhaps entered before this left.
        return Effect.flatMap(session.renewalDelay, (now) => (now === undefined ? Effect.void : watch(session)))
      }
      const entered = agenda.put(session, monotonic + delay) ? wake.open : Effect.void
      // Likewise, and what another look found since may have been put to an earlier moment.
      return Effect.zipRight(
        entered,
        Effect.flatMap(session.renewalDelay, (now) =>
          now === undefined || now < delay - 1000 ? watch(session) : Effect.void
        )
      )
    })

  /** Renews what is due, and answers how long nothing will be. */
  const tick: Effect.Effect<Duration.Duration> = Effect.gen(function* () {
    const { monotonic, wall } = yield* clocks
    // Whatever moved the clocks apart moved the moments of renewal as well: all are looked at again.
    if (Math.abs(wall - monotonic - apart) > 1000) {
      apart = wall - monotonic
      yield* Effect.forEach(agenda.all(), watch, { discard: true })
    }
    for (let next = agenda.first; next !== undefined; next = agenda.first) {
      if (agenda.at > monotonic) return Duration.millis(Math.ceil(agenda.at - monotonic))
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
export const layer: Layer.Layer<Renewal> = Layer.scoped(Renewal, make)
