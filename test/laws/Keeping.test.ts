import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Exit, FastCheck, Fiber, Option, Scope } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as Record from "../../src/store/record.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { herd, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"
import { rec } from "./harness.js"

const full = new StoreFailure({ operation: "save", problem: "the disk is full" })

describe("law 18: saving", () => {
  it.scoped("law 18: a token set is saved before anyone sees it", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const saving = yield* Deferred.make<void>()
      const s = yield* session(p, { store: store.service })
      store.state.save = Effect.as(Deferred.await(saving), true)
      const readers = yield* Effect.fork(herd(10, s.accessToken))
      yield* clock.advance("1 second")
      assert.strictEqual(p.count().login, 1)
      assert.isTrue(Option.isNone(yield* Fiber.poll(readers)))
      assert.strictEqual((yield* s.status).token, "none")
      yield* Deferred.succeed(saving, void 0)
      assert.isTrue((yield* Fiber.join(readers)).every(Either.isRight))
    })
  )

  it.scoped("law 18: what cannot be saved is served from memory, the status says so, and saving goes on", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 day" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      store.state.save = Effect.fail(full)
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      assert.isFalse((yield* s.status).saved)
      yield* clock.advance("10 minutes")
      assert.isAtLeast(store.state.saves, 10)
      assert.isAtMost(store.state.saves, 40)
      assert.isFalse((yield* s.status).saved)
      store.state.save = undefined
      yield* clock.advance("1 minute")
      assert.isTrue((yield* s.status).saved)
      assert.strictEqual((yield* Records.stored(store.inner, "key")).generation, 1)
      const saves = store.state.saves
      yield* clock.advance("10 minutes")
      assert.strictEqual(store.state.saves, saves)
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 18: a store that hangs delays the token by two seconds and no more", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service })
      store.state.save = Effect.never
      const reader = yield* Effect.fork(s.accessToken)
      yield* clock.advance("2 seconds")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-1")
      assert.isFalse((yield* s.status).saved)
      store.state.save = undefined
    })
  )

  it.scoped("law 18: what is unsaved when the scope closes is saved then", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { store: store.service, key: "key" }), scope)
      store.state.save = Effect.fail(full)
      yield* s.accessToken
      // The first attempt to save it again has failed as well, and the next is not due yet.
      yield* clock.advance("100 millis")
      store.state.save = undefined
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Records.stored(store.inner, "key")).generation, 1)
    })
  )

  it.scoped("a store that cannot be read is a typed failure, and the next call recovers", () =>
    manually(function* (clock) {
      const p = provider()
      const inner = yield* TokenStore.makeMemory
      let broken = true
      const store: TokenStore.Service = {
        ...inner,
        load: (key) =>
          broken ? Effect.fail(new StoreFailure({ operation: "load", problem: "unreachable" })) : inner.load(key)
      }
      const s = yield* session(p, { store, patience: "0 seconds" })
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "StoreFailure")
      assert.strictEqual(p.count().total, 0)
      broken = false
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
    })
  )
})

describe("law 19: generations", () => {
  const record = (generation: number) => ({
    generation,
    tokens: Option.some(Token.make({ accessToken: secret(`test-${generation}`) }))
  })

  it.effect.prop(
    "law 19: in any order of saves, the newest stays",
    { order: FastCheck.array(FastCheck.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 }) },
    ({ order }) =>
      Effect.gen(function* () {
        const store = yield* TokenStore.makeMemory
        const results = yield* Effect.forEach(order, (generation) => Records.save(store, "key", record(generation)))
        const stored = yield* Records.stored(store, "key")
        assert.strictEqual(stored.generation, Math.max(...order))
        order.forEach((generation, i) => {
          const before = order.slice(0, i)
          assert.strictEqual(
            results[i],
            before.every((earlier) => earlier < generation)
          )
        })
      })
  )

  it.scoped("law 19: records of different keys do not meet", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "one", record(1))
      assert.isTrue(Option.isNone(yield* store.load("two")))
      assert.isTrue(yield* Records.save(store, "two", record(1)))
    })
  )

  it.scoped("law 19: a loaded record has aged by the time it was kept", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "key", record(1))
      yield* clock.advance("3 minutes")
      yield* clock.setWall("1 hour", -1)
      const stored = yield* Records.stored(store, "key")
      assert.strictEqual(Duration.toMillis(stored.storedFor), 180_000)
    })
  )

  it.scoped("law 19: a session that finds a newer generation in the store takes that over", () =>
    manually(function* () {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "key", {
        ...record(5),
        tokens: Option.some(Token.make({ accessToken: secret("test-five"), lifetime: "1 hour" }))
      })
      const s = yield* session(p, { store, key: "key" })
      assert.strictEqual(value(yield* s.accessToken), "test-five")
      assert.strictEqual(p.count().total, 0)
      assert.strictEqual(value(yield* s.login), "test-access-1")
      assert.strictEqual((yield* s.status).generation, 6)
    })
  )

  it.scoped("law 19: a logout is kept above a generation that the session did not know of", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "key", record(5))
      const s = yield* session(provider(), { store, key: "key" })
      yield* s.logout
      yield* clock.advance("1 second")
      const stored = yield* Records.stored(store, "key")
      assert.isTrue(Option.isNone(stored.tokens))
      assert.isAbove(stored.generation, 5)
      // And a session that starts there later stays signed out.
      const later = yield* session(provider(), { store, key: "key" })
      assert.strictEqual((yield* Effect.flip(later.accessToken))._tag, "SignedOut")
    })
  )
})

