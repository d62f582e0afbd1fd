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
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import type { Event } from "../machine/order.js"
import * as Courier from "./commands.js"
import type { Landing } from "./waiters.js"

/** Law 20: the exclusive section of a session's key, which it has for as long as one of its flights is in it. */
export interface Section {
  /** Waits for it, unless somebody else obtains a newer generation, or the flight is not `wanted` any more. */
  readonly enter: (landing: Landing, known: TokenStore.Version, wanted: Effect.Effect<boolean>) => Effect.Effect<Event>
  /** Gives it back when the last flight has left. */
  readonly leave: (landing: Landing) => Effect.Effect<unknown>
}

/** The exclusive section while this session has it, or waits for it. */
interface Hold {
  readonly owner: string
  readonly flights: Set<Landing>
  beat: Fiber.Fiber<unknown> | undefined
}

export const make = (to: Courier.Addresses): Section => {
  let hold: Hold | undefined
  let givenBack: Effect.Effect<void> = Effect.void

  /** One try for it. None says that somebody else has it, and has nothing to show yet. */
  const attempt = (owner: string, known: TokenStore.Version): Effect.Effect<Option.Option<Event>> =>
    Effect.flatMap(to.keeper.lease(to.key, owner), (leased) =>
      Either.isLeft(leased)
        ? Effect.succeedSome({ _tag: "LockFailed", failure: leased.left, taken: false })
        : Effect.zipWith(Moment.now, Courier.load(to), (at, found): Option.Option<Event> => {
            const mine = leased.right
            if (Either.isLeft(found)) return Option.some({ _tag: "LockFailed", failure: found.left, taken: false })
            const record = found.right
            return mine || Option.exists(record, ({ generation }) => generation > known.generation)
              ? Option.some({ _tag: "Locked", record, mine, at })
              : Option.none()
          })
    )

  const wait = (owner: string, known: TokenStore.Version, wanted: Effect.Effect<boolean>): Effect.Effect<Event> => {
    const again = (tries: number, since: Moment.Moment): Effect.Effect<Event> =>
      Effect.flatMap(attempt(owner, known), (event) =>
        Option.isSome(event)
          ? Effect.succeed(event.value)
          : Effect.flatMap(Effect.all([Moment.now, Random.next, wanted]), ([now, random, goesOn]) =>
              !goesOn || Moment.monotonicAge(since, now) >= Duration.toMillis(Courier.longestWait(to))
                ? Effect.succeed(taken)
                : Effect.zipRight(
                    Effect.interruptible(Effect.sleep(RenewalPolicy.lockDelay(tries, random))),
                    Effect.suspend(() => again(tries + 1, since))
                  )
            )
      )
    return Effect.catchSomeCause(
      Effect.flatMap(Moment.now, (since) => again(1, since)),
      (cause) => Option.liftPredicate(Cause.isInterruptedOnly)(cause).pipe(Option.as(Effect.succeed(taken)))
    )
  }

  const enter: Section["enter"] = (landing, known, wanted) =>
    Effect.suspend(() => {
      // Under a name of its own each time, so that giving one back never gives back the next.
      hold ??= { owner: globalThis.crypto.randomUUID(), flights: new Set(), beat: undefined }
      const { owner } = hold
      hold.flights.add(landing)
      return givenBack.pipe(
        Effect.zipRight(wait(owner, known, wanted)),
        Effect.tap((event) => (event._tag === "Locked" && event.mine ? stayAlive : leave(landing)))
      )
    })

  const leave: Section["leave"] = (landing) =>
    Effect.suspend(() => {
      if (!hold?.flights.delete(landing) || hold.flights.size > 0) return Effect.void
      const { beat, owner } = hold
      hold = undefined
      const release = to.keeper.release(to.key, owner)
      if (to.keeper.immediate) return release
      const done = Deferred.unsafeMake<void>(FiberId.none)
      givenBack = Deferred.await(done)
      // A beat on its way must have arrived before the lease is given back, or it would take it again for nobody.
      const still = beat === undefined ? Effect.void : Fiber.interrupt(beat)
      return still.pipe(Effect.zipRight(toItsEnd(release)), Effect.zipRight(Deferred.succeed(done, void 0)))
    })

  /** A living holder keeps its lease. That it was lost all the same cancels nothing: what is sent is sent. */
  const stayAlive: Effect.Effect<unknown> = Effect.suspend(() => {
    const mine = hold
    if (to.keeper.immediate || mine === undefined || mine.beat !== undefined) return Effect.void
    const { owner } = mine
    return Effect.sleep(RenewalPolicy.leaseBeat).pipe(
      Effect.zipRight(Effect.uninterruptible(toItsEnd(to.keeper.lease(to.key, owner)))),
      Effect.forever,
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.flatMap((fiber) => Effect.sync(() => (mine.beat = fiber)))
    )
  })

  return { enter, leave }
}

/** In a fiber of its own: whoever waits may have been interrupted, by a closing session or at the end of the beating. */
const toItsEnd = <A>(effect: Effect.Effect<A>): Effect.Effect<unknown> =>
  Effect.flatMap(Effect.forkDaemon(effect), Fiber.await)

const taken: Event = {
  _tag: "LockFailed",
  taken: true,
  failure: new StoreFailure({
    operation: "lock",
    problem: "another process is obtaining a token, and goes on for too long"
  })
}
