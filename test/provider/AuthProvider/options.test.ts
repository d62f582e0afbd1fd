import type { HttpClient } from "@effect/platform"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, type Layer, Option, type Redacted, Schema } from "effect"
import * as Auth from "../../../src/Auth.js"
import type * as AuthError from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import type * as Credentials from "../../../src/provider/Credentials.js"
import * as Protocol from "../../../src/provider/Protocol.js"
import type * as Token from "../../../src/token/Token.js"
import { secret } from "../../support/harness.js"
import { type Acme, about, acme, make, never, server } from "./harness.js"

describe("AuthProvider.make", () => {
  describe("options", () => {
    const odd = <A>(value: unknown) => value as A
    const wrong: ReadonlyArray<readonly [string, string, Partial<Acme>]> = [
      ["no name", "name", { name: "" }],
      ["a name of spaces", "name", { name: " " }],
      ["a base URL that is none", "baseUrl", { baseUrl: "api.acme.test" }],
      ["a base URL without encryption", "baseUrl", { baseUrl: "http://api.acme.test" }],
      ["a base URL with a query", "baseUrl", { baseUrl: "https://api.acme.test/?key=test-secret" }],
      ["a base URL with a fragment", "baseUrl", { baseUrl: "https://api.acme.test/#test-secret" }],
      ["a base URL with a password", "baseUrl", { baseUrl: new URL("https://u:test-secret@api.acme.test") }],
      ["an origin that is none", "origins", { origins: ["https://files.acme.test", "files"] }],
      ["an origin without encryption", "origins", { origins: ["http://files.acme.test"] }],
      ["a header with a bad name", "headers", { headers: { "x api": "1" } }],
      ["a header without a name", "headers", { headers: { "": "1" } }],
      ["a header without a value", "headers.x-api", { headers: { "x-api": "" } }],
      ["a header with a line break", "headers.x-api", { headers: { "x-api": "1\r\nx-evil: test-secret" } }],
      ["a secret header with a line break", "headers.x-api", { headers: { "x-api": secret("test-secret\n") } }],
      ["a secret header that is empty", "headers.x-api", { headers: { "x-api": secret("") } }],
      ["a token header with a bad name", "token.header", { token: { header: "x token" } }],
      ["a token header without a name", "token.header", { token: { header: "" } }],
      ["a scheme of two words", "token.scheme", { token: { header: "authorization", scheme: "Bearer x" } }],
      ["an empty scheme", "token.scheme", { token: { header: "authorization", scheme: "" } }],
      ["an unknown rotation", "rotation", { rotation: odd("sometimes") }],
      ["a lifetime of zero", "lifetime", { lifetime: 0 }],
      ["a negative lifetime", "lifetime", { lifetime: -1 }],
      ["a lifetime that is none", "lifetime", { lifetime: odd("soon") }],
      ["a negative reuse window", "reuseWindow", { reuseWindow: -1 }],
      ["a reuse window that is none", "reuseWindow", { reuseWindow: odd("soon") }],
      ["no bytes", "maxBytes", { maxBytes: 0 }],
      ["half a byte", "maxBytes", { maxBytes: 0.5 }],
      ["NaN bytes", "maxBytes", { maxBytes: Number.NaN }]
    ]
    for (const [name, field, more] of wrong) {
      it.effect(`${name} is Misconfigured, which names ${field} and shows no value`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(make(server(never).client, more))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(JSON.stringify(error) + error.message, /test-secret/)
        })
      )
    }

    for (const [name, within] of [
      ["no time", 0],
      ["a negative time", "-1 minute"],
      ["a time that is none", "soon"]
    ] as const) {
      it.effect(`${name} for the second step is Misconfigured, which names verification.within`, () =>
        Effect.gen(function* () {
          const verification = {
            asked: Schema.Struct({ challenge: Schema.String }),
            respond: never,
            within: odd<0>(within)
          }
          const error = yield* Effect.flip(make(server(never).client, { verification }))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: "verification.within" })
        })
      )
    }
  })

  describe("types", () => {
    // What is checked here, tsc checks: nothing of it does anything.
    const described = () =>
      AuthProvider.make({
        name: "acme",
        baseUrl: "https://api.acme.test",
        response: Schema.Struct({ token: Schema.String, seconds: Schema.NumberFromString }),
        tokens: (answer) => {
          expectTypeOf(answer).toEqualTypeOf<{ readonly token: string; readonly seconds: number }>()
          return { accessToken: answer.token, expiresIn: answer.seconds }
        },
        errorResponse: Schema.Struct({ code: Schema.Literal(1, 2) }),
        errorMeaning: (failure, status) => {
          expectTypeOf(failure).toEqualTypeOf<{ readonly code: 1 | 2 }>()
          expectTypeOf(status).toBeNumber()
          return failure.code === 1 ? "invalid" : undefined
        },
        verification: {
          asked: Schema.Struct({ key: Schema.DateFromString }),
          respond: (asked) => {
            expectTypeOf(asked).toEqualTypeOf<{ readonly key: Date }>()
            return Effect.succeed(Protocol.json("verify", {}))
          },
          within: "1 minute"
        },
        login: (credentials) => {
          expectTypeOf(credentials).toEqualTypeOf<Option.Option<Credentials.UserPassword>>()
          return Option.none()
        },
        refresh: (token, tokens) => {
          expectTypeOf(token).toEqualTypeOf<Redacted.Redacted<string>>()
          expectTypeOf(tokens).toEqualTypeOf<Token.TokenSet>()
          return Protocol.form("refresh", { token })
        }
      })

    it("a description infers what its Schemas say, and needs an HttpClient alone", () => {
      expectTypeOf(described).returns.toEqualTypeOf<
        Effect.Effect<AuthProvider.Service, AuthError.Misconfigured, HttpClient.HttpClient>
      >()
      expectTypeOf(() => Auth.layer(described())).returns.toEqualTypeOf<
        Layer.Layer<Auth.Services, AuthError.Misconfigured, Credentials.Credentials | HttpClient.HttpClient>
      >()
    })

    it("a description that contradicts its Schemas does not compile", () => {
      const { tokens, errorMeaning, ...rest } = acme
      class Service extends Context.Tag("effect-auth/test/provider/AuthProvider/options.test/Service")<
        Service,
        string
      >() {}
      const needy = Schema.transformOrFail(Schema.String, Schema.String, {
        decode: (text) => Effect.as(Service, text),
        encode: (text) => Effect.succeed(text)
      })
      const wrong = () => [
        // @ts-expect-error there is no such field in the answer
        AuthProvider.make({ ...rest, errorMeaning, tokens: (response) => ({ accessToken: response.tokem }) }),
        // @ts-expect-error there is no such field in the failure
        AuthProvider.make({ ...rest, tokens, errorMeaning: (failure) => (failure.code === 1 ? "invalid" : undefined) }),
        // @ts-expect-error there is no such errorMeaning
        AuthProvider.make({ ...rest, tokens, errorMeaning: () => "forbidden" }),
        // @ts-expect-error there is no such rotation
        AuthProvider.make({ ...rest, tokens, errorMeaning, rotation: "sometimes" }),
        // @ts-expect-error tokens cannot be found in no answer
        AuthProvider.make({ ...rest, errorMeaning }),
        // @ts-expect-error a Schema has no one to give it a service
        AuthProvider.make({ ...rest, errorMeaning, response: Schema.Struct({ access: needy }), tokens: () => ({}) }),
        // @ts-expect-error a field of a body is text, a number, or redacted
        Protocol.json("auth/login", { remember: true })
      ]
      expectTypeOf(wrong).toBeFunction()
    })
  })
})
