import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, Option } from "effect"
import * as Faults from "../../../src/testing/Faults.js"
import * as Token from "../../../src/token/Token.js"
import { secret } from "../../support/harness.js"
import { type ManualClock, manually } from "../../support/ManualClock.js"
import * as Records from "../../support/records.js"
import { flush, herd, manners, passwordless, polite, signedIn, tagOf, user, value, world } from "./harness.js"
import { type Entry, entries, password, refreshing, rotating, teletracker, violet } from "./table.js"

const status = (status: number) => Faults.Status({ status })

/** What keeps a request from being processed, and says so. */
const unspent = { "429": status(429), "503": status(503) }

/** What leaves open whether a request was processed. */
const unknown = {
  "a lost request": Faults.Drop({ when: "before" }),
  "a lost answer": Faults.Drop({ when: "after" }),
  "500": status(500),
  "502": status(502),
  "504": status(504),
  "a 200 that is no JSON": Faults.Body({ kind: "broken" })
}

/** Signed in, with a token that has ended, and without patience. */
const atExpiry = (entry: Entry, clock: ManualClock, options: Parameters<typeof world>[1] = {}) =>
  Effect.tap(signedIn(entry, { patience: 0, ...options }), () => clock.advance("5 minutes"))

describe.each(refreshing)("outcomes, with $name", (entry) => {
  const { name, rotation } = entry

  it.scoped(`law 12: ${name}: what was not spent is presented again, the same refresh token, without a login`, () =>
    manually(function* (clock) {
      for (const [title, fault] of Object.entries(unspent)) {
        const { sandbox, session, wire } = yield* atExpiry(entry, clock)
        yield* sandbox.faults.inject("refresh", fault)
        assert.strictEqual(yield* tagOf(session.accessToken), "NetworkFailure", title)
        yield* clock.advance("1 second")
        assert.strictEqual(yield* tagOf(session.accessToken), "success", title)
        const [first, second] = wire.presented()
        assert.deepStrictEqual([wire.presented().length, wire.count("login")], [2, 1], title)
        assert.strictEqual(first, second, title)
        assert.deepStrictEqual(yield* polite(sandbox), manners, title)
      }
    })
  )

  const after =
    rotation === "none" ? "it is presented again by itself, without a login" : "it is not: one login takes its place"
  it.scoped(`law 12: ${name}: after an unknown outcome ${after}`, () =>
    manually(function* (clock) {
      for (const [title, fault] of Object.entries(unknown)) {
        const { sandbox, session, wire } = yield* atExpiry(entry, clock)
        yield* sandbox.faults.inject("refresh", fault)
        assert.include(["NetworkFailure", "MalformedResponse"], yield* tagOf(session.accessToken), title)
        yield* clock.advance("1 second")
        assert.strictEqual(yield* tagOf(session.accessToken), "success", title)
        const spent = rotation === "none" ? [2, 1] : [1, 2]
        assert.deepStrictEqual([wire.presented().length, wire.count("login")], spent, title)
        assert.strictEqual(new Set(wire.presented()).size, 1, title)
        assert.deepStrictEqual(yield* polite(sandbox), manners, title)
      }
    })
  )

  it.scoped(`law 14: ${name}: a refused refresh leads to a login, in the same flight`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* atExpiry(entry, clock)
      yield* sandbox.revokeRefreshTokens
      const results = yield* herd(50, session.accessToken)
      assert.isTrue(results.every(Either.isRight))
      assert.deepStrictEqual([wire.count("refresh"), wire.count("login")], [1, 2])
      assert.strictEqual((yield* sandbox.report).maxConcurrentTokenRequests, 1)
    })
  )

  it.scoped(`law 14: ${name}: without credentials it is the end, and no one asks the server again`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* passwordless(entry)
      yield* sandbox.revokeRefreshTokens
      yield* clock.advance("4 minutes")
      const before = wire.tokenRequests()
      for (let i = 0; i < 6; i++) {
        assert.strictEqual(yield* tagOf(session.accessToken), "success", "the valid token is served to its end")
        yield* clock.advance("10 seconds")
      }
      for (let i = 0; i < 20; i++) {
        assert.strictEqual(yield* tagOf(session.accessToken), "InvalidRefreshToken")
        yield* clock.advance("10 minutes")
      }
      assert.strictEqual(wire.tokenRequests(), before + 1)
    })
  )

  it.scoped(`law 14: ${name}: the store is read first, and what another process obtained is adopted`, () =>
    manually(function* (clock) {
      const { stored, sandbox, session, store, wire } = yield* atExpiry(entry, clock)
      const { tokens } = yield* stored
      const theirs = { ...Option.getOrThrow(tokens), accessToken: Option.some(secret("theirs")) }
      yield* sandbox.revokeRefreshTokens
      const paused = yield* wire.hold("refresh")
      const caller = yield* Effect.fork(session.accessToken)
      yield* paused.arrived
      yield* Records.save(store.inner, "key", { generation: 7, tokens: Option.some(theirs) })
      yield* paused.respond
      assert.strictEqual(value(yield* Fiber.join(caller)), "theirs")
      assert.strictEqual((yield* session.status).generation, 7)
      assert.deepStrictEqual([wire.count("refresh"), wire.count("login")], [1, 1])
    })
  )

  it.scoped(`law 15: ${name}: a refresh token whose known end has passed is not sent`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* signedIn(entry, { sandbox: { refreshLifetime: "10 minutes" } })
      yield* clock.advance("10 minutes")
      assert.strictEqual(yield* tagOf(session.accessToken), "success")
      assert.deepStrictEqual([wire.count("refresh"), wire.count("login")], [0, 2])
      // Without anything to log in with, its end is the end.
      const other = yield* signedIn(entry, { sandbox: { refreshLifetime: "10 minutes" } })
      const { tokens } = yield* other.stored
      const alone = yield* world(entry, { credentials: "none" })
      yield* alone.session.adopt(Option.getOrThrow(tokens))
      yield* clock.advance("10 minutes")
      const failure = yield* Effect.flip(alone.session.accessToken)
      assert.deepInclude(failure, { _tag: "TokenExpired", token: "refresh" })
      assert.strictEqual(alone.wire.sent.length, 0)
      assert.strictEqual((yield* sandbox.report).complaints, 0)
    })
  )

  it.scoped(`law 15: ${name}: one that the server says has expired leads to a login, or is the end`, () =>
    manually(function* (clock) {
      const expired = yield* passwordless(entry, { sandbox: { refreshLifetime: "10 minutes" } })
      const minted = secret(yield* expired.sandbox.mintRefreshToken)
      yield* clock.advance("10 minutes")
      // Nothing tells the session how old this one is.
      yield* expired.session.adopt(Token.make({ refreshToken: minted }))
      const before = expired.wire.tokenRequests()
      for (let i = 0; i < 5; i++) {
        assert.include(["TokenExpired", "InvalidRefreshToken"], yield* tagOf(expired.session.accessToken))
        yield* clock.advance("1 hour")
      }
      assert.strictEqual(expired.wire.tokenRequests(), before + 1)
    })
  )

  it.scoped(`law 17: ${name}: a login never follows a transient failure of a refresh`, () =>
    manually(function* (clock) {
      const lasting = rotation === "none" ? { ...unspent, ...unknown } : unspent
      for (const [title, fault] of Object.entries(lasting)) {
        const { sandbox, session, wire } = yield* atExpiry(entry, clock)
        yield* sandbox.faults.inject("refresh", fault, Number.POSITIVE_INFINITY)
        for (let i = 0; i < 12; i++) {
          assert.notStrictEqual(yield* tagOf(session.accessToken), "success", title)
          yield* clock.advance("30 seconds")
        }
        assert.deepStrictEqual([wire.count("refresh"), wire.count("login")], [12, 1], title)
        yield* sandbox.faults.clear
        assert.strictEqual(yield* tagOf(session.accessToken), "success", title)
        assert.strictEqual(wire.count("login"), 1, title)
      }
    })
  )

  for (const kind of ["missing", "null", "empty", "number", "object", "control"] as const) {
    it.scoped(`law 22: ${name}: a refresh token that is ${kind} in the answer keeps the one in use`, () =>
      manually(function* () {
        const { sandbox, session, wire } = yield* signedIn(entry, { sandbox: { rotation: "none" } })
        const token = value(yield* session.accessToken)
        yield* sandbox.faults.inject("refresh", Faults.Token({ kind, which: "refresh" }))
        assert.notStrictEqual(value(yield* session.refresh), token)
        yield* tagOf(session.refresh)
        const [first, second] = wire.presented()
        assert.isString(first)
        assert.strictEqual(second, first)
      })
    )
  }

  if (rotation !== "none") {
    it.scoped(`law 22: ${name}: a new refresh token replaces the old one`, () =>
      manually(function* () {
        const { sandbox, session, wire } = yield* signedIn(entry, { sandbox: { rotation: "single-use" } })
        for (let i = 0; i < 4; i++) yield* session.refresh
        assert.strictEqual(new Set(wire.presented()).size, 4)
        assert.deepStrictEqual(yield* polite(sandbox), manners)
      })
    )

    for (const kind of ["missing", "number", "control"] as const) {
      it.scoped(`law 22: ${name}: it does so also when the access token beside it is ${kind}`, () =>
        manually(function* (clock) {
          const options = { sandbox: { rotation: "single-use" }, patience: 0 } as const
          const { sandbox, session, wire } = yield* signedIn(entry, options)
          const old = value(yield* session.accessToken)
          yield* sandbox.faults.inject("refresh", Faults.Token({ kind }))
          assert.strictEqual(yield* tagOf(session.refresh), "MalformedResponse")
          assert.strictEqual(value(yield* session.accessToken), old, "it is served to its end")
          yield* clock.advance("5 minutes")
          assert.strictEqual(yield* tagOf(session.accessToken), "success")
          assert.strictEqual(new Set(wire.presented()).size, 2)
          assert.strictEqual(wire.count("login"), 1)
          assert.deepStrictEqual(yield* polite(sandbox), manners)
        })
      )
    }
  }

  if (entry.extra !== undefined) {
    it.scoped(`law 22: ${name}: ${entry.extra} survives an answer without it`, () =>
      manually(function* () {
        const { extra } = entry
        assert.isDefined(extra)
        const { stored, sandbox, session } = yield* signedIn(entry)
        const before = Option.getOrThrow((yield* stored).tokens).extra[extra]
        assert.isString(before)
        for (const nothing of [undefined, null]) {
          yield* sandbox.faults.inject("refresh", Faults.Fields({ fields: { [extra]: nothing } }))
          yield* session.refresh
          assert.strictEqual(Option.getOrThrow((yield* stored).tokens).extra[extra], before)
        }
        yield* sandbox.faults.inject("refresh", Faults.Fields({ fields: { [extra]: "another" } }))
        yield* session.refresh
        assert.strictEqual(Option.getOrThrow((yield* stored).tokens).extra[extra], "another")
      })
    )
  }
})

