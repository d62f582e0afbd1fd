import { createServer } from "node:http"
import { Command, HttpServer } from "@effect/platform"
import { NodeContext, NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as VioletSandbox from "../src/testing/VioletSandbox.js"

/** A sandbox on a loopback port, and the variables that lead to it. */
const served = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const server = yield* Layer.build(
    HttpServer.serve(sandbox.served).pipe(
      Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
    )
  )
  const address = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), server)
  return {
    sandbox,
    env: {
      VIOLET_APP_ID: "1234",
      VIOLET_APP_SECRET: "test-app-secret",
      VIOLET_USERNAME: "test-user@example.com",
      VIOLET_PASSWORD: "test-password",
      VIOLET_BASE_URL: `${address}/v1`
    }
  }
})

const run = (example: string, env: Record<string, string>) =>
  Command.make(process.execPath, "--import", "tsx", `examples/${example}.ts`).pipe(
    Command.env(env),
    Command.string,
    Effect.provide(NodeContext.layer)
  )

it.scopedLive("the example of the README prints a page of merchants", () =>
  Effect.gen(function* () {
    const { env } = yield* served
    assert.include(yield* run("violet", env), "Merchant 1\n")
  })
)

it.scopedLive("the example of two accounts keeps them apart", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const both = Object.entries(env).flatMap(([name, value]) => [
      [`SHOP_${name}`, value],
      [`OUTLET_${name}`, value]
    ])
    assert.strictEqual(yield* run("two-apis", Object.fromEntries(both)), "shop 200\noutlet 200\n")
    assert.strictEqual((yield* sandbox.report).logins, 2)
    const wrong = { ...Object.fromEntries(both), OUTLET_VIOLET_PASSWORD: "test-wrong" }
    assert.strictEqual(yield* run("two-apis", wrong), "shop 200\n")
  })
)

it.scopedLive("the example of a refresh token signs in without a password", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const output = yield* run("refresh-token", { ...env, VIOLET_REFRESH_TOKEN: yield* sandbox.mintRefreshToken })
    assert.include(output, "signed-in, token fresh")
    assert.include(output, "signed-out, token none")
    assert.strictEqual((yield* sandbox.report).logins, 0)
  })
)
