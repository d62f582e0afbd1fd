import { HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { merchants, origin, setup } from "./harness.js"

describe("AuthHttpClient", () => {
  describe("origins", () => {
    const foreign = [
      "https://evil.test/x",
      "//evil.test/x",
      "\\\\evil.test\\x",
      "/\\evil.test",
      "\\/evil.test",
      "///evil.test",
      "\t//evil.test/x",
      "https:evil.test",
      "https:/evil.test",
      "https:\\\\evil.test",
      "https://api@evil.test",
      "https://violet.test@evil.test/v1/merchants",
      "https://violet.test:pw@evil.test",
      "https://violet.test.evil.test/v1",
      "https://evil.test/https://violet.test",
      "https://violet.test:8443/v1/merchants",
      "http://violet.test/v1/merchants",
      "http://violet.test:443/v1/merchants",
      "ws://violet.test/v1/merchants",
      "blob:https://violet.test/v1/merchants",
      "data:text/plain,x",
      "javascript:1",
      "file:///etc/hosts",
      "https://",
      "https://violet.test:99999/"
    ]

    for (const url of foreign) {
      it.scoped(`law 23: ${JSON.stringify(url)} is an UntrustedOrigin, and nothing is sent`, () =>
        Effect.gen(function* () {
          const { api, sent } = yield* setup()
          const error = yield* Effect.flip(api.get(url))
          assert.strictEqual(error._tag, "UntrustedOrigin")
          assert.deepStrictEqual(sent, [])
          const changed = HttpClient.mapRequest(api, HttpClientRequest.setUrl(url))
          const late = yield* Effect.flip(changed.execute(merchants))
          assert.strictEqual(late._tag, "UntrustedOrigin")
          assert.deepStrictEqual(sent, [])
        })
      )
    }

    it.scoped("law 23: the error tells whose the origin is, without path, query or user info", () =>
      Effect.gen(function* () {
        const { api } = yield* setup()
        const error = yield* Effect.flip(api.get("https://user:test-pw@evil.test/secret?token=test-1#x"))
        assert.deepInclude({ ...error }, { provider: "violet", origin: "https://evil.test", trusted: [origin] })
        assert.notMatch(String(error) + JSON.stringify(error), /secret|test-pw|test-1/)
      })
    )

    it.scoped("law 23: prependUrl over our client cannot lead elsewhere either", () =>
      Effect.gen(function* () {
        const { api, sent } = yield* setup()
        const over = HttpClient.mapRequest(api, HttpClientRequest.prependUrl("https://evil.test/v1"))
        assert.strictEqual((yield* Effect.flip(over.get("/merchants")))._tag, "UntrustedOrigin")
        const effectful = HttpClient.mapRequestInputEffect(api, (request) =>
          Effect.succeed(HttpClientRequest.setUrl(request, "//evil.test"))
        )
        assert.strictEqual((yield* Effect.flip(effectful.get("/merchants")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(sent, [])
      })
    )
  })
})
