import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import * as Sandbox from "../../../src/testing/internal/sandbox.js"
import * as SandboxApi from "../../../src/testing/internal/sandboxApi.js"
import { plain } from "../client.js"

/** An API like OAuth 2.0's, with as little in it as an API can have. */
const tiny = Sandbox.make({ lifetime: "1 minute" }, (server) => {
  const refuse = (status: number, error: string) => Effect.fail(HttpServerResponse.unsafeJson({ error }, { status }))
  const grantType = (value: unknown) => (Predicate.hasProperty(value, "grant_type") ? value.grant_type : undefined)
  return {
    baseUrl: "https://tiny.test/",
    list: { path: "/things", item: "Thing" },
    rejections: [403],
    secrets: ["test client/secret"],
    secretParams: ["pin"],
    refuse,
    authorize: (call) =>
      Effect.flatMap(server.verify(call, "access", SandboxApi.bearer(call)), (verdict) =>
        verdict === "valid" ? Effect.void : refuse(403, verdict)
      ),
    routes: [
      {
        method: "POST",
        path: "/token",
        endpoint: ({ value }) => (grantType(value) === "refresh_token" ? "refresh" : "login"),
        handle: Effect.fnUntraced(function* (call) {
          const body = yield* SandboxApi.fields(call, {
            types: ["form"],
            required: ["grant_type"],
            optional: ["scope"]
          })
          const issued = yield* server.issue(call, "access")
          return HttpServerResponse.unsafeJson({ ...body, access_token: issued.token })
        })
      },
      {
        method: "POST",
        path: "/revoke",
        endpoint: "revoke",
        handle: Effect.fnUntraced(function* (call) {
          const { token } = yield* SandboxApi.fields(call, { types: ["form", "json"], required: ["token"] })
          yield* server.mint.revokeFamily(token)
          return HttpServerResponse.empty()
        })
      },
      {
        method: "GET",
        path: "/.well-known/oauth-authorization-server",
        endpoint: "metadata",
        handle: () => Effect.succeed(HttpServerResponse.unsafeJson({ issuer: "https://tiny.test" }))
      },
      {
        method: "GET",
        path: "/revoke",
        endpoint: "metadata",
        handle: () => Effect.succeed(HttpServerResponse.unsafeJson({ how: "post" }))
      }
    ]
  } satisfies SandboxApi.Api
})

const setup = Effect.map(tiny, (sandbox) => ({
  sandbox,
  api: plain(sandbox.client, "https://tiny.test"),
  bearer: (token: string) => ({ authorization: `Bearer ${token}` })
}))

describe("Sandbox", () => {
  it.effect("the body tells the endpoints of one path apart", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup
      yield* sandbox.faults.inject("refresh", Faults.Status({ status: 503 }))
      assert.strictEqual((yield* api.postForm("/token", { grant_type: "password", scope: "a b" })).body.scope, "a b")
      assert.strictEqual((yield* api.postForm("/token", { grant_type: "refresh_token" })).status, 503)
      assert.strictEqual((yield* api.postForm("/token", { grant_type: "refresh_token" })).status, 200)
      const { complaints, tokenRequests, logins, refreshes } = yield* sandbox.report
      assert.deepStrictEqual(
        { complaints, tokenRequests, logins, refreshes },
        { complaints: 0, tokenRequests: 3, logins: 1, refreshes: 1 }
      )
    })
  )

  it.effect("revocations and metadata are counted, and are no token requests", () =>
    Effect.gen(function* () {
      const { api, bearer, sandbox } = yield* setup
      const { access_token } = (yield* api.postForm("/token", { grant_type: "password" })).body
      assert.strictEqual((yield* api.get("/things", bearer(access_token))).body.content[0].name, "Thing 1")
      assert.strictEqual((yield* api.postForm("/revoke", { token: access_token })).status, 204)
      assert.strictEqual((yield* api.get("/things", bearer(access_token))).body.error, "revoked")
      assert.strictEqual((yield* api.get("/.well-known/oauth-authorization-server")).status, 200)
      assert.strictEqual((yield* api.get("/revoke")).body.how, "post")
      assert.deepInclude(yield* sandbox.report, {
        logins: 1,
        revocations: 1,
        metadata: 2,
        tokenRequests: 1,
        api: 2,
        rejections: 1,
        familiesRevoked: 1,
        complaints: 0
      })
    })
  )

  it.effect("refuses in the API's own form what is no route, no method, no body of the right shape", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup
      const refused = [
        [yield* api.get("/nothing"), 404, "Not found"],
        [yield* api.get("/token"), 405, "Method not allowed"],
        [yield* api.postMultipart("/token", { grant_type: "password" }), 400, "Malformed request"],
        [yield* api.postForm("/token", { grant_type: "password", more: "" }), 400, "Malformed request"],
        [yield* api.postForm("/token", { scope: "a" }), 400, "Malformed request"],
        [yield* api.post("/revoke", { token: 1 }), 400, "Malformed request"],
        [yield* api.post("/revoke", ["token"]), 400, "Malformed request"]
      ] as const
      for (const [{ body, headers, status }, expected, error] of refused) {
        assert.deepStrictEqual({ status, body }, { status: expected, body: { error } })
        assert.strictEqual(headers.date, "Thu, 01 Jan 1970 00:00:00 GMT")
      }
      const log = yield* sandbox.log
      assert.deepStrictEqual(
        log.slice(1, 4).map((entry) => entry.complaint),
        [
          "the method is not POST",
          "the body is not application/x-www-form-urlencoded with grant_type alone",
          "the body is not application/x-www-form-urlencoded with grant_type alone"
        ]
      )
    })
  )

  it.effect("complains of any secret in a URL", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup
      const { access_token } = (yield* api.postForm("/token", { grant_type: "password" })).body
      const secrets = ["pin=1", "client_secret=x", `x=${access_token}`, "x=test%20client%2Fsecret", "x=test-password"]
      for (const secret of secrets) yield* api.get(`/revoke?${secret}`)
      yield* api.get("/revoke?x=pin")
      assert.strictEqual((yield* sandbox.report).complaints, secrets.length)
    })
  )
})
