import * as Duration from "effect/Duration"

const clampUnit = (random: number): number => (random >= 0 && random <= 1 ? random : 0)

const doubled = (first: Duration.Duration, longest: Duration.Duration, count: number): Duration.Duration =>
  Duration.min(Duration.times(first, 2 ** Math.min(Math.max(count - 1, 0), 30)), longest)

/** The longest cool-down of the session's own making: 30 seconds (law 9). */
export const maxCoolDown: Duration.Duration = Duration.seconds(30)

/** The longest `Retry-After` that is honoured: one hour. A longer one counts as this. */
const maxRetryAfter: Duration.Duration = Duration.hours(1)

/**
 * Returns the cool-down after the n-th transient failure in a row (law 9): 250 ms, doubling to 30 s, less up to a quarter
 * of jitter; or `retryAfter` if that is longer, up to an hour. `random` is in [0, 1).
 */
export const coolDown = (failures: number, random: number, retryAfter: Duration.Duration): Duration.Duration =>
  Duration.max(
    Duration.times(doubled(Duration.millis(250), maxCoolDown, failures), 1 - clampUnit(random) / 4),
    Duration.min(retryAfter, maxRetryAfter)
  )

/** Returns for how long rejections refresh nothing after the n-th rejected retry in a row: 250 ms, doubling to a minute (law 10). */
export const rejectionCoolDown = (rejections: number): Duration.Duration =>
  doubled(Duration.millis(250), Duration.minutes(1), rejections)

/** The longest cool-down of refused credentials: one hour (law 16). */
export const maxCredentialsCoolDown: Duration.Duration = Duration.hours(1)

/**
 * Returns for how long refused credentials are not sent again after the n-th refusal in a row: one minute, doubling to an
 * hour (law 16).
 */
export const credentialsCoolDown = (refusals: number): Duration.Duration =>
  doubled(Duration.minutes(1), maxCredentialsCoolDown, refusals)

/** The interval at which refused credentials may be read again to see whether they changed: one second. */
export const credentialsRecheckInterval: Duration.Duration = Duration.seconds(1)

/** The interval at which a session that has failed or is signed out may read the store again: one second. */
export const storeRecheckInterval: Duration.Duration = Duration.seconds(1)

/**
 * Early refreshes allowed per minute: 5 (law 11). A refresh is early if the token should still be fresh by its lifetime and
 * the monotonic clock; more than that means a broken API or clock.
 */
export const earlyRefreshBudget = 5

/** For how long a token without a known lifetime should be fresh: one minute. */
export const earlyRefreshAge: Duration.Duration = Duration.minutes(1)

/**
 * Returns the pause before the n-th attempt at a lease that another owner holds: 10 ms, doubling to 250 ms, less up to half
 * of jitter. `random` is in [0, 1).
 */
export const leaseRetryDelay = (attempts: number, random: number): Duration.Duration =>
  Duration.times(doubled(Duration.millis(10), Duration.millis(250), attempts), 1 - clampUnit(random) / 2)
