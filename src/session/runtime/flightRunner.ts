import * as Effect from "effect/Effect"
import type * as TokenStore from "../../store/TokenStore.js"
import * as FlightMachine from "../machine/flight.js"
import { type Command, type Event, type Flight, superseded } from "../machine/state.js"
import * as Commands from "./commands.js"
import { acquireWork, type Engine, forkOwned, hasClosed, transition } from "./engine.js"
import * as Lease from "./lease.js"
import { saveInBackground } from "./saver.js"
import * as Telemetry from "./tokenRequestTelemetry.js"
import * as Waiters from "./waiters.js"

/** Runs a flight to its end. It is uninterruptible, except while it waits for the lease or for third-party code. */
const run = (engine: Engine, flight: Flight): Effect.Effect<void> => {
  const { id } = flight
  const waiters = Waiters.of(flight)
  if (engine.closed) {
    const dropped = transition(engine, (state) => [
      undefined,
      state.flight?.id === id ? { ...state, flight: undefined } : state
    ])
    const failure = hasClosed(engine.provider.name)
    return Effect.zipRight(
      dropped,
      Effect.sync(() => waiters.complete({ _tag: "Failed", failure }))
    )
  }
  const advance = (event: Event) =>
    transition(engine, (state, now) => FlightMachine.advance(engine, state, id, event, now))
  const work = acquireWork(engine)
  const isWanted = Effect.sync(() => !engine.closed && engine.snapshot.state.flight?.id === id)
  const acquireLease = (known: TokenStore.Version) =>
    Effect.suspend(() => {
      work.lease ??= Lease.make(engine)
      return work.lease.acquire(id, known, isWanted)
    })
  const interpret = (command: Exclude<Command, { readonly _tag: "Complete" }>): Effect.Effect<Event> => {
    if (command._tag === "AcquireLease") return acquireLease(command.known)
    const event = Commands.interpret(engine, command)
    const kind = Telemetry.kindOf(command)
    return kind === undefined ? event : Telemetry.observe(engine, kind, event, Telemetry.failureOf, waiters)
  }
  const result = Effect.gen(function* () {
    let command = yield* advance({ _tag: "Started" })
    while (command._tag !== "Complete") {
      command = yield* advance(yield* interpret(command))
    }
    return command.result
  })
  return result.pipe(
    Effect.catchAllDefect(() => transition(engine, (state, now) => FlightMachine.crash(engine, state, id, now))),
    Effect.flatMap((result) => Effect.sync(() => waiters.complete(result))),
    Effect.ensuring(Effect.suspend(() => work.lease?.release(id) ?? Effect.void)),
    Effect.zipRight(saveInBackground(engine))
  )
}

/** Starts a flight that was claimed. */
export const start = (engine: Engine, flight: Flight | undefined): Effect.Effect<void> =>
  flight === undefined
    ? Effect.void
    : Effect.asVoid(
        forkOwned(
          engine,
          Effect.suspend(() => run(engine, flight))
        )
      )

/** Ends the wait for a flight that was superseded: its waiters ask again. */
export const supersede = (flight: Flight | undefined): Effect.Effect<void> =>
  flight === undefined ? Effect.void : Effect.sync(() => Waiters.of(flight).complete(superseded))
