import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option, TestClock } from "effect"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import * as Token from "../../../src/token/Token.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { code, issued, jwt, login, refresh, scripted, secret, seed, server, setup, verify } from "./harness.js"

describe("Freddy", () => {
  describe("refreshing", () => {
    it.scoped("a session begins with a login and goes on with refreshes, no code asked for again", () =>
      manually(function* (clock) {
        const freddy = server()
        let asked = 0
        const { session } = yield* setup(freddy, {
          code: () =>
            Effect.zipRight(
              Effect.sync(() => ++asked),
              code()
            )
        })
        for (let i = 0; i < 4; i++) {
          yield* session.accessToken
          yield* clock.advance("5 minutes")
        }
        assert.deepStrictEqual([asked, freddy.count(login), freddy.count(verify), freddy.count(refresh)], [1, 1, 1, 3])
      })
    )

    const forms: Record<string, object> = {
      "the documented form": { token: "test-new", device_id: "device-9" },
      "the rotating form": { token: "test-new", device_id: "device-9", refresh_token: "test-rotated" },
      "the newer form": {
        access_token: "test-new",
        refresh_token: "test-rotated",
        token_type: "bearer",
        device_id: "device-9"
      },
      "the form of a login": { token: "test-new", refreshToken: "test-rotated", device_id: "device-9" }
    }
    for (const [name, form] of Object.entries(forms)) {
      it.effect(`${name} is read`, () =>
        Effect.gen(function* () {
          const { refresh } = yield* scripted(() => Response.json(form))
          const { accessToken, extra, refreshToken } = yield* refresh
          assert.strictEqual(value(Option.getOrThrow(accessToken)), "test-new")
          assert.deepStrictEqual(
            Option.map(refreshToken, value),
            name === "the documented form" ? Option.none() : Option.some("test-rotated")
          )
          assert.deepStrictEqual(extra, { device_id: "device-9" })
        })
      )
    }

    for (const [name, form] of Object.entries({
      omitted: { token: "test-new" },
      null: { token: "test-new", refresh_token: null, refreshToken: null },
      empty: { token: "test-new", refresh_token: "" },
      "a number": { token: "test-new", refresh_token: 7 }
    })) {
      it.scoped(`law 22: a refresh token that is ${name} in the answer keeps the old one`, () =>
        Effect.gen(function* () {
          const freddy = server({ [refresh]: () => Response.json(form) })
          const { session } = yield* setup(freddy, { seed }, "none")
          yield* session.refresh
          yield* session.refresh
          assert.deepStrictEqual(
            freddy.sent.map(({ body }) => body),
            [{ refresh_token: "test-stored" }, { refresh_token: "test-stored" }]
          )
        })
      )
    }

    it.scoped(
      "law 22: a rotated refresh token is the one used next, whichever its form and however broken the rest",
      () =>
        Effect.gen(function* () {
          const responses = [
            { token: "test-1", refresh_token: "test-second" },
            { access_token: null, refresh_token: "test-third" },
            { token: "test-3", refreshToken: "test-fourth" },
            { token: "test-4" }
          ]
          const freddy = server({ [refresh]: () => Response.json(responses.shift()) })
          const { session } = yield* setup(freddy, { seed, patience: 0 }, "none")
          yield* session.refresh
          assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
          yield* TestClock.adjust("1 second")
          yield* session.refresh
          yield* session.refresh
          assert.deepStrictEqual(
            freddy.sent.map(({ body }) => body),
            ["test-stored", "test-second", "test-third", "test-fourth"].map((refresh_token) => ({ refresh_token }))
          )
        })
    )

    it.effect("law 22: the device id is kept with the tokens, and over refreshes that leave it out or say null", () =>
      Effect.gen(function* () {
        const asked = (body: object) =>
          Effect.flatMap(
            scripted(() => Response.json({ token: "test-new", ...body })),
            ({ refresh }) => refresh
          )
        const before = Token.make({ refreshToken: secret("test-r"), extra: { device_id: "device-1" } })
        assert.deepStrictEqual(Token.renew(before, yield* asked({})).extra, { device_id: "device-1" })
        assert.deepStrictEqual(Token.renew(before, yield* asked({ device_id: null })).extra, { device_id: "device-1" })
        assert.deepStrictEqual(Token.renew(before, yield* asked({ device_id: "device-2" })).extra, {
          device_id: "device-2"
        })
        const { login } = yield* scripted(() => Response.json({ access_token: "test-new", device_id: "device-3" }))
        assert.deepStrictEqual((yield* login).extra, { device_id: "device-3" })
      })
    )

    const seconds = (lifetime: Option.Option<Duration.Duration>) =>
      Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))
    const now = Date.UTC(2026, 0, 1)
    const lifetimes: ReadonlyArray<readonly [string, object, number | undefined]> = [
      ["exp and iat", { token: issued(1) }, 300],
      ["exp and iat of the newer form", { access_token: issued(1) }, 300],
      ["expires_in before exp and iat", { access_token: issued(1), expires_in: 900 }, 900],
      ["expires_in as text", { access_token: "test-opaque", expires_in: "900" }, 900],
      ["exp alone, by the answer's Date", { token: jwt({ exp: now / 1000 + 7200 + 600 }) }, 600],
      ["exp in the past", { token: jwt({ exp: 1 }) }, undefined],
      ["no end at all", { token: "test-opaque" }, undefined]
    ]
    for (const [name, body, expected] of lifetimes) {
      it.effect(`law 4: ${name}: ${expected} seconds, from log in and refresh alike`, () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(now)
          // Freddy's clock is two hours fast.
          const headers = { date: httpDate(now + 7_200_000) }
          const { login, refresh } = yield* scripted(() => Response.json(body, { headers }))
          assert.strictEqual(seconds((yield* login).lifetime), expected)
          assert.strictEqual(seconds((yield* refresh).lifetime), expected)
        })
      )
    }

    it.effect("law 15: the end of a refresh token is read from its own claims", () =>
      Effect.gen(function* () {
        const refreshToken = jwt({ iat: 0, exp: 86_400 })
        const { mailed } = yield* scripted(() => Response.json({ token: "test-new", refreshToken }))
        assert.strictEqual(seconds((yield* mailed).refreshLifetime), 86_400)
      })
    )
  })
})
