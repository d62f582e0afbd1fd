import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Moment from "../../common/Moment.js"
import { doubling } from "../../common/runtime.js"
import * as Persistence from "../machine/persistence.js"
import * as Commands from "./commands.js"
import { acquireWork, type Engine, releaseWork, transition } from "./engine.js"

/** The schedule for retrying a save: after 250 ms, doubling to 30 s, with jitter, until it succeeds. */
const saveRetry = doubling(Duration.millis(250), Duration.seconds(30))

/** Saves unsaved state in the background until the store has it, or until there is something newer (law 18). */
export const saveInBackground = (engine: Engine): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (engine.closed || engine.work?.saving || engine.snapshot.state.saved) return Effect.void
    const work = acquireWork(engine)
    work.saving = true
    return Effect.suspend(() => (engine.closed ? Effect.succeed(true) : save(engine))).pipe(
      Effect.flatMap((saved) => (saved ? Effect.void : Effect.fail("unsaved" as const))),
      Effect.retry(saveRetry),
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          work.saving = false
          releaseWork(engine)
        })
      ),
      // A set that was obtained in the meantime may be unsaved as well.
      Effect.zipRight(saveInBackground(engine)),
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.flatMap((fiber) => Effect.sync(() => (work.saver = fiber)))
    )
  })

/** Saves what is in force. Returns whether nothing is left to save. */
const save = (engine: Engine): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const { state } = engine.snapshot
    if (state.saved) return true
    // A flight that is saving has something newer.
    if (state.flight?.obtained !== undefined || state.flight?.recording !== undefined) return false
    const record = Persistence.toRecord(state, yield* Moment.now)
    const result = yield* Commands.save(engine, record)
    const stored = result === "conflict" ? yield* Commands.load(engine) : Either.right(Option.none())
    return yield* Effect.uninterruptible(
      transition(engine, (now) =>
        Either.isLeft(stored) ? [false, now] : Persistence.afterSave(now, record, result, stored.right)
      )
    )
  })

/** Saves what is in force; the second attempt is for a store that has a newer generation than the session knew of. */
export const saveTwice = (engine: Engine): Effect.Effect<boolean> =>
  Effect.flatMap(save(engine), (saved) => (saved ? Effect.succeed(saved) : save(engine)))
