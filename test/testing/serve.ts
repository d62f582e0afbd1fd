import { createServer } from "node:http"
import { FetchHttpClient, type HttpApp, type HttpClient, HttpServer } from "@effect/platform"
import { NodeHttpClient, NodeHttpServer } from "@effect/platform-node"
import { it } from "@effect/vitest"
import { Effect, Layer, type Scope } from "effect"

/** Serves a sandbox, or another app, on a port of the loopback until the scope closes, and answers the base URL to reach it by. */
export const serve = (sandbox: {
  readonly served: HttpApp.Default<never, Scope.Scope>
  readonly baseUrl: string
}): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const server = createServer()
    const listening = yield* Layer.build(
      HttpServer.serve(sandbox.served).pipe(
        Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.orDie
      )
    )
    // Clients keep spare connections open for seconds, and closing the server would wait for them.
    yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    return yield* HttpServer.addressFormattedWith((address) =>
      Effect.succeed(`${address}${new URL(sandbox.baseUrl).pathname.replace(/\/$/, "")}`)
    ).pipe(Effect.provide(listening))
  })

/** The clients that served sandboxes are tried with; none of them follows a redirect. */
export const clients: Readonly<Record<string, Layer.Layer<HttpClient.HttpClient>>> = {
  fetch: Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" })),
  undici: NodeHttpClient.layerUndici
}

/** A test with real sockets and one of the clients. */
export const liveWith =
  (client: Layer.Layer<HttpClient.HttpClient>) =>
  <E>(title: string, test: Effect.Effect<void, E, HttpClient.HttpClient | Scope.Scope>) =>
    it.scopedLive(title, () => test.pipe(Effect.scoped, Effect.provide(client), Effect.timeout("10 seconds")))
