import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Effect, Encoding, FastCheck, Inspectable, Option, Redacted, Schema } from "effect"
import * as Moment from "../../src/common/Moment.js"
import { TokenFromString } from "../../src/common/secret.js"
import * as Lifetime from "../../src/token/lifetime.js"

const at = (millis: number, nanos = 0n): Moment.Moment => ({ millis, nanos })
const now = at(1_700_000_000_000)
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.signature`
const seconds = (sources: Parameters<typeof Lifetime.from>[0], moment = now) =>
  Option.getOrUndefined(Option.map(Lifetime.from(sources, moment), Duration.toSeconds))

describe("law 4: where a lifetime comes from", () => {
  const everything = {
    stated: 100,
    jwt: jwt({ iat: 1_700_000_000, exp: 1_700_000_200 }),
    expiresAt: 1_700_000_300,
    fallback: Duration.seconds(400)
  }

  it("law 4: the stated seconds first, then exp − iat, then an absolute time, then the default", () => {
    assert.strictEqual(seconds(everything), 100)
    assert.strictEqual(seconds({ ...everything, stated: undefined }), 200)
    assert.strictEqual(seconds({ ...everything, stated: undefined, jwt: undefined }), 300)
    assert.strictEqual(seconds({ ...everything, stated: undefined, jwt: jwt({ exp: 1_700_000_250 }) }), 300)
    assert.strictEqual(seconds({ jwt: jwt({ exp: 1_700_000_250 }), fallback: Duration.seconds(400) }), 250)
    assert.strictEqual(seconds({ fallback: Duration.seconds(400) }), 400)
    assert.isUndefined(seconds({}))
  })

  it("law 4: numbers as strings are read, and what is no number goes to the next source", () => {
    const fallback = Duration.seconds(7)
    for (const [stated, expected] of [
      ["3600", 3600],
      [" 3600 ", 3600],
      [3600.5, 3600.5],
      ["1e3", 1000],
      [0, 7],
      ["0", 7],
      [-5, 7],
      [0.001, 7],
      [Number.NaN, 7],
      [Number.POSITIVE_INFINITY, 7],
      ["Infinity", 7],
      ["", 7],
      ["soon", 7],
      [null, 7],
      [undefined, 7],
      [[], 7],
      [{}, 7],
      [true, 7]
    ] as const) {
      assert.strictEqual(seconds({ stated, fallback }), expected, String(stated))
    }
  })

  it("law 4: absurd lifetimes are capped at ten years", () => {
    for (const stated of [1e12, 1e300, "99999999999"]) assert.strictEqual(seconds({ stated }), 3650 * 86_400)
    assert.strictEqual(seconds({ jwt: jwt({ iat: 0, exp: 1e11 - 1 }) }), 3650 * 86_400)
    assert.strictEqual(seconds({ expiresAt: "+275760-09-13T00:00:00Z" }), 3650 * 86_400)
  })

  it("law 4: an absolute time may be seconds, milliseconds or a date", () => {
    for (const expiresAt of [
      1_700_000_300,
      "1700000300",
      1_700_000_300_000,
      "2023-11-14T22:18:20Z",
      "2023-11-15T00:18:20+02:00"
    ]) {
      assert.strictEqual(seconds({ expiresAt }), 300, String(expiresAt))
    }
  })

  it("law 4: an absolute time is corrected by the answer's own Date", () => {
    for (const offset of [-7200, -600, 0, 600, 7200]) {
      const server = 1_700_000_000 + offset
      const date = DateTime.toDateUtc(DateTime.unsafeMake(server * 1000)).toUTCString()
      assert.strictEqual(seconds({ expiresAt: server + 300, date }), 300)
      assert.strictEqual(seconds({ jwt: jwt({ exp: server + 300 }), date }), 300)
    }
    for (const date of ["yesterday", "", " ", "Infinity"]) {
      assert.strictEqual(seconds({ expiresAt: 1_700_000_300, date }), 300, date)
    }
  })

  it("law 4: a JWT that is none, or whose claims are odd, is passed over", () => {
    for (const odd of [
      "",
      "opaque",
      "a.b",
      "a.!!.c",
      "e30.bnVsbA.x",
      "e30.W10.x",
      jwt({ exp: "never" }),
      jwt({ exp: null })
    ]) {
      assert.strictEqual(seconds({ jwt: odd, fallback: Duration.seconds(9) }), 9, odd)
    }
    assert.strictEqual(seconds({ jwt: jwt({ iat: "1700000000", exp: "1700000050" }) }), 50)
  })

  it.prop(
    "law 4: whatever a server says, a lifetime is at least a second and at most ten years",
    {
      stated: FastCheck.anything(),
      expiresAt: FastCheck.anything(),
      claims: FastCheck.record({ exp: FastCheck.anything(), iat: FastCheck.anything() }),
      date: FastCheck.string()
    },
    ({ claims, ...sources }) => {
      let token = "none"
      try {
        token = jwt(claims)
      } catch {
        // Not everything can be written as JSON.
      }
      const lifetime = seconds({ ...sources, jwt: token })
      assert.isTrue(lifetime === undefined || (lifetime >= 1 && lifetime <= 3650 * 86_400))
    }
  )
})

describe("law 5: age", () => {
  it.prop(
    "law 5: the age is what the clock that says more says, and never negative",
    {
      wall: FastCheck.integer({ min: -1e12, max: 1e12 }),
      monotonic: FastCheck.integer({ min: 0, max: 1e9 })
    },
    ({ monotonic, wall }) => {
      const age = Moment.age(at(0), at(wall, BigInt(monotonic) * 1_000_000n))
      assert.strictEqual(age, Math.max(0, wall, monotonic))
    }
  )
})

describe("TokenFromString", () => {
  const decode = Schema.decodeUnknownEither(TokenFromString)

  it("takes what may stand in a header, redacted", () => {
    const token = decode("test-token.~+/=")
    assert.isTrue(token._tag === "Right" && Redacted.value(token.right) === "test-token.~+/=")
    assert.notInclude(Inspectable.toStringUnknown(token), "test-token")
  })

  it("refuses everything else", () => {
    for (const odd of ["", " ", "two words", "line\nbreak", "tab\t", "ünicode", 5, null, undefined, {}, ["a"]]) {
      assert.strictEqual(decode(odd)._tag, "Left")
    }
  })
})

it.effect("now reads both clocks", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* Moment.now, { millis: 0, nanos: 0n })
  })
)