describe.each(entries.filter(({ hasSecret }) => hasSecret))("a refused client, with $name", (entry) => {
  it.scoped(`law 12: ${entry.name}: is told at once, and the server is not asked again`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* world(entry, { wrongSecret: true, renewal: true })
      for (let i = 0; i < 5; i++) {
        assert.strictEqual(yield* tagOf(session.accessToken), "Misconfigured")
        yield* clock.advance("1 hour")
      }
      assert.strictEqual(wire.tokenRequests(), 1)
    })
  )
})

describe.each(entries.filter(({ needsPassword }) => needsPassword))("refused credentials, with $name", (entry) => {
  it.scoped(`law 16: ${entry.name}: are not sent again before a growing cool-down ends`, () =>
    manually(function* (clock) {
      const { sandbox, session, wire } = yield* world(entry, { renewal: true })
      yield* sandbox.setPassword("another")
      const at: Array<number> = []
      for (let minute = 0; minute < 70; minute++) {
        const before = wire.tokenRequests()
        assert.strictEqual(yield* tagOf(session.accessToken), "InvalidCredentials")
        yield* tagOf(session.login)
        if (wire.tokenRequests() > before) at.push(minute)
        yield* clock.advance("1 minute")
      }
      assert.deepStrictEqual(at, [0, 1, 3, 7, 15, 31, 63])
      assert.strictEqual(wire.tokenRequests(), at.length)
    })
  )

  it.scoped(`law 16: ${entry.name}: are sent at once when they changed, however many wait`, () =>
    manually(function* (clock) {
      let password = secret("an old one")
      const credentials = Effect.sync(() => ({ username: secret("test-user@example.com"), password }))
      const { sandbox, session, wire } = yield* world(entry, { credentials })
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* tagOf(session.accessToken), "InvalidCredentials")
      assert.strictEqual(wire.tokenRequests(), 1)
      password = user.password
      yield* clock.advance("1 second")
      const all = yield* herd(20, session.accessToken)
      assert.isTrue(all.every(Either.isRight))
      assert.strictEqual(wire.tokenRequests(), 2)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )
})

/** A session whose refresh was processed, and whose answer was lost, while its access token had a minute to live. */
const lost = (entry: Entry, clock: ManualClock, options: Parameters<typeof world>[1] & { credentials?: "none" }) =>
  Effect.gen(function* () {
    const given = { patience: 0, ...options }
    const w = yield* options.credentials === "none" ? passwordless(entry, given) : signedIn(entry, given)
    const token = value(yield* w.session.accessToken)
    // A refresh token that was minted for the test has not been rotated yet.
    const before = { refresh: w.wire.count("refresh"), login: w.wire.count("login") }
    yield* w.sandbox.faults.inject("refresh", Faults.Drop({ when: "after" }))
    yield* clock.advance("4 minutes")
    assert.strictEqual(value(yield* w.session.accessToken), token)
    yield* flush
    const since = () => ({
      refresh: w.wire.count("refresh") - before.refresh,
      login: w.wire.count("login") - before.login
    })
    assert.deepStrictEqual(since(), { refresh: 1, login: 0 })
    /** Serves the same token until it ends, each time it is asked. */
    const toItsEnd = Effect.gen(function* () {
      for (let i = 0; i < 12; i++) {
        assert.strictEqual(value(yield* w.session.accessToken), token)
        yield* clock.advance("5 seconds")
      }
    })
    return { ...w, token, since, toItsEnd }
  })

describe.each(rotating)("an answer lost after rotation, with $name", (entry) => {
  const { name } = entry
  const strict = { rotation: "single-use" } as const

  it.scoped(`law 13: ${name}: with a password, the valid token is served to its end, then one login, no loop`, () =>
    manually(function* (clock) {
      const { sandbox, session, since, toItsEnd } = yield* lost(entry, clock, { sandbox: strict, renewal: true })
      yield* toItsEnd
      assert.strictEqual(yield* tagOf(session.accessToken), "success")
      for (let i = 0; i < 12; i++) {
        yield* session.accessToken
        yield* clock.advance("10 seconds")
      }
      assert.deepStrictEqual(since(), { refresh: 1, login: 1 })
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 13: ${name}: without one, it is presented once more, then InvalidRefreshToken and no request`, () =>
    manually(function* (clock) {
      const w = yield* lost(entry, clock, { sandbox: strict, credentials: "none", renewal: true })
      yield* w.toItsEnd
      assert.deepStrictEqual([yield* tagOf(w.session.accessToken), w.since().refresh], ["InvalidRefreshToken", 2])
      const { length } = w.wire.sent
      for (let i = 0; i < 12; i++) {
        assert.strictEqual(yield* tagOf(w.session.accessToken), "InvalidRefreshToken")
        assert.strictEqual(yield* tagOf(w.session.refresh), "InvalidRefreshToken")
        yield* clock.advance("1 hour")
      }
      assert.strictEqual(w.wire.sent.length, length)
      const [first, second] = w.wire.presented().slice(-2)
      assert.strictEqual(first, second)
      assert.strictEqual((yield* w.sandbox.report).reuses, 1)
    })
  )

  it.scoped(`law 13: ${name}: lost a second time, it is never presented a third`, () =>
    manually(function* (clock) {
      const w = yield* lost(entry, clock, { sandbox: strict, credentials: "none" })
      yield* w.sandbox.faults.inject("refresh", Faults.Drop({ when: "before" }), Number.POSITIVE_INFINITY)
      yield* w.toItsEnd
      for (let i = 0; i < 12; i++) {
        assert.notStrictEqual(yield* tagOf(w.session.accessToken), "success")
        yield* clock.advance("10 minutes")
      }
      assert.strictEqual(yield* tagOf(w.session.accessToken), "InvalidRefreshToken")
      assert.deepStrictEqual(w.since(), { refresh: 2, login: 0 })
    })
  )
})

describe.each([teletracker, password])("a reuse window, with $name", (entry) => {
  it.scoped(`law 13: ${entry.name}: declared and honoured, a lost answer is recovered without a login`, () =>
    manually(function* (clock) {
      const window = { sandbox: { reuseWindow: "30 seconds" }, reuseWindow: "30 seconds" } as const
      const w = yield* lost(entry, clock, window)
      yield* clock.advance("1 second")
      yield* w.session.accessToken
      yield* flush
      assert.notStrictEqual(value(yield* w.session.accessToken), w.token)
      assert.deepStrictEqual(w.since(), { refresh: 2, login: 0 })
      assert.deepStrictEqual(yield* polite(w.sandbox), manners)
      // What came of it is good: the next refresh is an ordinary one.
      yield* w.session.refresh
      assert.deepStrictEqual(yield* polite(w.sandbox), manners)
    })
  )

  it.scoped(`law 13: ${entry.name}: declared and over, nothing is presented again`, () =>
    manually(function* (clock) {
      const window = { sandbox: { reuseWindow: "30 seconds" }, reuseWindow: "30 seconds" } as const
      const w = yield* lost(entry, clock, window)
      yield* clock.advance("31 seconds")
      assert.strictEqual(value(yield* w.session.accessToken), w.token)
      yield* clock.advance("29 seconds")
      yield* w.session.accessToken
      assert.deepStrictEqual(w.since(), { refresh: 1, login: 1 })
      assert.deepStrictEqual(yield* polite(w.sandbox), manners)
    })
  )
})

it.scoped("law 13: violet: a lost answer costs nothing: the same refresh token is presented again by itself", () =>
  manually(function* (clock) {
    const w = yield* lost(violet, clock, { credentials: "none" })
    yield* clock.advance("1 second")
    yield* w.session.accessToken
    yield* flush
    assert.notStrictEqual(value(yield* w.session.accessToken), w.token)
    assert.deepStrictEqual(w.since(), { refresh: 2, login: 0 })
    assert.strictEqual(new Set(w.wire.presented()).size, 1)
    assert.deepStrictEqual(yield* polite(w.sandbox), manners)
  })
)

it.scoped("law 22: teletracker: 300 rotations in a row present no old token", () =>
  manually(function* () {
    const { sandbox, session, wire } = yield* signedIn(teletracker)
    for (let i = 0; i < 300; i++) yield* session.refresh
    const { complaints, familiesRevoked, logins, refreshes, reuses } = yield* sandbox.report
    assert.deepStrictEqual(
      { complaints, familiesRevoked, logins, refreshes, reuses },
      { complaints: 0, familiesRevoked: 0, logins: 1, refreshes: 300, reuses: 0 }
    )
    assert.strictEqual(new Set(wire.presented()).size, 300)
  })
)
