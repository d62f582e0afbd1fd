import { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, Exit, Fiber, Option, Redacted, Scope, Stream } from "effect"
import { StoreFailure } from "../../../src/common/AuthError.js"
import type * as Status from "../../../src/session/machine/Status.js"
import type { StoredRecord } from "../../../src/store/record.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as Token from "../../../src/token/Token.js"
import { secret } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import * as Records from "../../support/records.js"
import {
  flush,
  herd,
  manners,
  passwordless,
  polite,
  signedIn,
  statusOf,
  tagOf,
  value,
  type World,
  world
} from "./harness.js"
import { type Entry, entries, refreshing, rotating } from "./table.js"

const full = new StoreFailure({ operation: "save", problem: "the disk is full" })

/** The token request that renews. */
const renewing = (entry: Entry) => (entry.refreshes ? "refresh" : "login")

/** The access token that a store keeps. */
const accessTokenOf = ({ tokens }: Pick<StoredRecord, "tokens">) =>
  Option.map(
    Option.flatMap(tokens, ({ accessToken }) => accessToken),
    Redacted.value
  )

/** What the API says to a token. */
const judged = (entry: Entry, { provider, sandbox }: World, token: string) =>
  statusOf(
    sandbox.client.execute(provider.authorize(HttpClientRequest.get(sandbox.baseUrl + entry.list), secret(token)))
  )

