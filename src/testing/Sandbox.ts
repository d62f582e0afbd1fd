/**
 * What every provider's sandbox offers.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Faults from "./Faults.js"
import type * as SandboxLog from "./SandboxLog.js"

/**
 * A running sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** The API; it fails where a fault drops the connection. */
  readonly app: HttpApp.Default<Faults.Dropped>
  /** The app for `HttpServer.serve`: dropped connections destroy their socket. */
  readonly served: HttpApp.Default
  /** Reaches the app in memory, whatever the origin. */
  readonly client: HttpClient.HttpClient
  /** A base URL to use with `client`; the path holds for a served app too. */
  readonly baseUrl: string
  readonly faults: Faults.Service<SandboxLog.Endpoint>
  /** Revokes all access tokens issued so far. */
  readonly revokeAccessTokens: Effect.Effect<void>
  /** Revokes all refresh tokens issued so far. */
  readonly revokeRefreshTokens: Effect.Effect<void>
  /** Changes the lifetime of the access tokens to come. */
  readonly setLifetime: (lifetime: Duration.DurationInput) => Effect.Effect<void>
  /** Every request that ended, without secrets. */
  readonly log: Effect.Effect<ReadonlyArray<SandboxLog.Entry>>
  /** The counts so far. */
  readonly report: Effect.Effect<SandboxLog.Report>
}
