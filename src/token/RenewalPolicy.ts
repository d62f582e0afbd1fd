/**
 * When a token counts as stale and when it is renewed, as pure functions of its lifetime.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * The share of the leeway by which a renewal may come earlier than it must, so that many processes do not renew at once.
 *
 * @since 0.1.0
 * @category models
 */
export const jitterShare = 0.1

/**
 * Returns the leeway in force for a lifetime: `wanted`, but never more than a fifth of the lifetime. A 5-minute token with
 * a 5-minute leeway is thus used for four minutes, and not renewed before every request (law 3).
 *
 * @since 0.1.0
 * @category combinators
 */
export const leeway = (lifetime: Duration.Duration, wanted: Duration.Duration): Duration.Duration =>
  Duration.min(wanted, Duration.times(lifetime, 0.2))

/**
 * Returns the age from which a token is stale: its lifetime less the leeway in force.
 *
 * @since 0.1.0
 * @category combinators
 */
export const staleAge = (lifetime: Duration.Duration, wanted: Duration.Duration): Duration.Duration =>
  Duration.subtract(lifetime, leeway(lifetime, wanted))

/**
 * Returns the age at which background renewal starts: the stale age, or a little less. `random` is in [0, 1); jitter only
 * makes renewal earlier (law 3).
 *
 * @since 0.1.0
 * @category combinators
 */
export const renewalAge = (lifetime: Duration.Duration, wanted: Duration.Duration, random: number): Duration.Duration =>
  Duration.subtract(
    staleAge(lifetime, wanted),
    Duration.times(leeway(lifetime, wanted), (random >= 0 && random <= 1 ? random : 0) * jitterShare)
  )

/**
 * Returns how long before the known end of a refresh token the session warns of it: the last fifth of its lifetime, at most
 * three days.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refreshTokenWarning = (lifetime: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.times(lifetime, 0.2), Duration.days(3))
