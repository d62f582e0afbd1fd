/**
 * When to renew, how long to leave a server alone, and how long a lock lives: pure functions, and the Schedule of the
 * renewal fiber.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"

/**
 * Renewals come up to this share of the leeway earlier than they must, so that many processes do not renew at once.
 *
 * @since 0.1.0
 * @category models
 */
export const jitterShare = 0.1

/**
 * The leeway in force for a lifetime: never more than a fifth of it, so that a 5-minute token with a 5-minute leeway is
 * used for four minutes and not renewed before every request (law 3).
 *
 * @since 0.1.0
 * @category combinators
 */
export const leeway = (lifetime: Duration.Duration, wanted: Duration.Duration): Duration.Duration =>
  Duration.min(wanted, Duration.times(lifetime, 0.2))

/**
 * The age at which a token counts as stale: `age ≥ lifetime − leeway`. Without a known lifetime it never does.
 *
 * @since 0.1.0
 * @category combinators
 */
export const staleAge = (lifetime: Duration.Duration, wanted: Duration.Duration): Duration.Duration =>
  Duration.subtract(lifetime, leeway(lifetime, wanted))

/**
 * The age at which background renewal starts: the stale age, or a little earlier. `random` is in [0, 1); jitter only
 * makes renewal earlier.
 *
 * @since 0.1.0
 * @category combinators
 */
export const renewalAge = (lifetime: Duration.Duration, wanted: Duration.Duration, random: number): Duration.Duration =>
  Duration.subtract(
    staleAge(lifetime, wanted),
    Duration.times(leeway(lifetime, wanted), clampUnit(random) * jitterShare)
  )

const clampUnit = (random: number): number => (random >= 0 && random <= 1 ? random : 0)

const doubling = (first: Duration.Duration, longest: Duration.Duration, times: number): Duration.Duration =>
  Duration.min(Duration.times(first, 2 ** Math.min(Math.max(times - 1, 0), 30)), longest)

/**
 * How long to wait after the n-th transient failure in a row: 250 ms, doubling to 30 s, less up to a quarter of jitter,
 * or what the server asked for if that is longer, up to an hour (law 9).
 *
 * @since 0.1.0
 * @category combinators
 */
export const coolDown = (failures: number, random: number, retryAfter: Duration.Duration): Duration.Duration =>
  Duration.max(
    Duration.times(doubling(Duration.millis(250), longestCoolDown, failures), 1 - clampUnit(random) / 4),
    Duration.min(retryAfter, longestRetryAfter)
  )

/**
 * The longest cool-down that is not the server's own wish: 30 seconds (law 9).
 *
 * @since 0.1.0
 * @category models
 */
export const longestCoolDown: Duration.Duration = Duration.seconds(30)

/**
 * The longest cool-down of refused credentials: one hour (law 16).
 *
 * @since 0.1.0
 * @category models
 */
export const longestCredentialsCoolDown: Duration.Duration = Duration.hours(1)

/**
 * A `Retry-After` longer than this is taken for this: one hour.
 *
 * @since 0.1.0
 * @category models
 */
export const longestRetryAfter: Duration.Duration = Duration.hours(1)

/**
 * How long rejections refresh nothing after the n-th strike in a row: 250 ms, doubling to a minute (law 10).
 *
 * @since 0.1.0
 * @category combinators
 */
export const strikeCoolDown = (strikes: number): Duration.Duration =>
  doubling(Duration.millis(250), Duration.minutes(1), strikes)

/**
 * How long refused credentials are not sent again after the n-th refusal in a row: one minute, doubling to an hour
 * (law 16).
 *
 * @since 0.1.0
 * @category combinators
 */
export const credentialsCoolDown = (refusals: number): Duration.Duration =>
  doubling(Duration.minutes(1), longestCredentialsCoolDown, refusals)

/**
 * How often, at most, refused credentials are read again to see whether they changed: once a second.
 *
 * @since 0.1.0
 * @category models
 */
export const credentialsLook: Duration.Duration = Duration.seconds(1)

/**
 * How often, at most, a session that has ended looks whether another process has signed in: once a second.
 *
 * @since 0.1.0
 * @category models
 */
export const storeLook: Duration.Duration = Duration.seconds(1)

/**
 * How many exchanges a minute may replace tokens that, by the monotonic clock and by their own lifetime, ought to be
 * fresh (law 11): five. More than that is a broken API or a broken clock, and asking again would not mend it.
 *
 * @since 0.1.0
 * @category models
 */
export const hastyExchanges = 5

/**
 * A token without a known lifetime ought to be fresh for this long: one minute.
 *
 * @since 0.1.0
 * @category models
 */
export const hastyAge: Duration.Duration = Duration.minutes(1)

/**
 * How long before its known end a refresh token is warned of: the last fifth of its lifetime, and no more than three days.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refreshWarning = (lifetime: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.times(lifetime, 0.2), Duration.days(3))

/**
 * The longest sleep of the renewal fiber: five minutes. Longer waits are slept in slices, because a timer of more than
 * 24.8 days never fires, and because a machine that wakes up must not wait out what the clock already passed.
 *
 * @since 0.1.0
 * @category models
 */
export const slice: Duration.Duration = Duration.minutes(5)

/**
 * The Schedule of the renewal fiber: it recurs for ever, each time after the delay it was fed, at most a slice.
 *
 * @since 0.1.0
 * @category models
 */
export const schedule: Schedule.Schedule<Duration.Duration, Duration.Duration> = Schedule.addDelay(
  Schedule.identity<Duration.Duration>(),
  (delay) => Duration.min(delay, slice)
)

/**
 * How a token set that could not be saved is saved again: after 250 ms, doubling to 30 s, with jitter, until it is.
 *
 * @since 0.1.0
 * @category models
 */
export const saving: Schedule.Schedule<unknown> = Schedule.exponential("250 millis").pipe(
  Schedule.union(Schedule.spaced("30 seconds")),
  Schedule.jittered
)

/**
 * How long the exclusive section of a key lasts without a sign of life from its holder: ten seconds (law 20).
 *
 * @since 0.1.0
 * @category models
 */
export const leaseDuration: Duration.Duration = Duration.seconds(10)

/**
 * How often a holder shows that it is alive: every two seconds and a half.
 *
 * @since 0.1.0
 * @category models
 */
export const leaseBeat: Duration.Duration = Duration.millis(2500)

/**
 * How long to wait before the n-th look at an exclusive section that somebody else has: 10 ms, doubling to 250 ms, less
 * up to half of jitter.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lockDelay = (looks: number, random: number): Duration.Duration =>
  Duration.times(doubling(Duration.millis(10), Duration.millis(250), looks), 1 - clampUnit(random) / 2)
