/** The sandbox of a run, on a port of the loopback, and which process's exchange it has in hand. */
import { createServer } from "node:http"
import { HttpServer, HttpServerRequest } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { type Duration, Effect, Layer, type Scope } from "effect"
import { user } from "../demo/user.js"
import type * as Sandbox from "../src/testing/internal/sandbox.js"
import * as TeleTrackerSandbox from "../src/testing/TeleTrackerSandbox.js"

export interface Server {
  readonly url: string
  readonly sandbox: Sandbox.Service
  /** Refreshes that the sandbox granted, whether or not the answer reached anyone. */
  readonly rotations: () => number
}

export interface Options {
  readonly lifetime?: Duration.DurationInput | undefined
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** What is done with an answer of the token endpoint before it goes out. */
  readonly onAnswer?: ((path: string, worker: string) => Effect.Effect<void>) | undefined
}

/** Serves a sandbox whose refresh tokens are good for one use, with the scope. */
export const serve = (options: Options = {}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sandbox = yield* TeleTrackerSandbox.make({
      ...user,
      lifetime: options.lifetime ?? "1 second",
      reuseWindow: options.reuseWindow,
      failureStatus: 401
    })
    let rotations = 0
    const app = Effect.gen(function* () {
      const { headers, url } = yield* HttpServerRequest.HttpServerRequest
      const answer = yield* sandbox.served
      if (url.startsWith("/auth/")) {
        if (url === "/auth/refresh" && answer.status === 200) rotations++
        yield* options.onAnswer?.(url, headers["x-worker"] ?? "") ?? Effect.void
      }
      return answer
    })
    const server = createServer()
    // Nor would a busy API close a connection that was idle for five seconds, in the middle of the next request.
    server.keepAliveTimeout = 120_000
    const listening = yield* Layer.build(
      HttpServer.serve(Effect.interruptible(app)).pipe(
        Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.orDie
      )
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed).pipe(Effect.provide(listening))
    return { url, sandbox, rotations: () => rotations }
  })
