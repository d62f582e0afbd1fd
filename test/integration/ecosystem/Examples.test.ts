import { join } from "node:path"
import { Command, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { Rpc, RpcGroup, RpcMiddleware, RpcSerialization, RpcServer } from "@effect/rpc"
import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { Effect, Encoding, Exit, Layer, Option, Ref, Schema, Scope, Stream } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import { bundle } from "../../support/bundle.js"
import { serve } from "../../testing/serve.js"

const scope = Effect.runSync(Scope.make())
let folder = ""

beforeAll(() =>
  Effect.runPromise(
    Effect.map(
      Scope.extend(
        bundle(["http-api", "http-api-server", "rpc", "rpc-socket", "stream"].map((name) => `examples/${name}.ts`)),
        scope
      ),
      (made) => {
        folder = made
      }
    )
  )
)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const program = (example: string, env: Record<string, string>) =>
  Command.env(Command.make(process.execPath, join(folder, `${example}.mjs`)), env)

/** Runs an example to its end, and answers what it printed. */
const run = (example: string, env: Record<string, string>) =>
  Effect.provide(Command.string(program(example, env)), NodeContext.layer)

/** Starts an example that serves, and answers the address that it prints. It ends with the scope. */
const start = (example: string, env: Record<string, string>) =>
  Effect.gen(function* () {
    const child = yield* Command.start(program(example, env))
    const printed = yield* child.stdout.pipe(
      Stream.decodeText(),
      Stream.scan("", (all, more) => all + more),
      Stream.filterMap((all) => Option.fromNullable(/Listening on (http:[^\s"]+)/.exec(all)?.[1])),
      Stream.runHead
    )
    return Option.getOrThrow(printed)
  }).pipe(Effect.provide(NodeContext.layer))

/**
 * An authorization server for the shop's client and for the shop's server, and a warehouse that knows the latter. The
 * first token of each is as good as revoked.
 */
const issuer = Effect.map(Ref.make<ReadonlyArray<string>>([]), (seen) => {
  const issued = new Map<string, number>()
  const basic = (id: string) => `Basic ${Encoding.encodeBase64(`${id}:test-secret`)}`
  const response = ({ headers, url }: HttpServerRequest.HttpServerRequest, body: string) => {
    if (url === "/token") {
      const id = ["shop-client", "shop-server"].find((id) => headers.authorization === basic(id))
      if (id === undefined) return HttpServerResponse.unsafeJson({ error: "invalid_client" }, { status: 401 })
      const number = (issued.get(id) ?? 0) + 1
      issued.set(id, number)
      return HttpServerResponse.unsafeJson({ access_token: `test-${id}-${number}`, expires_in: 600 })
    }
    if (url === "/introspect" && headers.authorization === basic("shop-server")) {
      return HttpServerResponse.unsafeJson(
        body === "token=test-shop-client-2" ? { active: true, sub: "Ada" } : { active: false }
      )
    }
    return headers.authorization === "Bearer test-shop-server-2"
      ? HttpServerResponse.unsafeJson(12)
      : HttpServerResponse.empty({ status: 401 })
  }
  const served = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = request.method === "POST" ? yield* Effect.orDie(request.text) : ""
    const responded = response(request, body)
    const bearer = /^Bearer (.*)/.exec(request.headers.authorization ?? "")?.[1] ?? /token=.*/.exec(body)?.[0] ?? ""
    yield* Ref.update(seen, (all) => [...all, `${request.url} ${bearer} ${responded.status}`])
    return responded
  })
  return { seen: Ref.get(seen), served, baseUrl: "https://shop.test" }
})

it.scopedLive("the example of an HttpApi and that of a server: each token is renewed, and none is passed on", () =>
  Effect.gen(function* () {
    const api = yield* issuer
    const url = yield* serve(api)
    const shop = yield* start("http-api-server", {
      PORT: "0",
      SHOP_SECRET: "test-secret",
      INTROSPECTION_ENDPOINT: `${url}/introspect`,
      TOKEN_ENDPOINT: `${url}/token`,
      WAREHOUSE_URL: url
    })
    const env = { SHOP_URL: shop, SHOP_TOKEN_ENDPOINT: `${url}/token`, SHOP_SECRET: "test-secret" }
    assert.strictEqual(yield* run("http-api", env), "order 1: a chair for Ada, 12 in stock\norder 2: there is none\n")
    assert.deepStrictEqual(yield* api.seen, [
      "/token  200",
      "/introspect token=test-shop-client-1 200",
      "/token  200",
      "/introspect token=test-shop-client-2 200",
      "/token  200",
      "/stock/chair test-shop-server-1 401",
      "/token  200",
      "/stock/chair test-shop-server-2 200",
      "/introspect token=test-shop-client-2 200"
    ])
  })
)

class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}

class Authorization extends RpcMiddleware.Tag<Authorization>()(
  "effect-auth/test/integration/ecosystem/Examples.test/Authorization",
  {
    failure: Unauthorized
  }
) {}

class Prices extends RpcGroup.make(
  Rpc.make("Price", { payload: { item: Schema.String }, success: Schema.Number }),
  Rpc.make("Changes", { payload: { item: Schema.String }, success: Schema.Number, stream: true })
).middleware(Authorization) {}

/**
 * An RpcServer on loopback, by HTTP at `/rpc` and by a socket at `/socket`, and tokens for it, of which the first is
 * refused: with a status by HTTP, by the middleware on the socket.
 */
const priced = Effect.fnUntraced(function* (good = "test-2") {
  const seen: Array<string> = []
  let issued = 0
  const isGood = (authorization: string | undefined) => authorization === `Bearer ${good}`
  const handlers = Prices.toLayer({ Price: () => Effect.succeed(120), Changes: () => Stream.make(119, 118) })
  const open = Layer.succeed(Authorization, () => Effect.void)
  const guarded = Layer.succeed(Authorization, ({ headers: { authorization } }) => {
    seen.push(`message ${authorization}`)
    return isGood(authorization) ? Effect.void : new Unauthorized()
  })
  const http = yield* RpcServer.toHttpApp(Prices).pipe(Effect.provide([handlers, open, RpcSerialization.layerNdjson]))
  const socket = yield* RpcServer.toHttpAppWebsocket(Prices).pipe(
    Effect.provide([handlers, guarded, RpcSerialization.layerJson])
  )
  const served = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers: { authorization }, url }) => {
    if (url === "/token") {
      const access_token = `test-${++issued}`
      return Effect.succeed(HttpServerResponse.unsafeJson({ access_token, expires_in: 600 }))
    }
    seen.push(`${url} ${authorization}`)
    if (url === "/socket") return socket
    return isGood(authorization) ? http : Effect.succeed(HttpServerResponse.empty({ status: 401 }))
  })
  const url = yield* serve({ served, baseUrl: "https://prices.test" })
  const env = {
    PRICES_URL: url,
    PRICES_TOKEN_ENDPOINT: `${url}/token`,
    PRICES_SECRET: "test-secret",
    PRICES_SOCKET: `${url.replace("http", "ws")}/socket`
  }
  return { env, seen }
})

