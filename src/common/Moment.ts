/**
 * Readings of the machine's two clocks: the wall clock and the monotonic clock.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * One reading of both clocks, taken at the same moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  /** The wall clock, in milliseconds since 1970. It may jump. */
  readonly millis: number
  /** The monotonic clock, in nanoseconds since an arbitrary start. It may stand still while the machine sleeps. */
  readonly nanos: bigint
}

/**
 * Reads both clocks, from the `Clock` of Effect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const now: Effect.Effect<Moment> = Effect.clockWith((clock) =>
  Effect.succeed({ millis: clock.unsafeCurrentTimeMillis(), nanos: clock.unsafeCurrentTimeNanos() })
)

/**
 * Returns the milliseconds since `from`, by the clock that says more; never negative (law 5).
 *
 * A clock set back makes the wall clock say too little, and a machine that slept makes the monotonic one say too little.
 * Neither makes a dead token look alive.
 *
 * @since 0.1.0
 * @category combinators
 */
export const age = (from: Moment, now: Moment): number => Math.max(0, now.millis - from.millis, monotonicAge(from, now))

/**
 * Returns the milliseconds since `from` by the monotonic clock alone.
 *
 * @since 0.1.0
 * @category combinators
 */
export const monotonicAge = (from: Moment, now: Moment): number => Number(now.nanos - from.nanos) / 1e6

/**
 * Reads an HTTP date or an ISO 8601 date. Returns milliseconds since 1970, or `undefined` for any other text.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
 * @since 0.1.0
 * @category constructors
 */
export const instant = (text: string): number | undefined =>
  Option.getOrUndefined(DateTime.make(text.replace(/ GMT\s*$/, " +0000")))?.epochMillis
