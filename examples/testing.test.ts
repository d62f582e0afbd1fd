// A day in the life of an application, in a second: the sandbox in memory, time in the hands of TestClock.
import { HttpClient } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted, TestClock } from "effect"
import { AuthHttpClient, Credentials, Violet } from "effect-auth"
import * as VioletSandbox from "effect-auth/testing/VioletSandbox"

it.scoped("stays signed in for a day", () =>
  Effect.gen(function* () {
    const sandbox = yield* VioletSandbox.make()
    const violet = Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: sandbox.baseUrl,
      renewal: "on-use"
    }).pipe(
      Layer.provide(
        Credentials.layer({
          username: Redacted.make("test-user@example.com"),
          password: Redacted.make("test-password")
        })
      ),
      Layer.provide(Layer.succeed(HttpClient.HttpClient, sandbox.client))
    )
    yield* Effect.gen(function* () {
      const client = yield* AuthHttpClient.AuthHttpClient
      for (let hour = 0; hour < 24; hour++) {
        assert.strictEqual((yield* client.get("/merchants")).status, 200)
        yield* TestClock.adjust("1 hour")
      }
      assert.strictEqual((yield* sandbox.report).rejections, 0)
    }).pipe(Effect.provide(violet))
  })
)
