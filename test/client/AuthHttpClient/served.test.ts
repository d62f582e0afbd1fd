import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { FetchHttpClient, HttpClient, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpClient, NodeHttpServer, Undici } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Violet from "../../../src/providers/Violet.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"

/** A sandbox on loopback whose `/v1/big` rejects the first token it sees, each time with a long body. */
const served = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const server = createServer()
  let first: string | undefined
  const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    if (!request.url.startsWith("/v1/big")) return sandbox.served
    const token = request.headers["x-violet-token"]
    first ??= token
    const body = "x".repeat(request.url.endsWith("short") ? 100 : 300_000)
    return Effect.succeed(HttpServerResponse.text(body, { status: token === first ? 401 : 200 }))
  })
  yield* Layer.build(
    Layer.provide(
      HttpServer.serve(app),
      NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })
    )
  )
  yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
  return { sandbox, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }
})

const few = Effect.acquireRelease(
  Effect.sync(() => new Undici.Agent({ connections: 4 })),
  (agent) => Effect.promise(() => agent.destroy())
)

const clients: Record<string, Layer.Layer<HttpClient.HttpClient>> = {
  undici: Layer.scoped(HttpClient.HttpClient, Effect.map(few, NodeHttpClient.makeUndici)),
  "node:http": Layer.provide(NodeHttpClient.layerWithoutAgent, NodeHttpClient.makeAgentLayer({ maxSockets: 4 })),
  fetch: FetchHttpClient.layer
}

describe("AuthHttpClient over a real server", () => {
  for (const [name, layer] of Object.entries(clients)) {
    for (const path of ["/big/long", "/big/short"]) {
      it.scopedLive(`law 24: 64 requests that meet 401s do not stall ${name}: ${path}`, () =>
        Effect.gen(function* () {
          const { baseUrl, sandbox } = yield* served
          const context = yield* Layer.build(
            Violet.layer({ appId: 1234, appSecret: Redacted.make("test-app-secret"), baseUrl }).pipe(
              Layer.provide([
                Credentials.layer({
                  username: Redacted.make("test-user@example.com"),
                  password: Redacted.make("test-password")
                }),
                layer
              ])
            )
          )
          const api = Context.get(context, AuthHttpClient.AuthHttpClient)
          const sizes = yield* Effect.forEach(
            Array.from({ length: 64 }),
            () =>
              Effect.flatMap(api.get(path), (response) =>
                Effect.map(response.text, ({ length }) => `${response.status} ${length}`)
              ),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(new Set(sizes), new Set([`200 ${path === "/big/long" ? 300_000 : 100}`]))
          const {
            complaints,
            tokenRequests,
            maxConcurrentTokenRequests: maxConcurrentExchanges
          } = yield* sandbox.report
          assert.deepStrictEqual(
            { complaints, tokenRequests, maxConcurrentExchanges },
            { complaints: 0, tokenRequests: 2, maxConcurrentExchanges: 1 }
          )
        }).pipe(Effect.timeout("10 seconds"))
      )
    }
  }
})
