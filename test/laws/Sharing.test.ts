import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Exit, Fiber, Option, Scope } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { failure, herd, paused, provider, secret, session, value, watchedStore } from "../support/harness.js"
import * as ManualClock from "../support/ManualClock.js"
import { flush, manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"
import { set } from "./harness.js"

const down = new StoreFailure({ operation: "lease", problem: "unreachable" })

describe("law 20: only the token request is exclusive", () => {
  it.scoped("law 20: of twenty sessions with one store, one renews and the others take over what it got", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const sessions = yield* Effect.replicateEffect(session(p, { store, key: "key" }), 20)
      for (let round = 1; round <= 3; round++) {
        const readers = yield* Effect.fork(
          Effect.forEach(sessions, ({ accessToken }) => accessToken, { concurrency: "unbounded" })
        )
        yield* clock.advance("2 seconds")
        const tokens = yield* Fiber.join(readers)
        assert.strictEqual(new Set(tokens.map(value)).size, 1)
        yield* clock.advance("5 minutes")
      }
      assert.deepStrictEqual(p.count(), { login: 1, refresh: 2, total: 3, most: 1 })
      assert.deepStrictEqual(p.presented, ["test-refresh-1", "test-refresh-2"])
    })
  )

  it.scoped("law 20: reading a fresh token asks nothing of the store, nor does a stale one wait for it", () =>
    manually(function* (clock) {
      const p = provider()
      const asked: Array<string> = []
      const inner = yield* TokenStore.makeMemory
      const watch =
        <A extends ReadonlyArray<unknown>, B>(name: string, ask: (...given: A) => B) =>
        (...given: A) => {
          asked.push(name)
          return ask(...given)
        }
      const s = yield* session(p, {
        key: "key",
        store: {
          load: watch("load", inner.load),
          save: watch("save", inner.save),
          lease: watch("lease", inner.lease),
          release: watch("release", inner.release)
        }
      })
      yield* s.accessToken
      yield* flush
      assert.deepStrictEqual(asked, ["load", "lease", "load", "save", "release"])
      for (let i = 0; i < 100; i++) yield* s.accessToken
      assert.strictEqual(asked.length, 5)
      // Another process has the lease, and keeps it.
      yield* clock.advance("4 minutes")
      yield* inner.lease("key", "another", Duration.hours(1))
      for (let i = 0; i < 3; i++) {
        assert.strictEqual(value(yield* s.accessToken), "test-access-1")
        yield* clock.advance("10 seconds")
      }
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 20: with the lease the store is read again, and what another process obtained is taken over", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const s = yield* session(p, { store, key: "key" })
      yield* s.accessToken
      yield* clock.advance("5 minutes")
      yield* Records.save(store, "key", { generation: 2, tokens: Option.some(set("theirs")) })
      assert.strictEqual(value(yield* s.accessToken), "test-theirs")
      assert.deepStrictEqual([p.count().total, (yield* s.status).generation], [1, 2])
    })
  )

  it.scoped("law 20: the one who waits for the lease takes over what its holder obtained, without the lease", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      yield* store.lease("key", "another", Duration.hours(1))
      const s = yield* session(p, { store, key: "key" })
      const reader = yield* Effect.fork(s.accessToken)
      yield* clock.advance("5 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(reader)))
      yield* Records.save(store, "key", { generation: 1, tokens: Option.some(set("theirs")) })
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-theirs")
      assert.strictEqual(p.count().total, 0)
    })
  )

  it.scoped("law 20: the lease of a dead holder ends by itself within 15 seconds", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { store: store.service, key: "key" }), scope)
      p.next(() => Effect.never)
      yield* Effect.fork(s.accessToken)
      yield* clock.advance("6 seconds")
      // The process dies: nothing of it will ever run again.
      store.dead = true
      const other = yield* session(p, { store: store.inner, key: "key" })
      const reader = yield* Effect.fork(other.accessToken)
      yield* clock.advance("15 seconds")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-1")
    })
  )

  it.scoped("law 20: a living holder keeps the lease for as long as its token request takes", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      const options = { store, key: "key", timeout: "1 minute" } as const
      const one = yield* session(p, options)
      const other = yield* session(p, options)
      const login = yield* paused
      p.next(login.tokenRequest)
      const readers = yield* Effect.fork(Effect.all([one.accessToken, other.accessToken], { concurrency: 2 }))
      yield* clock.advance("50 seconds")
      assert.strictEqual(p.count().total, 1)
      yield* login.respond
      yield* clock.advance("1 second")
      assert.deepStrictEqual((yield* Fiber.join(readers)).map(value), ["test-access-1", "test-access-1"])
      // And gives it back at once.
      assert.isTrue(yield* store.lease("key", "a third", Duration.seconds(1)))
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 20: a holder that loses its lease keeps to its request, and the newer generation survives", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const one = yield* session(p, { store: store.service, key: "key", timeout: "2 minutes" })
      yield* one.accessToken
      yield* clock.advance("5 minutes")
      const other = yield* session(p, { store: store.inner, key: "key" })
      const refresh = yield* paused
      p.next(refresh.tokenRequest)
      const first = yield* Effect.fork(one.accessToken)
      yield* clock.advance("1 second")
      // It is stopped for longer than the lease lives, and wakes up.
      store.dead = true
      const second = yield* Effect.fork(other.accessToken)
      yield* clock.advance("20 seconds")
      assert.strictEqual(value(yield* Fiber.join(second)), "test-access-2")
      store.dead = false
      yield* refresh.respond
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* Fiber.join(first)), "test-access-2")
      const kept = yield* Records.stored(store.inner, "key")
      assert.deepStrictEqual([kept.generation, (yield* one.status).generation], [2, 2])
      assert.deepStrictEqual(p.presented, ["test-refresh-1"])
      assert.strictEqual(p.count().login, 2)
      // What it still asked of the store while it was stopped is given up.
      yield* clock.advance("5 seconds")
    })
  )

  it.scoped("law 20: of two that both believe to have the lease, one presents the refresh token", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const inner = yield* TokenStore.makeMemory
      const store: TokenStore.Service = { ...inner, lease: () => Effect.succeed(true) }
      const sessions = yield* Effect.replicateEffect(session(p, { store, key: "key" }), 2)
      yield* Records.save(inner, "key", { tokens: Option.some(set("shared")) })
      yield* Effect.forEach(sessions, ({ accessToken }) => accessToken)
      yield* clock.advance("5 minutes")
      const refresh = yield* paused
      p.next(refresh.tokenRequest)
      const readers = yield* Effect.fork(Effect.forEach(sessions, ({ accessToken }) => accessToken, { concurrency: 2 }))
      yield* clock.advance("1 second")
      // The second one found the intent of the first, and took the way that spends nothing.
      assert.deepStrictEqual(p.presented, ["test-r-shared"])
      assert.strictEqual(p.count().login, 1)
      yield* refresh.respond
      yield* clock.advance("1 second")
      const tokens = (yield* Fiber.join(readers)).map(value)
      assert.strictEqual(new Set(tokens).size, 1)
      assert.deepStrictEqual(p.presented, ["test-r-shared"])
    })
  )

  it.scoped("law 20: a logout elsewhere is seen at the next token request", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      const [one, other] = [yield* session(p, { store, key: "key" }), yield* session(p, { store, key: "key" })]
      yield* one.accessToken
      yield* other.accessToken
      yield* one.logout
      assert.strictEqual(value(yield* other.accessToken), "test-access-1")
      yield* clock.advance("5 minutes")
      assert.strictEqual((yield* Effect.flip(other.accessToken))._tag, "SignedOut")
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped(
    "law 30: a logout revokes what the store keeps, what another process obtained, and what there is to start from",
    () =>
      manually(function* () {
        const stored = yield* TokenStore.makeMemory
        yield* Records.save(stored, "key", { tokens: Option.some(set("stored")) })
        const seed = set("seed")
        for (const [store, options, revoked] of [
          [stored, {}, ["test-stored"]],
          // Signed out already: the seed was never in force.
          [stored, { seed }, []],
          [yield* TokenStore.makeMemory, { seed }, ["test-seed"]]
        ] as const) {
          const p = provider()
          const s = yield* session(p, { store, key: "key", ...options })
          yield* s.logout
          assert.deepStrictEqual(p.revoked, revoked)
        }
        const p = provider()
        const store = yield* TokenStore.makeMemory
        const s = yield* session(p, { store, key: "key" })
        yield* s.accessToken
        yield* Records.save(store, "key", { generation: 2, tokens: Option.some(set("theirs")) })
        yield* s.logout
        assert.deepStrictEqual(p.revoked, ["test-theirs"])
        assert.isTrue(Option.isNone((yield* Records.stored(store, "key")).tokens))
      })
  )

  it.scoped("law 19: a set that lost the race for its number gives way to the one that won it", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      store.state.save = Effect.fail(new StoreFailure({ operation: "save", problem: "the disk is full" }))
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      yield* Records.save(store.inner, "key", { tokens: Option.some(set("theirs", "1 hour")) })
      store.state.save = undefined
      yield* clock.advance("1 minute")
      assert.isTrue((yield* s.status).saved)
      yield* clock.advance("4 minutes")
      assert.strictEqual(value(yield* s.accessToken), "test-theirs")
      assert.deepStrictEqual([p.presented, p.count().total], [[], 1])
    })
  )

  it.scoped("laws 11 and 20: what another process obtained costs this one none of its token requests", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 hour" })
      const store = yield* TokenStore.makeMemory
      const [one, other] = [yield* session(p, { store, key: "key" }), yield* session(p, { store, key: "key" })]
      yield* other.accessToken
      // More often than a minute allows token requests, someone signs in again, and the API forgets the old token.
      for (let i = 0; i < 10; i++) {
        const old = yield* other.accessToken
        const token = value(yield* one.login)
        assert.strictEqual(value(yield* other.reject(old)), token)
        yield* clock.advance("1 second")
      }
      assert.deepStrictEqual(p.count(), { login: 11, refresh: 0, total: 11, most: 1 })
    })
  )

  it.scoped("law 20: a set is as old as it was when the store was asked, and the answer took its time", () =>
    manually(function* (clock) {
      const inner = yield* TokenStore.makeMemory
      yield* Records.save(inner, "key", { tokens: Option.some(set("old", "10 seconds")), age: 8500 })
      const p = provider()
      const store: TokenStore.Service = {
        ...inner,
        load: (key) => Effect.tap(inner.load(key), () => Effect.sleep("1900 millis"))
      }
      const s = yield* session(p, { store, key: "key" })
      const reader = yield* Effect.fork(s.accessToken)
      yield* clock.advance("30 seconds")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-1")
    })
  )

  it.scoped("law 20: a login elsewhere is found before one's own refresh token is spent", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const [one, other] = [yield* session(p, { store, key: "key" }), yield* session(p, { store, key: "key" })]
      yield* one.accessToken
      yield* other.accessToken
      yield* clock.advance("5 minutes")
      assert.strictEqual(value(yield* one.login), "test-access-2")
      assert.strictEqual(value(yield* other.accessToken), "test-access-2")
      assert.deepStrictEqual(p.presented, [])
    })
  )

  it.scoped("law 20: a token that another process obtained is no older than this process's last look", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "10 minutes" })
      const inner = yield* TokenStore.makeMemory
      let wrong: Duration.Duration | undefined
      const store: TokenStore.Service = {
        ...inner,
        // The clock of this store, or that of who wrote to it, is an hour wrong.
        load: (key) =>
          Effect.map(
            inner.load(key),
            Option.map((kept) => ({ ...kept, age: wrong ?? kept.age }))
          )
      }
      const s = yield* session(p, { store, key: "key" })
      yield* s.adopt(set("mine", "5 minutes"))
      yield* clock.advance("270 seconds")
      wrong = Duration.hours(1)
      yield* Records.save(inner, "key", { generation: 2, tokens: Option.some(set("theirs", "10 minutes")) })
      yield* s.accessToken
      yield* flush
      // Looked at less than five minutes ago: it is no older than that.
      assert.strictEqual(value(yield* s.accessToken), "test-theirs")
      assert.deepInclude(yield* s.status, { generation: 2, token: "fresh" })
      assert.strictEqual(p.count().total, 0)
      // At the start no one looked before: the store is believed.
      const later = yield* session(p, { store, key: "key" })
      yield* later.accessToken
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 20: what this process saw arrive does not grow younger in the store", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "10 minutes", rotation: "single-use" })
      const inner = yield* TokenStore.makeMemory
      const store: TokenStore.Service = {
        ...inner,
        load: (key) =>
          Effect.map(
            inner.load(key),
            Option.map((kept) => ({ ...kept, age: Duration.zero }))
          )
      }
      const s = yield* session(p, { store, key: "key", credentials: "none", patience: 0 })
      yield* s.adopt(set("mine", "10 minutes"))
      yield* clock.advance("10 minutes")
      // Another process wrote down that the refresh token of the same set is dead.
      const kept = yield* Records.stored(inner, "key")
      yield* Records.save(inner, "key", {
        ...kept,
        revision: kept.revision + 1,
        refreshState: { _tag: "Refused", failure: failure.refused }
      })
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "InvalidRefreshToken")
      assert.strictEqual((yield* s.status).token, "expired")
      assert.deepStrictEqual(p.presented, [])
    })
  )

  it.scoped("law 20: sessions whose clocks are an hour apart share one token to its end", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "10 minutes", rotation: "single-use" })
      const storeClock = clock.clock
      const inner = yield* TokenStore.makeMemory
      const atHome = <A, E>(effect: Effect.Effect<A, E>) => Effect.withClock(effect, storeClock)
      const store: TokenStore.Service = {
        load: (key) => atHome(inner.load(key)),
        save: (key, entry) => atHome(inner.save(key, entry)),
        lease: (key, owner, duration) => atHome(inner.lease(key, owner, duration)),
        release: (key, owner) => atHome(inner.release(key, owner))
      }
      const away = [3_600_000, -3_600_000].map((by) => {
        const there = ManualClock.shifted(clock, by)
        return <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.withClock(effect, there)
      })
      const sessions = yield* Effect.forEach(away, (there) =>
        Effect.map(there(session(p, { store, key: "key" })), (s) => there(s.accessToken))
      )
      const read = Effect.forEach(sessions, (accessToken) => Effect.map(accessToken, value))
      assert.deepStrictEqual(yield* read, ["test-access-1", "test-access-1"])
      yield* clock.advance("7 minutes")
      assert.deepStrictEqual(yield* read, ["test-access-1", "test-access-1"])
      assert.strictEqual(p.count().total, 1)
      yield* clock.advance("3 minutes")
      assert.deepStrictEqual(yield* read, ["test-access-2", "test-access-2"])
      assert.deepStrictEqual(p.count(), { login: 1, refresh: 1, total: 2, most: 1 })
    })
  )

  it.scoped("law 20: closing does not wait for another process's lock", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      yield* store.lease("key", "another", Duration.hours(1))
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(provider(), { store, key: "key", shutdownDeadline: "1 hour" }), scope)
      yield* Effect.fork(Effect.exit(s.accessToken))
      yield* clock.advance("1 second")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("1 second")
      assert.isTrue(Option.isSome(yield* Fiber.poll(closing)))
    })
  )

  it.scoped("law 20: the one who waits too long for a living holder is told so", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      yield* store.lease("key", "another", Duration.hours(1))
      const s = yield* session(p, { store, key: "key", patience: 0 })
      const reader = yield* Effect.fork(Effect.flip(s.accessToken))
      yield* clock.advance("1 minute")
      assert.deepInclude(yield* Fiber.join(reader), { _tag: "StoreFailure", operation: "lease" })
      assert.strictEqual(p.count().total, 0)
    })
  )

  it.scoped("law 20: without a lease to be had, a refresh token of many uses is sent, and a login goes on", () =>
    manually(function* (clock) {
      for (const rotation of ["none", "single-use"] as const) {
        const p = provider({ rotation })
        const inner = yield* TokenStore.makeMemory
        const store: TokenStore.Service = { ...inner, lease: () => Effect.fail(down) }
        const s = yield* session(p, { store, key: "key", patience: 0 })
        assert.strictEqual(value(yield* s.accessToken), "test-access-1")
        yield* clock.advance("5 minutes")
        const second = yield* Effect.either(s.accessToken)
        if (rotation === "none") assert.strictEqual(value(Either.getOrThrow(second)), "test-access-2")
        else assert.deepInclude(Option.getOrThrow(Either.getLeft(second)), { _tag: "StoreFailure", operation: "lease" })
        assert.strictEqual(p.presented.length, rotation === "none" ? 1 : 0)
      }
    })
  )

  it.scoped("law 20: a store that goes away during a token request costs nothing of its answer", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key", timeout: "1 minute" })
      yield* s.accessToken
      yield* clock.advance("5 minutes")
      const refresh = yield* paused
      p.next(refresh.tokenRequest)
      const reader = yield* Effect.fork(s.accessToken)
      yield* clock.advance("1 second")
      store.dead = true
      yield* clock.advance("30 seconds")
      yield* refresh.respond
      yield* clock.advance("5 seconds")
      assert.strictEqual(value(yield* Fiber.join(reader)), "test-access-2")
      assert.isFalse((yield* s.status).saved)
      store.dead = false
      yield* clock.advance("1 minute")
      assert.isTrue((yield* s.status).saved)
      assert.strictEqual((yield* Records.stored(store.inner, "key")).generation, 2)
    })
  )
})

