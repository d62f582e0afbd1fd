import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Option } from "effect"
import type { UserPassword } from "../../src/provider/Credentials.js"
import type * as Session from "../../src/session/Session.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import {
  fails,
  failure,
  herd,
  provider,
  type Scripted,
  secret,
  session,
  user,
  value,
  watchedStore
} from "../support/harness.js"
import { type ManualClock, manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"
import { rec } from "./harness.js"

const failedTag = (s: Session.Service) => Effect.map(Effect.flip(s.accessToken), (error) => error._tag)

/** A signed-in session whose token has just ended. */
const atExpiry = (clock: ManualClock, p: Scripted, options: Parameters<typeof session>[1] = {}) =>
  Effect.gen(function* () {
    const seed = Token.make({
      accessToken: secret("test-seed"),
      lifetime: "5 minutes",
      refreshToken: secret("test-rt")
    })
    const s = yield* session(p, { seed, patience: "0 seconds", ...options })
    yield* clock.advance("5 minutes")
    return s
  })

const signedIn = (clock: ManualClock, p: Scripted, options: Parameters<typeof session>[1] = {}) =>
  Effect.gen(function* () {
    const s = yield* session(p, { patience: "0 seconds", ...options })
    yield* s.adopt(
      Token.make({ accessToken: secret("test-adopted"), lifetime: "5 minutes", refreshToken: secret("test-rt") })
    )
    yield* clock.advance("0 seconds")
    return s
  })

describe("law 12: the four outcomes", () => {
  const again = (failed: Parameters<typeof fails>[0], rotation: "none" | "single-use") =>
    manually(function* (clock) {
      const p = provider({ rotation })
      const s = yield* atExpiry(clock, p)
      p.next(fails(failed))
      yield* Effect.ignore(s.accessToken)
      yield* clock.advance("1 second")
      yield* Effect.ignore(s.accessToken)
      return { ...p.count(), presented: p.presented }
    })

  it.scoped("law 12: what was not spent is presented again, also with a single-use refresh token", () =>
    Effect.gen(function* () {
      for (const failed of [failure.unspent, failure.busy("100 millis")]) {
        const { login, presented } = yield* again(failed, "single-use")
        assert.deepStrictEqual(presented, ["test-rt", "test-rt"])
        assert.strictEqual(login, 0)
      }
    })
  )

  it.scoped("law 12: without rotation an unknown outcome is tried again with the same refresh token", () =>
    Effect.gen(function* () {
      for (const failed of [failure.unknown, failure.malformed]) {
        const { login, presented } = yield* again(failed, "none")
        assert.deepStrictEqual(presented, ["test-rt", "test-rt"])
        assert.strictEqual(login, 0)
      }
    })
  )

  it.scoped("law 12: with a single-use refresh token an unknown outcome is not", () =>
    Effect.gen(function* () {
      for (const failed of [failure.unknown, failure.malformed]) {
        const { login, presented } = yield* again(failed, "single-use")
        assert.deepStrictEqual(presented, ["test-rt"])
        assert.strictEqual(login, 1)
      }
    })
  )

  it.scoped("law 12: a refused client is told at once, and the server is not asked again", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* atExpiry(clock, p)
      p.always(fails(failure.misconfigured))
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(yield* failedTag(s), "Misconfigured")
        yield* clock.advance("1 hour")
      }
      assert.strictEqual(p.count().total, 1)
    })
  )
})

