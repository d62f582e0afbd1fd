import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Redacted, Scope } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Encrypted from "../../src/stores/Encrypted.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, paused, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"

const set = (name: string, lifetime: Duration.DurationInput = "5 minutes") =>
  Token.make({ accessToken: secret(`test-${name}`), lifetime, refreshToken: secret(`test-r-${name}`) })

const storeDown = Effect.fail(new StoreFailure({ operation: "save", problem: "down" }))

describe("what comes between two steps", () => {
  it.scoped("laws 18 and 19: a login by name while something is unsaved writes no logout into the store", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "none" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken // generation 1, saved
      const other = yield* session(p, { store: store.inner, key: "key" })
      yield* other.accessToken
      store.state.save = storeDown
      yield* s.refresh // generation 2, unsaved
      const login = yield* paused
      p.next(login.tokenRequest)
      const asked = yield* Effect.fork(s.login)
      yield* login.sent
      store.state.save = undefined // the store is back
      yield* clock.advance("8 seconds")
      const stored = yield* Records.stored(store.inner, "key")
      yield* Effect.fork(other.refresh)
      yield* clock.advance("1 second")
      yield* other.status
      yield* login.respond
      yield* clock.advance("1 second")
      yield* Fiber.join(asked)
      assert.isTrue(Option.isSome(stored.tokens))
    })
  )

  it.scoped("laws 18 and 19: a login by name that fails writes no logout", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "none" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken
      store.state.save = storeDown
      yield* s.refresh
      p.next(fails(failure.unspent))
      yield* Effect.flip(s.login)
      store.state.save = undefined
      yield* clock.advance("8 seconds")
      const stored = yield* Records.stored(store.inner, "key")
      assert.isTrue(Option.isSome(stored.tokens))
    })
  )

  it.scoped("law 20: after a logout and a login elsewhere this process has tokens again", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* TokenStore.makeMemory
      const [one, other] = [yield* session(p, { store, key: "key" }), yield* session(p, { store, key: "key" })]
      yield* one.accessToken
      yield* other.accessToken
      yield* one.logout
      yield* clock.advance("5 minutes")
      yield* Effect.flip(other.accessToken)
      yield* one.login
      yield* clock.advance("1 hour")
      const after = yield* Effect.either(other.accessToken)
      assert.strictEqual(after._tag, "Right")
    })
  )

  it.scoped("law 20: dead elsewhere, adopted in one process: the other has tokens again", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const make = session(p, { store, key: "key", credentials: "none", patience: 0 })
      const [one, other] = [yield* make, yield* make]
      yield* one.adopt(set("mine"))
      yield* other.accessToken
      yield* clock.advance("6 minutes")
      p.next(fails(failure.refused))
      assert.strictEqual((yield* Effect.flip(one.accessToken))._tag, "InvalidRefreshToken")
      const second = yield* Effect.fork(Effect.flip(other.accessToken))
      yield* clock.advance("5 seconds")
      assert.strictEqual((yield* Fiber.join(second))._tag, "InvalidRefreshToken")
      yield* one.adopt(set("new", "2 hours"))
      yield* clock.advance("1 hour")
      const afterF = yield* Effect.fork(Effect.either(other.accessToken))
      yield* clock.advance("5 seconds")
      const after = yield* Fiber.join(afterF)
      assert.strictEqual(after._tag, "Right")
    })
  )

  it.scoped("law 20: the loser that was refused before the winner saved recovers by reading the store", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const make = (s: TokenStore.Service) =>
        session(p, { store: s, key: "key", credentials: "none", timeout: "2 minutes" })
      const one = yield* make(store.service)
      const other = yield* make(store.inner)
      yield* one.adopt(set("mine"))
      yield* other.accessToken
      yield* clock.advance("5 minutes")
      const refresh = yield* paused
      p.next(refresh.tokenRequest, fails(failure.refused))
      yield* Effect.fork(one.accessToken)
      yield* clock.advance("1 second")
      store.dead = true // SIGSTOP of one, longer than the lease lives
      yield* Effect.fork(Effect.either(other.accessToken))
      yield* clock.advance("20 seconds")
      store.dead = false
      yield* refresh.respond
      yield* clock.advance("5 seconds")
      yield* Records.stored(store.inner, "key")
      yield* clock.advance("30 seconds")
      const after = yield* Effect.either(other.accessToken)
      assert.strictEqual(after._tag, "Right")
    })
  )

  it.scoped("law 19: an entry under another key is not erased by logging in twice", () =>
    manually(function* (_clock) {
      const inner = yield* TokenStore.makeMemory
      const key = (n: number) => Redacted.make(Buffer.alloc(32, n).toString("base64"))
      const encrypted = (n: number) =>
        Effect.provideService(Encrypted.make({ key: key(n) }), TokenStore.TokenStore, inner)
      const right = yield* encrypted(1)
      const wrong = yield* encrypted(2)
      yield* Records.save(right, "key", { generation: 1, tokens: Option.some(set("precious")) })
      const p = provider()
      const s = yield* session(p, { store: wrong, key: "key" })
      yield* s.login
      yield* s.login
      yield* flush
      const stored = yield* Effect.either(Records.load(right, "key"))
      assert.strictEqual(stored._tag, "Right")
    })
  )

  it.scoped("law 19: an unreadable record is not erased by a logout", () =>
    manually(function* (_clock) {
      const inner = yield* TokenStore.makeMemory
      yield* inner.save("key", { generation: 1, revision: 1, contents: Redacted.make('{"format":2}') })
      const p = provider()
      const s = yield* session(p, { store: inner, key: "key" })
      yield* s.login
      yield* s.logout
      yield* flush
      const stored = Option.getOrThrow(yield* inner.load("key"))
      assert.strictEqual(value(stored.contents), '{"format":2}')
    })
  )

  it.scoped("law 19: a newer format written by an upgraded replica is not erased by ordinary renewals", () =>
    manually(function* (clock) {
      const inner = yield* TokenStore.makeMemory
      const p = provider({ rotation: "none" })
      const s = yield* session(p, { store: inner, key: "key", renewal: true })
      yield* s.accessToken
      yield* inner.save("key", { generation: 2, revision: 0, contents: Redacted.make('{"format":2}') })
      yield* clock.advance("12 minutes")
      const stored = Option.getOrThrow(yield* inner.load("key"))
      assert.strictEqual(value(stored.contents), '{"format":2}')
    })
  )

  it.scoped(
    "laws 30 and 31: a logout is in the store when the layer has closed, above what another process saved",
    () =>
      manually(function* (_clock) {
        const p = provider()
        const store = yield* watchedStore
        const scope = yield* Scope.make()
        const s = yield* Scope.extend(
          session(p, { store: store.service, key: "key", shutdownDeadline: "10 seconds" }),
          scope
        )
        yield* s.accessToken
        store.state.save = storeDown
        yield* s.logout
        yield* Records.save(store.inner, "key", { generation: 5, tokens: Option.some(set("theirs")) })
        store.state.save = undefined
        yield* Scope.close(scope, Exit.void)
        const stored = yield* Records.stored(store.inner, "key")
        assert.isTrue(Option.isNone(stored.tokens))
      })
  )

  it.scoped("laws 20 and 31: a closed session gives its lease back also when the deadline passed", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "none" })
      const store = yield* TokenStore.makeMemory
      const scope = yield* Scope.make()
      const s = yield* Scope.extend(session(p, { store, key: "key", shutdownDeadline: "1 second" }), scope)
      yield* s.accessToken
      yield* clock.advance("5 minutes")
      p.next(() => Effect.never)
      yield* Effect.fork(Effect.either(s.accessToken))
      yield* flush
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("1500 millis")
      yield* Fiber.join(closing)
      yield* flush
      const leased = yield* store.lease("key", "somebody", Duration.seconds(1))
      assert.isTrue(leased)
    })
  )

  it.scoped("law 20: a superseded flight stops asking for the lease", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "none" })
      const inner = yield* TokenStore.makeMemory
      let asks = 0
      const store: TokenStore.Service = {
        ...inner,
        lease: (k, o, d) => {
          asks++
          return inner.lease(k, o, d)
        }
      }
      const s = yield* session(p, { store, key: "key" })
      yield* s.accessToken
      yield* clock.advance("5 minutes")
      yield* inner.lease("key", "somebody", Duration.minutes(2))
      yield* Effect.fork(Effect.either(s.accessToken))
      yield* clock.advance("1 second")
      yield* s.logout
      yield* clock.advance("1 second")
      const before = asks
      yield* clock.advance("10 seconds")
      assert.strictEqual(asks, before)
    })
  )

  it.scoped("law 20: what was saved while our own save was on its way back is not younger than it is", () =>
    manually(function* (clock) {
      const p = provider({ lifetime: "1 second" })
      const inner = yield* TokenStore.makeMemory
      let slow = false
      const store: TokenStore.Service = {
        ...inner,
        save: (k, e) =>
          Effect.flatMap(inner.save(k, e), (r) =>
            slow ? Effect.as(Effect.sleep("1900 millis"), r) : Effect.succeed(r)
          )
      }
      const s = yield* session(p, { store, key: "key" })
      slow = true
      const adopting = yield* Effect.fork(s.adopt(set("mine", "1 second")))
      yield* clock.advance("100 millis")
      yield* Records.save(inner, "key", { generation: 2, tokens: Option.some(set("theirs", "1500 millis")) })
      yield* clock.advance("1900 millis")
      yield* Fiber.join(adopting)
      // theirs is now 1.9 s old, and dead
      yield* clock.advance("10 millis")
      const got = yield* Effect.fork(s.refresh)
      yield* clock.advance("100 millis")
      slow = false
      yield* clock.advance("5 seconds")
      const token = value(yield* Fiber.join(got))
      assert.notStrictEqual(token, "test-theirs")
    })
  )

  it.scoped("laws 19 and 30: a logout elsewhere wins also after a conflict about the intent", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const inner = yield* TokenStore.makeMemory
      let meddle = false
      const store: TokenStore.Service = {
        ...inner,
        save: (key, entry) =>
          Effect.suspend(() => {
            if (!meddle) return inner.save(key, entry)
            meddle = false
            return Effect.gen(function* () {
              const stored = yield* Records.stored(inner, "key")
              // another process noted InDoubt and then NotSpent
              yield* Records.save(inner, "key", { ...stored, revision: stored.revision + 2 })
              return yield* inner.save(key, entry)
            }).pipe(Effect.orDie)
          })
      }
      const s = yield* session(p, { store, key: "key", credentials: "none" })
      yield* s.adopt(set("mine"))
      yield* clock.advance("5 minutes")
      meddle = true
      const refresh = yield* paused
      p.next(refresh.tokenRequest)
      yield* Effect.fork(Effect.either(s.accessToken))
      yield* clock.advance("1 second")
      yield* Records.save(inner, "key", { generation: 2, tokens: Option.none() })
      yield* refresh.respond
      yield* clock.advance("1 second")
      assert.strictEqual((yield* s.status).generation, 2)
      assert.deepStrictEqual(p.revoked, ["test-access-1"])
    })
  )

  it.scoped("law 21: an intent that was stored though its answer came late costs no login", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const inner = yield* TokenStore.makeMemory
      let slow = false
      const store: TokenStore.Service = {
        ...inner,
        save: (k, e) =>
          Effect.flatMap(inner.save(k, e), (r) => (slow ? Effect.as(Effect.sleep("3 seconds"), r) : Effect.succeed(r)))
      }
      const s = yield* session(p, { store, key: "key" })
      yield* s.accessToken
      yield* clock.advance("270 seconds")
      slow = true
      yield* s.accessToken
      yield* clock.advance("2500 millis")
      slow = false
      yield* clock.advance("60 seconds")
      yield* Effect.fork(s.accessToken)
      yield* clock.advance("5 seconds")
      assert.strictEqual(p.count().login, 1)
    })
  )
})