describe.each(entries)("keeping, with $name", (entry) => {
  const { name } = entry

  it.scoped(`law 18: ${name}: a token set is saved before anyone sees it, whole`, () =>
    manually(function* (clock) {
      const saving = yield* Deferred.make<void>()
      const store = yield* TokenStore.makeMemory
      const slow: TokenStore.Service = {
        ...store,
        save: (key, record) => Effect.zipRight(Deferred.await(saving), store.save(key, record))
      }
      const { session, wire } = yield* world(entry, { store: slow })
      const readers = yield* Effect.fork(herd(10, session.accessToken))
      yield* clock.advance("1 second")
      assert.strictEqual(wire.tokenRequests(), 1)
      assert.isTrue(Option.isNone(yield* Fiber.poll(readers)))
      assert.strictEqual((yield* session.status).token, "none")
      yield* Deferred.succeed(saving, void 0)
      assert.isTrue((yield* Fiber.join(readers)).every(Either.isRight))
      const record = yield* Records.stored(store, "key")
      assert.deepStrictEqual(accessTokenOf(record), Option.some(value(yield* session.accessToken)))
      const { refreshToken } = Option.getOrThrow(record.tokens)
      assert.strictEqual(Option.isSome(refreshToken), entry.refreshes)
    })
  )

  it.scoped(`law 18: ${name}: what cannot be saved is served from memory, and saved once that is possible`, () =>
    manually(function* (clock) {
      const { stored, sandbox, session, store, wire } = yield* world(entry)
      store.state.save = Effect.fail(full)
      const token = value(yield* session.accessToken)
      assert.isFalse((yield* session.status).saved)
      yield* clock.advance("1 minute")
      store.state.save = undefined
      yield* clock.advance("1 minute")
      assert.isTrue((yield* session.status).saved)
      assert.deepStrictEqual(accessTokenOf(yield* stored), Option.some(token))
      assert.strictEqual(wire.tokenRequests(), 1)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 18: ${name}: a session that starts again from the store asks for nothing`, () =>
    manually(function* (clock) {
      const first = yield* signedIn(entry)
      const token = value(yield* first.session.accessToken)
      yield* clock.advance("1 minute")
      const second = yield* world(entry, { store: first.store.service })
      assert.strictEqual(value(yield* second.session.accessToken), token)
      assert.strictEqual(second.wire.sent.length, 0)
      // Its age is that of the answer: it is renewed when it would have been.
      yield* clock.advance("2 minutes")
      yield* second.session.accessToken
      assert.strictEqual(second.wire.sent.length, 0)
      yield* clock.advance("2 minutes")
      yield* tagOf(second.session.accessToken)
      assert.isAbove(second.wire.tokenRequests(), 0)
    })
  )

  it.scoped(`law 19: ${name}: what the store keeps of a later generation is taken over, and outlived by a login`, () =>
    manually(function* () {
      const { stored, session, store, wire } = yield* world(entry)
      const theirs = Token.make({ accessToken: secret("theirs"), lifetime: "1 hour" })
      yield* Records.save(store.inner, "key", { generation: 5, tokens: Option.some(theirs) })
      assert.strictEqual(value(yield* session.accessToken), "theirs")
      assert.strictEqual(wire.sent.length, 0)
      const mine = value(yield* session.login)
      assert.strictEqual((yield* stored).generation, 6)
      assert.deepStrictEqual(accessTokenOf(yield* stored), Option.some(mine))
    })
  )

  it.scoped(`law 30: ${name}: after a logout during a token request, the late answer is neither saved nor seen`, () =>
    manually(function* (clock) {
      const w = yield* signedIn(entry)
      const paused = yield* w.wire.hold(renewing(entry))
      const waiter = yield* Effect.fork(tagOf(w.session.refresh))
      yield* paused.arrived
      yield* w.session.logout
      assert.strictEqual(yield* Fiber.join(waiter), "SignedOut")
      yield* paused.respond
      yield* flush
      assert.strictEqual(yield* tagOf(w.session.accessToken), "SignedOut")
      assert.isTrue(Option.isNone((yield* w.stored).tokens))
      yield* clock.advance("1 hour")
      assert.strictEqual(yield* tagOf(w.session.accessToken), "SignedOut")
      assert.strictEqual(w.wire.tokenRequests(), 2)
      // The set in force, and the one that came too late.
      assert.strictEqual(w.wire.count("revoke"), entry.revokes ? 2 : 0)
      assert.deepStrictEqual({ ...(yield* polite(w.sandbox)), familiesRevoked: 0 }, manners)
    })
  )

  it.scoped(`law 30: ${name}: a login wins over a token request under way, whose callers get its token`, () =>
    manually(function* () {
      const w = yield* signedIn(entry)
      const late = yield* w.wire.hold(renewing(entry))
      const waiter = yield* Effect.fork(w.session.refresh)
      yield* late.arrived
      const mine = value(yield* w.session.login)
      assert.strictEqual(value(yield* Fiber.join(waiter)), mine)
      yield* late.respond
      yield* flush
      assert.strictEqual(value(yield* w.session.accessToken), mine)
      assert.deepStrictEqual(accessTokenOf(yield* w.stored), Option.some(mine))
      assert.strictEqual(yield* judged(entry, w, mine), 200)
      assert.strictEqual(w.wire.count("revoke"), entry.revokes ? 1 : 0)
    })
  )

  it.scoped(`law 30: ${name}: 20 callers that login at once make one login`, () =>
    manually(function* () {
      const { sandbox, session, wire } = yield* world(entry)
      const results = yield* herd(20, session.login)
      assert.isTrue(results.every(Either.isRight))
      assert.strictEqual(wire.count("login"), 1)
      assert.deepStrictEqual(yield* polite(sandbox), manners)
    })
  )

  it.scoped(`law 30: ${name}: a logout is told to the server where it can be, and is one at once where it cannot`, () =>
    manually(function* () {
      const w = yield* signedIn(entry)
      const token = value(yield* w.session.accessToken)
      yield* w.session.logout
      assert.strictEqual((yield* w.session.status).state, "signed-out")
      assert.isTrue(Option.isNone((yield* w.stored).tokens))
      assert.strictEqual((yield* w.sandbox.report).revocations, entry.revokes ? 1 : 0)
      assert.strictEqual(yield* judged(entry, w, token), entry.revokes ? 401 : 200)
      // And with the server out of reach.
      const off = yield* signedIn(entry)
      yield* off.sandbox.faults.inject("revoke", Faults.Drop({ when: "before" }))
      yield* off.session.logout
      assert.strictEqual(yield* tagOf(off.session.accessToken), "SignedOut")
      assert.strictEqual(yield* tagOf(off.session.login), "success")
    })
  )

  it.scoped(`law 31: ${name}: closing waits for the answer under way, and keeps it`, () =>
    manually(function* (clock) {
      const scope = yield* Scope.make()
      const options = { shutdownDeadline: "10 seconds", sandbox: { rotation: "single-use" } } as const
      const { stored, session, wire } = yield* Scope.extend(signedIn(entry, options), scope)
      const paused = yield* wire.hold(renewing(entry))
      yield* Effect.fork(session.refresh)
      yield* paused.arrived
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("5 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* paused.respond
      yield* Fiber.join(closing)
      const record = yield* stored
      assert.strictEqual(record.generation, 2)
      // What is kept is what is in force: another session goes on from there.
      const { refreshToken } = Option.getOrThrow(record.tokens)
      const spent = Option.contains(refreshToken, secret(wire.presented()[0] ?? ""))
      assert.strictEqual(spent, entry.rotation === "none")
    })
  )

  it.scoped(`law 31: ${name}: a server that hangs holds the closing up to the deadline and no longer`, () =>
    manually(function* (clock) {
      const scope = yield* Scope.make()
      const options = { shutdownDeadline: "10 seconds", timeout: "1 hour" } as const
      const { sandbox, session } = yield* Scope.extend(signedIn(entry, options), scope)
      yield* sandbox.faults.inject(renewing(entry), Faults.Delay({ duration: "1 hour" }))
      const caller = yield* Effect.fork(tagOf(session.refresh))
      yield* flush
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* clock.advance("9999 millis")
      assert.isTrue(Option.isNone(yield* Fiber.poll(closing)))
      yield* clock.advance("1 milli")
      yield* Fiber.join(closing)
      assert.notStrictEqual(yield* Fiber.join(caller), "success")
      assert.strictEqual(yield* tagOf(session.refresh), "Misconfigured")
    })
  )

  it.scoped(`law 32: ${name}: an observer sees each status in order, and delays no one`, () =>
    manually(function* (clock) {
      const { session, wire } = yield* signedIn(entry)
      const seen: Array<Status.Status> = []
      yield* Effect.fork(Stream.runForEach(session.changes, (status) => Effect.sync(() => seen.push(status))))
      yield* Effect.fork(Stream.runForEach(session.changes, () => Effect.never))
      yield* Effect.fork(Stream.runForEach(session.changes, () => Effect.die("an observer's own fault")))
      yield* Effect.fork(Stream.runForEach(session.changes, () => session.accessToken))
      yield* flush
      yield* session.refresh
      yield* flush
      yield* session.logout
      yield* clock.advance("1 second")
      const reported = seen.map(
        ({ inFlight, generation, state }) => `${state} ${generation}${inFlight ? " inFlight" : ""}`
      )
      assert.deepStrictEqual(
        reported.filter((one, i) => one !== reported[i - 1]),
        ["signed-in 1", "signed-in 1 inFlight", "signed-in 2", "signed-out 3"]
      )
      assert.strictEqual(wire.tokenRequests(), 2)
    })
  )
})

describe.each(refreshing)("keeping, with $name", (entry) => {
  it.scoped(`law 30: ${entry.name}: adopted tokens win over a refresh under way, and are refreshed from there on`, () =>
    manually(function* () {
      const { sandbox, session, wire } = yield* passwordless(entry)
      const other = secret(yield* sandbox.mintRefreshToken)
      const late = yield* wire.hold("refresh")
      const waiter = yield* Effect.fork(session.refresh)
      yield* late.arrived
      yield* session.adopt(Token.make({ refreshToken: other }))
      const token = value(yield* Fiber.join(waiter))
      yield* late.respond
      yield* flush
      assert.strictEqual(value(yield* session.accessToken), token)
      assert.strictEqual(wire.presented().at(-1), value(other))
      assert.deepStrictEqual({ ...(yield* polite(sandbox)), familiesRevoked: 0, atOnce: 1 }, manners)
    })
  )
})

describe.each(rotating)("keeping, with $name", (entry) => {
  it.scoped(
    `laws 18 and 21: ${entry.name}: while nothing can be saved, the token in force is served and no refresh token is sent`,
    () =>
      manually(function* (clock) {
        const { stored, sandbox, session, store, wire } = yield* signedIn(entry, {
          patience: 0,
          sandbox: { rotation: "single-use" }
        })
        yield* session.refresh
        const before = { presented: wire.presented().length, token: value(yield* session.accessToken) }
        store.state.save = Effect.fail(full)
        for (let i = 0; i < 3; i++) assert.strictEqual(yield* tagOf(session.refresh), "StoreFailure")
        assert.strictEqual(wire.presented().length, before.presented)
        assert.strictEqual(value(yield* session.accessToken), before.token)
        store.state.save = undefined
        yield* clock.advance("1 minute")
        assert.notStrictEqual(value(yield* session.refresh), before.token)
        const { tokens } = yield* stored
        assert.isFalse(
          wire.presented().some((old) => Option.contains(Option.getOrThrow(tokens).refreshToken, secret(old)))
        )
        assert.deepStrictEqual(yield* polite(sandbox), manners)
      })
  )
})