describe("law 13: a single-use refresh token in doubt", () => {
  const lost = (clock: ManualClock, options: Parameters<typeof provider>[0], credentials?: "none") =>
    Effect.gen(function* () {
      const p = provider({ rotation: "single-use", ...options })
      const s = yield* signedIn(clock, p, credentials === undefined ? {} : { credentials })
      yield* clock.advance("4 minutes")
      p.next(fails(failure.unknown))
      assert.strictEqual(value(yield* s.accessToken), "test-adopted")
      yield* clock.advance("0 seconds")
      assert.strictEqual(p.count().refresh, 1)
      return { p, s }
    })

  it.scoped("law 13: the valid access token goes on being served, and nothing is presented meanwhile", () =>
    manually(function* (clock) {
      const { p, s } = yield* lost(clock, {}, "none")
      for (let i = 0; i < 59; i++) {
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* s.accessToken), "test-adopted")
      }
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 13: with credentials, the next token comes from one login", () =>
    manually(function* (clock) {
      const { p, s } = yield* lost(clock, {})
      yield* clock.advance("1 minute")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      assert.deepStrictEqual(p.presented, ["test-rt"])
      assert.strictEqual(p.count().login, 1)
    })
  )

  it.scoped("law 13: without, it is presented once more; refused, that is the end, with no request after it", () =>
    manually(function* (clock) {
      const { p, s } = yield* lost(clock, {}, "none")
      yield* clock.advance("1 minute")
      p.always(fails(failure.refused))
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(yield* failedTag(s), "InvalidRefreshToken")
        yield* clock.advance("1 minute")
      }
      assert.deepStrictEqual(p.presented, ["test-rt", "test-rt"])
    })
  )

  it.scoped("law 13: lost a second time, it is never presented a third", () =>
    manually(function* (clock) {
      const { p, s } = yield* lost(clock, {}, "none")
      yield* clock.advance("1 minute")
      p.always(fails(failure.unknown))
      for (let i = 0; i < 20; i++) {
        yield* Effect.ignore(s.accessToken)
        yield* clock.advance("1 minute")
      }
      assert.deepStrictEqual(p.presented, ["test-rt", "test-rt"])
      assert.strictEqual(yield* failedTag(s), "InvalidRefreshToken")
    })
  )

  it.scoped("law 13: within a declared reuse window it is presented once more at once, and recovers", () =>
    manually(function* (clock) {
      const { p, s } = yield* lost(clock, { reuseWindow: Duration.seconds(30) })
      yield* clock.advance("1 second")
      yield* s.accessToken
      yield* clock.advance("0 seconds")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      assert.deepStrictEqual(p.presented, ["test-rt", "test-rt"])
      assert.strictEqual(p.count().login, 0)
    })
  )
})

describe("law 14: a refused refresh token", () => {
  it.scoped("law 14: leads to a login, in the same flight", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* atExpiry(clock, p)
      p.next(fails(failure.refused))
      const results = yield* herd(100, s.accessToken)
      assert.isTrue(results.every((one) => one._tag === "Right" && value(one.right) === "test-access-1"))
      assert.deepStrictEqual(p.count(), { refresh: 1, login: 1, total: 2, most: 1 })
    })
  )

  it.scoped("law 14: without credentials is the end, and no one asks the server again", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* atExpiry(clock, p, { credentials: "none" })
      p.always(fails(failure.refused))
      for (let i = 0; i < 100; i++) {
        assert.strictEqual(yield* failedTag(s), "InvalidRefreshToken")
        yield* clock.advance("1 minute")
      }
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 14: refused while the access token is valid, that one is served to its end", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* signedIn(clock, p, { credentials: "none" })
      yield* clock.advance("4 minutes")
      p.always(fails(failure.refused))
      for (let i = 0; i < 60; i++) {
        assert.strictEqual(value(yield* s.accessToken), "test-adopted")
        yield* clock.advance("1 second")
      }
      assert.strictEqual(yield* failedTag(s), "InvalidRefreshToken")
      assert.strictEqual(p.count().total, 1)
    })
  )

  it.scoped("law 14: the store is read first, and a newer generation adopted", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* signedIn(clock, p, { store: store.service, key: "key" })
      yield* clock.advance("5 minutes")
      const other = Token.make({ accessToken: secret("test-other"), lifetime: "1 hour" })
      p.next(() =>
        Effect.zipRight(
          Records.save(store.inner, "key", { generation: 7, tokens: Option.some(other) }),
          Effect.fail(failure.refused)
        )
      )
      assert.strictEqual(value(yield* s.accessToken), "test-other")
      assert.strictEqual((yield* s.status).generation, 7)
      assert.deepStrictEqual(p.count(), { refresh: 1, login: 0, total: 1, most: 1 })
    })
  )
})

it.scoped("law 15: a refresh token whose known end has passed is not sent", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "1 hour", refreshLifetime: "2 hours" })
    const s = yield* session(p)
    yield* s.accessToken
    yield* clock.advance("2 hours")
    assert.strictEqual(value(yield* s.accessToken), "test-access-2")
    assert.deepStrictEqual(p.count(), { refresh: 0, login: 2, total: 2, most: 1 })
  })
)

it.scoped("law 15: without credentials its end is the end, and named", () =>
  manually(function* (clock) {
    const p = provider()
    const s = yield* session(p, { credentials: "none" })
    yield* s.adopt(
      Token.make({
        accessToken: secret("test-a"),
        lifetime: "1 hour",
        refreshToken: secret("test-r"),
        refreshLifetime: "1 hour"
      })
    )
    yield* clock.advance("1 hour")
    const error = yield* Effect.flip(s.accessToken)
    assert.deepInclude(error, { _tag: "TokenExpired", token: "refresh" })
    assert.strictEqual(p.count().total, 0)
  })
)

