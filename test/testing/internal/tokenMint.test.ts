import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, TestClock } from "effect"
import * as TokenMint from "../../../src/testing/internal/tokenMint.js"

const hour = Duration.hours(1)

/** A mint of opaque tokens with one family of two tokens. */
const setup = (options?: TokenMint.TokenOptions) =>
  Effect.gen(function* () {
    const mint = yield* TokenMint.make(Clock.currentTimeMillis, { format: "opaque", ...options })
    const access = (yield* mint.issue("access", hour)).token
    const refresh = (yield* mint.issue("refresh", hour, { parent: access })).token
    return { mint, access, refresh }
  })

describe("TokenMint", () => {
  it.effect("opaque tokens look like UUIDs and tell nothing", () =>
    Effect.gen(function* () {
      const { access, mint, refresh } = yield* setup()
      for (const token of [access, refresh]) assert.match(token, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
      assert.notStrictEqual(access, refresh)
      assert.isTrue(yield* mint.appearsIn(`https://x.test/a?b=${access}`))
      assert.isFalse(yield* mint.appearsIn("https://x.test/a?b=c"))
    })
  )

  it.effect("a token that is never spent stays valid to its end, however often it is judged", () =>
    Effect.gen(function* () {
      const { mint, refresh } = yield* setup()
      yield* TestClock.setTime(3_599_999)
      assert.strictEqual(yield* mint.verify("refresh", refresh), "valid")
      assert.strictEqual(yield* mint.verify("refresh", refresh), "valid")
      assert.strictEqual(yield* mint.verify("access", refresh), "other-kind")
      yield* TestClock.setTime(3_600_000)
      assert.strictEqual(yield* mint.verify("refresh", refresh), "expired")
      assert.strictEqual(yield* mint.spend(refresh), "expired")
      assert.deepStrictEqual(yield* mint.counts, { reuses: 0, familiesRevoked: 0 })
    })
  )

  it.effect("a spent token that comes again revokes its whole family, also what is issued later, and no other", () =>
    Effect.gen(function* () {
      const { access, mint, refresh } = yield* setup()
      const stranger = (yield* mint.issue("refresh", hour)).token
      assert.strictEqual(yield* mint.spend(refresh), "valid")
      const heir = (yield* mint.issue("refresh", hour, { parent: refresh })).token
      assert.strictEqual(yield* mint.spend(refresh), "reused")
      const late = (yield* mint.issue("access", hour, { parent: heir })).token
      assert.strictEqual(yield* mint.verify("access", access), "revoked")
      assert.strictEqual(yield* mint.verify("access", late), "revoked")
      assert.strictEqual(yield* mint.spend(heir), "revoked")
      assert.strictEqual(yield* mint.spend(stranger), "valid")
      assert.strictEqual(yield* mint.spend(refresh), "reused")
      assert.deepStrictEqual(yield* mint.counts, { reuses: 2, familiesRevoked: 1 })
    })
  )

  it.effect("within the reuse window a spent token is honoured once more, and only once", () =>
    Effect.gen(function* () {
      const { access, mint, refresh } = yield* setup({ reuseWindow: "10 seconds" })
      assert.strictEqual(yield* mint.spend(refresh), "valid")
      yield* TestClock.setTime(9999)
      assert.strictEqual(yield* mint.spend(refresh), "valid")
      assert.strictEqual(yield* mint.verify("access", access), "valid")
      assert.strictEqual(yield* mint.spend(refresh), "reused")
      assert.strictEqual(yield* mint.verify("access", access), "revoked")
    })
  )

  it.effect("the reuse window ends", () =>
    Effect.gen(function* () {
      const { mint, refresh } = yield* setup({ reuseWindow: "10 seconds" })
      assert.strictEqual(yield* mint.spend(refresh), "valid")
      yield* TestClock.setTime(10_000)
      assert.strictEqual(yield* mint.spend(refresh), "reused")
      assert.deepStrictEqual(yield* mint.counts, { reuses: 1, familiesRevoked: 1 })
    })
  )

  it.effect("of many that spend a token at once, one succeeds", () =>
    Effect.gen(function* () {
      const { mint, refresh } = yield* setup()
      const spend = Effect.zipRight(Effect.yieldNow(), mint.spend(refresh))
      const verdicts = yield* Effect.all(
        Array.from({ length: 20 }, () => spend),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(verdicts.filter((verdict) => verdict === "valid").length, 1)
      assert.deepStrictEqual(yield* mint.counts, { reuses: 19, familiesRevoked: 1 })
    })
  )

  it.effect("a token can be revoked alone", () =>
    Effect.gen(function* () {
      const { access, mint, refresh } = yield* setup()
      yield* mint.revokeToken("test-unknown")
      yield* mint.revokeToken(access)
      assert.strictEqual(yield* mint.verify("access", access), "revoked")
      assert.strictEqual(yield* mint.spend(refresh), "valid")
      assert.deepStrictEqual(yield* mint.counts, { reuses: 0, familiesRevoked: 0 })
    })
  )

  it.effect("a family can be revoked by any of its tokens, and a kind as a whole", () =>
    Effect.gen(function* () {
      const { access, mint, refresh } = yield* setup()
      const other = (yield* mint.issue("access", hour)).token
      yield* mint.revokeFamily("test-unknown")
      assert.strictEqual(yield* mint.verify("access", access), "valid")
      yield* mint.revokeFamily(access)
      assert.strictEqual(yield* mint.verify("refresh", refresh), "revoked")
      assert.strictEqual(yield* mint.verify("access", other), "valid")
      yield* mint.revoke("access")
      assert.strictEqual(yield* mint.verify("access", other), "revoked")
      assert.deepStrictEqual(yield* mint.counts, { reuses: 0, familiesRevoked: 1 })
    })
  )
})
