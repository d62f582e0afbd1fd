import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type AuthError, Misconfigured, NetworkFailure } from "../common/AuthError.js"
import { settle } from "../common/bounded.js"
import * as Moment from "../common/Moment.js"
import type * as Renewal from "../renewal/Renewal.js"
import * as Calls from "../session/runtime/callers.js"
import { hasClosed, isClosing } from "../session/runtime/closed.js"
import * as Engine from "../session/runtime/engine.js"
import * as Pilot from "../session/runtime/flightRunner.js"
import type * as Token from "../token/Token.js"
import { Keyed } from "./keyMap.js"
import { type Found, type House, Tenant, type Terms } from "./tenant.js"

/** How sessions come and go. */
export interface Options<K, E> extends Terms {
  readonly setting: Engine.Setting
  readonly lookup: (key: K) => Effect.Effect<Found, AuthError | E>
  readonly renewal: Renewal.Service
}

/** Sessions by key, which come when they are used and go when they are not. */
export interface Tenants<K, E> {
  /** With `of`, the token of what that session is of, wherever it went meanwhile; fails with `moved` if that is gone. */
  readonly accessToken: (key: K, of?: Engine.Engine) => Effect.Effect<Token.AccessToken, AuthError | E>
  readonly logout: (key: K) => Effect.Effect<void, AuthError | E>
  readonly find: (key: K) => Effect.Effect<Engine.Engine, AuthError | E>
  /** Uses the session of a key; if it is closed meanwhile, the next one. */
  readonly using: <A, E1>(
    key: K,
    use: (engine: Engine.Engine) => Effect.Effect<A, E1>
  ) => Effect.Effect<A, AuthError | E | E1>
  readonly invalidate: (key: K) => Effect.Effect<void>
  readonly open: Effect.Effect<ReadonlyArray<readonly [K, Engine.Engine]>>
}

