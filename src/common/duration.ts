import * as Duration from "effect/Duration"

/** The longest duration in use: ten years. Longer lifetimes, ages and options are capped to it. */
export const longest: Duration.Duration = Duration.days(3650)

/** {@link longest} in milliseconds. */
export const longestMillis: number = Duration.toMillis(longest)

/** Converts a duration to nanoseconds of the monotonic clock, capped at {@link longest}. */
export const toNanos = (duration: Duration.Duration): bigint =>
  BigInt(Math.round(Duration.toMillis(Duration.min(duration, longest)) * 1e6))

/** One minute in nanoseconds of the monotonic clock. */
export const minuteNanos: bigint = toNanos(Duration.minutes(1))
