// A unit of an application, tested without any server.
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { AuthHttpClient } from "effect-auth"
import * as TestProvider from "effect-auth/testing/TestProvider"
import * as TestSession from "effect-auth/testing/TestSession"

/** The unit: its greeting depends on the API and on whether a user is signed in. */
const greeting = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/me")
  const { name } = yield* HttpClientResponse.schemaBodyJson(Schema.Struct({ name: Schema.String }))(response)
  return `Hello, ${name}`
}).pipe(
  Effect.catchTags({
    SignedOut: () => Effect.succeed("Please sign in"),
    InvalidRefreshToken: () => Effect.succeed("Please sign in again"),
    NetworkFailure: () => Effect.succeed("We cannot sign you in at the moment")
  })
)

/** The API: it knows people by their tokens. */
const people: Record<string, string> = { "Bearer test-access-1": "Ada", "Bearer test-access-2": "Ada, renewed" }
const api = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) => {
    const name = people[request.headers.authorization ?? ""]
    const response = name === undefined ? new Response(null, { status: 401 }) : Response.json({ name })
    return Effect.succeed(HttpClientResponse.fromWeb(request, response))
  })
)

/** A session for one test, over that API. */
const layer = (options?: TestSession.Options) => Layer.provide(TestSession.layer(options), api)

it.effect("greets by name", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* greeting, "Hello, Ada")
  }).pipe(Effect.provide(layer()))
)

it.effect("greets by name with a token that had ended", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* greeting, "Hello, Ada, renewed")
    const provider = yield* TestProvider.TestProvider
    assert.deepStrictEqual((yield* provider.report).presented, ["test-refresh-1"])
  }).pipe(Effect.provide(layer({ state: "expired" })))
)

it.effect("asks to sign in", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* greeting, "Please sign in")
  }).pipe(Effect.provide(layer({ state: "signed-out" })))
)

for (const [failure, greeted] of [
  [TestProvider.failure.refused, "Please sign in again"],
  [TestProvider.failure.unreachable, "We cannot sign you in at the moment"]
] as const) {
  it.effect(`says: ${greeted}`, () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* greeting, greeted)
    }).pipe(Effect.provide(layer({ state: "expired", failure })))
  )
}
