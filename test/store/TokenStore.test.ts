import { describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import { laws } from "../../src/testing/StoreLaws.js"

describe("law 19, law 20: the store in memory", () => {
  for (const { check, name } of laws({ wait: TestClock.adjust })) {
    it.effect(name, () => Effect.provide(check, TokenStore.layerMemory))
  }
})
