import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, Fiber, Option } from "effect"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, herd, paused, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"
import { rec, unsaved } from "./harness.js"

it.scoped("law 30: a seed does not undo a logout that the store keeps", () =>
  manually(function* (_clock) {
    const p = provider()
    const store = yield* TokenStore.makeMemory
    yield* Records.save(store, "k", rec(5))
    const s = yield* session(p, {
      store,
      key: "k",
      seed: Token.make({ accessToken: secret("seed"), lifetime: "1 hour" })
    })
    assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "SignedOut")
  })
)

it.scoped("law 30: a login right after a logout stays in a slow store", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "1 hour" })
    const inner = yield* TokenStore.makeMemory
    let slow = false
    const store: TokenStore.Service = {
      ...inner,
      save: (k, r) =>
        slow && Records.holdsTokens(k, r)
          ? Effect.tap(inner.save(k, r), () => Effect.sleep("1500 millis"))
          : slow
            ? Effect.delay(inner.save(k, r), "100 millis")
            : inner.save(k, r)
    }
    const s = yield* session(p, { store, key: "k" })
    yield* s.accessToken
    slow = true
    yield* Effect.fork(s.logout)
    yield* flush
    const f = yield* Effect.fork(s.login)
    yield* clock.advance("10 minutes")
    assert.strictEqual(value(yield* Fiber.join(f)), "test-access-2")
    const stored = yield* Records.stored(inner, "k")
    assert.isTrue(Option.isSome(stored.tokens), "the store says signed out")
  })
)

it.scoped("law 30: a login after a logout that could not be saved stays in the store", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "1 hour" })
    const store = yield* watchedStore
    const slow: TokenStore.Service = {
      ...store.service,
      save: (k, r) =>
        Records.holdsTokens(k, r)
          ? Effect.tap(store.service.save(k, r), () => Effect.sleep("1500 millis"))
          : store.service.save(k, r)
    }
    const s = yield* session(p, { store: slow, key: "k" })
    yield* Effect.fork(s.accessToken)
    yield* clock.advance("2 seconds")
    store.state.save = Effect.fail(unsaved)
    yield* s.logout
    yield* clock.advance("100 millis")
    store.state.save = undefined
    const f = yield* Effect.fork(s.login)
    yield* clock.advance("10 minutes")
    assert.strictEqual(value(yield* Fiber.join(f)), "test-access-2")
    const stored = yield* Records.stored(store.inner, "k")
    assert.isTrue(Option.isSome(stored.tokens), "the store says signed out")
  })
)

it.scoped("law 9: a logout and a new login do not skip what the server asked for", () =>
  manually(function* (_clock) {
    const p = provider()
    const s = yield* session(p, { patience: 0 })
    p.always(fails(failure.busy("1 hour")))
    yield* Effect.ignore(s.login)
    for (let i = 0; i < 20; i++) {
      yield* s.logout
      yield* Effect.ignore(s.login)
    }
    assert.isAtMost(p.count().total, 1)
  })
)

it.scoped("law 30: a login that has nothing to log in with leaves a refresh under way alone", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use" })
    const s = yield* session(p, { credentials: "none" })
    yield* s.adopt(Token.make({ accessToken: secret("a"), lifetime: "1 hour", refreshToken: secret("r") }))
    yield* clock.advance("2 hours")
    const g = yield* paused
    p.next(g.tokenRequest)
    yield* Effect.fork(Effect.either(s.accessToken))
    yield* g.sent
    yield* Effect.either(s.login)
    yield* flush
    yield* g.respond
    yield* flush
    assert.deepStrictEqual({ presented: p.presented, revoked: p.revoked }, { presented: ["r"], revoked: [] })
  })
)

it.scoped("law 30: a login with credentials refused a moment ago does so likewise", () =>
  manually(function* (_clock) {
    const p = provider({ rotation: "single-use" })
    const s = yield* session(p)
    p.next(fails(failure.credentials))
    yield* Effect.ignore(s.login)
    yield* s.adopt(Token.make({ accessToken: secret("a"), lifetime: "1 hour", refreshToken: secret("r") }))
    const g = yield* paused
    p.next(g.tokenRequest)
    yield* Effect.fork(Effect.either(s.refresh))
    yield* g.sent
    yield* Effect.either(s.login)
    yield* flush
    yield* g.respond
    yield* flush
    assert.deepStrictEqual(
      { presented: p.presented, revoked: p.revoked, login: p.count().login },
      { presented: ["r"], revoked: [], login: 1 }
    )
  })
)

it.scoped("law 30: what was obtained while another process signed out is revoked", () =>
  manually(function* (_clock) {
    const p = provider({ rotation: "single-use" })
    const store = yield* TokenStore.makeMemory
    const s = yield* session(p, { store, key: "k" })
    yield* s.accessToken
    p.next((h) => Effect.zipRight(Records.save(store, "k", rec(7)), h))
    const e = yield* Effect.either(s.refresh)
    yield* flush
    assert.deepStrictEqual([Either.isLeft(e) && e.left._tag, p.revoked], ["SignedOut", ["test-access-2"]])
  })
)

