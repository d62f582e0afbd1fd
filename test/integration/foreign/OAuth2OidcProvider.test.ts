import { HttpClient, HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe } from "@effect/vitest"
import { Array, Clock, Effect, Redacted, Schedule } from "effect"
import { application, herd, named, type Options, seed, status } from "./application.js"
import { byClock, live } from "./live.js"
import * as OidcProvider from "./oidcProvider.js"

const { clients } = OidcProvider

/** The options of an application of this server, which knows its endpoints. */
const options = (server: OidcProvider.OidcProvider, client: OidcProvider.Client, grant: Options["grant"]): Options => ({
  ...named(client),
  baseUrl: server.baseUrl,
  grant,
  rotation: "single-use",
  tokenEndpoint: server.tokenEndpoint,
  revocationEndpoint: server.revocationEndpoint
})

/** An application that starts from the refresh token of a user who signed in. */
const signedIn = Effect.fnUntraced(function* (
  server: OidcProvider.OidcProvider,
  client: OidcProvider.Client,
  more: Partial<Options> = {}
) {
  const { grantId, refreshToken } = yield* server.signIn(client)
  const { api, session } = yield* application({
    ...options(server, client, "refresh_token"),
    seed: seed(refreshToken),
    ...more
  })
  return { api, session, grantId, refreshToken }
})

/** No refresh token was used twice, nothing was refused, and the grant is in force. */
const assertUnharmed = Effect.fnUntraced(function* (server: OidcProvider.OidcProvider, grantId: string) {
  assert.deepInclude(server.seen, { reused: 0, refused: [], revoked: [], defects: [] })
  assert.isTrue(yield* server.isAlive(grantId))
})

