// Stories that once went wrong: each is an order of events that the laws must survive.
import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Either, Exit, Fiber, Option, Scope, Stream } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import type { UserPassword } from "../../src/provider/Credentials.js"
import * as Record from "../../src/store/record.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, held, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { manually, settle } from "../support/ManualClock.js"
import * as Records from "../support/records.js"

const rec = (generation: number, tokens?: Token.TokenSet, age: Duration.DurationInput = 0) => ({
  generation,
  tokens: Option.fromNullable(tokens),
  age: Duration.toMillis(age),
  refreshAge: Duration.toMillis(age)
})
const unsaved = new StoreFailure({ operation: "save", problem: "x" })

it.scoped("law 14: a refused refresh token that another process left behind is not sent twice", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use" })
    const store = yield* TokenStore.makeMemory
    const s = yield* session(p, {
      store,
      key: "k",
      credentials: "none",
      seed: Token.make({ refreshToken: secret("mine") })
    })
    p.next((honest) =>
      Effect.zipRight(
        Records.save(
          store,
          "k",
          rec(
            7,
            Token.make({ accessToken: secret("theirs"), lifetime: "5 minutes", refreshToken: secret("theirs-r") }),
            "6 minutes"
          )
        ),
        honest
      )
    )
    let n = 0
    p.always(() => Effect.suspend(() => (++n > 500 ? Effect.never : Effect.fail(failure.refused))))
    yield* Effect.fork(Effect.either(s.accessToken))
    yield* clock.advance("1 second")
    assert.deepStrictEqual(p.presented.slice(0, 6), ["mine", "theirs-r"])
  })
)

it.scoped("law 19: a log out that meets a newer record and an unreadable store is kept in the end", () =>
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
    const kept = yield* Records.kept(inner, "k")
    assert.deepStrictEqual({ saved: st.saved, signedOut: Option.isNone(kept.tokens) }, { saved: true, signedOut: true })
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

it.scoped("law 30: a seed does not undo a log out that the store keeps", () =>
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

it.scoped("law 29: a seeded session is renewed in the background after its first use", () =>
  manually(function* (clock) {
    const p = provider()
    const s = yield* session(p, {
      renewal: true,
      seed: Token.make({ accessToken: secret("seed"), refreshToken: secret("r"), lifetime: "1 hour" })
    })
    assert.strictEqual(value(yield* s.accessToken), "seed")
    yield* clock.advance("2 hours")
    assert.isAtLeast(p.count().total, 1)
  })
)

it.scoped("an endless reuse window is no defect", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use", reuseWindow: Duration.infinity })
    const s = yield* session(p, { credentials: "none", seed: Token.make({ refreshToken: secret("r") }) })
    p.next(fails(failure.unknown))
    const f = yield* Effect.forkDaemon(Effect.exit(s.accessToken))
    yield* clock.advance("1 minute")
    assert.isTrue(Option.isSome(yield* Fiber.poll(f)), "caller waits for ever")
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

it.scoped("law 16: a refused log in without credentials cools down as well", () =>
  manually(function* (clock) {
    const p = provider()
    let n = 0
    const service = {
      ...p.service,
      login: () =>
        Option.some(
          Effect.suspend(() => {
            n++
            return Effect.fail(failure.credentials)
          })
        )
    }
    const s = yield* session({ ...p, service }, { credentials: "none" })
    for (let i = 0; i < 600; i++) {
      yield* Effect.ignore(s.accessToken)
      yield* clock.advance("1 second")
    }
    assert.isAtMost(n, 50)
  })
)

it.scoped("law 30: a log in right after a log out stays in a slow store", () =>
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
    yield* settle
    const f = yield* Effect.fork(s.login)
    yield* clock.advance("10 minutes")
    assert.strictEqual(value(yield* Fiber.join(f)), "test-access-2")
    const kept = yield* Records.kept(inner, "k")
    assert.isTrue(Option.isSome(kept.tokens), "the store says signed out")
  })
)

it.scoped("law 30: a log in after a log out that could not be saved stays in the store", () =>
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
    const kept = yield* Records.kept(store.inner, "k")
    assert.isTrue(Option.isSome(kept.tokens), "the store says signed out")
  })
)

