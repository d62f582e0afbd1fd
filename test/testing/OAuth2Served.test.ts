import { HttpClient, HttpClientError } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as OAuth2Sandbox from "../../src/testing/OAuth2Sandbox.js"
import { oauth2 } from "./oauth2.js"
import { clients, liveWith, serve } from "./serve.js"

const setup = Effect.gen(function* () {
  const sandbox = yield* OAuth2Sandbox.make()
  const baseUrl = yield* serve(sandbox)
  return { sandbox, baseUrl, api: oauth2(yield* HttpClient.HttpClient, baseUrl) }
})

for (const [name, client] of Object.entries(clients)) {
  const live = liveWith(client)

  describe(`OAuth2Sandbox served to ${name}`, () => {
    live(
      "the whole protocol works",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        assert.strictEqual((yield* api.own).status, 200)
        const { access_token, refresh_token } = (yield* api.login).body
        assert.strictEqual((yield* api.orders(access_token, "?size=3")).body.content.length, 3)
        const next = (yield* api.refresh(refresh_token)).body
        assert.deepStrictEqual((yield* api.echo(next.access_token, { a: 1 })).body, { a: 1 })
        assert.strictEqual((yield* api.admin(next.access_token)).status, 403)
        const revoked = yield* api.revoke(next.refresh_token)
        assert.deepStrictEqual({ status: revoked.status, body: revoked.body }, { status: 200, body: "" })
        const rejected = yield* api.orders(next.access_token)
        assert.strictEqual(rejected.headers["www-authenticate"], 'Bearer error="invalid_token"')
        assert.deepInclude(yield* sandbox.report, {
          logins: 2,
          refreshes: 1,
          revocations: 1,
          rejections: 1,
          complaints: 0
        })
      })
    )

    live(
      "the metadata name the address by which the server was reached",
      Effect.gen(function* () {
        const { api, baseUrl } = yield* setup
        for (const document of ["oauth-authorization-server", "openid-configuration"]) {
          const { issuer, revocation_endpoint, token_endpoint } = (yield* api.wellKnown(document)).body
          assert.deepStrictEqual(
            { issuer, revocation_endpoint, token_endpoint },
            { issuer: baseUrl, revocation_endpoint: `${baseUrl}/revoke`, token_endpoint: `${baseUrl}/token` }
          )
        }
      })
    )

    live(
      "a spent token that comes again, after its answer was lost, takes its family with it",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const { access_token, refresh_token } = (yield* api.login).body
        yield* sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
        assert.instanceOf(yield* Effect.flip(api.refresh(refresh_token)), HttpClientError.RequestError)
        assert.strictEqual((yield* api.refresh(refresh_token)).body.error, "invalid_grant")
        assert.strictEqual((yield* api.orders(access_token)).status, 401)
        assert.deepInclude(yield* sandbox.report, { refreshes: 2, reuses: 1, familiesRevoked: 1 })
      })
    )

    live(
      "damaged bodies and odd answers arrive as they are",
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup
        const under = (fault: Faults.Fault) => Effect.zipRight(sandbox.faults.inject("login", fault), api.own)
        assert.isNull((yield* under(Faults.Body({ kind: "null" }))).body)
        assert.strictEqual((yield* under(Faults.Body({ kind: "empty" }))).body, "")
        assert.instanceOf(yield* Effect.flip(under(Faults.Body({ kind: "truncated" }))), HttpClientError.ResponseError)
        const odd = yield* under(Faults.Response({ status: 200, body: { error: "invalid_grant" } }))
        assert.deepStrictEqual(
          { status: odd.status, body: odd.body },
          { status: 200, body: { error: "invalid_grant" } }
        )
      })
    )
  })
}