it.scoped("law 19: a logout that meets a newer record and an unreadable store is kept in the end", () =>
  manually(function* (clock) {
    const p = provider()
    const inner = yield* TokenStore.makeMemory
    yield* Records.save(inner, "k", rec(5, Token.make({ accessToken: secret("five"), lifetime: "1 hour" })))
    let broken = true
    const store: TokenStore.Service = {
      ...inner,
      load: (k) => (broken ? Effect.fail(new StoreFailure({ operation: "load", problem: "x" })) : inner.load(k))
    }
    const s = yield* session(p, { store, key: "k" })
    yield* s.logout
    broken = false
    yield* clock.advance("10 minutes")
    const st = yield* s.status
    const stored = yield* Records.stored(inner, "k")
    assert.deepStrictEqual(
      { saved: st.saved, signedOut: Option.isNone(stored.tokens) },
      { saved: true, signedOut: true }
    )
  })
)

it.scoped("law 19: a seed with an access token gives way to what the store keeps", () =>
  manually(function* (_clock) {
    const p = provider()
    const store = yield* TokenStore.makeMemory
    yield* Records.save(store, "k", rec(5, Token.make({ accessToken: secret("five"), lifetime: "1 hour" })))
    const s = yield* session(p, {
      store,
      key: "k",
      seed: Token.make({ accessToken: secret("seed"), lifetime: "1 hour" })
    })
    assert.strictEqual(value(yield* s.accessToken), "five")
  })
)

it.scoped("an endless age in the store is no defect", () =>
  manually(function* (clock) {
    const p = provider()
    const inner = yield* TokenStore.makeMemory
    const store: TokenStore.Service = {
      ...inner,
      load: () =>
        Effect.succeedSome({
          ...Record.encode(
            "key",
            Records.record(rec(5, Token.make({ accessToken: secret("five"), lifetime: "1 hour" })))
          ),
          age: Duration.infinity
        })
    }
    const s = yield* session(p, { store, key: "key" })
    const f = yield* Effect.forkDaemon(Effect.exit(s.accessToken))
    yield* clock.advance("1 minute")
    assert.isTrue(Option.isSome(yield* Fiber.poll(f)), "caller waits for ever")
  })
)

it.scoped("law 5: a token's age counts from its answer, also when it is saved twice", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "4 seconds" })
    const inner = yield* TokenStore.makeMemory
    const store: TokenStore.Service = {
      ...inner,
      load: (k) => Effect.delay(inner.load(k), "1500 millis"),
      save: (k, r) => Effect.delay(inner.save(k, r), "1500 millis")
    }
    const s = yield* session(p, { store, key: "k" })
    p.next((h) => Effect.zipRight(Records.save(inner, "k", rec(9, Token.make({ accessToken: secret("x") }))), h))
    const f = yield* Effect.fork(s.login)
    yield* clock.advance("1600 millis")
    yield* clock.elapsed
    yield* clock.advance("4400 millis")
    assert.isTrue(Option.isSome(yield* Fiber.poll(f)))
    assert.strictEqual((yield* s.status).token, "expired")
  })
)
