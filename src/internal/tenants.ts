import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type AuthError, Misconfigured, NetworkFailure } from "../AuthError.js"
import type * as AuthProvider from "../AuthProvider.js"
import type * as Credentials from "../Credentials.js"
import * as Moment from "../Moment.js"
import type * as Renewal from "../Renewal.js"
import type { Renewable } from "../Session.js"
import * as SessionState from "../SessionState.js"
import type * as Token from "../Token.js"
import * as Calls from "./calls.js"
import * as Engine from "./engine.js"
import { Keyed } from "./keyed.js"
import * as Pilot from "./pilot.js"
import type { Setting } from "./setting.js"
import { settle } from "./settle.js"

/** What a session is made of. */
export interface Found {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  /** Its key in the store. */
  readonly key: string
  readonly label: string | undefined
  readonly seed: Token.TokenSet | undefined
}

/** How sessions come and go. */
export interface Options<K, E> {
  readonly setting: Setting
  readonly lookup: (key: K) => Effect.Effect<Found, AuthError | E>
  /** In milliseconds; infinite when none is ever let go. */
  readonly idleTimeToLive: number
  readonly background: boolean
  readonly renewal: Renewal.Service
}

/** An open session. The renewal fiber renews it, and lets it go when nobody has used it for long enough. */
class Tenant implements Renewable {
  readonly engine: Engine.Engine
  readonly options: Options<never, unknown>
  readonly leave: () => void
  /** By the wall clock, in milliseconds. */
  usedAt: number

  constructor(found: Found, options: Options<never, unknown>, leave: () => void, now: SessionState.Now) {
    const onChange = () => options.renewal.watch(this)
    this.engine = new Engine.Engine(
      { ...found, setting: options.setting, onChange },
      SessionState.starting(found.seed, now),
      now
    )
    this.options = options
    this.leave = leave
    this.usedAt = now.millis
  }

  /** In how many milliseconds it may be let go: it stays while it knows something that would be lost with it. */
  idleDelay({ millis, nanos }: Moment.Moment): number {
    const idle = this.usedAt + this.options.idleTimeToLive - millis
    return idle === Number.POSITIVE_INFINITY ? idle : Math.max(0, idle, Pilot.holdsOn(this.engine, { millis, nanos }))
  }

  get renewalDelay(): Effect.Effect<number | undefined> {
    const { engine, options } = this
    return Effect.zipWith(Moment.now, Pilot.renewalDelay(engine), (now, due = Number.POSITIVE_INFINITY) => {
      const delay = Math.min(this.idleDelay(now), options.background ? due : Number.POSITIVE_INFINITY)
      return engine.closed || delay === Number.POSITIVE_INFINITY ? undefined : delay
    })
  }

  get renew(): Effect.Effect<void> {
    return Effect.flatMap(Moment.now, (now) => {
      if (this.idleDelay(now) > 0) return this.options.background ? Pilot.renew(this.engine) : Effect.void
      this.leave()
      return Pilot.close(this.engine)
    })
  }
}

/** Sessions by key, which come when they are used and go when they are not. */
export interface Tenants<K, E> {
  readonly accessToken: (key: K) => Effect.Effect<Token.AccessToken, AuthError | E>
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
    const tenants = new Keyed<K, Tenant>()
    const opening = yield* FiberMap.make<K, Either.Either<Tenant, AuthError | E>>()
    const closing = yield* FiberMap.make<K, void>()
    let closed = false

    /** Looks a key up and enters its session, once the one before it has closed. */
    const enter = (key: K): Effect.Effect<Either.Either<Tenant, AuthError | E>> =>
      Effect.gen(function* () {
        const before = FiberMap.unsafeGet(closing, key)
        if (Option.isSome(before)) yield* Fiber.await(before.value)
        const found = yield* settle<Found, AuthError | E>("lookup", () => lookup(key), setting.timeout, otherwise)
        if (Either.isLeft(found)) return Either.left(found.left)
        if (closed) return Either.left(hasClosed)
        const leave = () => tenants.delete(key)
        const tenant = new Tenant(found.right, options, leave, yield* Engine.reading)
        tenants.set(key, tenant)
        yield* renewal.watch(tenant)
        return Either.right(tenant)
      })

    const find = (key: K): Effect.Effect<Engine.Engine, AuthError | E> =>
      Effect.flatMap(Moment.now, ({ millis }) => {
        const found = tenants.get(key)
        if (found !== undefined) {
          found.usedAt = millis
          return Effect.succeed(found.engine)
        }
        if (closed) return hasClosed
        const under = Option.getOrUndefined(FiberMap.unsafeGet(opening, key))
        const lookup = under === undefined ? FiberMap.run(opening, key, enter(key)) : Effect.succeed(under)
        return lookup.pipe(
          Effect.flatMap(Fiber.await),
          // Nothing but an invalidation, or the closing map, interrupts a lookup.
          Effect.flatMap(
            Exit.match({
              onFailure: () => find(key),
              onSuccess: Either.match({ onLeft: Effect.fail, onRight: ({ engine }) => Effect.succeed(engine) })
            })
          )
        )
      })

    const using: Tenants<K, E>["using"] = <A, E1>(key: K, use: (engine: Engine.Engine) => Effect.Effect<A, E1>) =>
      Effect.flatMap(find(key), (engine) =>
        Effect.catchAll(
          use(engine),
          (error): Effect.Effect<A, AuthError | E | E1> =>
            engine.closed && !closed && Calls.isClosing(error) ? using(key, use) : Effect.fail(error)
        )
      )

    const obtain = (key: K) => using(key, (engine) => Calls.obtain(engine, Calls.any))

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const all = tenants.entries()
        tenants.clear()
        return Effect.forEach(all, ([, { engine }]) => Pilot.close(engine), { concurrency: "unbounded", discard: true })
      })
    )

    return {
      // Law 1, by key: one look into a map, and one at the clocks.
      accessToken: (key) =>
        Effect.clockWith((clock) => {
          const tenant = tenants.get(key)
          if (tenant === undefined) return obtain(key)
          const { exit, freshMillis, freshNanos } = tenant.engine.snapshot
          tenant.usedAt = clock.unsafeCurrentTimeMillis()
          return tenant.usedAt < freshMillis && clock.unsafeCurrentTimeNanos() < freshNanos ? exit : obtain(key)
        }),
      find,
      using,
      invalidate: (key) =>
        Effect.suspend(() => {
          const found = tenants.get(key)
          if (found === undefined) return FiberMap.remove(opening, key)
          found.leave()
          return Effect.flatMap(FiberMap.run(closing, key, Pilot.close(found.engine)), Fiber.await)
        }),
      open: Effect.sync(() => tenants.entries().map(([key, { engine }]) => [key, engine] as const))
    }
  })

const otherwise = {
  late: () => new NetworkFailure({ provider: "lookup", reason: "timeout", outcome: "not-spent" }),
  broken: () => new Misconfigured({ field: "lookup", problem: "a defect in it" })
}

const hasClosed = new Misconfigured({ field: "session map", problem: Calls.hasClosed })
