import { Clock, Duration, Effect, Random } from "effect"
import type { YieldWrap } from "effect/Utils"

/** The longest delay that a timer of the live clock can wait for; a longer one never fires. */
const longestTimer = 2 ** 31 - 1

export interface ManualClock {
  readonly clock: Clock.Clock
  /** Lets time pass on both clocks; the one who sleeps wakes up in order, and is done before time goes on. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Sets the wall clock; nothing wakes. */
  readonly setWall: (by: Duration.DurationInput, direction?: 1 | -1) => Effect.Effect<void>
  readonly elapsed: Effect.Effect<number>
}

/** A clock whose wall and monotonic parts can move apart, and whose timers have the limit of the live one. */
export const make = (start = 1_700_000_000_000): ManualClock => {
  let wall = start
  let monotonic = 0
  let sleepers: Array<{ readonly at: number; readonly wake: () => void }> = []

  const sleep = (duration: Duration.Duration) =>
    Effect.async<void>((resume) => {
      const millis = Duration.toMillis(duration)
      if (millis > longestTimer) return
      if (millis <= 0) return void resume(Effect.void)
      const sleeper = { at: monotonic + millis, wake: () => resume(Effect.void) }
      const place = sleepers.findIndex(({ at }) => at > sleeper.at)
      sleepers.splice(place === -1 ? sleepers.length : place, 0, sleeper)
      return Effect.sync(() => {
        sleepers = sleepers.filter((one) => one !== sleeper)
      })
    })

  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => wall,
    unsafeCurrentTimeNanos: () => BigInt(Math.round(monotonic * 1e6)),
    currentTimeMillis: Effect.sync(() => wall),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(monotonic * 1e6))),
    sleep
  }

  const pass = (to: number) => {
    wall += to - monotonic
    monotonic = to
  }

  return {
    clock,
    advance: (duration) =>
      Effect.gen(function* () {
        const target = monotonic + Duration.toMillis(duration)
        yield* flush
        for (let next = sleepers[0]; next !== undefined && next.at <= target; next = sleepers[0]) {
          sleepers.shift()
          pass(Math.max(monotonic, next.at))
          next.wake()
          yield* flush
        }
        pass(target)
      }),
    setWall: (by, direction = 1) =>
      Effect.sync(() => {
        wall += direction * Duration.toMillis(by)
      }),
    elapsed: Effect.sync(() => monotonic)
  }
}

/** A test that runs by a clock of its own. */
export const manually = <Eff extends YieldWrap<Effect.Effect<unknown, unknown, unknown>>, A>(
  body: (clock: ManualClock) => Generator<Eff, A, never>
) =>
  Effect.suspend(() => {
    const manual = make()
    return Effect.gen(() => body(manual)).pipe(
      Effect.withClock(manual.clock),
      // Jitter decides how many attempts fit into a time; the same each time the test runs.
      Effect.withRandom(Random.make("test"))
    )
  })

/** Lets every fiber that can run do so until it has to wait. */
export const flush: Effect.Effect<void> = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** The same clock on a machine whose wall clock is wrong. */
export const shifted = ({ clock }: ManualClock, millis: number): Clock.Clock => ({
  ...clock,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis)
})
