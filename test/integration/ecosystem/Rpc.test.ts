import { Headers, HttpClient, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import {
  Rpc,
  RpcClient,
  RpcClientError,
  RpcGroup,
  RpcMiddleware,
  RpcSerialization,
  RpcServer,
  RpcTest
} from "@effect/rpc"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Fiber, Layer, Redacted, Schema, Scope, Stream, TestClock } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Session from "../../../src/session/Session.js"
import * as SandboxClient from "../../../src/testing/internal/sandboxClient.js"
import { provider, session, value } from "../../support/harness.js"
import { orders } from "./signedIn.js"

class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {}

class Authorization extends RpcMiddleware.Tag<Authorization>()(
  "effect-auth/test/integration/ecosystem/Rpc.test/Authorization",
  {
    failure: Unauthorized,
    requiredForClient: true
  }
) {}

const Price = Rpc.make("Price", { payload: { item: Schema.String }, success: Schema.Number })

class Prices extends RpcGroup.make(
  Price,
  Rpc.make("Ticks", { payload: { item: Schema.String }, success: Schema.Number, stream: true })
) {}

class Guarded extends RpcGroup.make(Price).middleware(Authorization) {}

const handlers = Prices.toLayer({
  Price: ({ item }) => Effect.succeed(item.length),
  Ticks: () => Stream.make(1, 2, 3).pipe(Stream.mapEffect((tick) => Effect.delay(Effect.succeed(tick), "10 minutes")))
})

describe("@effect/rpc over HTTP", () => {
  /** An RpcServer in memory, and what its requests carried. `refuses` says which tokens it answers with 401. */
  const setup = Effect.fnUntraced(function* (refuses: (token: string) => boolean = () => false) {
    const scope = yield* Effect.scope
    const carried: Array<string> = []
    const procedures = yield* RpcServer.toHttpApp(Prices).pipe(Effect.provide([handlers, RpcSerialization.layerNdjson]))
    let issued = 0
    const client = SandboxClient.make(
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, url }) => {
        if (new URL(url, "https://oauth2.test").pathname === "/token") {
          const access_token = `test-${++issued}`
          return Effect.succeed(HttpServerResponse.unsafeJson({ access_token, expires_in: 300 }))
        }
        const token = headers.authorization ?? "none"
        carried.push(token)
        return refuses(token)
          ? Effect.succeed(HttpServerResponse.empty({ status: 401 }))
          : Effect.provideService(procedures, Scope.Scope, scope)
      })
    )
    const bare = orders(client, { patience: 0 })
    const http = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(AuthHttpClient.AuthHttpClient, (client) =>
        HttpClient.filterStatusOk(AuthHttpClient.toHttpClient(client))
      )
    )
    const context = yield* Layer.build(
      RpcClient.layerProtocolHttp({ url: "/rpc" }).pipe(
        Layer.provide([http, RpcSerialization.layerNdjson]),
        Layer.provideMerge(bare)
      )
    )
    const prices = yield* Effect.provide(RpcClient.make(Prices), context)
    return { carried, prices, signedIn: yield* Effect.provide(Session.Session, context) }
  })

  it.scoped("every request carries a token that is valid then", () =>
    Effect.gen(function* () {
      const { carried, prices } = yield* setup()
      assert.strictEqual(yield* prices.Price({ item: "chair" }), 5)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* prices.Price({ item: "table" }), 5)
      assert.deepStrictEqual(carried, ["Bearer test-1", "Bearer test-2"])
    })
  )

  it.scoped("a request that is refused is sent again with a new token, and the procedure runs once", () =>
    Effect.gen(function* () {
      const { carried, prices } = yield* setup((token) => token === "Bearer test-1")
      assert.strictEqual(yield* prices.Price({ item: "chair" }), 5)
      assert.deepStrictEqual(carried, ["Bearer test-1", "Bearer test-2"])
    })
  )

  it.scoped("a stream that outlives its token goes on, and a call beside it has the next one", () =>
    Effect.gen(function* () {
      const { carried, prices } = yield* setup()
      const ticks = yield* Effect.fork(Stream.runCollect(prices.Ticks({ item: "chair" })))
      for (let minute = 0; minute < 35; minute++) yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* prices.Price({ item: "chair" }), 5)
      assert.deepStrictEqual([...(yield* Fiber.join(ticks))], [1, 2, 3])
      assert.deepStrictEqual(carried, ["Bearer test-1", "Bearer test-2"])
    })
  )

  it.scoped("what stays refused fails, and does not wait for ever", () =>
    Effect.gen(function* () {
      const { carried, prices } = yield* setup(() => true)
      const error = yield* Effect.flip(prices.Price({ item: "chair" }))
      assert.instanceOf(error, RpcClientError.RpcClientError)
      assert.deepInclude({ ...(error.cause as object) }, { _tag: "ResponseError", reason: "StatusCode" })
      assert.strictEqual(carried.length, 2)
    })
  )

  it.scoped("an AuthError is the cause of the cause of an RpcClientError", () =>
    Effect.gen(function* () {
      const { carried, prices, signedIn } = yield* setup()
      yield* signedIn.logout
      const error = yield* Effect.flip(prices.Price({ item: "chair" }))
      assert.instanceOf((error.cause as Error).cause, AuthError.SignedOut)
      assert.deepStrictEqual(carried, [])
    })
  )
})

