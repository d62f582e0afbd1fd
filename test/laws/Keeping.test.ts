import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Exit, FastCheck, Fiber, Option, Scope, Stream } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import type * as Status from "../../src/session/machine/Status.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, held, herd, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { manually, settle } from "../support/ManualClock.js"
import * as Records from "../support/records.js"

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
      assert.strictEqual((yield* Records.kept(store.inner, "key")).generation, 1)
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
      assert.strictEqual((yield* Records.kept(store.inner, "key")).generation, 1)
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
        const kept = yield* Records.kept(store, "key")
        assert.strictEqual(kept.generation, Math.max(...order))
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
      const kept = yield* Records.kept(store, "key")
      assert.strictEqual(Duration.toMillis(kept.kept), 180_000)
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

  it.scoped("law 19: a log out is kept above a generation that the session did not know of", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "key", record(5))
      const s = yield* session(provider(), { store, key: "key" })
      yield* s.logout
      yield* clock.advance("1 second")
      const kept = yield* Records.kept(store, "key")
      assert.isTrue(Option.isNone(kept.tokens))
      assert.isAbove(kept.generation, 5)
      // And a session that starts there later stays signed out.
      const later = yield* session(provider(), { store, key: "key" })
      assert.strictEqual((yield* Effect.flip(later.accessToken))._tag, "SignedOut")
    })
  )
})

describe("law 30: log out and a new log in win", () => {
  it.scoped("law 30: after a log out during a refresh, the late answer is revoked, never saved, never seen", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken
      const flight = yield* held
      p.next(flight.exchange)
      const waiter = yield* Effect.fork(Effect.flip(s.refresh))
      yield* flight.sent
      yield* s.logout
      assert.strictEqual((yield* Fiber.join(waiter))._tag, "SignedOut")
      assert.deepStrictEqual(p.revoked, ["test-access-1"])
      yield* flight.answer
      yield* settle
      assert.deepStrictEqual(p.revoked, ["test-access-1", "test-access-2"])
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "SignedOut")
      const kept = yield* Records.kept(store.inner, "key")
      assert.isTrue(Option.isNone(kept.tokens))
      yield* clock.advance("1 hour")
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "SignedOut")
      assert.strictEqual(p.count().total, 2)
    })
  )

  it.scoped("law 30: a log out during the save of a new set leaves the log out in the store", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken
      const gate = yield* Deferred.make<void>()
      store.state.save = Effect.zipRight(Deferred.await(gate), Effect.succeed(true))
      const refreshing = yield* Effect.fork(Effect.flip(s.refresh))
      yield* clock.advance("1 second")
      store.state.save = undefined
      yield* s.logout
      yield* Deferred.succeed(gate, void 0)
      yield* settle
      assert.strictEqual((yield* Fiber.join(refreshing))._tag, "SignedOut")
      assert.deepStrictEqual(p.revoked, ["test-access-1", "test-access-2"])
      assert.strictEqual((yield* Records.kept(store.inner, "key")).generation, 3)
    })
  )

  it.scoped("law 30: a new log in wins over a refresh, whose callers get its token", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      const flight = yield* held
      p.next(flight.exchange)
      const waiter = yield* Effect.fork(s.refresh)
      yield* flight.sent
      assert.strictEqual(value(yield* s.login), "test-access-2")
      assert.strictEqual(value(yield* Fiber.join(waiter)), "test-access-2")
      yield* flight.answer
      yield* settle
      assert.deepStrictEqual(p.revoked, ["test-access-3"])
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
    })
  )

  it.scoped("law 30: a late answer does not get into the log in that is under way in its place", () =>
    manually(function* () {
      const p = provider({ rotation: "single-use" })
      const s = yield* session(p)
      yield* s.accessToken
      const late = yield* held
      const next = yield* held
      p.next(late.exchange, next.exchange)
      yield* Effect.fork(s.refresh)
      yield* late.sent
      const login = yield* Effect.fork(s.login)
      yield* next.sent
      yield* late.answer
      yield* settle
      assert.deepStrictEqual(p.revoked, ["test-access-2"])
      assert.isTrue(Option.isNone(yield* Fiber.poll(login)))
      yield* next.answer
      assert.strictEqual(value(yield* Fiber.join(login)), "test-access-3")
      assert.strictEqual(value(yield* s.accessToken), "test-access-3")
    })
  )

  it.scoped("law 30: 50 callers that log in at once make one log in", () =>
    Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      const results = yield* herd(50, s.login)
      assert.isTrue(results.every(Either.isRight))
      assert.strictEqual(p.count().login, 1)
    })
  )

  it.scoped("law 30: adopted tokens win over a refresh, and a seed among them is refreshed", () =>
    manually(function* () {
      const p = provider({ rotation: "single-use" })
      const s = yield* session(p, { credentials: "none" })
      yield* s.adopt(Token.make({ accessToken: secret("test-a"), lifetime: "1 hour", refreshToken: secret("test-ra") }))
      const flight = yield* held
      p.next(flight.exchange)
      const waiter = yield* Effect.fork(s.refresh)
      yield* flight.sent
      yield* s.adopt(Token.make({ refreshToken: secret("test-rb") }))
      assert.strictEqual(value(yield* Fiber.join(waiter)), "test-access-1")
      assert.deepStrictEqual(p.presented, ["test-ra", "test-rb"])
    })
  )

  it.scoped("law 30: logged out offline, the session is signed out at once all the same", () =>
    manually(function* (clock) {
      const p = provider()
      const service = { ...p.service, revoke: Option.some(() => Effect.fail(failure.unspent)) }
      const s = yield* session({ ...p, service })
      yield* s.accessToken
      yield* s.logout
      assert.strictEqual((yield* s.status).state, "signed-out")
      p.next(fails(failure.unspent))
      assert.strictEqual((yield* Effect.flip(s.login))._tag, "NetworkFailure")
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* s.login), "test-access-2")
    })
  )

  it.scoped("an empty set is not adopted", () =>
    Effect.gen(function* () {
      const s = yield* session(provider())
      assert.deepInclude(yield* Effect.flip(s.adopt(Token.make({}))), { _tag: "Misconfigured", field: "tokens" })
    })
  )
})

