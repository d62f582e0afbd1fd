import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Ref } from "effect"
import { Auth, AuthHttpClient, Credentials, Session, Violet } from "../src/index.js"
import { secret } from "./support/harness.js"

/** An API that tells who asks: the token of each login names the app and the user. */
const whoAmI = Effect.map(Ref.make(0), (logins) => {
  const client = HttpClient.make((request, url) => {
    const response = (status: number, body: unknown) =>
      HttpClientResponse.fromWeb(request, new Response(JSON.stringify(body), { status }))
    if (url.pathname.endsWith("/login")) {
      const sent = request.body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(request.body.body)) : {}
      return Effect.as(
        Ref.update(logins, (n) => n + 1),
        response(200, { token: `test.${request.headers["x-violet-app-id"]}.${sent.username}`, refresh_token: "test-r" })
      )
    }
    return Effect.succeed(response(200, { i: request.headers["x-violet-token"], at: url.host }))
  })
  return { logins, layer: Layer.succeed(HttpClient.HttpClient, client) }
})

const account = (name: string, appId = 1, baseUrl = "https://violet.test/v1") =>
  Violet.layer({ appId, appSecret: secret("test-app-secret"), baseUrl, renewal: "on-use" }).pipe(
    Layer.provide(Credentials.layer({ username: secret(name), password: secret("test-password") }))
  )

class Alice extends Context.Tag("effect-auth/test/Auth.test/Alice")<Alice, AuthHttpClient.Service>() {}
class Bob extends Context.Tag("effect-auth/test/Auth.test/Bob")<Bob, AuthHttpClient.Service>() {}
class Other extends Context.Tag("effect-auth/test/Auth.test/Other")<Other, AuthHttpClient.Service>() {}

const who = (client: AuthHttpClient.Service) => Effect.flatMap(client.get("/me"), (response) => response.json)

it.scoped("two accounts of one API, and two APIs, in one Layer.mergeAll never mix", () =>
  Effect.gen(function* () {
    const { layer, logins } = yield* whoAmI
    const all = Layer.mergeAll(
      Layer.effect(Alice, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(account("alice"))),
      Layer.effect(Bob, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(account("bob"))),
      Layer.effect(Other, AuthHttpClient.AuthHttpClient).pipe(
        Layer.provide(account("alice", 2, "https://other.test/v1"))
      )
    ).pipe(Layer.provide(layer))
    yield* Effect.gen(function* () {
      const alice = yield* Alice
      const bob = yield* Bob
      const other = yield* Other
      for (let i = 0; i < 20; i++) {
        const [a, b, o] = yield* Effect.all([who(alice), who(bob), who(other)], { concurrency: "unbounded" })
        assert.deepStrictEqual(a, { i: "test.1.alice", at: "violet.test" })
        assert.deepStrictEqual(b, { i: "test.1.bob", at: "violet.test" })
        assert.deepStrictEqual(o, { i: "test.2.alice", at: "other.test" })
      }
      // Nor does a token go to the other API by its address.
      const stray = yield* Effect.flip(alice.get("https://other.test/v1/me"))
      assert.strictEqual(stray._tag, "UntrustedOrigin")
    }).pipe(Effect.provide(all))
    assert.strictEqual(yield* Ref.get(logins), 3)
  })
)

it.scoped("one layer used in two places is one session", () =>
  Effect.gen(function* () {
    const { layer, logins } = yield* whoAmI
    const alice = account("alice")
    const both = Layer.mergeAll(
      Layer.effect(Alice, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(alice)),
      Layer.effect(Bob, AuthHttpClient.AuthHttpClient).pipe(Layer.provide(alice)),
      alice
    ).pipe(Layer.provide(layer))
    yield* Effect.gen(function* () {
      yield* who(yield* Alice)
      yield* who(yield* Bob)
      assert.strictEqual(Redacted.value(yield* (yield* Session.Session).accessToken), "test.1.alice")
    }).pipe(Effect.provide(both))
    assert.strictEqual(yield* Ref.get(logins), 1)
  })
)

it.scoped("nothing is sent before the first use", () =>
  Effect.gen(function* () {
    const { layer, logins } = yield* whoAmI
    yield* Layer.build(account("alice").pipe(Layer.provide(layer)))
    assert.strictEqual(yield* Ref.get(logins), 0)
  })
)

it.effect("a provider that cannot be made fails the layer with its own error", () =>
  Effect.gen(function* () {
    const layer = Auth.layer(Effect.fail("no provider" as const)).pipe(
      Layer.provide(Credentials.layerNone),
      Layer.provide((yield* whoAmI).layer)
    )
    assert.strictEqual(yield* Effect.flip(Effect.scoped(Layer.build(layer))), "no provider")
  })
)
