import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { quietly } from "./observed.js"

/**
 * Bounds an effect of somebody else's, and settles it: whatever it does, this ends, and ends typed. What breaks is caught
 * inside the fork that the bound makes: outside, Effect would have logged it, secrets and all. `late` also stands for an
 * effect that whoever closes had to interrupt.
 */
export const settle = <A, E>(
  name: string,
  effect: () => Effect.Effect<A, E>,
  limit: Duration.Duration,
  late: NoInfer<E>,
  broken: NoInfer<E> & { readonly message: string }
): Effect.Effect<Either.Either<A, E>> => {
  const settled = Effect.catchAllCause(Effect.either(Effect.suspend(effect)), (cause) =>
    Cause.isInterruptedOnly(cause)
      ? Effect.interrupt
      : Effect.as(
          quietly(Effect.logError(`${name}: a defect (${kinds(cause)}), taken for: ${broken.message}`)),
          Either.left(broken)
        )
  )
  return Effect.disconnect(settled).pipe(
    Effect.timeoutTo({ duration: limit, onSuccess: (result) => result, onTimeout: () => Either.left(late) }),
    Effect.interruptible,
    Effect.catchAllCause(() => Effect.succeed(Either.left(late)))
  )
}

/** The classes of what broke, without what they say. */
const kinds = (cause: Cause.Cause<unknown>): string =>
  Array.from(Cause.defects(cause), (defect) =>
    defect instanceof Error ? defect.constructor.name : typeof defect
  ).join()