it.scoped("law 6: a hundred callers of two sessions at expiry make one token request", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use" })
    const store = yield* TokenStore.makeMemory
    const sessions = yield* Effect.replicateEffect(session(p, { store, key: "key" }), 2)
    const all = yield* Effect.fork(Effect.forEach(sessions, (s) => herd(50, s.accessToken), { concurrency: 2 }))
    yield* clock.advance("1 second")
    assert.isTrue((yield* Fiber.join(all)).flat().every(Either.isRight))
    assert.strictEqual(p.count().total, 1)
  })
)

it.scoped("a refresh is answered a newer access token, also when another process rotated the refresh token only", () =>
  manually(function* (_clock) {
    const p = provider({ rotation: "single-use" })
    const store = yield* TokenStore.makeMemory
    const a = yield* session(p, {
      store,
      key: "k",
      credentials: "none",
      seed: Token.make({ refreshToken: secret("r") })
    })
    yield* a.accessToken
    const b = yield* session(p, { store, key: "k", credentials: "none" })
    const tb = yield* b.accessToken
    p.next(() => Effect.succeed(Token.make({ refreshToken: secret("rotated") })))
    yield* Effect.fork(Effect.either(a.refresh))
    yield* flush
    const nb = yield* b.refresh
    assert.notStrictEqual(value(nb), value(tb))
  })
)