it.scoped("law 22: a broken answer never makes an expired access token look fresh, also when the store objects", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use", lifetime: "5 minutes" })
    const inner = yield* TokenStore.makeMemory
    let no = false
    const store: TokenStore.Service = {
      ...inner,
      load: (k) => (no ? Effect.succeedNone : inner.load(k)),
      save: (k, r) => (no ? Effect.succeed(false) : inner.save(k, r))
    }
    const s = yield* session(p, { store, key: "k", patience: 0 })
    yield* s.accessToken
    yield* clock.advance("6 minutes")
    no = true
    p.next(() => Effect.succeed(Token.make({ refreshToken: secret("rotated") })))
    const r = yield* Effect.either(s.accessToken)
    assert.isTrue(Either.isLeft(r), Either.isRight(r) ? value(r.right) : "")
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

it.scoped("law 32: changes end when the session closes", () =>
  manually(function* (clock) {
    const scope = yield* Scope.make()
    const s = yield* Scope.extend(session(provider()), scope)
    const f = yield* Effect.fork(Stream.runDrain(s.changes))
    yield* settle
    yield* Scope.close(scope, Exit.void)
    yield* clock.advance("1 minute")
    assert.isTrue(Option.isSome(yield* Fiber.poll(f)), "still waits")
  })
)

it.scoped("a provider that changes its mind about logging in is a typed failure", () =>
  manually(function* (clock) {
    const p = provider()
    let n = 0
    const service = {
      ...p.service,
      login: (read: Option.Option<UserPassword>) => (++n % 2 === 1 ? p.service.login(read) : Option.none())
    }
    const s = yield* session({ ...p, service })
    const f = yield* Effect.fork(Effect.flip(s.accessToken))
    yield* clock.advance("1 second")
    const r = yield* Fiber.poll(f)
    assert.isTrue(Option.isSome(r), "waits for 10 s")
  })
)

it.scoped("law 9: a log out and a new log in do not skip what the server asked for", () =>
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

it.scoped("law 31: closing in an interrupted fiber saves what is unsaved", () =>
  manually(function* (clock) {
    const p = provider()
    const store = yield* watchedStore
    const ready = yield* Deferred.make<void>()
    store.state.save = Effect.fail(unsaved)
    const slow: TokenStore.Service = {
      ...store.service,
      save: (k, r) => Effect.delay(store.service.save(k, r), "500 millis")
    }
    const app = yield* Effect.fork(
      Effect.scoped(
        Effect.gen(function* () {
          const s = yield* session(p, { store: slow, key: "key" })
          yield* s.accessToken
          store.state.save = undefined
          yield* Deferred.succeed(ready, void 0)
          return yield* Effect.never
        })
      )
    )
    yield* clock.advance("501 millis")
    yield* Deferred.await(ready)
    const before = store.state.saves
    const i = yield* Effect.fork(Fiber.interrupt(app))
    yield* settle
    const doneAtOnce = Option.isSome(yield* Fiber.poll(i))
    yield* clock.advance("2 seconds")
    assert.deepStrictEqual(
      [doneAtOnce, Option.isSome(yield* store.inner.load("key")), Option.isSome(yield* Fiber.poll(i))],
      [false, true, true],
      `${before} ${store.state.saves}`
    )
  })
)

it.scoped("law 30: a log in that has nothing to log in with leaves a refresh under way alone", () =>
  manually(function* (clock) {
    const p = provider({ rotation: "single-use" })
    const s = yield* session(p, { credentials: "none" })
    yield* s.adopt(Token.make({ accessToken: secret("a"), lifetime: "1 hour", refreshToken: secret("r") }))
    yield* clock.advance("2 hours")
    const g = yield* held
    p.next(g.exchange)
    yield* Effect.fork(Effect.either(s.accessToken))
    yield* g.sent
    yield* Effect.either(s.login)
    yield* settle
    yield* g.answer
    yield* settle
    assert.deepStrictEqual({ presented: p.presented, revoked: p.revoked }, { presented: ["r"], revoked: [] })
  })
)

it.scoped("law 30: a log in with credentials refused a moment ago does so likewise", () =>
  manually(function* (_clock) {
    const p = provider({ rotation: "single-use" })
    const s = yield* session(p)
    p.next(fails(failure.credentials))
    yield* Effect.ignore(s.login)
    yield* s.adopt(Token.make({ accessToken: secret("a"), lifetime: "1 hour", refreshToken: secret("r") }))
    const g = yield* held
    p.next(g.exchange)
    yield* Effect.fork(Effect.either(s.refresh))
    yield* g.sent
    yield* Effect.either(s.login)
    yield* settle
    yield* g.answer
    yield* settle
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
    yield* settle
    assert.deepStrictEqual([Either.isLeft(e) && e.left._tag, p.revoked], ["SignedOut", ["test-access-2"]])
  })
)

it.scoped("law 16: credentials that alternate are not sent in turn for ever", () =>
  manually(function* (clock) {
    const p = provider()
    let n = 0
    const s = yield* session(p, {
      patience: 0,
      credentials: Effect.sync(() => ({ username: secret(`u${n++ % 2}`), password: secret("p") }))
    })
    p.always(fails(failure.credentials))
    for (let i = 0; i < 120; i++) {
      yield* Effect.ignore(s.accessToken)
      yield* clock.advance("1 second")
    }
    assert.isAtMost(p.count().login, 10)
  })
)

it.scoped("law 16: a refresh answered with refused credentials ends the session, not a loop", () =>
  manually(function* (clock) {
    const p = provider()
    const s = yield* session(p, { patience: 0, credentials: "none", seed: Token.make({ refreshToken: secret("r") }) })
    p.always(fails(failure.credentials))
    for (let i = 0; i < 120; i++) {
      yield* Effect.ignore(s.accessToken)
      yield* clock.advance("1 second")
    }
    assert.isAtMost(p.count().refresh, 10)
  })
)

it.scoped("law 11: a token of unknown end that is rejected every two seconds costs a handful of exchanges", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "unstated" })
    const s = yield* session(p)
    let t = yield* s.accessToken
    for (let i = 0; i < 60; i++) {
      yield* clock.advance("1 second")
      t = yield* s.reject(t)
    }
    assert.isAtMost(p.count().total, 10)
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
    yield* settle
    const nb = yield* b.refresh
    assert.notStrictEqual(value(nb), value(tb))
  })
)

it.scoped(
  "law 30: log out, log in, adopt and refresh in hundreds of orders end alike in memory and in a slow store",
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
        const kept = Option.flatMap(yield* Records.load(inner, "k"), ({ tokens }) => tokens)
        const status = yield* s.status
        const told = `${seed}: ${story.join(", ")}`
        assert.isTrue(status.saved, told)
        const mine = status.token === "fresh" ? Option.some(value(yield* s.accessToken)) : Option.none()
        assert.deepStrictEqual(
          Option.map(
            Option.flatMap(kept, ({ accessToken }) => accessToken),
            value
          ),
          mine,
          told
        )
      }
    })
)

for (const renewal of [true, false]) {
  for (const lifetime of [0, 1, 50, 999]) {
    it.scoped(`law 11: a lifetime of ${lifetime} ms is nonsense and causes no storm (fiber: ${renewal})`, () =>
      manually(function* (clock) {
        const p = provider({ lifetime })
        const s = yield* session(p, { renewal })
        for (let i = 0; i < 600; i++) {
          yield* s.accessToken
          yield* clock.advance("100 millis")
        }
        assert.strictEqual(p.count().total, 1)
        assert.isTrue(Option.isNone((yield* s.status).expiresAt))
      })
    )
  }
}