it.scoped(
  "law 30: logout, login, adopt and refresh in hundreds of orders end alike in memory and in a slow store",
  () =>
    manually(function* (clock) {
      for (let seed = 1; seed < 400; seed++) {
        let random = seed
        const below = (limit: number) => {
          random = (random * 48_271) % 2_147_483_647
          return random % limit
        }
        const slowly = <A, E>(effect: Effect.Effect<A, E>, limit: number) =>
          Effect.suspend(() => Effect.delay(effect, below(limit)))
        const p = provider({ rotation: "single-use", lifetime: "1 hour" })
        const inner = yield* TokenStore.makeMemory
        const store: TokenStore.Service = {
          ...inner,
          load: (key) => slowly(inner.load(key), 3000),
          save: (key, record) =>
            slowly(
              Effect.tap(inner.save(key, record), () => slowly(Effect.void, 1000)),
              900
            )
        }
        p.always((honest) => slowly(honest, 2000))
        const s = yield* session(p, { store, key: "k" })
        const adopted = Token.make({
          accessToken: secret("test-a"),
          lifetime: "1 hour",
          refreshToken: secret("test-r")
        })
        const deeds = {
          login: s.login,
          logout: s.logout,
          adopt: s.adopt(adopted),
          refresh: s.refresh,
          read: s.accessToken
        }
        const names = ["login", "logout", "adopt", "refresh", "read"] as const
        const story: Array<string> = []
        for (let i = 0; i < 6; i++) {
          const name = names[below(5)] ?? "read"
          story.push(name)
          yield* Effect.fork(Effect.exit<unknown, unknown, never>(deeds[name]))
          yield* clock.advance(below(1500))
        }
        yield* clock.advance("2 minutes")
        const stored = Option.flatMap(yield* Records.load(inner, "k"), ({ tokens }) => tokens)
        const status = yield* s.status
        const reported = `${seed}: ${story.join(", ")}`
        assert.isTrue(status.saved, reported)
        const mine = status.token === "fresh" ? Option.some(value(yield* s.accessToken)) : Option.none()
        assert.deepStrictEqual(
          Option.map(
            Option.flatMap(stored, ({ accessToken }) => accessToken),
            value
          ),
          mine,
          reported
        )
      }
    })
)

describe("law 30: logout and a new login win", () => {
  it.scoped("law 30: after a logout during a refresh, the late answer is revoked, never saved, never seen", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const waiter = yield* Effect.fork(Effect.flip(s.refresh))
      yield* flight.sent
      yield* s.logout
      assert.strictEqual((yield* Fiber.join(waiter))._tag, "SignedOut")
      assert.deepStrictEqual(p.revoked, ["test-access-1"])
      yield* flight.respond
      yield* flush
      assert.deepStrictEqual(p.revoked, ["test-access-1", "test-access-2"])
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "SignedOut")
      const stored = yield* Records.stored(store.inner, "key")
      assert.isTrue(Option.isNone(stored.tokens))
      yield* clock.advance("1 hour")
      assert.strictEqual((yield* Effect.flip(s.accessToken))._tag, "SignedOut")
      assert.strictEqual(p.count().total, 2)
    })
  )

  it.scoped("law 30: a logout during the save of a new set leaves the logout in the store", () =>
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
      yield* flush
      assert.strictEqual((yield* Fiber.join(refreshing))._tag, "SignedOut")
      assert.deepStrictEqual(p.revoked, ["test-access-1", "test-access-2"])
      assert.strictEqual((yield* Records.stored(store.inner, "key")).generation, 3)
    })
  )

  it.scoped("law 30: a new login wins over a refresh, whose callers get its token", () =>
    manually(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const waiter = yield* Effect.fork(s.refresh)
      yield* flight.sent
      assert.strictEqual(value(yield* s.login), "test-access-2")
      assert.strictEqual(value(yield* Fiber.join(waiter)), "test-access-2")
      yield* flight.respond
      yield* flush
      assert.deepStrictEqual(p.revoked, ["test-access-3"])
      assert.strictEqual(value(yield* s.accessToken), "test-access-2")
    })
  )

  it.scoped("law 30: a late answer does not get into the login that is under way in its place", () =>
    manually(function* () {
      const p = provider({ rotation: "single-use" })
      const s = yield* session(p)
      yield* s.accessToken
      const late = yield* paused
      const next = yield* paused
      p.next(late.tokenRequest, next.tokenRequest)
      yield* Effect.fork(s.refresh)
      yield* late.sent
      const login = yield* Effect.fork(s.login)
      yield* next.sent
      yield* late.respond
      yield* flush
      assert.deepStrictEqual(p.revoked, ["test-access-2"])
      assert.isTrue(Option.isNone(yield* Fiber.poll(login)))
      yield* next.respond
      assert.strictEqual(value(yield* Fiber.join(login)), "test-access-3")
      assert.strictEqual(value(yield* s.accessToken), "test-access-3")
    })
  )

  it.scoped("law 30: 50 callers that login at once make one login", () =>
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
      const flight = yield* paused
      p.next(flight.tokenRequest)
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
