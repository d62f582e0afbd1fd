/**
 * Time, by both clocks of the machine.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * One look at both clocks: the wall clock in milliseconds, which may jump, and the monotonic clock in nanoseconds, which
 * may stand still while the machine sleeps.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly millis: number
  readonly nanos: bigint
}

/**
 * Looks at both clocks.
 *
 * @since 0.1.0
 * @category models
 */
export const now: Effect.Effect<Moment> = Effect.clockWith((clock) =>
  Effect.succeed({ millis: clock.unsafeCurrentTimeMillis(), nanos: clock.unsafeCurrentTimeNanos() })
)

/**
 * The milliseconds since `from`, by the clock that says more; never negative (law 5).
 *
 * A clock set back makes the wall clock say too little, and a machine that slept makes the monotonic one say too little.
 * Neither makes a dead token look alive.
 *
 * @since 0.1.0
 * @category combinators
 */
export const age = (from: Moment, now: Moment): number => Math.max(0, now.millis - from.millis, monotonicAge(from, now))

/**
 * The milliseconds since `from` by the monotonic clock alone.
 *
 * @since 0.1.0
 * @category combinators
 */
export const monotonicAge = (from: Moment, now: Moment): number => Number(now.nanos - from.nanos) / 1e6

/**
 * The instant a text tells, in milliseconds since 1970, if it tells one: an HTTP date
 * ([RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7)) or an ISO 8601 one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const instant = (text: string): number | undefined =>
  Option.getOrUndefined(DateTime.make(text.replace(/ GMT\s*$/, " +0000")))?.epochMillis
