import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Option } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as Session from "../../../src/session/Session.js"
import { about, base64, client, discovering, endpointless, make, type Server, server } from "./harness.js"

describe("OAuth2", () => {
  describe("make", () => {
    const { clientSecret: _, ...publicly } = client
    const loosely = (options: object) => ({ ...client, ...options }) as OAuth2.Options
    const wrong: ReadonlyArray<readonly [string, OAuth2.Options, string]> = [
      ["no client id", loosely({ clientId: "" }), "clientId"],
      ["no base URL", loosely({ baseUrl: "" }), "baseUrl"],
      ["a base URL of plain http", loosely({ baseUrl: "http://api.test" }), "baseUrl"],
      ["an origin of plain http", loosely({ origins: ["https://a.test", "http://b.test"] }), "origins"],
      ["another grant", loosely({ grant: "authorization_code" }), "grant"],
      ["another authentication", loosely({ authentication: "private_key_jwt" }), "authentication"],
      ["a secret and no authentication", loosely({ authentication: "none" }), "clientSecret"],
      ["basic without a secret", { ...publicly, authentication: "client_secret_basic" }, "clientSecret"],
      ["post without a secret", { ...publicly, authentication: "client_secret_post" }, "clientSecret"],
      ["neither endpoint nor issuer", endpointless, "tokenEndpoint, issuer"],
      ["both", loosely({ issuer: "https://as.test" }), "tokenEndpoint, issuer"],
      ["a token endpoint of plain http", loosely({ tokenEndpoint: "http://as.test/token" }), "tokenEndpoint"],
      ["a token endpoint that is no URL", loosely({ tokenEndpoint: "/token" }), "tokenEndpoint"],
      ["an empty token endpoint", loosely({ tokenEndpoint: "" }), "tokenEndpoint"],
      [
        "a token endpoint with a password",
        loosely({ tokenEndpoint: "https://x:test-secret@as.test" }),
        "tokenEndpoint"
      ],
      ["a token endpoint with a fragment", loosely({ tokenEndpoint: "https://as.test/token#x" }), "tokenEndpoint"],
      ["a revocation endpoint of plain http", loosely({ revocationEndpoint: "http://as.test" }), "revocationEndpoint"],
      ["an issuer of plain http", { ...discovering, issuer: "http://as.test" }, "issuer"],
      ["an issuer that is no URL", { ...discovering, issuer: "as.test" }, "issuer"],
      [
        "a revocation endpoint that is wrong beside an issuer",
        { ...discovering, revocationEndpoint: "x" },
        "revocationEndpoint"
      ],
      ["a scope with a space", loosely({ scope: ["read", "a b"] }), "scope"],
      ["an empty scope", loosely({ scope: [""] }), "scope"],
      ["a scope with a quote", loosely({ scope: ['"'] }), "scope"],
      ["another rotation", loosely({ rotation: "sometimes" }), "rotation"],
      ["no lifetime", loosely({ lifetime: 0 }), "lifetime"],
      ["a negative lifetime", loosely({ lifetime: -1 }), "lifetime"],
      ["a negative reuse window", loosely({ reuseWindow: "-1 seconds" }), "reuseWindow"],
      ...["grant_type", "username", "password", "refresh_token", "scope", "client_id", "client_secret"].map(
        (name) =>
          [`the parameter ${name}`, loosely({ parameters: { [name]: "test-secret" } }), `parameters.${name}`] as const
      )
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name and without its value`, () =>
        Effect.gen(function* () {
          const as = server()
          const make = Effect.provideService(OAuth2.make(options), HttpClient.HttpClient, as.client)
          const error = yield* Effect.flip(make)
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(JSON.stringify(error) + String(error), /test-(client-)?secret/)
          assert.deepStrictEqual(as.sent, [])
        })
      )
    }

    it.effect("what is not said has safe defaults", () =>
      Effect.gen(function* () {
        const { provider } = yield* make(server())
        const { name, origins, rotation } = provider
        assert.deepStrictEqual(
          { name, origins, rotation },
          { name: "oauth2", origins: ["https://api.test"], rotation: "single-use" }
        )
        assert.isTrue(Option.isNone(provider.revoke))
      })
    )

    it.effect("the name is the one in errors", () =>
      Effect.gen(function* () {
        const as = server({ "/token": () => Response.json({ error: "invalid_grant" }, { status: 400 }) })
        const { login, provider } = yield* make(as, { name: "keycloak" })
        assert.strictEqual(provider.name, "keycloak")
        assert.deepInclude(about(yield* Effect.flip(login)), { provider: "keycloak" })
      })
    )

    it.scoped("layerConfig reads the environment, and names the variable that is wrong", () =>
      Effect.gen(function* () {
        const build = (as: Server, values: Record<string, string | undefined>) =>
          OAuth2.layerConfig({ grant: "client_credentials", renewal: "on-use" }).pipe(
            Layer.provide([Credentials.layerNone, Layer.succeed(HttpClient.HttpClient, as.client)]),
            Layer.provide(
              Layer.setConfigProvider(
                ConfigProvider.fromMap(
                  new Map(
                    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
                  )
                )
              )
            ),
            Layer.build
          )
        const values = {
          OAUTH2_CLIENT_ID: "test-id",
          OAUTH2_CLIENT_SECRET: "test-secret",
          OAUTH2_BASE_URL: "https://api.test",
          OAUTH2_TOKEN_ENDPOINT: "https://as.test/token",
          OAUTH2_REVOCATION_ENDPOINT: "https://as.test/revoke"
        }
        const use = (values: Record<string, string | undefined>) =>
          Effect.gen(function* () {
            const as = server({
              "/.well-known/oauth-authorization-server": () =>
                Response.json({ issuer: "https://as.test", token_endpoint: "https://as.test/token" })
            })
            const context = yield* build(as, values)
            yield* Context.get(context, AuthHttpClient.AuthHttpClient).get("/x")
            yield* Context.get(context, Session.Session).logout
            return as.sent.map(({ headers, url }) => [url, headers.authorization])
          })
        const basic = base64("test-id:test-secret")
        assert.deepStrictEqual(yield* use(values), [
          ["https://as.test/token", basic],
          ["https://api.test/x", "Bearer test-access-1"],
          ["https://as.test/revoke", basic]
        ])
        assert.deepStrictEqual(
          yield* use({ ...values, OAUTH2_TOKEN_ENDPOINT: undefined, OAUTH2_ISSUER: "https://as.test" }),
          [
            ["https://as.test/.well-known/oauth-authorization-server", undefined],
            ["https://as.test/token", basic],
            ["https://api.test/x", "Bearer test-access-1"],
            ["https://as.test/revoke", basic]
          ]
        )
        assert.deepStrictEqual(
          yield* use({ ...values, OAUTH2_CLIENT_SECRET: undefined, OAUTH2_REVOCATION_ENDPOINT: undefined }),
          [
            ["https://as.test/token", undefined],
            ["https://api.test/x", "Bearer test-access-1"]
          ]
        )
        for (const [name, value] of [
          ["OAUTH2_CLIENT_ID", undefined],
          ["OAUTH2_CLIENT_ID", ""],
          ["OAUTH2_BASE_URL", undefined],
          ["OAUTH2_BASE_URL", "x"],
          ["OAUTH2_TOKEN_ENDPOINT", "http://as.test"],
          ["OAUTH2_REVOCATION_ENDPOINT", "x"]
        ] as const) {
          const error = yield* Effect.flip(build(server(), { ...values, [name]: value }))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: name })
        }
        const issuer = yield* Effect.flip(
          build(server(), { ...values, OAUTH2_TOKEN_ENDPOINT: undefined, OAUTH2_ISSUER: "x" })
        )
        assert.deepInclude(about(issuer), { _tag: "Misconfigured", field: "OAUTH2_ISSUER" })
        const both = yield* Effect.flip(build(server(), { ...values, OAUTH2_ISSUER: "https://as.test" }))
        assert.deepInclude(about(both), { _tag: "Misconfigured" })
      })
    )
  })
})