it.scopedLive("the example of @effect/rpc over HTTP carries the token, and a new one after a refusal", () =>
  Effect.gen(function* () {
    const { env, seen } = yield* priced()
    assert.strictEqual(yield* run("rpc", env), "a chair: 120\nnow: 119\nnow: 118\n")
    assert.deepStrictEqual(seen, ["/rpc Bearer test-1", "/rpc Bearer test-2", "/rpc Bearer test-2"])
  })
)

it.scopedLive("the example of @effect/rpc over HTTP ends where every token is refused", () =>
  Effect.gen(function* () {
    const { env, seen } = yield* priced("none")
    assert.strictEqual(yield* run("rpc", env).pipe(Effect.map((output) => output.includes("a chair"))), false)
    assert.deepStrictEqual(seen, ["/rpc Bearer test-1", "/rpc Bearer test-2"])
  }).pipe(Effect.timeout("20 seconds"))
)

it.scopedLive(
  "the example of @effect/rpc over a socket carries the token in each message, and a new one after a refusal",
  () =>
    Effect.gen(function* () {
      const { env, seen } = yield* priced()
      assert.strictEqual(yield* run("rpc-socket", env), "a chair: 120\n")
      assert.deepStrictEqual(seen, ["/socket undefined", "message Bearer test-1", "message Bearer test-2"])
    })
)

it.scopedLive("the example of a stream reads every page once, whatever happens to its token under way", () =>
  Effect.gen(function* () {
    const sandbox = yield* VioletSandbox.make({ pages: 4 })
    yield* sandbox.faults.inject("refresh", Faults.Status({ status: 503 }), 1)
    yield* sandbox.faults.inject("api", Faults.Response({ status: 401, body: { message: "Invalid token" } }), 1)
    yield* sandbox.faults.inject("api", Faults.Status({ status: 503 }), 1)
    const output = yield* run("stream", {
      VIOLET_APP_ID: "1234",
      VIOLET_APP_SECRET: "test-app-secret",
      VIOLET_USERNAME: "test-user@example.com",
      VIOLET_PASSWORD: "test-password",
      VIOLET_BASE_URL: yield* serve(sandbox)
    })
    assert.deepStrictEqual(
      // What was logged of the 503 stands between them.
      output.split("\n").filter((line) => line.startsWith("Merchant")),
      Array.from({ length: 80 }, (_, index) => `Merchant ${index + 1}`)
    )
    assert.deepInclude({ ...(yield* sandbox.report) }, { complaints: 0, logins: 1, tokenRequests: 3 })
  })
)
