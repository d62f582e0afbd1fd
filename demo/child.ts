/** Starts the process of the sandbox and reads its events. */
import { fileURLToPath } from "node:url"
import { Command } from "@effect/platform"
import { Data, Deferred, Effect, Schema, Stream } from "effect"
import { type Counted, type Event, Line } from "./Events.js"

export class SandboxEnded extends Data.TaggedError("SandboxEnded")<Record<never, never>> {
  override readonly message = "the process of the sandbox ended too early; its stderr is above"
}

/** Starts the process, which ends with the scope. `onEvent` gets each event once, in order. */
export const start = Effect.fnUntraced(function* (name: string, onEvent: (event: Event) => Effect.Effect<void>) {
  const url = yield* Deferred.make<string, SandboxEnded>()
  const scriptEnded = yield* Deferred.make<void, SandboxEnded>()
  const counted = yield* Deferred.make<Counted, SandboxEnded>()
  const finish = yield* Deferred.make<void>()

  const started = yield* Command.make(
    process.execPath,
    "--import",
    import.meta.resolve("tsx"),
    fileURLToPath(new URL("sandbox.ts", import.meta.url)),
    name
  ).pipe(
    // The process lives as long as its stdin is open. The end of this process closes that too.
    Command.stdin(Stream.execute(Deferred.await(finish))),
    Command.stderr("inherit"),
    Command.start
  )

  const resolve = (event: Event): Effect.Effect<unknown> => {
    switch (event._tag) {
      case "Listening":
        return Deferred.succeed(url, event.url)
      case "ScriptEnded":
        return Deferred.succeed(scriptEnded, undefined)
      case "Counted":
        return Deferred.succeed(counted, event)
      default:
        return Effect.void
    }
  }
  const ended = new SandboxEnded()
  yield* started.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect(Schema.decode(Line)),
    Stream.runForEach((event) => Effect.zipRight(onEvent(event), resolve(event))),
    Effect.ignore,
    // A deferred that is done by now stays as it is.
    Effect.ensuring(
      Effect.all([Deferred.fail(url, ended), Deferred.fail(scriptEnded, ended), Deferred.fail(counted, ended)])
    ),
    Effect.forkScoped
  )

  return {
    url: Deferred.await(url),
    scriptEnded: Deferred.await(scriptEnded),
    /** Ends the process and returns its counts. */
    counted: Effect.zipRight(Deferred.succeed(finish, undefined), Deferred.await(counted))
  }
})
