import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { Command, FileSystem, HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, TestClock } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as OrdersClient from "./OrdersClient.js"
import { ordersSandbox } from "./signedIn.js"

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** The client that was generated from `orders.json`, over an authorized one. */
const setup = Effect.fnUntraced(function* (
  options: Parameters<typeof ordersSandbox>[0] = {},
  more: Parameters<typeof OrdersClient.make>[1] = {}
) {
  const { client, sandbox, session } = yield* ordersSandbox(options)
  return { orders: OrdersClient.make(AuthHttpClient.toHttpClient(client), more), sandbox, session }
})

describe("a client generated from an OpenAPI document", () => {
  it.scopedLive("generating it again gives the same file", () =>
    Effect.gen(function* () {
      const generator = createRequire(import.meta.url).resolve("@tim-smart/openapi-gen/main.js")
      const fs = yield* FileSystem.FileSystem
      const generated = yield* Command.string(
        Command.make(process.execPath, generator, "-s", here("orders.json"), "-n", "OrdersClient")
      )
      assert.strictEqual(generated, yield* fs.readFileString(here("OrdersClient.ts")))
    }).pipe(Effect.provide(NodeContext.layer))
  )

  it.scoped("works as it was generated, for longer than a token lives and through a 401", () =>
    Effect.gen(function* () {
      const { orders, sandbox } = yield* setup({ lifetime: "10 minutes" })
      const first = yield* orders.listOrders({ page: 1, size: 2 })
      assert.deepStrictEqual(
        first.content.map(({ name }) => name),
        ["Order 1", "Order 2"]
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* orders.listOrders({ page: 5, size: 1 })).last, true)
      assert.strictEqual((yield* sandbox.report).rejections, 0)
      yield* sandbox.revokeAccessTokens
      assert.strictEqual((yield* orders.placeOrder({ id: 7, name: "a chair" })).name, "a chair")
      assert.deepInclude({ ...(yield* sandbox.report) }, { tokenRequests: 3, rejections: 1, complaints: 0 })
    })
  )

  it.scoped("its own errors are the API's, and an AuthError is the cause of a RequestError", () =>
    Effect.gen(function* () {
      const { orders, session } = yield* setup()
      const problem = yield* Effect.flip(orders.listOrders({ page: 0 }))
      assert.strictEqual(problem._tag === "Problem" ? problem.cause.error : problem._tag, "invalid_request")
      yield* session.logout
      const error = yield* Effect.flip(orders.listOrders())
      assert.strictEqual(error._tag, "RequestError")
      const signedOut = orders.listOrders().pipe(
        Effect.as("signed in"),
        Effect.catchIf(
          (error) => error._tag === "RequestError" && AuthError.isAuthError(error.cause),
          () => Effect.succeed("sign in again")
        )
      )
      assert.strictEqual(yield* signedOut, "sign in again")
    })
  )

  it.scoped("its transformClient takes retries and base URLs as over any client", () =>
    Effect.gen(function* () {
      const { orders, sandbox } = yield* setup(
        { patience: 0 },
        {
          transformClient: (client) =>
            Effect.succeed(
              client.pipe(
                HttpClient.retryTransient({ schedule: Schedule.spaced("5 seconds"), times: 3 }),
                HttpClient.mapRequest(HttpClientRequest.prependUrl("https://oauth2.test"))
              )
            )
        }
      )
      yield* sandbox.faults.inject("login", Faults.Status({ status: 503 }))
      yield* sandbox.faults.inject("api", Faults.Status({ status: 503 }))
      const fiber = yield* Effect.fork(orders.listOrders({ size: 1 }))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).content.length, 1)
      assert.deepInclude({ ...(yield* sandbox.report) }, { tokenRequests: 2, rejections: 0 })
    })
  )
})
