import { HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"
import Jwt from "jsonwebtoken"
import { live } from "./live.js"
import * as MockServer from "./mockServer.js"
import * as OidcProvider from "./oidcProvider.js"

const { clients } = OidcProvider

const ask = Effect.fnUntraced(function* (baseUrl: string, token?: string) {
  const response = yield* HttpClient.execute(
    HttpClientRequest.get(`${baseUrl}/things`).pipe(
      HttpClientRequest.setHeaders(token === undefined ? {} : { authorization: `Bearer ${token}` })
    )
  )
  yield* response.text
  return { status: response.status, challenge: response.headers["www-authenticate"] }
})

/** What the other tests of this folder rely on, seen over plain HTTP, without the library under test. */
describe("the foreign servers by themselves", () => {
  for (const client of Object.values(clients)) {
    live(`oidc-provider signs ${client.clientId} in and rotates its refresh token`, function* () {
      const server = yield* OidcProvider.make({ lifetime: "1 minute" })
      const first = yield* server.signIn(client)
      assert.strictEqual(first.expiresIn, 60)
      assert.strictEqual((yield* ask(server.baseUrl, first.accessToken)).status, 200)
      const { body, status } = yield* server.refresh(client, first.refreshToken)
      assert.strictEqual(status, 200)
      assert.notStrictEqual(body.refresh_token, first.refreshToken)
      assert.strictEqual((yield* ask(server.baseUrl, body.access_token)).status, 200)
      assert.isTrue(yield* server.isAlive(first.grantId))
      assert.deepInclude(server.seen, { reused: 0, refused: [], revoked: [], defects: [] })
      assert.deepInclude(server.seen.granted, { authorization_code: 1, refresh_token: 1 })
    })
  }

  live("oidc-provider revokes the grant when a refresh token is used twice", function* () {
    const server = yield* OidcProvider.make()
    const first = yield* server.signIn(clients.basic)
    const { body } = yield* server.refresh(clients.basic, first.refreshToken)
    assert.isTrue(yield* server.isAlive(first.grantId))
    const again = yield* server.refresh(clients.basic, first.refreshToken)
    assert.deepInclude(again, { status: 400 })
    assert.strictEqual(again.body.error, "invalid_grant")
    assert.isFalse(yield* server.isAlive(first.grantId))
    assert.deepInclude(server.seen, { reused: 1, refused: ["invalid_grant"], revoked: [first.grantId] })
    const last = yield* server.refresh(clients.basic, body.refresh_token)
    assert.strictEqual(last.body.error, "invalid_grant")
    assert.strictEqual((yield* ask(server.baseUrl, body.access_token)).status, 401)
  })

  live("oidc-provider refuses a wrong secret, and its API a token it does not know", function* () {
    const server = yield* OidcProvider.make()
    for (const client of [clients.basic, clients.post]) {
      const wrong = { ...client, clientSecret: "test-wrong" }
      const { body, status } = yield* server.request(wrong, { grant_type: "client_credentials" })
      assert.deepStrictEqual([status, body.error], [401, "invalid_client"])
      const right = yield* server.request(client, { grant_type: "client_credentials" })
      assert.strictEqual(right.status, 200)
      assert.isUndefined(right.body.refresh_token)
      assert.strictEqual((yield* ask(server.baseUrl, right.body.access_token)).status, 200)
    }
    assert.deepStrictEqual(yield* ask(server.baseUrl, "test-unknown"), {
      status: 401,
      challenge: 'Bearer error="invalid_token"'
    })
    assert.deepStrictEqual(yield* ask(server.baseUrl), { status: 401, challenge: "Bearer" })
    const { accessToken } = yield* server.signIn(clients.open)
    yield* server.forgetAccessTokens
    assert.strictEqual((yield* ask(server.baseUrl, accessToken)).status, 401)
  })

  live("oauth2-mock-server answers JWTs that its API verifies", function* () {
    const server = yield* MockServer.make
    const response = yield* HttpClient.execute(
      HttpClientRequest.post(server.tokenEndpoint).pipe(
        HttpClientRequest.bodyUrlParams({ grant_type: "password", username: "test-user", password: "test-password" })
      )
    )
    // biome-ignore lint/suspicious/noExplicitAny: an answer is inspected field by field
    const body: any = yield* response.json
    assert.strictEqual(Jwt.decode(body.access_token)?.sub, "test-user")
    assert.strictEqual((yield* ask(server.baseUrl, body.access_token)).status, 200)
    assert.strictEqual((yield* ask(server.baseUrl, `${body.access_token}x`)).status, 401)
    assert.strictEqual(server.requests.length, 1)
    assert.strictEqual(server.requests[0]?.fields.username, "test-user")
  })
})
