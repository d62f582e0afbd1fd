import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import type * as LogLevel from "effect/LogLevel"
import * as Schedule from "effect/Schedule"

type CurrentFiber = Fiber.RuntimeFiber<unknown, unknown>

/** Builds an effect from the fiber that runs it. */
export const withFiber: <A, E = never, R = never>(
  f: (fiber: Fiber.RuntimeFiber<A, E>) => Effect.Effect<A, E, R>
) => Effect.Effect<A, E, R> = Effect.withFiberRuntime

/** Lets an interrupted caller leave at once; `effect` is interrupted as well and ends in its own time. */
export const disconnect: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.disconnect

/** Returns the clock of a fiber. Cheaper than `Effect.clockWith`, which allocates two closures for each read. */
export const clockOf = ({ currentDefaultServices }: CurrentFiber): Clock.Clock =>
  currentDefaultServices.unsafeMap.get(Clock.Clock.key)

/** Tells whether a fiber runs within a span. */
export const hasSpan = ({ currentSpan }: CurrentFiber): boolean => currentSpan !== undefined

/** Returns the least level that a fiber logs. */
export const minimumLogLevel = (fiber: CurrentFiber): LogLevel.LogLevel =>
  fiber.getFiberRef(FiberRef.currentMinimumLogLevel)

/** Runs an effect with `context` and nothing of the caller's. */
export const provideOnly = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  context: Context.Context<R>
): Effect.Effect<A, E> => Effect.mapInputContext(effect, (_: Context.Context<never>) => context)

/** Tells whether Effect compares a key by its contents rather than by identity. */
export const isStructural = (key: unknown): boolean => typeof key !== "string" && Equal.isEqual(key)

/** Recurs forever. Each delay is the input of that recurrence, at most `maxDelay`. */
export const delayedByInput = (maxDelay: Duration.Duration): Schedule.Schedule<Duration.Duration, Duration.Duration> =>
  Schedule.addDelay(Schedule.identity<Duration.Duration>(), (delay) => Duration.min(delay, maxDelay))

/** Recurs forever, after `first` and then twice as long each time, up to `maxDelay`, with jitter. */
export const doubling = (first: Duration.Duration, maxDelay: Duration.Duration): Schedule.Schedule<unknown> =>
  Schedule.jittered(Schedule.union(Schedule.exponential(first), Schedule.spaced(maxDelay)))
