import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as Status from "../machine/Status.js"
import { type Engine, guarded, reading, told } from "./engine.js"

/** The status now, then each that follows: looking and subscribing are one step, so that none is missed or comes twice. */
export const changes = (engine: Engine): Stream.Stream<Status.Status> =>
  Stream.unwrapScoped(
    guarded(engine, (state) =>
      Effect.gen(function* () {
        const first = Stream.make(Status.make(engine, state, yield* reading, engine.snapshot.since))
        if (engine.closed) return [first, state] as const
        // Counted first: a watcher who leaves takes nothing away from one who comes.
        yield* Effect.acquireRelease(
          Effect.sync(() => engine.watched++),
          () =>
            Effect.suspend(() => {
              engine.watched--
              if (engine.watched === 0) engine.watchers = undefined
              return told(engine)
            })
        )
        engine.watchers ??= yield* PubSub.sliding<Status.Status>(64)
        const later = yield* PubSub.subscribe(engine.watchers)
        return [Stream.concat(first, Stream.fromQueue(later)), state] as const
      })
    ).pipe(Effect.uninterruptible)
  ).pipe(Stream.changesWith(Status.equivalence))
