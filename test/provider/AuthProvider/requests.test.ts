import { HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, Schema } from "effect"
import type * as AuthError from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import * as Protocol from "../../../src/provider/Protocol.js"
import * as Token from "../../../src/token/Token.js"
import { secret, user } from "../../support/harness.js"
import { type Acme, about, acme, granted, make, never, paused, server, setup } from "./harness.js"

describe("AuthProvider.make", () => {
  describe("requests", () => {
    it.effect("each token request sends what the description says, asks for JSON, and carries no access token", () =>
      Effect.gen(function* () {
        const { login, refresh, revoke, sent } = yield* setup(granted)
        yield* login
        yield* refresh
        yield* revoke
        assert.deepStrictEqual(
          sent.map(({ body, headers, method, url }) => [method, url, headers["content-type"], body]),
          [
            [
              "POST",
              "https://api.acme.test/v2/auth/login",
              "application/json",
              '{"username":"test-user","password":"test-password"}'
            ],
            [
              "POST",
              "https://api.acme.test/v2/auth/refresh",
              "application/x-www-form-urlencoded",
              "refresh_token=test-refresh"
            ],
            ["POST", "https://api.acme.test/v2/auth/revoke", "application/json", '{"token":"test-access"}']
          ]
        )
        for (const { headers } of sent) {
          assert.strictEqual(headers.accept, "application/json")
          assert.isUndefined(headers.authorization)
        }
      })
    )

    const urls: ReadonlyArray<readonly [string, string]> = [
      ["auth/token", "https://api.acme.test/v2/auth/token"],
      ["/auth/token", "https://api.acme.test/v2/auth/token"],
      ["/auth:token", "https://api.acme.test/v2/auth:token"],
      ["auth/token?tenant=1", "https://api.acme.test/v2/auth/token?tenant=1"],
      ["../v3/token", "https://api.acme.test/v3/token"],
      ["https://login.acme.test/token", "https://login.acme.test/token"],
      ["http://127.0.0.1:8080/token", "http://127.0.0.1:8080/token"],
      ["http://[::1]/token", "http://[::1]/token"],
      ["http://localhost/token", "http://localhost/token"]
    ]
    for (const [url, href] of urls) {
      it.effect(`a token request with ${url} goes to ${href}`, () =>
        Effect.gen(function* () {
          for (const baseUrl of ["https://api.acme.test/v2", new URL("https://api.acme.test/v2/")]) {
            const to = Protocol.json(url, {})
            const { login, refresh, revoke, sent } = yield* setup(granted, {
              baseUrl,
              login: () => Option.some(to),
              refresh: () => to,
              revoke: () => Option.some(to)
            })
            yield* login
            yield* refresh
            yield* revoke
            assert.deepStrictEqual(
              sent.map(({ url }) => url),
              [href, href, href]
            )
          }
        })
      )
    }

    for (const url of [
      "http://api.acme.test/v2/token",
      "http://127.0.0.1.evil.test/token",
      "http://localhost.evil.test/token",
      "ftp://api.acme.test/token",
      "data:text/plain,token",
      "auth:token",
      "https://",
      "http://[",
      "https://api acme.test/token"
    ]) {
      it.effect(`a token request with ${url} is Misconfigured, and nothing is sent`, () =>
        Effect.gen(function* () {
          const to = Protocol.json(url, {})
          const { login, refresh, revoke, sent } = yield* setup(granted, {
            login: () => Option.some(to),
            refresh: () => to,
            revoke: () => Option.some(to)
          })
          const tokenRequests: ReadonlyArray<Effect.Effect<unknown, AuthError.AuthError>> = [login, refresh, revoke]
          for (const tokenRequest of tokenRequests) {
            assert.deepInclude(about(yield* Effect.flip(tokenRequest)), { _tag: "Misconfigured", field: "acme" })
          }
          assert.deepStrictEqual(sent, [])
        })
      )
    }

    it.effect("law 27: a token request to an address with a password in it is Misconfigured, and nothing is sent", () =>
      Effect.gen(function* () {
        const { refresh, sent } = yield* setup(() => new Response(null, { status: 500 }), {
          refresh: () => Protocol.json("https://acme:test-secret@login.acme.test/token", {})
        })
        const error = yield* Effect.flip(refresh)
        assert.notMatch(JSON.stringify(error), /test-secret/)
        assert.strictEqual(error._tag, "Misconfigured")
        assert.deepStrictEqual(sent, [])
      })
    )

    it.effect("a second step elsewhere without encryption is Misconfigured, and nothing more is sent", () =>
      Effect.gen(function* () {
        const { login, sent } = yield* setup(() => Response.json({ challenge: "test-challenge" }), {
          verification: {
            asked: Schema.Struct({ challenge: Schema.String }),
            respond: () => Effect.succeed(Protocol.json("http://api.acme.test/verify", { code: "4711" })),
            within: "1 minute"
          }
        })
        assert.strictEqual((yield* Effect.flip(login))._tag, "Misconfigured")
        assert.strictEqual(sent.length, 1)
      })
    )

    it.effect("headers go with every token request and every request, in place of others of their name", () =>
      Effect.gen(function* () {
        const { login, provider, refresh, revoke, sent } = yield* setup(granted, {
          headers: { "X-Client": "acme-app/1.0", "X-Api-Key": secret("test-api-key") },
          refresh: () => HttpClientRequest.get("auth/refresh", { headers: { "x-client": "another" } })
        })
        yield* login
        yield* refresh
        yield* revoke
        const request = provider.authorize(
          HttpClientRequest.get("/orders", { headers: { "x-api-key": "test-another" } }),
          secret("test-access")
        )
        for (const { headers } of [...sent, request]) {
          assert.deepInclude(headers, { "x-client": "acme-app/1.0", "x-api-key": "test-api-key" })
        }
      })
    )

    const placements: ReadonlyArray<readonly [Acme["token"], string, string]> = [
      [undefined, "authorization", "Bearer test-access"],
      [{ header: "Authorization", scheme: "Token" }, "authorization", "Token test-access"],
      [{ header: "X-Acme-Token" }, "x-acme-token", "test-access"],
      [{ header: "X-Acme-Token", scheme: "DPoP" }, "x-acme-token", "DPoP test-access"]
    ]
    for (const [token, header, placed] of placements) {
      it.effect(`the token stands as "${header}: ${placed}", in place of one that the caller put there`, () =>
        Effect.gen(function* () {
          const provider = yield* make(server(never).client, { token })
          const request = HttpClientRequest.get("/orders", { headers: { [header]: "test-another", "x-own": "kept" } })
          const { headers } = provider.authorize(request, secret("test-access"))
          assert.deepStrictEqual({ ...headers }, { [header]: placed, "x-own": "kept" })
          assert.deepStrictEqual(
            provider.redactedHeaders.map((name) => name.toLowerCase()),
            [header]
          )
        })
      )
    }

    it.effect("what cannot be asked for is not: no login, nothing to refresh with, nothing to revoke", () =>
      Effect.gen(function* () {
        const { client, sent } = server(granted)
        const { login, refresh, revoke, ...rest } = acme
        assert.isDefined(login)
        assert.isDefined(refresh)
        assert.isDefined(revoke)
        const least = yield* Effect.provideService(AuthProvider.make(rest), HttpClient.HttpClient, client)
        assert.isTrue(Option.isNone(least.login(Option.some(user))))
        assert.isTrue(Option.isNone(least.revoke))
        assert.strictEqual((yield* Effect.flip(least.refresh(paused)))._tag, "InvalidRefreshToken")

        const whole = yield* make(client)
        assert.isTrue(Option.isNone(whole.login(Option.none())))
        const without = Token.make({ accessToken: secret("test-access") })
        assert.deepInclude(about(yield* Effect.flip(whole.refresh(without))), {
          _tag: "InvalidRefreshToken",
          reason: "invalid"
        })
        yield* Option.getOrThrow(whole.revoke)(Token.make({ refreshToken: secret("test-refresh") }))
        assert.deepStrictEqual(sent, [])
      })
    )

    it.effect("a login without credentials is one where the description can do without", () =>
      Effect.gen(function* () {
        const { client, sent } = server(granted)
        const provider = yield* make(client, { login: () => Option.some(Protocol.json("auth/anonymous", {})) })
        yield* Option.getOrThrow(provider.login(Option.none()))
        assert.deepStrictEqual(
          sent.map(({ body, url }) => [url, body]),
          [["https://api.acme.test/v2/auth/anonymous", "{}"]]
        )
      })
    )

    it.effect("a provider is what its description says, and single-use where that is silent", () =>
      Effect.gen(function* () {
        const { client } = server(never)
        const least = yield* make(client)
        assert.deepInclude(least, { name: "acme", rotation: "single-use", reuseWindow: undefined })
        assert.strictEqual(least.baseUrl.href, "https://api.acme.test/v2/")
        assert.deepStrictEqual(least.origins, ["https://api.acme.test"])
        assert.isUndefined(least.extraLoginTime)
        const most = yield* make(client, {
          rotation: "optional",
          reuseWindow: "30 seconds",
          origins: ["https://files.acme.test/a/b", new URL("http://localhost:1")]
        })
        assert.strictEqual(most.rotation, "optional")
        assert.strictEqual(most.reuseWindow && Duration.toSeconds(most.reuseWindow), 30)
        assert.deepStrictEqual(most.origins, ["https://api.acme.test", "https://files.acme.test", "http://localhost:1"])
      })
    )
  })
})
