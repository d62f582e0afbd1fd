/**
 * The laws of a store's time: how old what it keeps is, and how long leases last.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Moment from "../../common/Moment.js"
import type { Version } from "../../store/TokenStore.js"
import { type Bench, type Law, law, long } from "./storeLaw.js"
import { toldStoredEntry, version } from "./storeEntry.js"

const since = (moment: Moment.Moment) => Effect.map(Moment.now, (now) => Moment.monotonicAge(moment, now))

/**
 * The laws of time, which passes by `wait`; `lease` is how long leases last.
 *
 * @since 0.1.0
 * @category testing
 */
export const timely = (
  wait: (duration: Duration.Duration) => Effect.Effect<void>,
  lease: Duration.Duration
): ReadonlyArray<Law> => {
  const millis = Duration.toMillis(lease)

  /** The age of what is kept, between what it must be at least and at most. */
  const aged = Effect.fnUntraced(function* (
    { expect, key, store }: Bench,
    bounds: { readonly saved: Moment.Moment; readonly saving: Moment.Moment }
  ) {
    const least = (yield* since(bounds.saved)) - millis / 10
    const kept = yield* store.load(key)
    const most = (yield* since(bounds.saving)) + millis / 2
    const age = Option.match(kept, { onNone: () => Number.NaN, onSome: ({ age }) => Duration.toMillis(age) })
    yield* expect(
      age >= 0 && age >= least && age <= most,
      `the age is between ${Math.max(0, least)} and ${most} milliseconds`,
      Option.isNone(kept) ? toldStoredEntry(kept) : `it is ${age}`
    )
  })

  /** Saves, and tells when that began and ended. */
  const timed = Effect.fnUntraced(function* ({ save }: Bench, version: Version) {
    const saving = yield* Moment.now
    yield* save(version, true)
    return { saving, saved: yield* Moment.now }
  })

  /** Asks for the lease, which `holder` kept at `moment`, again and again; it must come, and not too soon. */
  const outwait = Effect.fnUntraced(function* (
    { expect, key, store }: Bench,
    owner: string,
    holder: { readonly kept: Moment.Moment; readonly duration: Duration.Duration },
    asked = lease
  ) {
    const step = Duration.times(holder.duration, 1 / 20)
    // Steps and not time, so that a machine that stands still in between gives no store less of a chance.
    for (let left = 41; left > 0; left--) {
      if (yield* store.lease(key, owner, asked)) {
        const after = yield* since(holder.kept)
        return yield* expect(
          after >= Duration.toMillis(holder.duration) / 2,
          `a lease of ${Duration.format(holder.duration)} holds`,
          `another got it after ${after} milliseconds`
        )
      }
      yield* wait(step)
    }
    yield* expect(
      false,
      `a lease of ${Duration.format(holder.duration)} ends by itself`,
      "it still held after twice that"
    )
  })

  /** Takes the lease, and tells since when it certainly holds. */
  const hold = Effect.fnUntraced(function* ({ expect, key, store }: Bench, owner: string, duration = lease) {
    const kept = yield* Moment.now
    yield* expect(yield* store.lease(key, owner, duration), `${owner} gets the lease`, "it was refused")
    return { kept, duration }
  })

  return [
    law(
      "the age starts at zero, is never negative, and grows with time",
      Effect.fnUntraced(function* (bench) {
        const bounds = yield* timed(bench, version(1))
        yield* aged(bench, bounds)
        yield* wait(lease)
        yield* aged(bench, bounds)
      })
    ),
    law(
      "a save renews the age, and one that is refused does not",
      Effect.fnUntraced(function* (bench) {
        const bounds = yield* timed(bench, version(2))
        yield* wait(lease)
        yield* bench.save(version(1), false)
        yield* bench.save(version(2), false)
        yield* aged(bench, bounds)
        yield* aged(bench, yield* timed(bench, version(3)))
      })
    ),
    law(
      "a lease ends by itself, and not before its time",
      Effect.fnUntraced(function* (bench) {
        yield* outwait(bench, "b", yield* hold(bench, "a"))
        yield* outwait(bench, "c", yield* hold(bench, "b"))
      })
    ),
    law(
      "a lease lasts as long as its owner asked for, however long those ask for who wait",
      Effect.fnUntraced(function* (bench) {
        yield* outwait(bench, "b", yield* hold(bench, "a"), Duration.times(lease, 1 / 20))
        yield* bench.store.release(bench.key, "b")
        yield* outwait(bench, "d", yield* hold(bench, "c", Duration.times(lease, 1 / 2)), long)
        yield* bench.store.release(bench.key, "d")
      })
    ),
    law(
      "a lease that is kept alive does not end",
      Effect.fnUntraced(function* (bench) {
        const { expect, key, store } = bench
        for (let beat = 0; beat < 6; beat++) {
          const { kept } = yield* hold(bench, "a")
          const attempt = Effect.gen(function* () {
            if (!(yield* store.lease(key, "b", lease))) return
            const after = yield* since(kept)
            yield* expect(after >= millis / 2, "b waits", `it got the lease ${after} milliseconds after a beat of a`)
            // The machine stood still, and a's lease was over.
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
      "an owner whose lease another took over neither gets it back by a beat nor releases it",
      Effect.fnUntraced(function* (bench) {
        const { key, store } = bench
        yield* outwait(bench, "b", yield* hold(bench, "a"))
        yield* bench.lease("b", true, "the lease is its own")
        yield* bench.lease("a", false, "b took the lease over")
        yield* store.release(key, "a")
        yield* bench.lease("c", false, "the lease is with b")
        yield* bench.lease("a", false, "the lease is with b")
        yield* store.release(key, "b")
        yield* bench.lease("a", true, "the lease was released")
        yield* store.release(key, "a")
      })
    )
  ]
}
