import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { StoreFailure } from "../../common/AuthError.js"
import * as Moment from "../../common/Moment.js"
import type * as TokenStore from "../../store/TokenStore.js"
import { leaseRetryDelay } from "../../token/backoff.js"
import type { Event, FlightId } from "../machine/state.js"
import * as Commands from "./commands.js"

/** The lease on a session's key (law 20). The session holds it for as long as one of its flights needs it. */
export interface Lease {
  /** Waits for the lease, unless another process obtains a newer generation or the flight is not `wanted` any more. */
  readonly acquire: (id: FlightId, known: TokenStore.Version, wanted: Effect.Effect<boolean>) => Effect.Effect<Event>
  /** Ends a flight's need of the lease, and releases it after the last flight. */
  readonly release: (id: FlightId) => Effect.Effect<unknown>
}

/** A request for the lease, granted or waiting, under an owner name of its own. */
interface LeaseRequest {
  readonly owner: string
  readonly flights: Set<FlightId>
  heartbeat: Fiber.Fiber<unknown> | undefined
}

/** The interval at which the owner of a lease renews it: two and a half seconds. */
const heartbeatInterval = Duration.millis(2500)

/** Makes the lease of a session. Nothing is asked of the store before a flight needs it. */
export const make = (env: Commands.CommandEnv): Lease => {
  let request: LeaseRequest | undefined
  let released: Effect.Effect<void> = Effect.void

  /** Tries once. `none`: another owner holds the lease and has not saved anything newer. */
  const attempt = (owner: string, known: TokenStore.Version): Effect.Effect<Option.Option<Event>> =>
    Effect.flatMap(env.recordStore.lease(env.key, owner), (leased) =>
      Either.isLeft(leased)
        ? Effect.succeedSome({ _tag: "LeaseFailed", failure: leased.left, busy: false })
        : Effect.zipWith(Moment.now, Commands.load(env), (at, loaded): Option.Option<Event> => {
            const acquired = leased.right
            if (Either.isLeft(loaded)) return Option.some({ _tag: "LeaseFailed", failure: loaded.left, busy: false })
            const record = loaded.right
            return acquired || Option.exists(record, ({ generation }) => generation > known.generation)
              ? Option.some({ _tag: "LeaseAwaited", record, acquired, at })
              : Option.none()
          })
    )

  const wait = (owner: string, known: TokenStore.Version, wanted: Effect.Effect<boolean>): Effect.Effect<Event> => {
    const again = (attempts: number, since: Moment.Moment): Effect.Effect<Event> =>
      Effect.flatMap(attempt(owner, known), (event) =>
        Option.isSome(event)
          ? Effect.succeed(event.value)
          : Effect.flatMap(Effect.all([Moment.now, Random.next, wanted]), ([now, random, isWanted]) =>
              !isWanted || Moment.monotonicAge(since, now) >= Duration.toMillis(Commands.maxLeaseWait(env))
                ? Effect.succeed(leaseBusy)
                : Effect.zipRight(
                    Effect.interruptible(Effect.sleep(leaseRetryDelay(attempts, random))),
                    Effect.suspend(() => again(attempts + 1, since))
                  )
            )
      )
    return Effect.catchAllCause(
      Effect.flatMap(Moment.now, (since) => again(1, since)),
      (cause) => (Cause.isInterruptedOnly(cause) ? Effect.succeed(leaseBusy) : Effect.failCause(cause))
    )
  }

  const acquire: Lease["acquire"] = (id, known, wanted) =>
    Effect.suspend(() => {
      // Each request has a name of its own, so that releasing one never releases the next.
      request ??= { owner: globalThis.crypto.randomUUID(), flights: new Set(), heartbeat: undefined }
      const { owner } = request
      request.flights.add(id)
      return released.pipe(
        Effect.zipRight(wait(owner, known, wanted)),
        Effect.tap((event) => (event._tag === "LeaseAwaited" && event.acquired ? startHeartbeat : release(id)))
      )
    })

  const release: Lease["release"] = (id) =>
    Effect.suspend(() => {
      if (!request?.flights.delete(id) || request.flights.size > 0) return Effect.void
      const { heartbeat, owner } = request
      request = undefined
      const release = env.recordStore.release(env.key, owner)
      if (env.recordStore.isSynchronous) return release
      const done = Deferred.unsafeMake<void>(FiberId.none)
      released = Deferred.await(done)
      // A heartbeat under way has to end first: after the release it would acquire the lease again, and nothing would
      // release it.
      const stopped = heartbeat === undefined ? Effect.void : Fiber.interrupt(heartbeat)
      return stopped.pipe(Effect.zipRight(detached(release)), Effect.zipRight(Deferred.succeed(done, void 0)))
    })

  /**
   * Renews the lease until it is released. A lost lease does not cancel anything: a request that was sent stays sent.
   */
  const startHeartbeat: Effect.Effect<unknown> = Effect.suspend(() => {
    const current = request
    if (env.recordStore.isSynchronous || current === undefined || current.heartbeat !== undefined) return Effect.void
    const { owner } = current
    return Effect.sleep(heartbeatInterval).pipe(
      Effect.zipRight(Effect.uninterruptible(detached(env.recordStore.lease(env.key, owner)))),
      Effect.forever,
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.flatMap((fiber) => Effect.sync(() => (current.heartbeat = fiber)))
    )
  })

  return { acquire, release }
}

/**
 * Runs in a fiber of its own, because the waiting fiber may be interrupted when the session closes or the heartbeat
 * stops.
 */
const detached = <A>(effect: Effect.Effect<A>): Effect.Effect<unknown> =>
  Effect.flatMap(Effect.forkDaemon(effect), Fiber.await)

const leaseBusy: Event = {
  _tag: "LeaseFailed",
  busy: true,
  failure: new StoreFailure({
    operation: "lease",
    problem: "timed out waiting for another process to finish its token request"
  })
}
