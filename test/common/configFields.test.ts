import { inspect } from "node:util"
import { describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import * as Violet from "../../src/providers/Violet.js"
import { configured, refuses, variables } from "../support/layerOptions.js"

describe("variables of the environment", () => {
  for (const appId of [
    undefined,
    "",
    " ",
    "-5",
    "1.5",
    "1e3",
    "0",
    "0x10",
    "12a",
    "99999999999999999999",
    "Infinity"
  ]) {
    it.effect(`VIOLET_APP_ID ${inspect(appId)}`, () => refuses(configured({ VIOLET_APP_ID: appId }), "VIOLET_APP_ID"))
  }
  for (const appSecret of [undefined, "", "two words", "cut-in\n-two"]) {
    it.effect(`VIOLET_APP_SECRET ${inspect(appSecret)}`, () =>
      refuses(configured({ VIOLET_APP_SECRET: appSecret }), "VIOLET_APP_SECRET", "two words", "cut-in")
    )
  }
  for (const name of ["VIOLET_USERNAME", "VIOLET_PASSWORD"]) {
    for (const value of [undefined, ""]) {
      it.effect(`${name} ${inspect(value)}`, () => refuses(configured({ [name]: value }), name, "test-password"))
    }
  }

  it.effect("a config that cannot be read is named, not shown", () =>
    Effect.gen(function* () {
      const broken = ConfigProvider.fromMap(new Map(Object.entries(variables))).pipe(
        ConfigProvider.mapInputPath((name) => (name === "VIOLET_APP_SECRET" ? "NOWHERE" : name))
      )
      yield* refuses(Layer.provide(Violet.layerConfig(), Layer.setConfigProvider(broken)), "NOWHERE")
      const nested = ConfigProvider.nested(ConfigProvider.fromMap(new Map()), "SHOP")
      yield* refuses(
        Layer.provide(Violet.layerCredentialsConfig(), Layer.setConfigProvider(nested)),
        "SHOP_VIOLET_USERNAME"
      )
    })
  )
})
