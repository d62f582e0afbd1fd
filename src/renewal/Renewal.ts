/**
 * Background renewal: a fiber that refreshes the tokens of sessions before a caller has to wait. One fiber serves any
 * number of sessions; it owns no token.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Engine from "../session/runtime/engine.js"
import * as Lifecycle from "../session/runtime/lifecycle.js"
import type * as Session from "../session/Session.js"
import * as Renewer from "./renewer.js"

/**
 * The renewal fiber of any number of sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Renews a session in the background until either of them closes. A session is renewed by the last `Renewal` that
   * watches it. Does nothing for a session that `Session.make` did not make: a copy of one, or one of a `SessionMap`,
   * which renews its own.
   */
  readonly watch: (session: Session.Service) => Effect.Effect<void>
}

/**
 * The tag of the renewal fiber. `Auth.layer` and the layers of the providers provide it; with the option
 * `renewal: "on-use"` it does nothing.
 *
 * @since 0.1.0
 * @category tags
 */
export class Renewal extends Context.Tag("effect-auth/Renewal")<Renewal, Service>() {}

/**
 * Starts a renewal fiber. It survives the failure of any renewal, and ends with its scope (law 29).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, never, Scope.Scope> = Effect.map(Renewer.make, (renewer) => {
  const listeners = new WeakMap<Engine.Engine, NonNullable<Engine.Config["onChange"]>>()
  const listenerOf = (engine: Engine.Engine): NonNullable<Engine.Config["onChange"]> => {
    const known = listeners.get(engine)
    if (known !== undefined) return known
    // Once another `Renewal` watches the session, this one leaves it alone.
    const isLast = () => engine.config.onChange === listener
    const renewable: Renewer.Renewable = {
      renewalDelay: (now) => (isLast() ? Lifecycle.renewalDelay(engine, now) : undefined),
      renew: Effect.suspend(() => (isLast() ? Lifecycle.renew(engine) : Effect.void))
    }
    const listener = () => renewer.schedule(renewable)
    listeners.set(engine, listener)
    return listener
  }
  return {
    watch: (session) =>
      Effect.suspend(() => {
        const engine = Engine.of(session)
        if (engine === undefined) return Effect.void
        engine.config.onChange = listenerOf(engine)
        return engine.config.onChange(engine)
      })
  }
})

/**
 * A layer of a renewal fiber.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Renewal> = /* @__PURE__ */ Layer.scoped(Renewal, make)