describe("law 16: refused credentials", () => {
  it.scoped("law 16: are not sent again before a growing cool-down ends", () =>
    manually(function* (clock) {
      const p = provider()
      const s = yield* session(p)
      p.always(fails(failure.credentials))
      const sent: Array<number> = []
      for (let minute = 0; minute < 240; minute++) {
        const before = p.count().login
        assert.strictEqual(yield* failedTag(s), "InvalidCredentials")
        yield* Effect.ignore(s.login)
        if (p.count().login > before) sent.push(minute)
        assert.isAtMost(p.count().login - before, 1)
        yield* clock.advance("1 minute")
      }
      assert.deepStrictEqual(sent, [0, 1, 3, 7, 15, 31, 63, 123, 183])
    })
  )

  it.scoped("law 16: are sent at once when they changed, however many wait", () =>
    manually(function* (clock) {
      const p = provider()
      let current = user
      let reads = 0
      const read = Effect.sync(() => {
        reads++
        return current
      })
      const s = yield* session(p, { credentials: read })
      p.next(fails(failure.credentials))
      yield* Effect.ignore(s.accessToken)
      for (let i = 0; i < 100; i++) yield* Effect.ignore(s.accessToken)
      assert.strictEqual(reads, 1, "they are looked at once a second at the most")
      current = { ...user, password: secret("test-changed") }
      yield* clock.advance("1 second")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
      assert.strictEqual(p.count().login, 2)
    })
  )
})

it.scoped("law 17: a login never follows a transient failure of a refresh", () =>
  manually(function* (clock) {
    for (const failed of [failure.unspent, failure.unknown, failure.malformed, failure.busy("1 second")]) {
      const p = provider()
      const s = yield* atExpiry(clock, p)
      p.always(fails(failed))
      for (let i = 0; i < 50; i++) {
        yield* Effect.ignore(s.accessToken)
        yield* clock.advance("10 seconds")
      }
      assert.isAbove(p.count().refresh, 10)
      assert.strictEqual(p.count().login, 0)
    }
  })
)

describe("law 22: rotation", () => {
  const refreshed = (response: Token.TokenSet) =>
    manually(function* (clock) {
      const p = provider({ rotation: "optional" })
      const s = yield* session(p, { credentials: "none", patience: "0 seconds" })
      yield* s.adopt(
        Token.make({
          accessToken: secret("test-a"),
          lifetime: "5 minutes",
          refreshToken: secret("test-old"),
          extra: { device_id: "device-1", stored: true }
        })
      )
      yield* clock.advance("4 minutes")
      p.next(() => Effect.succeed(response))
      const first = yield* Effect.either(s.refresh)
      yield* clock.advance("5 minutes")
      yield* s.accessToken
      return { first, presented: p.presented }
    })

  it.scoped("law 22: a new refresh token replaces the old one", () =>
    Effect.gen(function* () {
      const response = Token.make({
        accessToken: secret("test-b"),
        lifetime: "1 minute",
        refreshToken: secret("test-new")
      })
      assert.deepStrictEqual((yield* refreshed(response)).presented, ["test-old", "test-new"])
    })
  )

  it.scoped("law 22: an omitted one keeps it", () =>
    Effect.gen(function* () {
      const response = Token.make({ accessToken: secret("test-b"), lifetime: "1 minute" })
      assert.deepStrictEqual((yield* refreshed(response)).presented, ["test-old", "test-old"])
    })
  )

  it.scoped("law 22: a new one replaces it also when the rest of the answer is broken", () =>
    Effect.gen(function* () {
      const { first, presented } = yield* refreshed(Token.make({ refreshToken: secret("test-new") }))
      assert.isTrue(first._tag === "Left" && first.left._tag === "MalformedResponse")
      assert.deepStrictEqual(presented, ["test-old", "test-new"])
    })
  )

  it.scoped("law 22: extra fields survive", () =>
    Effect.sync(() => {
      const before = Token.make({ extra: { device_id: "device-1", stored: true } })
      const after = Token.renew(before, Token.make({ extra: { device_id: "device-2" } }))
      assert.deepStrictEqual(after.extra, { device_id: "device-2", stored: true })
    })
  )
})

it.scoped("without tokens and credentials no one is signed in, and nothing is sent", () =>
  Effect.gen(function* () {
    const p = provider()
    const s = yield* session(p, { credentials: "none" })
    assert.strictEqual(yield* failedTag(s), "SignedOut")
    const login = yield* Effect.flip(s.login)
    assert.deepInclude(login, { _tag: "Misconfigured", field: "credentials" })
    assert.strictEqual(p.count().total, 0)
    yield* Fiber.join(yield* Effect.fork(s.adopt(Token.make({ accessToken: secret("test-x"), lifetime: "1 hour" }))))
    assert.strictEqual(value(yield* s.accessToken), "test-x")
  })
)

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

it.scoped("law 16: a refused login without credentials cools down as well", () =>
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
