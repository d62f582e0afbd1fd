import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Option } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, provider, secret, session, value, watchedStore } from "../support/harness.js"
import { flush, manually } from "../support/ManualClock.js"
import * as Records from "../support/records.js"
import { set } from "./harness.js"

/** What the store says of the refresh token. */
const refreshOf = (store: TokenStore.Service) =>
  Effect.map(Records.stored(store, "key"), ({ refreshState }) => refreshState._tag)

describe("law 21: the intent", () => {
  it.scoped("law 21: the store knows of a refresh token before it is sent, and that it was not spent", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const s = yield* session(p, { store, key: "key", patience: 0 })
      yield* s.accessToken
      assert.strictEqual(yield* refreshOf(store), "Usable")
      const seen: Array<string> = []
      const peek = (then: ReturnType<typeof fails>) => () =>
        Effect.zipRight(
          Effect.tap(Effect.orDie(refreshOf(store)), (tag) => Effect.sync(() => seen.push(tag))),
          then()
        )
      for (const [outcome, after] of [
        [failure.unspent, "Usable"],
        [failure.unknown, "InDoubt"]
      ] as const) {
        p.next(peek(fails(outcome)))
        yield* Effect.exit(s.refresh)
        assert.strictEqual(yield* refreshOf(store), after)
        yield* clock.advance("1 second")
      }
      assert.deepStrictEqual(seen, ["InDoubt", "InDoubt"])
      assert.strictEqual(value(yield* s.refresh), "test-access-2")
      assert.strictEqual(yield* refreshOf(store), "Usable")
      p.next(peek(fails(failure.misconfigured)))
      yield* Effect.exit(s.refresh)
      assert.strictEqual(yield* refreshOf(store), "Usable")
      assert.deepStrictEqual(p.presented, ["test-refresh-1", "test-refresh-1", "test-refresh-2"])
    })
  )

  it.scoped("law 21: what was being sent when its process died is in doubt for the next one", () =>
    manually(function* (clock) {
      const after = Effect.fnUntraced(function* (
        options: { again?: boolean; reuseWindow?: Duration.Duration; credentials?: "none"; refused?: boolean } = {}
      ) {
        const p = provider({
          rotation: "single-use",
          ...(options.reuseWindow === undefined ? {} : { reuseWindow: options.reuseWindow })
        })
        const store = yield* TokenStore.makeMemory
        yield* Records.save(store, "key", {
          tokens: Option.some(set("old")),
          age: 300_000,
          refreshState: { _tag: "InDoubt", age: 2000, presentedAgain: options.again ?? false, intentId: 0 }
        })
        const credentials = options.credentials === undefined ? {} : { credentials: options.credentials }
        const s = yield* session(p, { store, key: "key", patience: 0, ...credentials })
        if (options.refused) p.next(fails(failure.refused))
        const first = yield* Effect.either(s.accessToken)
        yield* clock.advance("1 minute")
        yield* Effect.exit(s.accessToken)
        return [
          Either.match(first, { onLeft: ({ _tag }) => _tag, onRight: value }),
          p.presented.length,
          p.count().login
        ]
      })
      const reuseWindow = Duration.seconds(10)
      assert.deepStrictEqual(yield* after(), ["test-access-1", 0, 1])
      assert.deepStrictEqual(yield* after({ credentials: "none" }), ["test-access-1", 1, 0])
      assert.deepStrictEqual(yield* after({ credentials: "none", refused: true }), ["InvalidRefreshToken", 1, 0])
      assert.deepStrictEqual(yield* after({ credentials: "none", again: true }), ["InvalidRefreshToken", 0, 0])
      assert.deepStrictEqual(yield* after({ reuseWindow }), ["test-access-1", 1, 0])
      assert.deepStrictEqual(yield* after({ reuseWindow: Duration.seconds(1) }), ["test-access-1", 0, 1])
      assert.deepStrictEqual(yield* after({ reuseWindow, again: true }), ["test-access-1", 0, 1])
    })
  )

  it.scoped("law 21: in doubt, a valid access token goes on being served", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      yield* Records.save(store, "key", {
        tokens: Option.some(set("old")),
        age: 240_000,
        refreshState: { _tag: "InDoubt", age: 2000, presentedAgain: false, intentId: 0 }
      })
      const s = yield* session(p, { store, key: "key", renewal: true })
      assert.strictEqual(value(yield* s.accessToken), "test-old")
      yield* clock.advance("50 seconds")
      assert.deepStrictEqual([value(yield* s.accessToken), p.count().total], ["test-old", 0])
      yield* clock.advance("10 seconds")
      assert.strictEqual(value(yield* s.accessToken), "test-access-1")
    })
  )

  it.scoped("laws 14 and 21: what one process was refused, no other process sends", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* TokenStore.makeMemory
      const options = { store, key: "key", credentials: "none", patience: 0 } as const
      const one = yield* session(p, options)
      yield* one.adopt(set("old"))
      yield* clock.advance("5 minutes")
      p.always(fails(failure.refused))
      assert.deepInclude(yield* Effect.flip(one.accessToken), { _tag: "InvalidRefreshToken", reason: "revoked" })
      // Callers are told before the lease is given back.
      yield* flush
      const other = yield* session(p, options)
      assert.deepInclude(yield* Effect.flip(other.accessToken), { _tag: "InvalidRefreshToken", reason: "revoked" })
      assert.deepStrictEqual(p.presented, ["test-r-old"])
    })
  )

  it.scoped("law 21: where the intent cannot be written down, the refresh token is not sent", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key", patience: 0 })
      yield* s.accessToken
      for (const broken of [
        Effect.fail(new StoreFailure({ operation: "save", problem: "the disk is full" })),
        Effect.never,
        Effect.die("a defect")
      ]) {
        store.state.save = broken
        const refresh = yield* Effect.fork(Effect.flip(s.refresh))
        yield* clock.advance("3 seconds")
        assert.deepInclude(yield* Fiber.join(refresh), { _tag: "StoreFailure", operation: "save" })
        assert.strictEqual(value(yield* s.accessToken), "test-access-1")
        yield* clock.advance("10 seconds")
      }
      store.state.save = undefined
      assert.strictEqual(value(yield* s.refresh), "test-access-2")
      assert.deepStrictEqual(p.presented, ["test-refresh-1"])
      assert.strictEqual(p.count().login, 1)
    })
  )

  it.scoped("law 21: what is still to be saved does not get in the way of the intent", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      store.state.save = Effect.fail(new StoreFailure({ operation: "save", problem: "the disk is full" }))
      yield* s.accessToken
      yield* flush
      store.state.save = undefined
      const inner = store.inner.save
      let first = true
      // The intent takes its time, and whatever is saved meanwhile does not.
      Object.assign(store.inner, {
        save: (key: string, entry: TokenStore.Entry) => {
          const slow = first
          first = false
          return slow ? Effect.delay(inner(key, entry), "1 second") : inner(key, entry)
        }
      })
      const refresh = yield* Effect.fork(s.refresh)
      yield* clock.advance("5 seconds")
      assert.strictEqual(value(yield* Fiber.join(refresh)), "test-access-2")
      assert.deepStrictEqual([p.presented, p.count().login], [["test-refresh-1"], 1])
      assert.isTrue((yield* s.status).saved)
    })
  )

  it.scoped("law 21: a seed is written down before it is sent, and is in doubt after a crash as well", () =>
    manually(function* (clock) {
      const p = provider({ rotation: "single-use" })
      const store = yield* watchedStore
      const seed = Token.make({ refreshToken: secret("test-seed") })
      const options = { key: "key", credentials: "none", seed, patience: 0 } as const
      const s = yield* session(p, { ...options, store: store.service })
      p.next(() => Effect.never)
      yield* Effect.fork(s.accessToken)
      yield* clock.advance("1 second")
      store.dead = true
      assert.strictEqual(yield* refreshOf(store.inner), "InDoubt")
      yield* clock.advance("20 seconds")
      const later = yield* session(p, { ...options, store: store.inner })
      p.next(fails(failure.unknown))
      yield* Effect.exit(later.accessToken)
      yield* clock.advance("1 minute")
      assert.strictEqual((yield* Effect.flip(later.accessToken))._tag, "InvalidRefreshToken")
      assert.deepStrictEqual(p.presented, ["test-seed", "test-seed"])
    })
  )

  it.scoped("law 21: where refresh tokens are not single-use, nothing is written before they are sent", () =>
    manually(function* (clock) {
      const p = provider()
      const store = yield* watchedStore
      const s = yield* session(p, { store: store.service, key: "key" })
      yield* s.accessToken
      yield* clock.advance("5 minutes")
      yield* s.accessToken
      assert.strictEqual(store.state.saves, 2)
    })
  )
})
