// A backend of many tenants, tested without any server: one TestProvider for each key.
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { SessionMap } from "effect-auth"
import * as TestProvider from "effect-auth/testing/TestProvider"

/** An API that accepts every token. */
const api = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("welcome"))))

const account = { username: Redacted.make("test-user"), password: Redacted.make("test-password") }

it.scoped("a failure of one tenant does not touch another", () =>
  Effect.gen(function* () {
    const providers = { acme: yield* TestProvider.make(), globex: yield* TestProvider.make() }
    const merchants = yield* SessionMap.make({
      lookup: (key: "acme" | "globex") =>
        Effect.succeed({
          provider: providers[key].service,
          account: key,
          credentials: Effect.succeed(account)
        }),
      renewal: "on-use",
      patience: 0,
      idleTimeToLive: "1 minute"
    })
    yield* providers.globex.always(TestProvider.fails(TestProvider.failure.credentials))

    assert.strictEqual((yield* merchants.client("acme").get("/orders")).status, 200)
    const error = yield* Effect.flip(merchants.client("globex").get("/orders"))
    assert.strictEqual(error._tag, "InvalidCredentials")
    assert.strictEqual((yield* providers.acme.report).logins, 1)
  }).pipe(Effect.provideService(HttpClient.HttpClient, api))
)
