import {
  FetchHttpClient,
  Headers,
  HttpClient,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse
} from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, FiberRef, Layer, Option, Ref } from "effect"
import type * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import { makeWith } from "../../../src/client/authorizedRequest.js"
import * as Session from "../../../src/session/Session.js"
import * as TestProvider from "../../../src/testing/TestProvider.js"
import * as TestSession from "../../../src/testing/TestSession.js"

/** What a request changes of the fiber that makes it, as that fiber sees it. */
const changeable = Effect.all({
  init: Effect.map(Effect.serviceOption(FetchHttpClient.RequestInit), Option.getOrUndefined),
  names: FiberRef.get(Headers.currentRedactedNames)
})

/** A client of two accounts over a transport: `first` until `second` is asked for. */
const setup = Effect.fnUntraced(function* (transport: HttpClient.HttpClient) {
  const context = yield* Layer.build(
    Layer.provide(TestSession.layer(), Layer.succeed(HttpClient.HttpClient, transport))
  )
  const session = Context.get(context, Session.Session)
  const { service: provider } = Context.get(context, TestProvider.TestProvider)
  const account = (origin: string, secret: string) => ({
    session,
    provider: {
      ...provider,
      baseUrl: new URL(origin),
      origins: [origin],
      redactedHeaders: ["authorization", secret],
      authorize: HttpClientRequest.setHeaders({ authorization: "Bearer test-1", [secret]: "test-2" })
    }
  })
  const first = account("https://first.test", "x-first")
  const current = yield* Ref.make(first)
  return {
    api: makeWith(Ref.get(current), transport),
    second: Ref.set(current, account("https://second.test", "x-second"))
  }
})

const answering = HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response())))

const failing = HttpClient.make((request) => new HttpClientError.RequestError({ request, reason: "Transport" }))

/** Answers what the span of a request shows of its headers. */
const spied = HttpClient.make((request) =>
  Effect.map(Effect.orDie(Effect.currentSpan), ({ attributes }) =>
    HttpClientResponse.fromWeb(request, Response.json(Object.fromEntries(attributes)))
  )
)

describe("what a request leaves behind", () => {
  const ends = [
    ["is answered", answering, "none"],
    ["fails", failing, "RequestError"]
  ] as const
  for (const [name, transport, expected] of ends) {
    it.scoped(`law 23: a request that ${name} changes nothing for what its caller does next`, () =>
      Effect.gen(function* () {
        const { api } = yield* setup(transport)
        const before = yield* changeable
        const outcome = yield* Effect.either(api.get("https://first.test/"))
        assert.strictEqual(outcome._tag === "Left" ? outcome.left._tag : "none", expected)
        assert.deepStrictEqual(yield* changeable, before)
      })
    )
  }

  it.scoped("law 23: a request that is interrupted changes nothing for what its caller cleans up", () =>
    Effect.gen(function* () {
      const sent = yield* Deferred.make<void>()
      const cleaned = yield* Deferred.make<Effect.Effect.Success<typeof changeable>>()
      const { api } = yield* setup(
        HttpClient.make(() => Effect.zipRight(Deferred.succeed(sent, undefined), Effect.never))
      )
      const before = yield* changeable
      const caller = api.get("https://first.test/").pipe(Effect.ensuring(Deferred.complete(cleaned, changeable)))
      const fiber = yield* Effect.fork(caller)
      yield* Deferred.await(sent)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* Deferred.await(cleaned), before)
    })
  )
})

describe("what a span shows of a request", () => {
  const shown = Effect.fnUntraced(function* (api: AuthHttpClient.Service, url: string) {
    const response = yield* api.get(url)
    const attributes = Object.entries((yield* response.json) as Record<string, unknown>)
    return Object.fromEntries(attributes.filter(([, value]) => value === "<redacted>" || /test-\d/.test(String(value))))
  })
  const redacted = (...names: ReadonlyArray<string>) =>
    Object.fromEntries(names.map((name) => [`http.request.header.${name}`, "<redacted>"]))

  it.scoped("law 27: every secret of a provider is redacted, whichever of their names were known before", () =>
    Effect.gen(function* () {
      const { api } = yield* setup(spied)
      const expected = redacted("authorization", "x-first")
      for (const names of [["authorization"], [], ["x-first"], ["x-first", "authorization"], [/^x-/], ["cookie"]]) {
        const attributes = Effect.locally(shown(api, "https://first.test/"), Headers.currentRedactedNames, names)
        assert.deepStrictEqual(yield* attributes, expected, String(names))
      }
    })
  )

  it.scoped("law 27: what the caller has redacted is redacted as ever, also from one request to the next", () =>
    Effect.gen(function* () {
      const { api } = yield* setup(spied)
      const mine = HttpClient.mapRequest(api, HttpClientRequest.setHeader("x-mine", "test-3"))
      const plain = { ...redacted("authorization", "x-first"), "http.request.header.x-mine": "test-3" }
      assert.deepStrictEqual(yield* shown(mine, "https://first.test/"), plain)
      const attributes = Effect.locally(shown(mine, "https://first.test/"), Headers.currentRedactedNames, ["x-mine"])
      assert.deepStrictEqual(yield* attributes, redacted("authorization", "x-first", "x-mine"))
      assert.deepStrictEqual(yield* shown(mine, "https://first.test/"), plain)
    })
  )

  it.scoped("laws 23 and 27: a client whose account changes goes by the new one's origins and secrets", () =>
    Effect.gen(function* () {
      const { api, second } = yield* setup(spied)
      assert.deepStrictEqual(yield* shown(api, "https://first.test/"), redacted("authorization", "x-first"))
      yield* second
      assert.deepStrictEqual(yield* shown(api, "https://second.test/"), redacted("authorization", "x-second"))
      assert.strictEqual((yield* Effect.flip(api.get("https://first.test/")))._tag, "UntrustedOrigin")
    })
  )
})
