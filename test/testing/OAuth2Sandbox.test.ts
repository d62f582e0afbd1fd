import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as OAuth2Sandbox from "../../src/testing/OAuth2Sandbox.js"
import { type Answer, user } from "./client.js"
import { basic, basicOf, type Fields, oauth2, secret } from "./oauth2.js"
import { claims } from "./violet.js"

const setup = (options?: OAuth2Sandbox.Options, headers?: Fields) =>
  Effect.map(OAuth2Sandbox.make(options), (sandbox) => ({
    sandbox,
    api: oauth2(sandbox.client, sandbox.baseUrl, headers)
  }))

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/

const refused = ({ body, status }: Answer, expected: number, error: string) => {
  assert.deepStrictEqual({ status, error: body.error }, { status: expected, error })
  assert.isString(body.error_description)
}

const dead = (response: Answer) => refused(response, 400, "invalid_grant")
const malformed = (response: Answer) => refused(response, 400, "invalid_request")

const stranger = (response: Answer) => {
  refused(response, 401, "invalid_client")
  assert.strictEqual(response.headers["www-authenticate"], 'Basic realm="oauth2.test"')
}

const post = { client_id: "test-client", client_secret: secret }

describe("OAuth2Sandbox", () => {
  describe("the token endpoint", () => {
    it.effect("answers the grant password", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { body, headers, status } = yield* api.login
        assert.strictEqual(status, 200)
        assert.strictEqual(headers["cache-control"], "no-store")
        const { access_token, refresh_token, ...rest } = body
        for (const token of [access_token, refresh_token]) assert.match(token, uuid)
        assert.deepStrictEqual(rest, { token_type: "Bearer", expires_in: 3600, scope: "read" })
        assert.strictEqual((yield* api.orders(access_token, "?page=2&size=3")).body.content[0].name, "Order 4")
        assert.deepStrictEqual((yield* api.echo(access_token, { a: 1 })).body, { a: 1 })
        assert.strictEqual((yield* api.refresh(refresh_token)).status, 200)
        assert.deepInclude(yield* sandbox.report, { logins: 1, refreshes: 1, tokenRequests: 2, api: 2, complaints: 0 })
      })
    )

    it.effect("answers the grant client_credentials, with a refresh token where told to", () =>
      Effect.gen(function* () {
        const [without, withOne] = [yield* setup(), yield* setup({ refreshTokens: true })]
        const { body } = yield* without.api.own
        assert.notProperty(body, "refresh_token")
        assert.strictEqual((yield* without.api.orders(body.access_token)).status, 200)
        assert.strictEqual((yield* withOne.api.refresh((yield* withOne.api.own).body.refresh_token)).status, 200)
      })
    )

    it.effect("grants the scope that is asked for, and ignores what it does not know", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const fields = { grant_type: "client_credentials", scope: "a b", audience: "x", resource: "" }
        assert.strictEqual((yield* api.token(fields)).body.scope, "a b")
        assert.strictEqual((yield* api.token({ grant_type: "client_credentials", scope: "" })).body.scope, "read")
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.effect("its JWTs say when they end", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ format: "jwt", lifetime: "1 minute" })
        const { access_token } = (yield* api.login).body
        assert.deepInclude(claims(access_token), { iat: 0, exp: 60 })
      })
    )

    for (const [form, expected] of [
      ["number", { expires_in: 3600 }],
      ["string", { expires_in: "3600" }],
      ["float", { expires_in: 3599.5 }],
      ["null", { expires_in: null }],
      ["zero", { expires_in: 0 }],
      ["missing", {}]
    ] as const) {
      it.effect(`tells the lifetime as ${form}`, () =>
        Effect.gen(function* () {
          const { api } = yield* setup({ expiresIn: form })
          const { access_token, ...rest } = (yield* api.own).body
          assert.deepStrictEqual(rest, { token_type: "Bearer", scope: "read", ...expected })
          assert.strictEqual((yield* api.orders(access_token)).status, 200)
        })
      )
    }

    for (const name of ["refresh_expires_in", "refresh_token_expires_in"] as const) {
      it.effect(`tells the lifetime of a new refresh token as ${name}`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup({
            refreshExpiresIn: name,
            refreshLifetime: "2 hours",
            rotation: "optional"
          })
          assert.strictEqual((yield* api.login).body[name], 7200)
          assert.notProperty((yield* api.own).body, name)
          const refresh = api.refresh(yield* sandbox.mintRefreshToken)
          assert.notProperty((yield* refresh).body, name)
          assert.strictEqual((yield* refresh).body[name], 7200)
        })
      )
    }

    for (const errorStatus of [400, 401, 403, 200] as const) {
      it.effect(`refuses with ${errorStatus}`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup({ errorStatus })
          yield* sandbox.setPassword("test-new")
          refused(yield* api.login, errorStatus, "invalid_grant")
          refused(yield* api.refresh("test-unknown"), errorStatus, "invalid_grant")
          for (const grant_type of ["authorization_code", "constructor"]) {
            refused(yield* api.token({ grant_type }), errorStatus, "unsupported_grant_type")
          }
          stranger(yield* api.token({ grant_type: "password" }, {}))
          assert.deepInclude(yield* sandbox.report, { logins: 4, refreshes: 1, complaints: 0 })
        })
      )
    }

    it.effect("complains of bad manners", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const password = { grant_type: "password", ...user }
        const twice = HttpClientRequest.post(`${sandbox.baseUrl}/token`, { headers: basic }).pipe(
          HttpClientRequest.bodyUrlParams([
            ["grant_type", "client_credentials"],
            ["scope", "a"],
            ["scope", "b"]
          ])
        )
        malformed(yield* api.post("/token", password, basic))
        malformed(yield* api.postMultipart("/token", password, basic))
        malformed(yield* api.run(twice))
        malformed(yield* api.token({ scope: "a" }))
        malformed(yield* api.token({ ...password, username: "" }))
        malformed(yield* api.token({ ...password, password: "" }))
        malformed(yield* api.revoke(""))
        dead(yield* api.token({ grant_type: "refresh_token" }))
        refused(yield* api.get("/token"), 405, "invalid_request")
        assert.strictEqual((yield* sandbox.report).complaints, 9)
        refused(yield* api.get("/nothing"), 404, "not_found")
        assert.strictEqual((yield* sandbox.report).complaints, 9)
      })
    )
  })

  describe("the client", () => {
    const grant = { grant_type: "client_credentials" }

    it.effect("authenticates by Basic, in the encoding of section 2.3.1 alone", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const lower = basicOf("test-client", "test-secret%3awith%20%25%2b/%20chars")
        for (const as of [basic, lower]) assert.strictEqual((yield* api.token(grant, as)).status, 200)
        assert.strictEqual((yield* api.token({ ...grant, client_id: "test-client" }, basic)).status, 200)
        for (const as of [
          {},
          basicOf("test-client", secret),
          basicOf("test-client", encodeURI(secret)),
          basicOf("test-client", "test-wrong"),
          basicOf("test-other", "test-secret%3Awith+%25%2B%2F+chars"),
          basicOf("test-client"),
          basicOf("test-client", "test-secret%3Awith+%25%2B%2F+chars", "more"),
          { authorization: "Basic %%%" },
          { authorization: basic.authorization.replace("Basic", "Bearer") }
        ]) {
          stranger(yield* api.token(grant, as))
        }
        stranger(yield* api.token({ ...grant, ...post }, {}))
        stranger(yield* api.token({ ...grant, client_id: "test-other" }, basic))
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.effect("authenticates in the body", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ authentication: "client_secret_post" }, {})
        assert.strictEqual((yield* api.token({ ...grant, ...post })).status, 200)
        stranger(yield* api.token(grant, basic))
        stranger(yield* api.token({ ...grant, client_id: "test-client" }))
        stranger(yield* api.token({ ...grant, ...post, client_secret: "test-wrong" }))
        stranger(yield* api.token({ ...grant, client_secret: secret }))
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    for (const authentication of ["client_secret_basic", "client_secret_post"] as const) {
      it.effect(`authenticates in one way, where it is ${authentication}`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup({ authentication })
          stranger(yield* api.token({ ...grant, ...post }, basic))
          assert.strictEqual((yield* sandbox.report).complaints, 1)
        })
      )
    }

    it.effect("may be public, and then has no grant of its own", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ authentication: "none", clientId: "test-public" }, {})
        const client = { client_id: "test-public" }
        const { refresh_token } = (yield* api.token({ grant_type: "password", ...user, ...client })).body
        const refresh = { grant_type: "refresh_token", refresh_token, ...client }
        assert.strictEqual((yield* api.token(refresh)).status, 200)
        refused(yield* api.token({ ...grant, ...client }), 400, "unauthorized_client")
        stranger(yield* api.token(grant))
        stranger(yield* api.token({ ...grant, client_id: "test-client" }))
        stranger(yield* api.token({ ...grant, ...client, client_secret: secret }))
        stranger(yield* api.token(grant, basicOf("test-public", "")))
        assert.strictEqual((yield* sandbox.report).complaints, 0)
      })
    )

    it.effect("has the name and the secret that it is given", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ clientId: "test:é", clientSecret: "s" }, basicOf("test%3A%C3%A9", "s"))
        assert.strictEqual((yield* api.own).status, 200)
        stranger(yield* api.token(grant, basic))
      })
    )
  })

  describe("refresh", () => {
    it.effect("a refresh token is of single use, and takes its family with it when it comes again", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const [first, other] = [(yield* api.login).body, (yield* api.login).body]
        const second = (yield* api.refresh(first.refresh_token)).body
        assert.match(second.refresh_token, uuid)
        dead(yield* api.refresh(first.refresh_token))
        dead(yield* api.refresh(second.refresh_token))
        for (const { access_token } of [first, second]) refused(yield* api.orders(access_token), 401, "invalid_token")
        assert.strictEqual((yield* api.orders(other.access_token)).status, 200)
        assert.strictEqual((yield* api.refresh(other.refresh_token)).status, 200)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1, complaints: 0 })
      })
    )

    it.effect("within the reuse window it may come once more", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ reuseWindow: "10 seconds" })
        const refresh = api.refresh(yield* sandbox.mintRefreshToken)
        const tokens = [(yield* refresh).body.refresh_token]
        yield* TestClock.setTime(9999)
        tokens.push((yield* refresh).body.refresh_token)
        for (const token of tokens) assert.strictEqual((yield* api.refresh(token)).status, 200)
        dead(yield* refresh)
        assert.deepInclude(yield* sandbox.report, { reuses: 1, familiesRevoked: 1 })
      })
    )

    it.effect("a missing refresh token means that the old one stays", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ rotation: "none" })
        const refresh = api.refresh(yield* sandbox.mintRefreshToken)
        for (let i = 0; i < 4; i++) assert.notProperty((yield* refresh).body, "refresh_token")
      })
    )

    it.effect("every second one may replace the refresh token, and the old one alone is refused", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ rotation: "optional" })
        const { access_token, refresh_token } = (yield* api.login).body
        assert.notProperty((yield* api.refresh(refresh_token)).body, "refresh_token")
        const next = (yield* api.refresh(refresh_token)).body.refresh_token
        dead(yield* api.refresh(refresh_token))
        assert.strictEqual((yield* api.orders(access_token)).status, 200)
        assert.strictEqual((yield* api.refresh(next)).status, 200)
        assert.deepInclude(yield* sandbox.report, { reuses: 0, familiesRevoked: 0, complaints: 0 })
      })
    )

    it.effect("refuses what is expired, revoked or an access token", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup({ refreshLifetime: "1 minute" })
        const { access_token, refresh_token } = (yield* api.login).body
        dead(yield* api.refresh(access_token))
        assert.strictEqual((yield* sandbox.report).complaints, 1)
        yield* TestClock.setTime(60_000)
        dead(yield* api.refresh(refresh_token))
        const last = (yield* api.login).body
        yield* sandbox.revokeRefreshTokens
        dead(yield* api.refresh(last.refresh_token))
        assert.strictEqual((yield* sandbox.report).complaints, 1)
      })
    )
  })

  describe("revocation", () => {
    it.effect("of a refresh token takes its family with it", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { access_token, refresh_token } = (yield* api.login).body
        const { body, status } = yield* api.revoke(refresh_token, { token_type_hint: "access_token" })
        assert.deepStrictEqual({ body, status }, { body: "", status: 200 })
        refused(yield* api.orders(access_token), 401, "invalid_token")
        dead(yield* api.refresh(refresh_token))
        assert.deepInclude(yield* sandbox.report, {
          revocations: 1,
          tokenRequests: 2,
          familiesRevoked: 1,
          complaints: 0
        })
      })
    )

    it.effect("of an access token concerns it alone", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { access_token, refresh_token } = (yield* api.login).body
        assert.strictEqual((yield* api.revoke(access_token)).status, 200)
        refused(yield* api.orders(access_token), 401, "invalid_token")
        assert.strictEqual((yield* api.refresh(refresh_token)).status, 200)
        assert.strictEqual((yield* sandbox.report).familiesRevoked, 0)
      })
    )

    it.effect("of an unknown token succeeds, by an unknown client it does not", () =>
      Effect.gen(function* () {
        const { api, sandbox } = yield* setup()
        const { access_token } = (yield* api.login).body
        assert.strictEqual((yield* api.revoke("test-unknown")).status, 200)
        stranger(yield* api.revoke(access_token, {}, {}))
        assert.strictEqual((yield* api.orders(access_token)).status, 200)
        assert.deepInclude(yield* sandbox.report, { revocations: 2, complaints: 0 })
      })
    )
  })

  describe("metadata", () => {
    for (const name of ["oauth-authorization-server", "openid-configuration"]) {
      it.effect(`${name} names the origin by which it was asked`, () =>
        Effect.gen(function* () {
          const { api, sandbox } = yield* setup()
          assert.deepInclude((yield* api.wellKnown(name)).body, {
            issuer: "https://oauth2.test",
            token_endpoint: "https://oauth2.test/token",
            revocation_endpoint: "https://oauth2.test/revoke",
            token_endpoint_auth_methods_supported: ["client_secret_basic"],
            grant_types_supported: ["password", "client_credentials", "refresh_token"]
          })
          const elsewhere = oauth2(sandbox.client, "https://other.test:8443")
          assert.strictEqual((yield* elsewhere.wellKnown(name)).body.issuer, "https://other.test:8443")
          assert.deepInclude(yield* sandbox.report, { metadata: 2, tokenRequests: 0, complaints: 0 })
        })
      )
    }

    it.effect("may name another issuer", () =>
      Effect.gen(function* () {
        const { api } = yield* setup({ issuer: "https://issuer.test" })
        const { issuer, token_endpoint } = (yield* api.wellKnown("openid-configuration")).body
        assert.deepStrictEqual([issuer, token_endpoint], ["https://issuer.test", "https://oauth2.test/token"])
      })
    )
  })

  it.effect("the API challenges what is expired, revoked, missing, a refresh token or not enough", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const rejected = (response: Answer, challenge = 'Bearer error="invalid_token"') => {
        refused(response, 401, "invalid_token")
        assert.strictEqual(response.headers["www-authenticate"], challenge)
      }
      const { access_token, refresh_token } = (yield* api.login).body
      yield* TestClock.setTime(3_599_999)
      const forbidden = yield* api.admin(access_token)
      refused(forbidden, 403, "insufficient_scope")
      assert.strictEqual(forbidden.headers["www-authenticate"], 'Bearer error="insufficient_scope"')
      yield* TestClock.setTime(3_600_000)
      rejected(yield* api.orders(access_token))
      rejected(yield* api.admin(access_token))
      const renewed = (yield* api.refresh(refresh_token)).body
      yield* sandbox.revokeAccessTokens
      rejected(yield* api.orders(renewed.access_token))
      assert.deepInclude(yield* sandbox.report, { api: 4, rejections: 3, complaints: 0 })
      rejected(yield* api.orders(renewed.refresh_token))
      rejected(yield* api.get("/orders"), 'Bearer realm="oauth2.test"')
      assert.deepInclude(yield* sandbox.report, { rejections: 5, complaints: 2 })
    })
  )

  it.effect("neither log nor report holds a secret", () =>
    Effect.gen(function* () {
      const { api, sandbox } = yield* setup()
      const { access_token, refresh_token } = (yield* api.login).body
      yield* api.orders(access_token, `?q=${access_token}`)
      yield* api.get(`/${refresh_token}`)
      yield* api.get(`/${encodeURIComponent(secret)}`)
      yield* api.get(`/orders?client_secret=x`)
      const text = JSON.stringify([yield* sandbox.log, yield* sandbox.report])
      for (const hidden of [access_token, refresh_token, user.password, user.username, "test-secret"]) {
        assert.notInclude(text, hidden)
      }
      assert.strictEqual((yield* sandbox.report).complaints, 4)
    })
  )
})
