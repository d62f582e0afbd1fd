import * as Effect from "effect/Effect"
import * as Moment from "../common/Moment.js"
import type * as AuthProvider from "../provider/AuthProvider.js"
import type * as Credentials from "../provider/Credentials.js"
import type { Renewable, Renewer } from "../renewal/renewer.js"
import * as State from "../session/machine/state.js"
import * as Engine from "../session/runtime/engine.js"
import * as Lifecycle from "../session/runtime/lifecycle.js"
import type * as Token from "../token/Token.js"

/** The parts from which a tenant's session is made. */
export interface SessionParts {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  /** The session's key in the store. */
  readonly key: string
  readonly label: string | undefined
  readonly seed: Token.TokenSet | undefined
}

/** The configuration of a map that its tenants share. */
export interface MapConfig<K> {
  /** The time a session stays after its last use, in milliseconds; infinite if none is evicted. */
  readonly idleTimeToLive: number
  /** Tells whether tokens are renewed in the background. */
  readonly background: boolean
  /** Removes a tenant from the map. */
  readonly evict: (tenant: TenantSession<K>) => void
}

/** An open session of a map. The renewal fiber renews it, and evicts it after it was idle for long enough. */
export class TenantSession<K> extends Engine.Engine implements Renewable {
  readonly map: MapConfig<K>
  readonly mapKey: K
  /** The last use, in milliseconds of the wall clock. */
  usedAt: number

  constructor(map: MapConfig<K>, mapKey: K, config: Engine.Config, parts: SessionParts, now: State.Now) {
    super({ ...parts, config }, State.initial(parts.seed, now), now)
    this.map = map
    this.mapKey = mapKey
    this.usedAt = now.millis
  }

  /** Milliseconds until the session is evicted: not before it has been idle, nor while state would be lost with it. */
  evictionDelay(now: Moment.Moment): number {
    // A wall clock that was set back does not prolong a session.
    this.usedAt = Math.min(this.usedAt, now.millis)
    const idle = this.usedAt + this.map.idleTimeToLive - now.millis
    return idle === Number.POSITIVE_INFINITY ? idle : Math.max(0, idle, Lifecycle.evictableIn(this, now))
  }

  renewalDelay(now: Moment.Moment): number | undefined {
    const due = this.map.background ? Lifecycle.renewalDelay(this, now) : undefined
    const delay = Math.min(this.evictionDelay(now), due ?? Number.POSITIVE_INFINITY)
    return this.closed || delay === Number.POSITIVE_INFINITY ? undefined : delay
  }

  get renew(): Effect.Effect<void> {
    return Effect.flatMap(Moment.now, (now) => {
      if (this.evictionDelay(now) > 0) return this.map.background ? Lifecycle.renew(this) : Effect.void
      this.map.evict(this)
      return Lifecycle.close(this)
    })
  }
}

/** Makes the `onChange` of a map: it schedules a tenant again after each change of its state. */
export const scheduledBy =
  (renewer: Renewer): Engine.Config["onChange"] =>
  (engine) =>
    engine instanceof TenantSession ? renewer.schedule(engine) : Effect.void
