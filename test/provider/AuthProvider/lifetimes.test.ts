import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Encoding, Option } from "effect"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import { manually } from "../../support/ManualClock.js"
import { seconds, setup } from "./harness.js"

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

describe("AuthProvider.make", () => {
  describe("law 4: lifetimes", () => {
    const now = Date.UTC(2026, 0, 1)
    const end = now / 1000 + 600
    const hour = 3600
    const cases: ReadonlyArray<readonly [string, object, number | undefined, number | undefined]> = [
      [
        "the stated seconds, before all else",
        { access: jwt({ iat: 1, exp: 301 }), seconds: 100, ends: end },
        100,
        undefined
      ],
      [
        "stated seconds as text, for both tokens",
        { access: "test-a", seconds: "100", refresh: "test-r", refreshSeconds: "200" },
        100,
        200
      ],
      ["a JWT's own span, before an absolute end", { access: jwt({ iat: 1, exp: 301 }), ends: end }, 300, undefined],
      [
        "an absolute end against the answer's Date",
        { access: "test-a", ends: end + hour, refresh: "test-r", refreshEnds: end + hour },
        600,
        600
      ],
      ["a JWT's end against the answer's Date", { access: jwt({ exp: end + hour }) }, 600, undefined],
      [
        "an absolute end before the JWT's",
        { access: jwt({ exp: end + hour + 5 }), ends: (end + hour) * 1000 },
        600,
        undefined
      ],
      ["zero seconds: the next source", { access: jwt({ iat: 1, exp: 301 }), seconds: 0 }, 300, undefined],
      ["negative seconds: the next source", { access: "test-a", seconds: -5, ends: end + hour }, 600, undefined],
      [
        "nonsense in all sources: the description's own",
        { access: "test-a", seconds: "soon", ends: {} },
        7200,
        undefined
      ],
      [
        "no source: the description's own, for the access token alone",
        { access: "test-a", refresh: "test-r" },
        7200,
        undefined
      ],
      ["absurd seconds: capped", { access: "test-a", seconds: 1e12 }, 3650 * 86_400, undefined],
      [
        "a refresh token that is a JWT",
        { access: "test-a", seconds: 60, refresh: jwt({ iat: 1, exp: 901 }), refreshEnds: end },
        60,
        900
      ],
      [
        "stated seconds of a refresh token before its own span",
        { access: "test-a", seconds: 60, refresh: jwt({ iat: 1, exp: 901 }), refreshSeconds: 50 },
        60,
        50
      ],
      [
        "an access token's claims say nothing of the refresh token",
        { access: jwt({ iat: 1, exp: 301 }), refresh: "test-r" },
        300,
        undefined
      ]
    ]
    for (const [name, body, access, refreshes] of cases) {
      it.effect(`law 4: ${name}`, () =>
        manually(function* (clock) {
          yield* clock.setWall(Duration.millis(now - clock.clock.unsafeCurrentTimeMillis()))
          const { login, refresh } = yield* setup(
            // The server's clock is an hour ahead.
            () => Response.json(body, { headers: { date: httpDate(now + hour * 1000) } }),
            { lifetime: "2 hours" }
          )
          for (const tokens of [yield* login, yield* refresh]) {
            assert.strictEqual(seconds(tokens.lifetime), access)
            assert.strictEqual(seconds(tokens.refreshLifetime), refreshes)
          }
        })
      )
    }

    it.effect("law 4: with no source at all the end is not known", () =>
      Effect.gen(function* () {
        const { login } = yield* setup(() => Response.json({ access: "test-a", refresh: "test-r" }))
        const tokens = yield* login
        assert.isTrue(Option.isNone(tokens.lifetime))
        assert.isTrue(Option.isNone(tokens.refreshLifetime))
      })
    )
  })
})
