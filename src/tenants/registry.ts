import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type AuthError, Misconfigured, NetworkFailure } from "../common/AuthError.js"
import { runBounded } from "../common/bounded.js"
import * as Moment from "../common/Moment.js"
import { clockOf, withFiber } from "../common/runtime.js"
import type { Renewer } from "../renewal/renewer.js"
import * as Callers from "../session/runtime/callers.js"
import * as Engine from "../session/runtime/engine.js"
import * as Lifecycle from "../session/runtime/lifecycle.js"
import type * as Token from "../token/Token.js"
import { KeyMap } from "./keyMap.js"
import { type MapConfig, type SessionParts, TenantSession } from "./tenant.js"

/** The options of a registry. */
export interface Options<K, E> extends Omit<MapConfig<K>, "evict"> {
  readonly config: Engine.Config
  readonly lookup: (key: K) => Effect.Effect<SessionParts, AuthError | E>
  readonly renewer: Renewer
}

/** The open sessions of a map, by key. A session is opened by its first use and evicted when it is idle. */
export interface Registry<K, E> {
  /**
   * Returns the valid token of a key. With `earlier`, of the account of that session, even if it was evicted since;
   * fails with `tenantChanged` if the key has another account now.
   */
  readonly accessToken: (key: K, earlier?: Engine.Engine) => Effect.Effect<Token.AccessToken, AuthError | E>
  /** Signs out the session of a key. */
  readonly logout: (key: K) => Effect.Effect<void, AuthError | E>
  /** Returns the session of a key, and opens it if necessary. */
  readonly find: (key: K) => Effect.Effect<Engine.Engine, AuthError | E>
  /** Uses the session of a key; if it closes meanwhile, the one that is opened after it. */
  readonly use: <A, E1>(
    key: K,
    f: (engine: Engine.Engine) => Effect.Effect<A, E1>
  ) => Effect.Effect<A, AuthError | E | E1>
  /** Evicts and closes the session of a key, if it is open. */
  readonly invalidate: (key: K) => Effect.Effect<void>
  /** The sessions that are open. */
  readonly openSessions: Effect.Effect<ReadonlyArray<readonly [K, Engine.Engine]>>
}