/** Makes an empty map of them. Its scope closes them all, at once. */
export const make = <K, E>(options: Options<K, E>): Effect.Effect<Tenants<K, E>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { lookup, renewal, setting } = options
    const tenants = new Keyed<K, Tenant<K>>()
    const house: House<K> = {
      ...options,
      // From here on nobody begins anything in it: who has it in hand turns to the one that comes after it.
      leave: (tenant) => {
        tenant.closed = true
        tenants.delete(tenant.of)
      }
    }
    const opening = yield* FiberMap.make<K, Either.Either<Tenant<K>, AuthError | E>>()
    const closing = yield* FiberMap.make<K, void, never>()
    let closed = false

    /** Waits for the session of a key that is closing. */
    const hasLeft = (key: K): Effect.Effect<void> =>
      Effect.suspend(() =>
        Option.match(FiberMap.unsafeGet(closing, key), {
          onNone: () => Effect.void,
          onSome: (fiber) => Effect.asVoid(Fiber.await(fiber))
        })
      )

    /** Looks a key up and enters its session, once the one before it has closed. */
    const enter = (key: K): Effect.Effect<Either.Either<Tenant<K>, AuthError | E>> =>
      Effect.gen(function* () {
        yield* hasLeft(key)
        const found = yield* settle<Found, AuthError | E>("lookup", () => lookup(key), setting.timeout, otherwise)
        if (Either.isLeft(found)) return Either.left(found.left)
        const now = yield* Engine.reading
        // Nothing comes between this look and the entry: whoever closes the map closes all that are in it.
        if (closed) return Either.left(mapHasClosed)
        const tenant = new Tenant(house, key, setting, found.right, now)
        tenants.set(key, tenant)
        yield* renewal.watch(tenant)
        return Either.right(tenant)
      })

    const find = (key: K): Effect.Effect<Engine.Engine, AuthError | E> =>
      Effect.flatMap(Moment.now, ({ millis }) => {
        const found = tenants.get(key)
        if (found !== undefined) {
          found.usedAt = millis
          return Effect.succeed(found)
        }
        if (closed) return mapHasClosed
        const under = Option.getOrUndefined(FiberMap.unsafeGet(opening, key))
        const lookup = under === undefined ? FiberMap.run(opening, key, enter(key), once) : Effect.succeed(under)
        return lookup.pipe(
          Effect.flatMap(Fiber.await),
          // Nothing but an invalidation, the closing map, or another caller who was first, interrupts a lookup.
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

    const using: Tenants<K, E>["using"] = <A, E1>(key: K, use: (engine: Engine.Engine) => Effect.Effect<A, E1>) =>
      Effect.flatMap(find(key), (engine) =>
        Effect.catchAll(
          use(engine),
          (error): Effect.Effect<A, AuthError | E | E1> =>
            engine.closed && !closed && isClosing(error) ? using(key, use) : Effect.fail(error)
        )
      )

    const obtain = (key: K, of: Engine.Engine | undefined) =>
      using(key, (engine) => (isOf(engine, of) ? Calls.use(engine) : moved))

    const logout = (key: K): Effect.Effect<void, AuthError | E> =>
      using(key, (engine) =>
        Effect.zipRight(
          Calls.logout(engine),
          // One that came in its place meanwhile may have been loaded before that was written down.
          Effect.suspend(() => (engine.closed && tenants.get(key) !== undefined ? logout(key) : Effect.void))
        )
      )

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const all = tenants.entries()
        tenants.clear()
        for (const [, tenant] of all) tenant.closed = true
        // A fiber for each of very many that rest would take more memory than they do.
        const busy = all.flatMap(([, tenant]) => (Pilot.isAtRest(tenant) ? [] : [tenant]))
        return Effect.zipRight(
          Effect.forEach(busy, Pilot.close, { concurrency: "unbounded", discard: true }),
          // Those that were invalidated just before are no less in the middle of something.
          FiberMap.awaitEmpty(closing)
        )
      })
    )

    return {
      // Law 1, by key: one look into a map and one at the clocks. `Effect.clockWith` would make two more closures a read.
      accessToken: (key, of) =>
        Effect.withFiberRuntime(({ currentDefaultServices }) => {
          const clock: Clock.Clock = currentDefaultServices.unsafeMap.get(Clock.Clock.key)
          const tenant = tenants.get(key)
          if (tenant === undefined || !isOf(tenant, of)) return obtain(key, of)
          const { exit, freshMillis, freshNanos } = tenant
          tenant.usedAt = clock.unsafeCurrentTimeMillis()
          return tenant.usedAt < freshMillis && clock.unsafeCurrentTimeNanos() < freshNanos ? exit : obtain(key, of)
        }),
      logout,
      find,
      using,
      // What has left closes, also when whoever wanted that is interrupted.
      invalidate: (key) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.suspend(() => {
            const found = tenants.get(key)
            if (found === undefined) return restore(Effect.zipRight(FiberMap.remove(opening, key), hasLeft(key)))
            house.leave(found)
            return Effect.zipRight(FiberMap.run(closing, key, Pilot.close(found)), restore(hasLeft(key)))
          })
        ),
      open: Effect.sync(() => tenants.entries())
    }
  })

const once = { onlyIfMissing: true }

/** Whether two sessions are of the same account at the same API. */
export const isOf = (engine: Engine.Engine, of: Engine.Engine | undefined): boolean =>
  of === undefined || engine === of || engine.key === of.key

/** Another account, or another API, has come in the place of a session. Never seen outside of the map. */
export const moved = new Misconfigured({ field: "session map", problem: "the tenant of this key has changed" })

const otherwise = {
  late: () => new NetworkFailure({ provider: "lookup", reason: "timeout", outcome: "not-spent" }),
  broken: () => new Misconfigured({ field: "lookup", problem: "a defect in it" })
}

const mapHasClosed = hasClosed("session map")
