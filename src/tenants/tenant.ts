import * as Effect from "effect/Effect"
import * as Moment from "../common/Moment.js"
import type * as AuthProvider from "../provider/AuthProvider.js"
import type * as Credentials from "../provider/Credentials.js"
import type * as Renewal from "../renewal/Renewal.js"
import * as SessionState from "../session/machine/state.js"
import * as Engine from "../session/runtime/engine.js"
import * as Pilot from "../session/runtime/flightRunner.js"
import type { Renewable } from "../session/Session.js"
import type * as Token from "../token/Token.js"

/** What a session is made of. */
export interface Found {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  /** Its key in the store. */
  readonly key: string
  readonly label: string | undefined
  readonly seed: Token.TokenSet | undefined
}

/** How long sessions that nobody uses stay, and whether they are renewed meanwhile. */
export interface Terms {
  /** In milliseconds; infinite when none is ever let go. */
  readonly idleTimeToLive: number
  readonly background: boolean
}

/** What tenants of one map have in common: how they live, and how they leave it. */
export interface House<K> extends Terms {
  readonly leave: (tenant: Tenant<K>) => void
}

/** An open session. The renewal fiber renews it, and lets it go when nobody has used it for long enough. */
export class Tenant<K> extends Engine.Engine implements Renewable {
  readonly house: House<K>
  readonly of: K
  /** By the wall clock, in milliseconds. */
  usedAt: number

  constructor(house: House<K>, of: K, setting: Engine.Setting, found: Found, now: SessionState.Now) {
    super({ ...found, setting }, SessionState.starting(found.seed, now), now)
    this.house = house
    this.of = of
    this.usedAt = now.millis
  }

  /** In how many milliseconds it may be let go: it stays while it knows something that would be lost with it. */
  idleDelay(now: Moment.Moment): number {
    // A wall clock that was set back keeps nobody for longer.
    this.usedAt = Math.min(this.usedAt, now.millis)
    const idle = this.usedAt + this.house.idleTimeToLive - now.millis
    return idle === Number.POSITIVE_INFINITY ? idle : Math.max(0, idle, Pilot.holdsOn(this, now))
  }

  renewalDelay(now: Moment.Moment): number | undefined {
    const due = this.house.background ? Pilot.renewalDelay(this, now) : undefined
    const delay = Math.min(this.idleDelay(now), due ?? Number.POSITIVE_INFINITY)
    return this.closed || delay === Number.POSITIVE_INFINITY ? undefined : delay
  }

  get renew(): Effect.Effect<void> {
    return Effect.flatMap(Moment.now, (now) => {
      if (this.idleDelay(now) > 0) return this.house.background ? Pilot.renew(this) : Effect.void
      this.house.leave(this)
      return Pilot.close(this)
    })
  }
}

/** Tells a renewal of each change of a tenant. */
export const watchedBy =
  (renewal: Renewal.Service): Engine.Setting["onChange"] =>
  (engine) =>
    engine instanceof Tenant ? renewal.watch(engine) : Effect.void
