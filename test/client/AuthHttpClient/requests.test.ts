import { HttpBody, HttpClientRequest, UrlParams } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { calls, json, merchants, origin, setup, tokenOf } from "./harness.js"

describe("AuthHttpClient", () => {
  describe("the request", () => {
    it.effect("a request carries the application and the token", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { api, sandbox, sent, session } = yield* setup()
          const response = yield* api.execute(merchants)
          assert.strictEqual(response.status, 200)
          const [request] = calls(sent)
          assert.strictEqual(request?.headers["x-violet-app-id"], "1234")
          assert.strictEqual(tokenOf(request), Redacted.value(yield* session.accessToken))
          assert.strictEqual((yield* sandbox.report).complaints, 0)
        })
      )
    )

    it.scoped("relative, absolute and decorated URLs reach the API as they would reach it without us", () =>
      Effect.gen(function* () {
        const { api, sent } = yield* setup({ handlers: { "/v1/a/b": () => json({}), "/v1/a:b": () => json({}) } })
        const reached = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
          sent.length = 0
          yield* api.execute(request)
          const last = calls(sent).at(-1)
          assert.isDefined(last)
          return new URL(yield* UrlParams.makeUrl(last.url, last.urlParams, last.hash)).href
        })
        const get = HttpClientRequest.get
        assert.strictEqual(yield* reached(get("/merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get("merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get("a/b")), `${origin}/v1/a/b`)
        assert.strictEqual(yield* reached(get("/a:b")), `${origin}/v1/a:b`)
        assert.strictEqual(yield* reached(get(`${origin}/v1/merchants`)), `${origin}/v1/merchants`)
        assert.strictEqual(yield* reached(get(new URL("/v1/merchants?a=b#c", origin))), `${origin}/v1/merchants?a=b#c`)
        assert.strictEqual(yield* reached(get("HTTPS://VIOLET.test:443/v1/merchants")), `${origin}/v1/merchants`)
        assert.strictEqual(
          yield* reached(get("/merchants?page=2#top", { urlParams: { size: "3", q: "a b&c" } })),
          `${origin}/v1/merchants?page=2&size=3&q=a+b%26c#top`
        )
        assert.strictEqual(
          yield* reached(
            get("merchants", {
              hash: "end",
              urlParams: [
                ["x", "1"],
                ["x", "2"]
              ]
            })
          ),
          `${origin}/v1/merchants?x=1&x=2#end`
        )
      })
    )

    it.scoped("a token that the caller put on the request is replaced", () =>
      Effect.gen(function* () {
        const { api, sent, session } = yield* setup()
        yield* api.execute(HttpClientRequest.setHeader(merchants, "X-Violet-Token", "the-callers-own"))
        assert.strictEqual(tokenOf(calls(sent)[0]), Redacted.value(yield* session.accessToken))
      })
    )

    it.scoped("every method reaches the API, with the body and headers of the caller", () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const { api } = yield* setup({
          handlers: {
            "/v1/any": ({ body, headers, method }) => {
              seen.push(`${method} ${headers["x-mine"]} ${body._tag}`)
              return json({})
            }
          }
        })
        const headers = { "x-mine": "yes" }
        yield* api.get("/any", { headers })
        yield* api.head("/any", { headers })
        yield* api.options("/any", { headers })
        yield* api.del("/any", { headers })
        yield* api.post("/any", { headers, body: HttpBody.unsafeJson({}) })
        yield* api.put("/any", { headers, body: HttpBody.text("a") })
        yield* api.patch("/any", { headers, body: HttpBody.raw("a") })
        assert.deepStrictEqual(seen, [
          "GET yes Empty",
          "HEAD yes Empty",
          "OPTIONS yes Empty",
          "DELETE yes Empty",
          "POST yes Uint8Array",
          "PUT yes Uint8Array",
          "PATCH yes Raw"
        ])
      })
    )
  })
})
