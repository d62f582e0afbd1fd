import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, type Duration, Effect, Layer } from "effect"
import * as Freddy from "../../../src/providers/Freddy.js"
import * as Session from "../../../src/session/Session.js"
import { about, code, server, setup } from "./harness.js"

describe("Freddy", () => {
  describe("make", () => {
    const wrong: ReadonlyArray<readonly [string, Freddy.Options, string]> = [
      ["a code and development", { code, development: true }, "code"],
      ["no time for a code", { code, codeTimeout: 0 }, "codeTimeout"],
      ["a negative time for a code", { code, codeTimeout: "-1 minutes" as Duration.DurationInput }, "codeTimeout"],
      ["NaN for a code", { code, codeTimeout: Number.NaN }, "codeTimeout"],
      ["plain http", { code, baseUrl: "http://api.aitronos.com" }, "baseUrl"],
      ["no address", { code, baseUrl: "api.aitronos.com" }, "baseUrl"],
      ["an address with a password", { code, baseUrl: "https://x:test-secret@api.aitronos.com" }, "baseUrl"]
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name and without its value`, () =>
        Effect.gen(function* () {
          const freddy = server()
          const make = Effect.provideService(Freddy.make(options), HttpClient.HttpClient, freddy.client)
          const error = yield* Effect.flip(make)
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(String(error), /test-secret/)
        })
      )
    }

    it.scoped("without a way to log in, a session without tokens is signed out and sends nothing", () =>
      Effect.gen(function* () {
        const freddy = server()
        const { session } = yield* setup(freddy, { development: false })
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
        assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "Misconfigured", field: "credentials" })
        assert.deepStrictEqual(freddy.sent, [])
      })
    )

    it.scoped("layerConfig reads the environment, and names the variable that is wrong", () =>
      Effect.gen(function* () {
        const freddy = server()
        const build = (values: Record<string, string>) =>
          Freddy.layerConfig({ code, renewal: "on-use" }).pipe(
            Layer.provide([Freddy.layerCredentialsConfig(), Layer.succeed(HttpClient.HttpClient, freddy.client)]),
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))),
            Layer.build
          )
        const values = { FREDDY_USERNAME: "test-name", FREDDY_PASSWORD: "test-pass" }
        for (const [more, host] of [
          [{}, "api.aitronos.com"],
          [{ FREDDY_BASE_URL: "https://freddy.test" }, "freddy.test"]
        ] as const) {
          const context = yield* build({ ...values, ...more })
          yield* Context.get(context, Session.Session).accessToken
          assert.strictEqual(new URL(freddy.sent.at(-1)?.url ?? "").host, host)
          assert.deepStrictEqual(freddy.sent.at(-2)?.body, { email_or_username: "test-name", password: "test-pass" })
        }
        const error = yield* Effect.flip(build({ ...values, FREDDY_BASE_URL: "x" }))
        assert.deepInclude(about(error), { _tag: "Misconfigured", field: "FREDDY_BASE_URL" })
        for (const name of Object.keys(values)) {
          const rest = Object.fromEntries(Object.entries(values).filter(([key]) => key !== name))
          assert.deepInclude(about(yield* Effect.flip(build(rest))), { _tag: "Misconfigured", field: name })
        }
      })
    )
  })
})
