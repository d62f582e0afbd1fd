/**
 * The laws of time: the age of entries and the end of leases.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Moment from "../../common/Moment.js"
import type { Version } from "../../store/TokenStore.js"
import { describeEntry, version } from "./storeEntry.js"
import { type Law, type LawContext, law, long } from "./storeLaw.js"

const since = (moment: Moment.Moment) => Effect.map(Moment.now, (now) => Moment.monotonicAge(moment, now))

/**
 * The laws of time. `wait` lets time pass, and `lease` is the duration of the leases.
 *
 * @since 0.1.0
 * @category testing
 */
export const timeLaws = (
  wait: (duration: Duration.Duration) => Effect.Effect<void>,
  lease: Duration.Duration
): ReadonlyArray<Law> => {
  const millis = Duration.toMillis(lease)

  /** Expects an age of the stored entry between the time since the end of its save and the time since its start. */
  const expectAge = Effect.fnUntraced(function* (
    { expect, key, store }: LawContext,
    bounds: { readonly saved: Moment.Moment; readonly saving: Moment.Moment }
  ) {
    const least = (yield* since(bounds.saved)) - millis / 10
    const stored = yield* store.load(key)
    const most = (yield* since(bounds.saving)) + millis / 2
    const age = Option.match(stored, { onNone: () => Number.NaN, onSome: ({ age }) => Duration.toMillis(age) })
    yield* expect(
      age >= 0 && age >= least && age <= most,
      `the age is between ${Math.max(0, least)} and ${most} milliseconds`,
      Option.isNone(stored) ? describeEntry(stored) : `it is ${age}`
    )
  })

  /** Saves a version, and returns when that began and ended. */
  const timed = Effect.fnUntraced(function* ({ save }: LawContext, version: Version) {
    const saving = yield* Moment.now
    yield* save(version, true)
    return { saving, saved: yield* Moment.now }
  })

  /** Asks for the lease again and again, until the one of `holder` ends. It must end, and not too soon. */
  const takeOver = Effect.fnUntraced(function* (
    { expect, key, store }: LawContext,
    owner: string,
    holder: { readonly takenAt: Moment.Moment; readonly duration: Duration.Duration },
    requested = lease
  ) {
    const step = Duration.times(holder.duration, 1 / 20)
    // Counts steps and not time: on a machine that stalls in between, a store gets just as many tries.
    for (let tries = 0; tries < 41; tries++) {
      if (yield* store.lease(key, owner, requested)) {
        const after = yield* since(holder.takenAt)
        return yield* expect(
          after >= Duration.toMillis(holder.duration) / 2,
          `a lease of ${Duration.format(holder.duration)} lasts`,
          `another got it after ${after} milliseconds`
        )
      }
      yield* wait(step)
    }
    yield* expect(
      false,
      `a lease of ${Duration.format(holder.duration)} ends by itself`,
      "it had not ended after twice that"
    )
  })

  /** Takes the lease, and returns a moment before that: the lease certainly lasts for its duration from then. */
  const take = Effect.fnUntraced(function* ({ expect, key, store }: LawContext, owner: string, duration = lease) {
    const takenAt = yield* Moment.now
    yield* expect(yield* store.lease(key, owner, duration), `${owner} gets the lease`, "it was refused")
    return { takenAt, duration }
  })

  return [
    law(
      "the age starts at zero, is never negative, and grows with time",
      Effect.fnUntraced(function* (context) {
        const bounds = yield* timed(context, version(1))
        yield* expectAge(context, bounds)
        yield* wait(lease)
        yield* expectAge(context, bounds)
      })
    ),
    law(
      "a save renews the age, and one that is refused does not",
      Effect.fnUntraced(function* (context) {
        const bounds = yield* timed(context, version(2))
        yield* wait(lease)
        yield* context.save(version(1), false)
        yield* context.save(version(2), false)
        yield* expectAge(context, bounds)
        yield* expectAge(context, yield* timed(context, version(3)))
      })
    ),
    law(
      "a lease ends by itself, and not before its time",
      Effect.fnUntraced(function* (context) {
        yield* takeOver(context, "b", yield* take(context, "a"))
        yield* takeOver(context, "c", yield* take(context, "b"))
      })
    ),
    law(
      "a lease lasts as long as its owner asked for, however long a waiting owner asks for",
      Effect.fnUntraced(function* (context) {
        yield* takeOver(context, "b", yield* take(context, "a"), Duration.times(lease, 1 / 20))
        yield* context.store.release(context.key, "b")
        yield* takeOver(context, "d", yield* take(context, "c", Duration.times(lease, 1 / 2)), long)
        yield* context.store.release(context.key, "d")
      })
    ),
    law(
      "a lease with heartbeats does not end",
      Effect.fnUntraced(function* (context) {
        const { expect, key, store } = context
        for (let beat = 0; beat < 6; beat++) {
          const { takenAt } = yield* take(context, "a")
          const attempt = Effect.gen(function* () {
            if (!(yield* store.lease(key, "b", lease))) return
            const after = yield* since(takenAt)
            yield* expect(
              after >= millis / 2,
              "b waits",
              `it got the lease ${after} milliseconds after a heartbeat of a`
            )
            // The machine stalled, and the lease of a ended.
            yield* store.release(key, "b")
          })
          yield* attempt
          yield* wait(Duration.times(lease, 1 / 3))
          yield* attempt
        }
        yield* store.release(key, "a")
      })
    ),
    law(
      "an owner whose lease was taken over can neither regain it by a heartbeat nor release it",
      Effect.fnUntraced(function* (context) {
        const { key, store } = context
        yield* takeOver(context, "b", yield* take(context, "a"))
        yield* context.lease("b", true, "it has the lease")
        yield* context.lease("a", false, "b took over the lease")
        yield* store.release(key, "a")
        yield* context.lease("c", false, "b has the lease")
        yield* context.lease("a", false, "b has the lease")
        yield* store.release(key, "b")
        yield* context.lease("a", true, "the lease was released")
        yield* store.release(key, "a")
      })
    )
  ]
}
