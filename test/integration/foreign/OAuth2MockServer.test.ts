import { assert, describe } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import Jwt from "jsonwebtoken"
import * as Credentials from "../../../src/provider/Credentials.js"
import { application, herd, type Options, status } from "./application.js"
import { byClock, live } from "./live.js"
import * as MockServer from "./mockServer.js"

const user = Credentials.layer({
  username: Redacted.make("test-user@example.com"),
  password: Redacted.make("test-p&ss=wörd+%")
})

const setup = Effect.fnUntraced(function* (more: Partial<Options> & Pick<Options, "grant">) {
  const server = yield* MockServer.make
  const { api, session } = yield* application(
    {
      authentication: "client_secret_basic",
      baseUrl: server.baseUrl,
      clientId: "test-client",
      clientSecret: Redacted.make("test-s:cr%t+/="),
      tokenEndpoint: server.tokenEndpoint,
      ...more
    },
    more.grant === "password" ? user : undefined
  )
  return { api, server, session }
})

const claims = (token: Redacted.Redacted<string>) => Jwt.decode(Redacted.value(token), { json: true }) ?? {}

describe("OAuth2 against oauth2-mock-server", () => {
  byClock("a password becomes a JWT that its API verifies, and a refresh token keeps it fresh", function* (clock) {
    const { api, server, session } = yield* setup({ grant: "password", scope: ["test:read", "test:write"] })
    const responded: Array<unknown> = []
    server.change(({ body }) => {
      if (body !== "") responded.push(body.refresh_token)
    })
    for (let tokenRequest = 1; tokenRequest <= 4; tokenRequest++) {
      assert.deepStrictEqual(yield* herd(20, api.get("/things")), { 200: 20 })
      assert.strictEqual(server.requests.length, tokenRequest)
      yield* clock.advance("1 hour")
    }
    const [login, ...refreshes] = server.requests
    assert.deepInclude(login?.fields, {
      grant_type: "password",
      username: "test-user@example.com",
      password: "test-p&ss=wörd+%",
      scope: "test:read test:write"
    })
    assert.deepStrictEqual(
      refreshes.map(({ fields }) => [fields.grant_type, fields.refresh_token]),
      responded.slice(0, -1).map((token) => ["refresh_token", token])
    )
    const token = claims(yield* session.accessToken)
    assert.deepInclude(token, { iss: server.issuer })
    assert.strictEqual(server.log.rejected, 0)
  })

  live("a user is told by the claims of the token that the password brought", function* () {
    const { session } = yield* setup({ grant: "password" })
    const token = claims(yield* session.accessToken)
    assert.deepInclude(token, { sub: "test-user@example.com", amr: ["pwd"] })
  })

  byClock("client credentials become a JWT with the scope and the audience asked for", function* (clock) {
    const { api, server, session } = yield* setup({
      grant: "client_credentials",
      scope: ["test:read"],
      parameters: { aud: "https://api.test" }
    })
    for (let tokenRequest = 1; tokenRequest <= 3; tokenRequest++) {
      assert.deepStrictEqual(yield* herd(20, api.get("/things")), { 200: 20 })
      assert.strictEqual(server.requests.length, tokenRequest)
      yield* clock.advance("1 hour")
    }
    assert.deepInclude(claims(yield* session.accessToken), { scope: "test:read", aud: "https://api.test" })
    assert.isTrue(server.requests.every(({ fields }) => fields.grant_type === "client_credentials"))
  })

  live("a client says who it is in the way it was told", function* () {
    // Both parts are form-urlencoded before Base64 (RFC 6749 §2.3.1).
    const basic = `Basic ${Buffer.from("test-client:test-s%3Acr%25t%2B%2F%3D").toString("base64")}`
    const identities = [
      ["client_secret_basic", basic, undefined, undefined],
      ["client_secret_post", undefined, "test-client", "test-s:cr%t+/="]
    ] as const
    for (const [authentication, ...expected] of identities) {
      const { api, server } = yield* setup({ grant: "client_credentials", authentication })
      assert.strictEqual(yield* status(api.get("/things")), 200)
      const [{ authorization, fields } = { authorization: "", fields: {} }] = server.requests
      assert.deepStrictEqual([authorization, fields.client_id, fields.client_secret], expected)
    }
  })

  live("the server is found by its issuer, though it has the OpenID form of discovery only", function* () {
    const server = yield* MockServer.make
    const { api } = yield* application(
      {
        authentication: "none",
        baseUrl: server.baseUrl,
        clientId: "test-client",
        grant: "password",
        issuer: server.issuer
      },
      user
    )
    assert.strictEqual(yield* status(api.get("/things")), 200)
    assert.deepInclude(server.requests[0]?.fields, { client_id: "test-client", grant_type: "password" })
    assert.isUndefined(server.requests[0]?.authorization)
  })

  live("a server that says it is another issuer than the one asked for gets no password", function* () {
    const server = yield* MockServer.make
    const signedIn = application(
      {
        authentication: "none",
        baseUrl: server.baseUrl,
        clientId: "test-client",
        grant: "password",
        // The same server by another name (RFC 8414 §3.3).
        issuer: server.issuer.replace("127.0.0.1", "localhost"),
        patience: 0
      },
      user
    )
    const error = yield* Effect.flip(Effect.flatMap(signedIn, ({ api }) => api.get("/things")))
    assert.strictEqual(error._tag, "Misconfigured")
    assert.strictEqual(server.requests.length, 0)
  })

  const lifetimes: ReadonlyArray<readonly [string, unknown, number]> = [
    ["a string", "60", 60],
    ["a float", 60.5, 60.5],
    ["null, so that the JWT's own counts", null, 3600],
    ["zero, so that the JWT's own counts", 0, 3600],
    ["absent, so that the JWT's own counts", undefined, 3600]
  ]
  for (const [name, expiresIn, seconds] of lifetimes) {
    byClock(`law 4: expires_in is ${name}`, function* (clock) {
      const { api, server } = yield* setup({ grant: "client_credentials" })
      server.change(({ body }) => {
        if (body !== "") body.expires_in = expiresIn
      })
      assert.strictEqual(yield* status(api.get("/things")), 200)
      // Not yet stale, then past its end.
      yield* clock.advance(`${seconds * 0.79} seconds`)
      assert.strictEqual(yield* status(api.get("/things")), 200)
      assert.strictEqual(server.requests.length, 1)
      yield* clock.advance(`${seconds * 0.22} seconds`)
      assert.strictEqual(yield* status(api.get("/things")), 200)
      assert.strictEqual(server.requests.length, 2)
    })
  }

  live("a refusal that comes with the status 200 is a refusal", function* () {
    const { api, server } = yield* setup({ grant: "password" })
    server.change((response) => {
      response.body = { error: "invalid_grant" }
    })
    assert.deepStrictEqual(yield* herd(20, api.get("/things")), { InvalidCredentials: 20 })
    assert.strictEqual(server.requests.length, 1)
  })
})
