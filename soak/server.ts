/** The sandbox of a run, served on loopback. */
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
  /** Refreshes that issued tokens, whether or not the response arrived. */
  readonly rotations: () => number
}

export interface Options {
  /** The lifetime of access tokens. Default: 1 second. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** How long a spent refresh token may be used again. Default: 0. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** Runs before a response of the token endpoint is sent. */
  readonly onResponse?: ((path: string, worker: string) => Effect.Effect<void>) | undefined
}

/** Serves a sandbox whose refresh tokens are single-use, until the scope closes. */
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
      const response = yield* sandbox.served
      if (url.startsWith("/auth/")) {
        if (url === "/auth/refresh" && response.status === 200) rotations++
        yield* options.onResponse?.(url, headers["x-worker"] ?? "") ?? Effect.void
      }
      return response
    })
    const server = createServer()
    // Node's default of five seconds closes idle connections just when the next request arrives.
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