/** Makes an empty registry. Its scope closes all sessions at once. */
export const make = <K, E>(options: Options<K, E>): Effect.Effect<Registry<K, E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { config, lookup, renewer } = options
    const tenants = new KeyMap<K, TenantSession<K>>()
    const map: MapConfig<K> = {
      ...options,
      // Nothing begins in a closed session: its callers turn to the one that is opened after it.
      evict: (tenant) => {
        tenant.closed = true
        tenants.delete(tenant.mapKey)
      }
    }
    const opening = yield* FiberMap.make<K, Either.Either<TenantSession<K>, AuthError | E>>()
    const closing = yield* FiberMap.make<K, void, never>()
    let closed = false

    /** Waits until the evicted session of a key has closed. */
    const awaitClosed = (key: K): Effect.Effect<void> =>
      Effect.suspend(() =>
        Option.match(FiberMap.unsafeGet(closing, key), {
          onNone: () => Effect.void,
          onSome: (fiber) => Effect.asVoid(Fiber.await(fiber))
        })
      )

    /** Looks up a key and opens its session, once the one before it has closed. */
    const open = (key: K): Effect.Effect<Either.Either<TenantSession<K>, AuthError | E>> =>
      Effect.gen(function* () {
        yield* awaitClosed(key)
        const parts = yield* runBounded<SessionParts, AuthError | E>(
          "lookup",
          () => lookup(key),
          config.timeout,
          lookupFallbacks
        )
        if (Either.isLeft(parts)) return Either.left(parts.left)
        const now = yield* Engine.now
        // Checked and added in one step: closing the map closes every session that is in it.
        if (closed) return Either.left(mapHasClosed)
        const tenant = new TenantSession(map, key, config, parts.right, now)
        tenants.set(key, tenant)
        yield* renewer.schedule(tenant)
        return Either.right(tenant)
      })

    const find = (key: K): Effect.Effect<Engine.Engine, AuthError | E> =>
      Effect.flatMap(Moment.now, ({ millis }) => {
        const tenant = tenants.get(key)
        if (tenant !== undefined) {
          tenant.usedAt = millis
          return Effect.succeed(tenant)
        }
        if (closed) return mapHasClosed
        const underWay = Option.getOrUndefined(FiberMap.unsafeGet(opening, key))
        const opened =
          underWay === undefined ? FiberMap.run(opening, key, open(key), onlyOnce) : Effect.succeed(underWay)
        return opened.pipe(
          Effect.flatMap(Fiber.await),
          // A lookup is interrupted only by an invalidation, by the closing map, or because another caller was first.
          Effect.flatMap(
            Exit.match({
              onFailure: () => find(key),
              onSuccess: Either.match({
                onLeft: Effect.fail,
                onRight: (tenant) => (tenant.closed ? find(key) : Effect.succeed(tenant))
              })
            })
          )
        )
      })

    const use: Registry<K, E>["use"] = <A, E1>(key: K, f: (engine: Engine.Engine) => Effect.Effect<A, E1>) =>
      Effect.flatMap(find(key), (engine) =>
        Effect.catchAll(
          f(engine),
          (error): Effect.Effect<A, AuthError | E | E1> =>
            engine.closed && !closed && Engine.isClosedError(error) ? use(key, f) : Effect.fail(error)
        )
      )

    const obtain = (key: K, earlier: Engine.Engine | undefined) =>
      use(key, (engine) => (isSameAccount(engine, earlier) ? Callers.use(engine) : tenantChanged))

    const logout = (key: K): Effect.Effect<void, AuthError | E> =>
      use(key, (engine) =>
        Effect.zipRight(
          Callers.logout(engine),
          // A session that was opened after this one may have read the store before the logout was in it.
          Effect.suspend(() => (engine.closed && tenants.get(key) !== undefined ? logout(key) : Effect.void))
        )
      )

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const all = tenants.entries()
        tenants.clear()
        for (const [, tenant] of all) tenant.closed = true
        // Idle sessions need no fiber: with very many of them, the fibers would take more memory than the sessions.
        const busy = all.flatMap(([, tenant]) => (Lifecycle.isIdle(tenant) ? [] : [tenant]))
        return Effect.zipRight(
          Effect.forEach(busy, Lifecycle.close, { concurrency: "unbounded", discard: true }),
          // Those that were invalidated just before are closing too.
          FiberMap.awaitEmpty(closing)
        )
      })
    )

    return {
      // Law 1, by key: one read of a map and one of the clocks.
      accessToken: (key, earlier) =>
        withFiber((fiber) => {
          const clock = clockOf(fiber)
          const tenant = tenants.get(key)
          if (tenant === undefined || !isSameAccount(tenant, earlier)) return obtain(key, earlier)
          const { freshToken, freshUntilMillis, freshUntilNanos } = tenant
          tenant.usedAt = clock.unsafeCurrentTimeMillis()
          return tenant.usedAt < freshUntilMillis && clock.unsafeCurrentTimeNanos() < freshUntilNanos
            ? freshToken
            : obtain(key, earlier)
        }),
      logout,
      find,
      use,
      // An evicted session closes even if the caller is interrupted.
      invalidate: (key) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.suspend(() => {
            const tenant = tenants.get(key)
            if (tenant === undefined) return restore(Effect.zipRight(FiberMap.remove(opening, key), awaitClosed(key)))
            map.evict(tenant)
            return Effect.zipRight(FiberMap.run(closing, key, Lifecycle.close(tenant)), restore(awaitClosed(key)))
          })
        ),
      openSessions: Effect.sync(() => tenants.entries())
    }
  })

const onlyOnce = { onlyIfMissing: true }

/** Tells whether a session is of the account of an earlier one: of the same key at the same API. */
export const isSameAccount = (engine: Engine.Engine, earlier: Engine.Engine | undefined): boolean =>
  earlier === undefined || engine === earlier || engine.key === earlier.key

/** The failure of a request whose key has another account by now. It does not leave the map. */
export const tenantChanged = new Misconfigured({ field: "session map", problem: "the tenant of this key has changed" })

const lookupFallbacks = {
  onTimeout: () => new NetworkFailure({ provider: "lookup", reason: "timeout", outcome: "not-spent" }),
  onDefect: () => new Misconfigured({ field: "lookup", problem: "died with a defect, which was logged" })
}

const mapHasClosed = Engine.hasClosed("session map")
