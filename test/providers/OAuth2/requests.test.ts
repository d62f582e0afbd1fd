import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import { value } from "../../support/harness.js"
import { about, base64, byPassword, byRefresh, client, make, secret, seed, server, setup, user } from "./harness.js"

describe("OAuth2", () => {
  describe("requests", () => {
    const basic = base64("test-client:test-client-secret")
    const { clientSecret: _, ...publicly } = client
    const login = "grant_type=client_credentials"
    const password = "grant_type=password&username=test-user%40example.com&password=test-password"
    const refresh = "grant_type=refresh_token&refresh_token=test-stored"
    const post = "&client_id=test-client&client_secret=test-client-secret"
    const requests: ReadonlyArray<
      readonly [string, OAuth2.Options, login: string | undefined, refresh: string, authorization: string | undefined]
    > = [
      ["client_credentials", client, login, refresh, basic],
      ["password", byPassword, password, refresh, basic],
      ["refresh_token", byRefresh, undefined, refresh, basic],
      [
        "client_secret_basic",
        { ...client, authentication: "client_secret_basic" },
        login,
        refresh,
        base64("test-client:test-client-secret")
      ],
      [
        "client_secret_post",
        { ...client, authentication: "client_secret_post" },
        login + post,
        refresh + post,
        undefined
      ],
      [
        "a public client",
        { ...publicly, grant: "password" },
        `${password}&client_id=test-client`,
        `${refresh}&client_id=test-client`,
        undefined
      ],
      [
        "none",
        { ...publicly, authentication: "none" },
        `${login}&client_id=test-client`,
        `${refresh}&client_id=test-client`,
        undefined
      ],
      [
        "scopes and client_credentials",
        { ...client, scope: ["read", "write:all"] },
        `${login}&scope=read+write%3Aall`,
        refresh,
        basic
      ],
      [
        "scopes and password",
        { ...byPassword, scope: ["read", "write:all"] },
        `${password}&scope=read+write%3Aall`,
        refresh,
        basic
      ],
      [
        "scopes and refresh_token",
        { ...byRefresh, scope: ["read", "write:all"] },
        undefined,
        `${refresh}&scope=read+write%3Aall`,
        basic
      ],
      [
        "parameters",
        { ...client, parameters: { audience: "https://api.test/ü", resource: "a b" } },
        `audience=https%3A%2F%2Fapi.test%2F%C3%BC&resource=a+b&${login}`,
        `audience=https%3A%2F%2Fapi.test%2F%C3%BC&resource=a+b&${refresh}`,
        basic
      ]
    ]
    for (const [name, options, login, refresh, authorization] of requests) {
      it.effect(`${name}: log in and refresh are exactly as documented`, () =>
        Effect.gen(function* () {
          const as = server()
          const provider = yield* Effect.provideService(OAuth2.make(options), HttpClient.HttpClient, as.client)
          yield* provider.refresh(seed)
          yield* Option.getOrElse(provider.login(Option.some(user)), () => Effect.void)
          const exact = {
            method: "POST",
            url: "https://as.test/token",
            type: "application/x-www-form-urlencoded",
            accept: "application/json",
            authorization
          }
          assert.deepStrictEqual(
            as.sent.map(({ body, headers, method, url }) => ({
              method,
              url,
              type: headers["content-type"],
              accept: headers.accept,
              authorization: headers.authorization,
              body
            })),
            [refresh, ...(login === undefined ? [] : [login])].map((body) => ({ ...exact, body }))
          )
        })
      )
    }

    const pairs: ReadonlyArray<readonly [string, string, string]> = [
      ["a:b", "c:d", "a%3Ab:c%3Ad"],
      ["50%", "a+b c/d=e&f?g", "50%25:a%2Bb+c%2Fd%3De%26f%3Fg"],
      ["zażółć", "pä€𝄞", "za%C5%BC%C3%B3%C5%82%C4%87:p%C3%A4%E2%82%AC%F0%9D%84%9E"],
      ["https://app.test/id", "-_.*~'()!", "https%3A%2F%2Fapp.test%2Fid:-_.*%7E%27%28%29%21"],
      ["test", "%3A", "test:%253A"]
    ]
    for (const [clientId, clientSecret, pair] of pairs) {
      it.effect(`both parts of ${clientId}:${clientSecret} are form-encoded before Base64`, () =>
        Effect.gen(function* () {
          const as = server()
          yield* (yield* make(as, { clientId, clientSecret: secret(clientSecret) })).login
          assert.strictEqual(as.sent[0]?.headers.authorization, base64(pair))
        })
      )
    }

    it.effect("a form holds what it was given, whatever that is", () =>
      Effect.gen(function* () {
        const as = server()
        const odd = "p ä+%&=/:\u{1d11e}"
        const { provider } = yield* make(as, {
          grant: "password",
          authentication: "client_secret_post",
          clientSecret: secret(odd)
        })
        yield* Option.getOrThrow(provider.login(Option.some({ username: secret("u&x=1"), password: secret(odd) })))
        assert.deepStrictEqual(as.sent[0]?.form, {
          grant_type: "password",
          username: "u&x=1",
          password: odd,
          client_id: "test-client",
          client_secret: odd
        })
      })
    )

    it.effect("the query of an endpoint goes with it, and is in no error", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => new Response(null, { status: 500 }) })
        const { login } = yield* make(as, { tokenEndpoint: "https://as.test/token?tenant=test-tenant" })
        const error = yield* Effect.flip(login)
        assert.strictEqual(as.sent[0]?.url, "https://as.test/token?tenant=test-tenant")
        assert.deepInclude(about(error), { _tag: "NetworkFailure", url: "https://as.test/token" })
      })
    )

    it.scoped("the token goes to the API as a bearer token, and to further origins where they are given", () =>
      Effect.gen(function* () {
        const as = server()
        const { api } = yield* setup(as, { ...client, origins: ["https://files.test"] })
        yield* api.get("/orders?x=1")
        yield* api.get("https://files.test/a")
        assert.strictEqual((yield* Effect.flip(api.get("https://as.test/x")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(
          as.sent.slice(1).map(({ headers, url }) => [url, headers.authorization]),
          [
            ["https://api.test/v1/orders?x=1", "Bearer test-access-1"],
            ["https://files.test/a", "Bearer test-access-1"]
          ]
        )
      })
    )

    it.scoped("the password grant without credentials, and the refresh_token grant, cannot log in", () =>
      Effect.gen(function* () {
        for (const [options, credentials] of [
          [byPassword, "none"],
          [byRefresh, user]
        ] as const) {
          const as = server()
          const { session } = yield* setup(as, options, credentials)
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
          assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "Misconfigured", field: "credentials" })
          assert.deepStrictEqual(as.sent, [])
        }
      })
    )

    it.scoped("the client_credentials grant needs no credentials", () =>
      Effect.gen(function* () {
        const { session } = yield* setup(server(), client, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-1")
      })
    )
  })
})