describe("law 32: observers", () => {
  it.scoped("law 32: a late subscriber gets the current status first, then each that differs, in order", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      const seen: Array<Status.Status> = []
      const watching = yield* Effect.fork(
        Stream.runForEach(s.changes, (status) => Effect.sync(() => seen.push(status)))
      )
      yield* settle
      yield* s.refresh
      yield* settle
      yield* s.logout
      yield* clock.advance("1 second")
      yield* Fiber.interrupt(watching)
      const told = seen.map(
        ({ exchanging, generation, state }) => `${state} ${generation}${exchanging ? " exchanging" : ""}`
      )
      assert.deepStrictEqual(
        told.filter((one, i) => one !== told[i - 1]),
        ["signed-in 1", "signed-in 1 exchanging", "signed-in 2", "signed-out 3"]
      )
    })
  )

  it.scoped("law 32: an observer that never ends, one that dies and one that calls back delay nobody", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.never))
      yield* Effect.fork(Stream.runForEach(s.changes, () => Effect.die("an observer's own fault")))
      const reentrant = yield* Effect.fork(
        s.changes.pipe(
          Stream.tap(() => s.accessToken),
          Stream.takeUntil((status) => status.generation >= 500),
          Stream.runDrain
        )
      )
      yield* settle
      for (let i = 0; i < 500; i++) yield* s.refresh
      yield* Fiber.join(reentrant)
      assert.deepStrictEqual(p.count(), { refresh: 500, login: 1, total: 501, most: 1 })
    })
  )

  it.scoped("law 32: an observer may refresh from within", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      yield* s.changes.pipe(
        Stream.take(1),
        Stream.mapEffect(() => s.refresh),
        Stream.runDrain
      )
      assert.strictEqual(p.count().refresh, 1)
    })
  )
})