describe("@effect/rpc over anything else", () => {
  const isUnauthorized = (error: unknown): error is Unauthorized => error instanceof Unauthorized

  /** A client whose middleware takes the token from a session, and a server that takes the tokens that are not refused. */
  const setup = Effect.fnUntraced(function* (refuses: (token: string) => boolean = () => false) {
    const scripted = provider()
    const signedIn = yield* session(scripted)
    const carried: Array<string> = []
    const client = RpcMiddleware.layerClient(Authorization, ({ request }) =>
      Effect.map(Effect.orDie(signedIn.accessToken), (token) => ({
        ...request,
        headers: Headers.set(request.headers, "authorization", Redacted.value(token))
      }))
    )
    const server = Layer.succeed(Authorization, ({ headers }) => {
      const token = headers.authorization ?? "none"
      carried.push(token)
      return refuses(token) ? new Unauthorized() : Effect.void
    })
    const prices = yield* RpcTest.makeClient(Guarded).pipe(
      Effect.provide([client, server, Guarded.toLayer({ Price: ({ item }) => Effect.succeed(item.length) })])
    )
    const once = prices.Price({ item: "chair" })
    /** As in examples/rpc-socket.ts. */
    const call = Effect.flatMap(signedIn.accessToken, (token) =>
      Effect.catchIf(once, isUnauthorized, (refusal) =>
        Effect.flatMap(signedIn.reject(token), (next) =>
          Equal.equals(next, token)
            ? Effect.fail(refusal)
            : Effect.tapErrorTag(once, "Unauthorized", () => Effect.ignore(signedIn.reject(next, { retried: true })))
        )
      )
    )
    return { call, carried, once, scripted, signedIn }
  })

  it.scoped("a middleware puts a token on each message that is valid then", () =>
    Effect.gen(function* () {
      const { carried, once, scripted, signedIn } = yield* setup()
      assert.strictEqual(yield* once, 5)
      yield* TestClock.adjust("1 hour")
      const responses = yield* Effect.all(
        Array.from({ length: 20 }, () => once),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(responses), new Set([5]))
      assert.deepStrictEqual(carried, ["test-access-1", ...Array.from({ length: 20 }, () => "test-access-2")])
      assert.strictEqual(scripted.count().total, 2)
      assert.strictEqual(value(yield* signedIn.accessToken), "test-access-2")
    })
  )

  it.scoped("a token that the server refuses is replaced, and the call made once more", () =>
    Effect.gen(function* () {
      const { call, carried, scripted } = yield* setup((token) => token === "test-access-1")
      assert.strictEqual(yield* call, 5)
      assert.deepStrictEqual(carried, ["test-access-1", "test-access-2"])
      assert.strictEqual(scripted.count().total, 2)
    })
  )

  it.scoped("law 10: a server that refuses everything for ten minutes costs no token request a call", () =>
    Effect.gen(function* () {
      const { call, scripted } = yield* setup(() => true)
      for (let tenSeconds = 0; tenSeconds < 60; tenSeconds++) {
        assert.instanceOf(yield* Effect.flip(call), Unauthorized)
        yield* TestClock.adjust("10 seconds")
      }
      assert.isAtMost(scripted.count().total, 20)
    })
  )

  it.scoped("an AuthError is typed where the token is asked for before the call, and a defect where it is not", () =>
    Effect.gen(function* () {
      const { call, carried, once, signedIn } = yield* setup()
      yield* signedIn.logout
      assert.strictEqual((yield* Effect.flip(call))._tag, "SignedOut")
      const defect = yield* Effect.flip(Effect.catchAllDefect(once, Effect.fail))
      assert.instanceOf(defect, AuthError.SignedOut)
      assert.deepStrictEqual(carried, [])
    })
  )
})
