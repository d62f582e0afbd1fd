import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Session from "../../../src/session/Session.js"
import { manually } from "../../support/ManualClock.js"
import { about, type Server, server } from "./harness.js"

describe("TeleTracker", () => {
  describe("options", () => {
    const wrong: ReadonlyArray<readonly [string, TeleTracker.Options, string]> = [
      ["account 0", { accountId: 0 }, "accountId"],
      ["a negative account", { accountId: -1 }, "accountId"],
      ["half an account", { accountId: 1.5 }, "accountId"],
      ["NaN", { accountId: Number.NaN }, "accountId"],
      ["an account beyond all integers", { accountId: 2 ** 53 }, "accountId"],
      ["plain http", { baseUrl: "http://api.teletracker.net" }, "baseUrl"],
      ["no URL", { baseUrl: "" }, "baseUrl"],
      ["a negative reuse window", { reuseWindow: -1 }, "reuseWindow"]
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name`, () =>
        Effect.gen(function* () {
          const { client } = server()
          const error = yield* Effect.flip(
            Effect.provideService(TeleTracker.make(options), HttpClient.HttpClient, client)
          )
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
        })
      )
    }

    const build = (
      tele: Server,
      values: Record<string, string>,
      options: Auth.Options & Pick<TeleTracker.Options, "reuseWindow"> = {}
    ) =>
      TeleTracker.layerConfig({ renewal: "on-use", shutdownDeadline: 0, patience: 0, ...options }).pipe(
        Layer.provide([TeleTracker.layerCredentialsConfig(), Layer.succeed(HttpClient.HttpClient, tele.client)]),
        Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))),
        Layer.build
      )
    const needed = { TELETRACKER_USERNAME: "test-name", TELETRACKER_PASSWORD: "test-pass" }

    it.scoped("layerConfig reads the environment", () =>
      manually(function* () {
        for (const [more, host, account] of [
          [{}, "api.teletracker.net", {}],
          [
            { TELETRACKER_ACCOUNT_ID: " 42 ", TELETRACKER_BASE_URL: "https://tele.test" },
            "tele.test",
            { account_id: 42 }
          ]
        ] as const) {
          const tele = server()
          const context = yield* build(tele, { ...needed, ...more })
          yield* Context.get(context, Session.Session).accessToken
          assert.strictEqual(new URL(tele.sent[0]?.url ?? "").host, host)
          assert.deepStrictEqual(tele.sent[0]?.body, { username: "test-name", password: "test-pass", ...account })
        }
      })
    )

    for (const [name, text] of [
      ["TELETRACKER_ACCOUNT_ID", "x"],
      ["TELETRACKER_ACCOUNT_ID", ""],
      ["TELETRACKER_ACCOUNT_ID", "0"],
      ["TELETRACKER_ACCOUNT_ID", "-1"],
      ["TELETRACKER_ACCOUNT_ID", "1.5"],
      ["TELETRACKER_ACCOUNT_ID", "0x10"],
      ["TELETRACKER_ACCOUNT_ID", "1e3"],
      ["TELETRACKER_ACCOUNT_ID", "99999999999999999999"],
      ["TELETRACKER_BASE_URL", "x"],
      ["TELETRACKER_BASE_URL", ""],
      ["TELETRACKER_BASE_URL", "http://tele.test"],
      ["TELETRACKER_USERNAME", ""],
      ["TELETRACKER_PASSWORD", ""],
      ["TELETRACKER_USERNAME", undefined],
      ["TELETRACKER_PASSWORD", undefined]
    ] as const) {
      it.scoped(`${name} ${text === undefined ? "not set" : `of "${text}"`} is Misconfigured, by that name`, () =>
        Effect.gen(function* () {
          const tele = server()
          const values = Object.entries({ ...needed, [name]: text }).flatMap(([key, text]) =>
            text === undefined ? [] : [[key, text] as const]
          )
          const error = yield* Effect.flip(build(tele, Object.fromEntries(values)))
          assert.deepInclude(about(error), { _tag: "Misconfigured", field: name })
          assert.deepStrictEqual(tele.sent, [])
        })
      )
    }

    it.scoped("layerConfig takes a reuse window, and names it when it is none", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(build(server(), needed, { reuseWindow: -1 }))
        assert.deepInclude(about(error), { _tag: "Misconfigured", field: "reuseWindow" })
      })
    )
  })
})
