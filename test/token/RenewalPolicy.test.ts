import { assert, describe, it } from "@effect/vitest"
import { Duration, FastCheck } from "effect"
import * as Backoff from "../../src/token/backoff.js"
import * as RenewalPolicy from "../../src/token/RenewalPolicy.js"

const millis = Duration.toMillis
const durations = FastCheck.double({ min: 1000, max: 1e12, noNaN: true }).map(Duration.millis)
const leeways = FastCheck.double({ min: 0, max: 1e12, noNaN: true }).map(Duration.millis)
const randoms = FastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

describe("law 3", () => {
  it("law 3: a 5-minute leeway on a 5-minute token is one minute", () => {
    const five = Duration.minutes(5)
    assert.strictEqual(millis(RenewalPolicy.leeway(five, five)), 60_000)
    assert.strictEqual(millis(RenewalPolicy.staleAge(five, five)), 240_000)
    assert.strictEqual(millis(RenewalPolicy.staleAge(Duration.days(1), five)), 86_400_000 - 300_000)
  })

  it.prop(
    "law 3: whatever the lifetime and the leeway, at least four fifths of a token are used, jitter aside",
    {
      lifetime: durations,
      leeway: leeways,
      random: randoms
    },
    ({ leeway, lifetime, random }) => {
      const stale = millis(RenewalPolicy.staleAge(lifetime, leeway))
      const renewal = millis(RenewalPolicy.renewalAge(lifetime, leeway, random))
      assert.isAtMost(stale, millis(lifetime))
      assert.isAtLeast(stale, millis(lifetime) * 0.8 - 1e-3)
      assert.isAtMost(renewal, stale)
      assert.isAtLeast(renewal, millis(lifetime) * 0.78 - 1e-3)
    }
  )

  it("law 3: a random number that is none makes nothing earlier or later", () => {
    for (const odd of [Number.NaN, -1, 2, Number.POSITIVE_INFINITY]) {
      assert.strictEqual(millis(RenewalPolicy.renewalAge(Duration.minutes(5), Duration.minutes(5), odd)), 240_000)
    }
  })
})

describe("cool-downs", () => {
  it.prop(
    "law 9: 250 ms, doubling to 30 s, less at most a quarter; or Retry-After, up to an hour",
    {
      failures: FastCheck.integer({ min: 1, max: 100_000 }),
      random: randoms,
      retryAfter: leeways
    },
    ({ failures, random, retryAfter }) => {
      const full = Math.min(250 * 2 ** (failures - 1), 30_000)
      const plain = millis(Backoff.coolDown(failures, random, Duration.zero))
      assert.isTrue(plain >= full * 0.75 && plain <= full)
      const asked = millis(Backoff.coolDown(failures, random, retryAfter))
      assert.strictEqual(asked, Math.max(plain, Math.min(millis(retryAfter), 3_600_000)))
    }
  )

  it("law 10: rejected retries cool down from 250 ms to a minute", () => {
    const series = [1, 2, 3, 8, 9, 10, 1000].map((n) => millis(Backoff.rejectionCoolDown(n)))
    assert.deepStrictEqual(series, [250, 500, 1000, 32_000, 60_000, 60_000, 60_000])
  })

  it("law 16: refused credentials cool down from a minute to an hour", () => {
    const series = [1, 2, 6, 7, 100].map((n) => millis(Backoff.credentialsCoolDown(n)) / 60_000)
    assert.deepStrictEqual(series, [1, 2, 32, 60, 60])
  })
})
