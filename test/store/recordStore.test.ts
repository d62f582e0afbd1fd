import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import { provider, secret, session, value } from "../support/harness.js"
import { manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"

describe("a store with something wrong in it", () => {
  const entry = (contents: string): TokenStore.Entry => ({ generation: 3, revision: 0, contents: secret(contents) })
  const good = {
    format: 1,
    key: "key",
    generation: 3,
    revision: 0,
    tokens: {
      accessToken: "test-access",
      lifetime: 300_000,
      refreshToken: null,
      refreshLifetime: null,
      extra: {}
    },
    age: 0,
    refreshAge: 0,
    refresh: { _tag: "Usable" }
  }
  const text = (changes: object) => JSON.stringify({ ...good, ...changes })
  const cases: ReadonlyArray<readonly [name: string, contents: string, says: RegExp]> = [
    ["empty", "", /not a record/],
    ["truncated", text({}).slice(0, -5), /not a record/],
    ["binary", "\u0000\u0001\ufffd", /not a record/],
    ["an array", "[]", /not a record/],
    ["null", "null", /not a record/],
    ["wrong types", text({ tokens: { ...good.tokens, accessToken: 7 } }), /tokens\.accessToken/],
    [
      "a token that cannot stand in a header",
      text({ tokens: { ...good.tokens, accessToken: "test-a\nb" } }),
      /tokens\.accessToken/
    ],
    ["a negative age", text({ age: -1 }), /age/],
    ["a generation that is no number", text({ generation: "3" }), /generation/],
    ["a newer format", text({ format: 2, tokens: "test-something-else" }), /format 2.*upgrade/],
    ["another session's record", text({ key: "another" }), /another key/],
    ["another version", text({ generation: 4 }), /a version that is not its own/]
  ]

  it.scoped("is a typed failure that does not show what stands there, and nothing is erased", () =>
    manually(function* (clock) {
      for (const [name, contents, says] of cases) {
        const p = provider()
        const store = yield* TokenStore.makeMemory
        yield* store.save("key", entry(contents))
        const s = yield* session(p, { store, key: "key", patience: 0 })
        const error = yield* Effect.flip(s.accessToken)
        assert.deepInclude(error, { _tag: "StoreFailure", operation: "load" }, name)
        assert.match(error.message, says, name)
        assert.notInclude(error.message, "test-")
        yield* clock.advance("1 hour")
        yield* Effect.exit(s.accessToken)
        assert.strictEqual(p.count().total, 0)
        assert.strictEqual(value(Option.getOrThrow(yield* store.load("key")).contents), contents)
      }
    })
  )

  it.scoped("keeps no one from a valid token, nor from signing in by name", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      const s = yield* session(p, { store, key: "key", patience: 0 })
      yield* s.accessToken
      yield* store.save("key", entry("damaged"))
      yield* clock.advance("4 minutes")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      const other = yield* session(p, { store, key: "key", patience: 0 })
      assert.strictEqual((yield* Effect.flip(other.accessToken))._tag, "StoreFailure")
      yield* clock.advance("1 second")
      const token = value(yield* other.login)
      assert.strictEqual(value(yield* other.accessToken), token)
    })
  )

  it.scoped("names a prototype, and gets none", () =>
    manually(function* () {
      const store = yield* TokenStore.makeMemory
      const extra = '{"__proto__":{"polluted":true},"guid":"test-guid"}'
      yield* store.save("key", entry(text({}).replace('"extra":{}', `"extra":${extra}`)))
      const p = provider({ rotation: "single-use" })
      const s = yield* session(p, { store, key: "key" })
      assert.strictEqual(value(yield* s.accessToken), "test-access")
      const stored = yield* Records.stored(store, "key")
      const read: object = Option.getOrThrow(stored.tokens).extra
      assert.strictEqual(Object.getPrototypeOf(read), Object.prototype)
      assert.isFalse("polluted" in {})
    })
  )

  it.scoped("that hangs delays no one who holds a valid token, and each other call for a bounded time", () =>
    manually(function* (clock) {
      const p = provider()
      const inner = yield* TokenStore.makeMemory
      let hangs = false
      const or = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => (hangs ? Effect.never : effect))
      const store: TokenStore.Service = {
        load: (key) => or(inner.load(key)),
        save: (key, one) => or(inner.save(key, one)),
        lease: (key, owner, duration) => or(inner.lease(key, owner, duration)),
        release: (key, owner) => or(inner.release(key, owner))
      }
      const s = yield* session(p, { store, key: "key", patience: 0 })
      yield* s.accessToken
      hangs = true
      yield* clock.advance("4 minutes")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      yield* clock.advance("2 minutes")
      const reader = yield* Effect.fork(s.accessToken)
      yield* clock.advance("10 seconds")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-2")
      hangs = false
    })
  )
})
