import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, TestClock } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { provider, secret, session } from "../support/harness.js"
import { manually } from "../support/ManualClock.js"

describe("law 19, law 20: the store in memory", () => {
  for (const { check, name } of laws({ wait: TestClock.adjust })) {
    it.effect(name, () => Effect.provide(check, TokenStore.layerMemory))
  }
})

describe("a store in memory whose methods someone replaced", () => {
  it.scoped("what stands in it is what is asked", () =>
    manually(function* () {
      const store = yield* TokenStore.makeMemory
      let saves = 0
      const { save } = store
      // What `vi.spyOn(store, "save")` does.
      const spy: typeof save = (...args) => {
        saves++
        return save(...args)
      }
      Object.assign(store, { save: spy })
      const s = yield* session(provider(), { store, key: "key" })
      yield* s.accessToken
      assert.strictEqual(saves, 1)
    })
  )
})

describe("a provider written by hand whose token cannot be sent", () => {
  it.scoped("law 27: loading what a store in memory keeps prints no token", () =>
    manually(function* (clock) {
      const p = provider()
      const tokens = {
        accessToken: Option.some(secret("hush-access\n")),
        refreshToken: Option.none(),
        lifetime: Option.some(Duration.minutes(5)),
        refreshLifetime: Option.none(),
        extra: {}
      }
      const service = { ...p.service, login: () => Option.some(Effect.succeed(tokens)) }
      const store = yield* TokenStore.makeMemory
      const s = yield* session({ ...p, service }, { store, key: "key" })
      yield* Effect.fork(Effect.either(s.accessToken))
      yield* clock.advance("1 second")
      const loaded = yield* Effect.exit(store.load("key"))
      assert.notInclude(JSON.stringify(loaded) + String(loaded), "hush")
    })
  )
})
