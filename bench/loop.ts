import { Effect } from "effect"

/** Repeats an effect `count` times in one fiber, with as little overhead as Effect allows. */
export const times = <A, E, R>(
  count: number,
  effect: (n: number) => Effect.Effect<A, E, R>
): Effect.Effect<void, E, R> =>
  Effect.suspend(() => {
    let n = 0
    return Effect.whileLoop({ while: () => n < count, body: () => effect(n), step: () => n++ })
  })
