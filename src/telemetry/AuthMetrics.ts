/**
 * What sessions count and measure. Each metric is labelled with the `provider`, and with the `session` where the
 * application gave it a label; those two and the words below are all the labels there are, so their number is bounded. Only
 * the labelled series are fed: read one by `Metric.tagged(AuthMetrics.staleReads, "provider", "violet")`, or all by
 * `Metric.snapshot`.
 * What a caller's fiber is tagged with is not among them: an exchange is for everybody who waits.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/**
 * Requests to token endpoints, by `kind` (`login`, `refresh`, `revoke`) and `outcome`: `obtained` (or, for `revoke`,
 * `revoked`), `refused`, `not-spent` and `unknown` (law 12), `misconfigured`. A log in of two steps is one.
 *
 * @since 0.1.0
 * @category models
 */
export const tokenRequests: Metric.Metric.Counter<number> = Metric.counter("effect_auth_token_requests", {
  description: "Requests to token endpoints",
  incremental: true
})

/**
 * How long those took, by `kind`. In seconds.
 *
 * @since 0.1.0
 * @category models
 */
export const tokenRequestDuration: Metric.Metric.Histogram<number> = Metric.histogram(
  "effect_auth_token_request_duration_seconds",
  MetricBoundaries.fromIterable([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]),
  "Seconds an exchange took"
)

/**
 * How many seconds the access token had left when something last happened to its session: after each exchange, whatever
 * became of it. Zero says that it has ended. Of several sessions without a label, the one that told last.
 *
 * @since 0.1.0
 * @category models
 */
export const secondsToExpiry: Metric.Metric.Gauge<number> = Metric.gauge("effect_auth_seconds_to_expiry", {
  description: "Seconds left to the access token"
})

/**
 * How many seconds an access token had left when another took its place. Zero says that there was a time without one: for
 * many sessions, how much of that there is tells more than any single one's `secondsToExpiry`.
 *
 * @since 0.1.0
 * @category models
 */
export const secondsLeftAtReplacement: Metric.Metric.Histogram<number> = Metric.histogram(
  "effect_auth_seconds_left_at_replacement",
  MetricBoundaries.fromIterable([0, 1, 5, 15, 30, 60, 120, 300, 600, 3600]),
  "Seconds left to the access token when it was replaced"
)

/**
 * Callers that have no token yet: they wait for the exchange under way, or for the end of a cool-down (law 9).
 *
 * @since 0.1.0
 * @category models
 */
export const waiting: Metric.Metric.Gauge<number> = Metric.gauge("effect_auth_waiting", {
  description: "Callers that wait for a token"
})

/**
 * Reads that were answered with a stale token while another was obtained behind (law 2).
 *
 * @since 0.1.0
 * @category models
 */
export const staleReads: Metric.Metric.Counter<number> = Metric.counter("effect_auth_stale_reads", {
  description: "Reads answered with a stale token",
  incremental: true
})

/**
 * Saves that the store turned away, since somebody else had saved something newer (law 19).
 *
 * @since 0.1.0
 * @category models
 */
export const storeConflicts: Metric.Metric.Counter<number> = Metric.counter("effect_auth_store_conflicts", {
  description: "Saves that met something newer",
  incremental: true
})

/**
 * Cool-downs that began, by `reason`: the tag of the failure, or `Rejections` for strikes (laws 9, 10, 16).
 *
 * @since 0.1.0
 * @category models
 */
export const coolDowns: Metric.Metric.Counter<number> = Metric.counter("effect_auth_cool_downs", {
  description: "Cool-downs that began",
  incremental: true
})
