import { HttpClient, HttpClientError } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted } from "effect"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Session from "../../../src/session/Session.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import { user, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import * as Records from "../../support/records.js"
import {
  about,
  granted,
  login,
  lost,
  page,
  paths,
  presented,
  type Reply,
  read,
  refresh,
  refused,
  scripted,
  server,
  setup
} from "./harness.js"

const maybe = (token: Option.Option<Redacted.Redacted<string>>) =>
  Option.getOrUndefined(Option.map(token, Redacted.value))

describe("TeleTracker", () => {
  describe("law 12: outcomes", () => {
    const malformed = (status: number): object => ({ _tag: "MalformedResponse", outcome: "unknown", status })
    const failed = (status: number, reason: string, outcome: string) => ({
      _tag: "NetworkFailure",
      status,
      reason,
      outcome
    })
    const denied = (status: number) => ({ _tag: "InvalidCredentials", reason: "refused", status })
    const invalid = { _tag: "InvalidRefreshToken", reason: "invalid" }
    const json =
      (body: unknown, status = 200) =>
      () =>
        Response.json(body, { status })
    const cases: ReadonlyArray<readonly [string, () => Reply, object, object]> = [
      ["200 with success false", () => refused(), denied(200), invalid],
      ["200 with success false beside tokens", () => granted("1", { success: false }), denied(200), invalid],
      ["400 with success false", () => refused(400), denied(400), invalid],
      ["422 with success false", () => refused(422), denied(422), invalid],
      ["401 with success false", () => refused(401), denied(401), invalid],
      ["403 with success false", () => refused(403), denied(403), invalid],
      ["401 with another object", json({ message: "test-message" }, 401), denied(401), invalid],
      ["403 with another object", json({ message: "test-message" }, 403), denied(403), invalid],
      ["400 with another object", json({ message: "test-message" }, 400), malformed(400), malformed(400)],
      ["404 with success true", json({ success: true }, 404), malformed(404), malformed(404)],
      ['400 with success "false"', json({ success: "false" }, 400), malformed(400), malformed(400)],
      ["a page with 401", () => page(401), malformed(401), malformed(401)],
      ["a page with 403", () => page(403), malformed(403), malformed(403)],
      ["a page with 404", () => page(404), malformed(404), malformed(404)],
      ["a page with 200", () => page(200), malformed(200), malformed(200)],
      ["401 without a body", () => new Response(null, { status: 401 }), malformed(401), malformed(401)],
      ["401 with null", json(null, 401), malformed(401), malformed(401)],
      ["401 with text", json("test-message", 401), malformed(401), malformed(401)],
      ["401 with a list", json([], 401), malformed(401), malformed(401)],
      ["200 with null", json(null), malformed(200), malformed(200)],
      ["200 with an empty object", json({}), malformed(200), malformed(200)],
      ["200 with success and nothing else", json({ success: true }), malformed(200), malformed(200)],
      ["429", () => refused(429), failed(429, "rate-limited", "not-spent"), failed(429, "rate-limited", "not-spent")],
      ["503", () => page(503), failed(503, "server-error", "not-spent"), failed(503, "server-error", "not-spent")],
      ["500", () => refused(500), failed(500, "server-error", "unknown"), failed(500, "server-error", "unknown")],
      ["502", () => page(502), failed(502, "server-error", "unknown"), failed(502, "server-error", "unknown")],
      [
        "a lost answer",
        lost,
        { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", code: "ECONNRESET" },
        { _tag: "NetworkFailure", reason: "interrupted", outcome: "unknown", code: "ECONNRESET" }
      ]
    ]
    for (const [name, response, ofLogin, ofRefresh] of cases) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const { login, refresh } = yield* scripted(response)
          const errors: readonly [AuthError, AuthError] = [yield* Effect.flip(login), yield* Effect.flip(refresh)]
          assert.deepInclude(about(errors[0]), ofLogin)
          assert.deepInclude(about(errors[1]), ofRefresh)
          assert.notMatch(JSON.stringify(errors) + errors.join(), /test-(message|access|refresh|password)/)
        })
      )
    }

    it.effect("law 22: each token of an answer counts without the other, but a login needs an access token", () =>
      Effect.gen(function* () {
        for (const broken of [undefined, null, "", 7, {}, "two words", "two\nlines"]) {
          const noAccess = yield* scripted(() => granted("1", { token: broken }))
          const rotated = yield* noAccess.refresh
          assert.deepStrictEqual(
            [maybe(rotated.accessToken), maybe(rotated.refreshToken)],
            [undefined, "test-refresh-1"]
          )
          assert.deepInclude(about(yield* Effect.flip(noAccess.login)), malformed(200))

          const noRefresh = yield* scripted(() => granted("1", { refreshToken: broken }))
          for (const tokens of [yield* noRefresh.refresh, yield* noRefresh.login]) {
            assert.deepStrictEqual(
              [maybe(tokens.accessToken), maybe(tokens.refreshToken)],
              ["test-access-1", undefined]
            )
          }

          const neither = yield* scripted(() => granted("1", { token: broken, refreshToken: broken }))
          for (const tokenRequest of [neither.refresh, neither.login]) {
            assert.deepInclude(about(yield* Effect.flip(tokenRequest)), malformed(200))
          }
        }
      })
    )

    it.scoped("law 22: a rotated refresh token beside a broken access token is the one presented next", () =>
      manually(function* (clock) {
        const tele = server({
          [refresh]: (_, nth) => granted(`refresh-${nth}`, nth === 1 ? { token: null } : {})
        })
        const { session } = yield* setup(tele)
        yield* session.accessToken
        assert.strictEqual((yield* Effect.flip(session.refresh))._tag, "MalformedResponse")
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* session.refresh), "test-access-refresh-2")
        assert.deepStrictEqual(presented(tele), ["test-refresh-login-1", "test-refresh-refresh-1"])
        assert.strictEqual(tele.count(login), 1)
      })
    )

    it.scoped("law 22: the guid is kept over refreshes that leave it out, and replaced by another", () =>
      manually(function* () {
        const guids = [undefined, null, "test-other"]
        const tele = server({ [refresh]: (_, nth) => granted(`refresh-${nth}`, { guid: guids[nth - 1] }) })
        const store = yield* TokenStore.makeMemory
        const provider = yield* Effect.provideService(TeleTracker.make(), HttpClient.HttpClient, tele.client)
        const session = yield* Session.make({ key: "key", shutdownDeadline: 0 }).pipe(
          Effect.provide(Credentials.layer(user)),
          Effect.provideService(AuthProvider.AuthProvider, provider),
          Effect.provideService(TokenStore.TokenStore, store)
        )
        const extra = Effect.map(Records.load(store, "key"), (record) =>
          Option.getOrUndefined(
            Option.map(
              Option.flatMap(record, ({ tokens }) => tokens),
              ({ extra }) => extra
            )
          )
        )
        yield* session.accessToken
        assert.deepStrictEqual(yield* extra, { guid: "test-guid" })
        for (const guid of ["test-guid", "test-guid", "test-other"]) {
          yield* session.refresh
          assert.deepStrictEqual(yield* extra, { guid })
        }
      })
    )

    for (const [name, response] of Object.entries({
      "a page with 403": () => page(403),
      "a page with 200": () => page(200),
      "429": () => refused(429),
      "503": () => page(503)
    })) {
      it.scoped(`law 12: ${name} in front of the login passes, and needs no new sign in`, () =>
        manually(function* (clock) {
          const tele = server({ [login]: (_, nth) => (nth === 1 ? response() : granted("again")) })
          const { session } = yield* setup(tele)
          assert.match((yield* Effect.flip(session.accessToken))._tag, /^(MalformedResponse|NetworkFailure)$/)
          yield* clock.advance("1 second")
          assert.strictEqual(value(yield* session.accessToken), "test-access-again")
        })
      )
    }

    it.scoped("law 16: a password refused with status 200 is not sent again at once", () =>
      manually(function* (clock) {
        const tele = server({ [login]: () => refused() })
        const { session } = yield* setup(tele)
        for (let i = 0; i < 20; i++) {
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "InvalidCredentials")
          yield* clock.advance("2 seconds")
        }
        assert.deepStrictEqual(paths(tele), [login])
      })
    )
  })

  describe("law 17: a refresh that may still succeed", () => {
    for (const [name, response] of Object.entries<() => Reply>({
      "429": () => refused(429),
      "503": () => page(503),
      "a closed port": () =>
        Effect.mapError(lost(), ({ request }) => {
          const cause = Object.assign(new Error("test-message"), { code: "ECONNREFUSED" })
          return new HttpClientError.RequestError({ request, reason: "Transport", cause })
        })
    })) {
      it.scoped(`law 17: ${name} is no reason to log in: the same refresh token is presented until it succeeds`, () =>
        manually(function* (clock) {
          const tele = server({ [refresh]: (_, nth) => (nth < 5 ? response() : granted("late")) })
          const { session } = yield* setup(tele)
          yield* session.accessToken
          yield* clock.advance("1 hour")
          assert.deepStrictEqual(yield* read(clock, session, 60), ["NetworkFailure", "test-access-late"])
          assert.deepStrictEqual(new Set(presented(tele)), new Set(["test-refresh-login-1"]))
          assert.deepStrictEqual([tele.count(login), tele.count(refresh)], [1, 5])
        })
      )
    }

    it.scoped("law 9: Retry-After is waited out", () =>
      manually(function* (clock) {
        const tele = server({
          [refresh]: (_, nth) =>
            nth === 1 ? new Response(null, { status: 429, headers: { "retry-after": "45" } }) : granted("late")
        })
        const { session } = yield* setup(tele)
        yield* session.accessToken
        yield* clock.advance("1 hour")
        assert.deepStrictEqual(yield* read(clock, session, 45), ["NetworkFailure"])
        assert.strictEqual(tele.count(refresh), 1)
        assert.deepStrictEqual(yield* read(clock, session, 1), ["test-access-late"])
      })
    )
  })
})
