/**
 * The metrics of sessions.
 *
 * Each has the label `provider`, and `session` if the session has a label. Those and the labels named below are all there are,
 * so apart from your own labels their number is bounded. The tags of a caller's fiber are not among them, because a token request is for all its waiters.
 *
 * Only labelled series are counted. Read one with `Metric.tagged(AuthMetrics.staleReads, "provider", "violet")`, or all with
 * `Metric.snapshot`.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

/**
 * Counts requests to token endpoints. A login of two steps counts once.
 *
 * - `kind` is `login`, `refresh` or `revoke`.
 * - `outcome` is `obtained` (for `revoke`: `revoked`), `refused`, `not-spent`, `unknown` (law 12) or `misconfigured`.
 *
 * @since 0.1.0
 * @category models
 */
export const tokenRequests: Metric.Metric.Counter<number> = Metric.counter("effect_auth_token_requests", {
  description: "Requests to token endpoints",
  incremental: true
})

/**
 * Measures how long token requests took, failed ones as well, by `kind`. In seconds.
 *
 * @since 0.1.0
 * @category models
 */
export const tokenRequestDuration: Metric.Metric.Histogram<number> = Metric.histogram(
  "effect_auth_token_request_duration_seconds",
  MetricBoundaries.fromIterable([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]),
  "Seconds a token request took"
)

/**
 * Shows how long the access token is still valid, in seconds, as of the end of the last flight, whatever its result. 0 means
 * that it has expired. Several sessions without a label share one series, which has the value of the one that reported last.
 *
 * @since 0.1.0
 * @category models
 */
export const secondsToExpiry: Metric.Metric.Gauge<number> = Metric.gauge("effect_auth_seconds_to_expiry", {
  description: "Seconds until the access token expires"
})

/**
 * Measures the seconds of validity left when an access token was replaced. 0 means that callers had none for a while. With
 * many sessions, alarm on the 0 bucket rather than on `secondsToExpiry`.
 *
 * @since 0.1.0
 * @category models
 */
export const secondsLeftAtReplacement: Metric.Metric.Histogram<number> = Metric.histogram(
  "effect_auth_seconds_left_at_replacement",
  MetricBoundaries.fromIterable([0, 1, 5, 15, 30, 60, 120, 300, 600, 3600]),
  "Seconds of validity left when the access token was replaced"
)

/**
 * Counts the callers that wait for a token right now: for the flight under way, or for the end of a cool-down (law 9).
 *
 * @since 0.1.0
 * @category models
 */
export const waiting: Metric.Metric.Gauge<number> = Metric.gauge("effect_auth_waiting", {
  description: "Callers that wait for a token"
})

/**
 * Counts reads that returned a stale token while another one was obtained in the background (law 2).
 *
 * @since 0.1.0
 * @category models
 */
export const staleReads: Metric.Metric.Counter<number> = Metric.counter("effect_auth_stale_reads", {
  description: "Reads that returned a stale token",
  incremental: true
})

/**
 * Counts saves that the store refused because another process had saved a newer version (law 19).
 *
 * @since 0.1.0
 * @category models
 */
export const storeConflicts: Metric.Metric.Counter<number> = Metric.counter("effect_auth_store_conflicts", {
  description: "Saves refused because the store had a newer version",
  incremental: true
})

/**
 * Counts cool-downs that began, by `reason`: the tag of the failure, such as `NetworkFailure`, or `Rejections` when the API
 * rejected a token that was just obtained (laws 9, 10, 16).
 *
 * @since 0.1.0
 * @category models
 */
export const coolDowns: Metric.Metric.Counter<number> = Metric.counter("effect_auth_cool_downs", {
  description: "Cool-downs that began",
  incremental: true
})