describe("OAuth2 against oidc-provider", () => {
  describe("rotation with detection of reuse", () => {
    byClock(
      "law 6: fifty expiries, two hundred callers at each: one token request each, and no reuse",
      function* (clock) {
        const server = yield* OidcProvider.make({ lifetime: "5 minutes" })
        const { api, grantId, session } = yield* signedIn(server, clients.basic)
        // Most callers ask for a token, the others for an answer of the API; the server judges what each was given.
        const tokens = Effect.all(
          Array.makeBy(180, () => session.accessToken),
          { concurrency: "unbounded" }
        )
        for (let tokenRequest = 1; tokenRequest <= 51; tokenRequest++) {
          const [statuses, given] = yield* Effect.zip(herd(20, api.get("/things")), tokens, { concurrent: true })
          assert.deepStrictEqual(statuses, { 200: 20 })
          const [token = "", ...others] = new Set(given.map(Redacted.value))
          assert.deepStrictEqual([given.length, others], [180, []])
          assert.strictEqual(yield* server.check(token), 200)
          assert.strictEqual(server.seen.granted.refresh_token, tokenRequest)
          yield* clock.advance("5 minutes")
          // The end has come for the server, too.
          assert.strictEqual(yield* server.check(token), 401)
        }
        assert.deepInclude(server.log, { accepted: 51 * 20, rejected: 0 })
        assert.strictEqual(server.log.tokens.size, 51)
        yield* assertUnharmed(server, grantId)
      }
    )

    for (const client of [clients.post, clients.open]) {
      byClock(`law 6: expiries of ${client.clientId}`, function* (clock) {
        const server = yield* OidcProvider.make()
        const { api, grantId } = yield* signedIn(server, client)
        for (let tokenRequest = 1; tokenRequest <= 5; tokenRequest++) {
          assert.deepStrictEqual(yield* herd(20, api.get("/things")), { 200: 20 })
          assert.strictEqual(server.seen.granted.refresh_token, tokenRequest)
          yield* clock.advance("5 minutes")
        }
        yield* assertUnharmed(server, grantId)
      })
    }

    byClock("law 2: a stale token is served at once, and renewed once behind fifty callers", function* (clock) {
      const server = yield* OidcProvider.make({ lifetime: "5 minutes" })
      const { api, grantId, session } = yield* signedIn(server, clients.basic)
      for (let round = 1; round <= 3; round++) {
        const token = yield* session.accessToken
        yield* clock.advance("4 minutes")
        assert.strictEqual(yield* session.accessToken, token)
        assert.deepStrictEqual(yield* herd(50, api.get("/things")), { 200: 50 })
        // Joins the token request if that is still under way.
        assert.notStrictEqual(Redacted.value(yield* session.reject(token)), Redacted.value(token))
        assert.strictEqual(server.seen.granted.refresh_token, 1 + round)
      }
      assert.strictEqual(server.log.rejected, 0)
      yield* assertUnharmed(server, grantId)
    })

    byClock(
      "law 10: a token that the server forgot costs two hundred rejected callers one token request",
      function* (clock) {
        const server = yield* OidcProvider.make({ lifetime: "10 minutes" })
        const { api, grantId } = yield* signedIn(server, clients.basic)
        yield* status(api.get("/things"))
        for (let round = 1; round <= 2; round++) {
          yield* clock.advance("1 minute")
          yield* server.forgetAccessTokens
          assert.deepStrictEqual(yield* herd(200, api.get("/things")), { 200: 200 })
          assert.strictEqual(server.seen.granted.refresh_token, 1 + round)
        }
        assert.isAtLeast(server.log.rejected, 2)
        assert.isAtMost(server.log.rejected, 2 * 200)
        yield* assertUnharmed(server, grantId)
      }
    )

    byClock(
      "law 11: a server that forgets every token is asked five times a minute, and the API answers",
      function* (clock) {
        const server = yield* OidcProvider.make({ lifetime: "10 minutes" })
        const { api, grantId } = yield* signedIn(server, clients.basic)
        yield* status(api.get("/things"))
        for (let round = 0; round < 10; round++) {
          yield* server.forgetAccessTokens
          yield* herd(20, api.get("/things"))
        }
        assert.strictEqual(server.seen.granted.refresh_token, 1 + 5)
        assert.strictEqual(yield* status(api.get("/things")), 401)
        yield* clock.advance("1 minute")
        assert.strictEqual(yield* status(api.get("/things")), 200)
        assert.strictEqual(server.seen.granted.refresh_token, 1 + 6)
        yield* assertUnharmed(server, grantId)
      }
    )

    live("law 13: after an answer that was lost the token is presented once more, and then never again", function* () {
      const server = yield* OidcProvider.make()
      const tokenRequests = { lose: 0, sent: 0 }
      const bare = yield* HttpClient.HttpClient
      const losing = HttpClient.transform(bare, (answer, request) =>
        Effect.flatMap(answer, (response) => {
          if (request.url !== server.tokenEndpoint) return Effect.succeed(response)
          tokenRequests.sent++
          return tokenRequests.lose-- > 0
            ? new HttpClientError.RequestError({ request, reason: "Transport" })
            : Effect.succeed(response)
        })
      )
      const { api, grantId } = yield* Effect.provideService(
        signedIn(server, clients.basic),
        HttpClient.HttpClient,
        losing
      )
      Object.assign(tokenRequests, { lose: 1, sent: 0 })
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* herd(20, api.get("/things")), { InvalidRefreshToken: 20 })
      }
      assert.strictEqual(tokenRequests.sent, 2)
      // That once more is what this server takes for theft: who has no other way to sign in has lost the grant either way.
      assert.deepInclude(server.seen, { reused: 1, refused: ["invalid_grant"], revoked: [grantId] })
    })
  })

  describe("the identity of the client", () => {
    for (const client of [clients.basic, clients.post]) {
      byClock(`law 6: ${client.authentication}, through five expiries, without a refresh token`, function* (clock) {
        const server = yield* OidcProvider.make()
        const { api } = yield* application(options(server, client, "client_credentials"))
        for (let tokenRequest = 1; tokenRequest <= 5; tokenRequest++) {
          assert.deepStrictEqual(yield* herd(20, api.get("/things")), { 200: 20 })
          assert.deepInclude(server.seen.granted, { client_credentials: tokenRequest, refresh_token: 0 })
          yield* clock.advance("5 minutes")
        }
        assert.strictEqual(server.log.tokens.size, 5)
        assert.deepInclude(server.seen, { refused: [], defects: [] })
      })

      byClock(
        `law 12: ${client.authentication} with a wrong secret is a misconfiguration, asked about once`,
        function* (clock) {
          const server = yield* OidcProvider.make()
          const { api, session } = yield* application({
            ...options(server, client, "client_credentials"),
            clientSecret: Redacted.make("test-wrong")
          })
          for (let i = 0; i < 3; i++) {
            assert.deepStrictEqual(yield* herd(20, api.get("/things")), { Misconfigured: 20 })
            yield* clock.advance("1 minute")
          }
          const error = yield* Effect.flip(session.accessToken)
          assert.notInclude(`${error} ${JSON.stringify(error)}`, "test-wrong")
          assert.deepStrictEqual(server.seen.refused, ["invalid_client"])
        }
      )
    }

    live("law 12: a wrong secret leaves the refresh token unspent", function* () {
      const server = yield* OidcProvider.make()
      const { api, grantId, refreshToken } = yield* signedIn(server, clients.basic, {
        clientSecret: Redacted.make("test-wrong")
      })
      assert.deepStrictEqual(yield* herd(20, api.get("/things")), { Misconfigured: 20 })
      assert.deepStrictEqual(server.seen.refused, ["invalid_client"])
      assert.isTrue(yield* server.isAlive(grantId))
      assert.strictEqual((yield* server.refresh(clients.basic, refreshToken)).status, 200)
    })

    live("law 12: a scope beyond the grant is a misconfiguration, and leaves the refresh token unspent", function* () {
      const server = yield* OidcProvider.make()
      const { api, grantId, refreshToken } = yield* signedIn(server, clients.basic, {
        scope: ["openid", "test:admin"]
      })
      assert.deepStrictEqual(yield* herd(20, api.get("/things")), { Misconfigured: 20 })
      assert.deepStrictEqual(server.seen.refused, ["invalid_scope"])
      assert.isTrue(yield* server.isAlive(grantId))
      assert.strictEqual((yield* server.refresh(clients.basic, refreshToken)).status, 200)
    })
  })

  describe("the origins of the token", () => {
    live("law 23: the server's own resource is asked where its origin is given, and only there", function* () {
      const server = yield* OidcProvider.make()
      const userinfo = `${server.issuer}/me`
      const { api } = yield* signedIn(server, clients.basic)
      assert.deepStrictEqual(yield* herd(1, api.get(userinfo)), { UntrustedOrigin: 1 })
      const { api: trusting } = yield* signedIn(server, clients.basic, { origins: [server.issuer] })
      assert.deepStrictEqual(yield* herd(1, trusting.get(userinfo)), { 200: 1 })
    })
  })

  describe("the end of a session", () => {
    for (const client of Object.values(clients)) {
      live(`logging out ${client.clientId} revokes its tokens at the server`, function* () {
        const server = yield* OidcProvider.make()
        const { api, grantId, session } = yield* signedIn(server, client)
        assert.strictEqual(yield* status(api.get("/things")), 200)
        const [current = ""] = server.refreshTokens()
        const [accessToken = ""] = server.log.tokens
        yield* session.logout
        assert.isFalse(yield* server.isAlive(grantId))
        const { body, status: responded } = yield* server.refresh(client, current)
        assert.deepStrictEqual([responded, body.error], [400, "invalid_grant"])
        assert.strictEqual(server.seen.reused, 0)
        assert.strictEqual(yield* server.check(accessToken), 401)
        assert.deepStrictEqual(yield* herd(3, api.get("/things")), { SignedOut: 3 })
      })
    }

    live("logging out revokes the access token of a client that has no other", function* () {
      const server = yield* OidcProvider.make()
      const { api, session } = yield* application(options(server, clients.basic, "client_credentials"))
      assert.strictEqual(yield* status(api.get("/things")), 200)
      const [accessToken = ""] = server.log.tokens
      assert.strictEqual(yield* server.check(accessToken), 200)
      yield* session.logout
      assert.strictEqual(yield* server.check(accessToken), 401)
    })

    byClock("law 14: a grant that the server revoked ends the session, and it is asked once", function* (clock) {
      const server = yield* OidcProvider.make()
      const { api, refreshToken } = yield* signedIn(server, clients.basic)
      assert.strictEqual(yield* status(api.get("/things")), 200)
      // Another process presents the old refresh token: the server revokes the whole grant.
      yield* server.refresh(clients.basic, refreshToken)
      assert.strictEqual(server.seen.reused, 1)
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* herd(20, api.get("/things")), { InvalidRefreshToken: 20 })
        yield* clock.advance("1 minute")
      }
      assert.deepStrictEqual(server.seen.refused, ["invalid_grant", "invalid_grant"])
    })
  })

  describe("discovery", () => {
    const wellKnown = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"]

    for (const hidden of [undefined, ...wellKnown]) {
      byClock(hidden === undefined ? "by the issuer alone" : `by the issuer, without ${hidden}`, function* (clock) {
        const server = yield* OidcProvider.make()
        const bare = yield* HttpClient.HttpClient
        const asked: globalThis.Array<string> = []
        const client = HttpClient.mapRequest(bare, (request) => {
          const { origin, pathname } = new URL(request.url)
          if (pathname.startsWith("/.well-known/")) asked.push(pathname)
          return pathname === hidden ? HttpClientRequest.setUrl(request, `${origin}/nothing`) : request
        })
        const discovering = { issuer: server.issuer, tokenEndpoint: undefined, revocationEndpoint: undefined }
        const { api, grantId, session } = yield* Effect.provideService(
          signedIn(server, clients.basic, discovering),
          HttpClient.HttpClient,
          client
        )
        for (let tokenRequest = 1; tokenRequest <= 3; tokenRequest++) {
          assert.deepStrictEqual(yield* herd(20, api.get("/things")), { 200: 20 })
          assert.strictEqual(server.seen.granted.refresh_token, tokenRequest)
          yield* clock.advance("5 minutes")
        }
        // Each form is asked for once at most, and what it told is kept.
        assert.strictEqual(new Set(asked).size, asked.length)
        yield* assertUnharmed(server, grantId)
        yield* session.logout
        assert.isFalse(yield* server.isAlive(grantId))
      })
    }
  })

  // Real time, so the two wait at once.
  describe.concurrent("in real time", () => {
    live("law 6: fifty callers wait for one token request when a token of two seconds has ended", function* () {
      const server = yield* OidcProvider.make({ lifetime: "2 seconds" })
      const { api, grantId } = yield* signedIn(server, clients.basic)
      for (const tokenRequest of [1, 2]) {
        // The server counts in whole seconds: just after one, its tokens live as long as it says.
        const now = yield* Clock.currentTimeMillis
        yield* Effect.sleep(1_005 - (now % 1_000))
        assert.deepStrictEqual(yield* herd(50, api.get("/things")), { 200: 50 })
        assert.strictEqual(server.seen.granted.refresh_token, tokenRequest)
        if (tokenRequest === 1) yield* Effect.sleep("2.1 seconds")
      }
      assert.strictEqual(server.log.rejected, 0)
      yield* assertUnharmed(server, grantId)
    })

    live(
      "law 29: steady traffic over tokens of two seconds, renewed in the background, is always let in",
      function* () {
        const server = yield* OidcProvider.make({ lifetime: "2 seconds" })
        const { api, grantId } = yield* signedIn(server, clients.basic, { renewal: "background" })
        const steady = Effect.gen(function* () {
          assert.deepStrictEqual(yield* herd(10, api.get("/things")), { 200: 10 })
          yield* Effect.sleep("100 millis")
        })
        yield* Effect.repeat(steady, Schedule.upTo(Schedule.forever, "4 seconds"))
        // Each token is renewed once, a little before its end or when the server says that it is over.
        assert.isAtLeast(server.seen.granted.refresh_token ?? 0, 3)
        assert.isAtMost(server.seen.granted.refresh_token ?? 0, 8)
        yield* assertUnharmed(server, grantId)
      }
    )
  })
})
