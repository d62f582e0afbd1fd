import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { quietly } from "./observed.js"

/** What stands for an effect that was not done in time, and for one that broke. */
export interface Otherwise<E> {
  /** Also for an effect that whoever closes had to interrupt. */
  readonly late: () => E
  readonly broken: () => E & { readonly message: string }
}

/**
 * Bounds an effect of somebody else's, and settles it: whatever it does, this ends, and ends typed. It runs in a fiber of
 * its own, which is left alone when it takes too long and will not be interrupted. What breaks is caught inside of that:
 * outside, Effect would have logged it, secrets and all. What is done at once needs no timer.
 *
 * It can be interrupted, also where its caller cannot, and then it is late; nothing is begun for a fiber that was already.
 */
export const settle = <A, E>(
  name: string,
  effect: () => Effect.Effect<A, E>,
  limit: Duration.Duration,
  otherwise: Otherwise<NoInfer<E>>
): Effect.Effect<Either.Either<A, E>> => {
  const settled = Effect.catchAllCause(Effect.either(Effect.suspend(effect)), (cause) => {
    if (Cause.isInterruptedOnly(cause)) return Effect.sync(late)
    const broken = otherwise.broken()
    return Effect.as(
      quietly(Effect.logError(`${name}: a defect (${kinds(cause)}), taken for: ${broken.message}`)),
      Either.left(broken)
    )
  })
  const late = () => Either.left(otherwise.late())
  const done = (exit: Exit.Exit<Either.Either<A, E>>) => Exit.getOrElse(exit, late)
  const bounded = (fiber: Fiber.RuntimeFiber<Either.Either<A, E>>) =>
    Effect.suspend(() => {
      const exit = fiber.unsafePoll()
      return exit !== null
        ? Effect.succeed(done(exit))
        : Effect.timeoutTo(Fiber.await(fiber), { duration: limit, onSuccess: done, onTimeout: late })
    }).pipe(
      Effect.interruptible,
      Effect.catchAllCause(() => Effect.sync(() => done(fiber.unsafePoll() ?? Exit.succeed(late())))),
      Effect.tap(() => (fiber.unsafePoll() === null ? Fiber.interruptFork(fiber) : Effect.void))
    )
  return Effect.uninterruptible(
    Effect.matchCauseEffect(Effect.interruptible(Effect.void), {
      onFailure: () => Effect.sync(late),
      onSuccess: () =>
        Effect.flatMap(Effect.forkDaemon(Effect.interruptible(settled)), (fiber) =>
          Effect.zipRight(Effect.yieldNow(), bounded(fiber))
        )
    })
  )
}

/** The classes of what broke, without what they say. */
const kinds = (cause: Cause.Cause<unknown>): string =>
  Array.from(Cause.defects(cause), (defect) =>
    defect instanceof Error ? defect.constructor.name : typeof defect
  ).join()
