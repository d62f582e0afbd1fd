import { HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Acme, application, make, never, server } from "./harness.js"

describe("AuthProvider.make", () => {
  describe("law 25: rejections", () => {
    const cases: ReadonlyArray<readonly [Partial<Acme>, number, string | undefined, boolean]> = [
      [{}, 401, undefined, true],
      [{}, 401, "Bearer", true],
      [{}, 401, 'bearer realm="acme", error="invalid_token"', true],
      [{}, 401, 'Basic realm="a", Bearer realm="b"', true],
      [{}, 401, 'Basic realm="acme"', false],
      [{}, 401, "Negotiate", false],
      [{}, 401, 'BearerX realm="acme"', false],
      [{}, 401, 'Bearer error="insufficient_scope", scope="admin"', false],
      [{}, 401, "Bearer error=insufficient_scope", false],
      [{}, 401, 'Bearer realm="acme", Error = "insufficient_scope"', false],
      [{}, 403, undefined, false],
      [{}, 403, 'Bearer error="invalid_token"', false],
      [{}, 400, undefined, false],
      [{}, 200, undefined, false],
      [{ rejections: [401, 403] }, 403, undefined, true],
      [{ rejections: [401, 403] }, 403, 'Bearer error="insufficient_scope"', false],
      [{ rejections: [419] }, 419, undefined, true],
      [{ rejections: [419] }, 401, undefined, false],
      [{ rejections: [] }, 401, undefined, false],
      [{ token: { header: "authorization", scheme: "Token" } }, 401, "Token", true],
      [{ token: { header: "authorization", scheme: "Token" } }, 401, "Bearer", false],
      [{ token: { header: "x-acme-token" } }, 401, undefined, true],
      [{ token: { header: "x-acme-token" } }, 401, "Basic", false]
    ]
    for (const [more, status, challenge, expected] of cases) {
      const name = `${JSON.stringify(more)}: ${status} ${challenge ?? "without a challenge"}`
      it.effect(`law 25: ${name} is ${expected ? "a" : "no"} rejection`, () =>
        Effect.gen(function* () {
          const { rejects } = yield* make(server(never).client, more)
          const response = HttpClientResponse.fromWeb(
            HttpClientRequest.get("/"),
            new Response(null, { status, headers: challenge === undefined ? {} : { "www-authenticate": challenge } })
          )
          assert.strictEqual(rejects(status, response.headers), expected)
        })
      )
    }

    it.scoped("law 24: a rejection of the described kind costs one refresh, and the request is sent once more", () =>
      Effect.gen(function* () {
        const { client, sent } = server(({ headers, url }, nth) =>
          url.endsWith("/orders")
            ? new Response(null, { status: headers["x-acme-token"] === "test-granted-1" ? 419 : 200 })
            : Response.json({ access: `test-granted-${nth}`, refresh: `test-rotated-${nth}` })
        )
        const { api } = yield* application(client, { rejections: [419], token: { header: "X-Acme-Token" } })
        assert.strictEqual((yield* api.get("/orders")).status, 200)
        assert.deepStrictEqual(
          sent.map(({ body, headers, url }) => [new URL(url).pathname, headers["x-acme-token"] ?? body]),
          [
            ["/v2/auth/login", '{"username":"test-user","password":"test-password"}'],
            ["/v2/orders", "test-granted-1"],
            ["/v2/auth/refresh", "refresh_token=test-rotated-1"],
            ["/v2/orders", "test-granted-3"]
          ]
        )
      })
    )
  })
})
