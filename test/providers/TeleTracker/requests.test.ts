import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Token from "../../../src/token/Token.js"
import { herd, secret, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { calls, granted, login, paths, presented, refresh, refused, type Sent, server, setup } from "./harness.js"

describe("TeleTracker", () => {
  describe("requests", () => {
    const plain = ({ body, headers, method, url }: Sent) => ({
      method,
      url,
      type: headers["content-type"],
      accept: headers.accept,
      authorization: headers.authorization,
      body
    })
    const json = { method: "POST", type: "application/json", accept: "application/json", authorization: undefined }

    it.scoped("log in, API call and refresh are exactly as documented", () =>
      manually(function* () {
        const tele = server()
        const { api, session } = yield* setup(tele)
        yield* api.get("/calls?page=2")
        yield* session.refresh
        yield* api.get("calls")
        assert.deepStrictEqual(tele.sent.map(plain), [
          {
            ...json,
            url: "https://api.teletracker.net/auth/login",
            body: { username: "test-user", password: "test-password" }
          },
          {
            method: "GET",
            url: "https://api.teletracker.net/calls?page=2",
            type: undefined,
            accept: undefined,
            authorization: "Bearer test-access-login-1",
            body: undefined
          },
          {
            ...json,
            url: "https://api.teletracker.net/auth/refresh",
            body: { refresh_token: "test-refresh-login-1" }
          },
          {
            method: "GET",
            url: "https://api.teletracker.net/calls",
            type: undefined,
            accept: undefined,
            authorization: "Bearer test-access-refresh-1",
            body: undefined
          }
        ])
      })
    )

    it.scoped("the account goes along as an integer, at log in alone", () =>
      manually(function* () {
        const tele = server()
        const { session } = yield* setup(tele, { accountId: 4711 })
        yield* session.accessToken
        yield* session.refresh
        assert.deepStrictEqual(
          tele.sent.map(({ body }) => body),
          [
            { username: "test-user", password: "test-password", account_id: 4711 },
            { refresh_token: "test-refresh-login-1" }
          ]
        )
      })
    )

    it.scoped("at another address, all goes there, and the token nowhere else", () =>
      manually(function* () {
        const tele = server({ "/mock/auth/login": () => granted("login") })
        const { api } = yield* setup(tele, { baseUrl: new URL("http://127.0.0.1:1/mock") })
        yield* api.get("/calls")
        assert.strictEqual((yield* Effect.flip(api.get("https://api.teletracker.net/calls")))._tag, "UntrustedOrigin")
        assert.deepStrictEqual(
          tele.sent.map(({ url }) => url),
          ["http://127.0.0.1:1/mock/auth/login", "http://127.0.0.1:1/mock/calls"]
        )
      })
    )

    it.scoped("a refresh from a stored token needs no password, and without either nothing is sent", () =>
      manually(function* () {
        const tele = server()
        const { session } = yield* setup(tele, { seed: Token.make({ refreshToken: secret("test-stored") }) }, "none")
        assert.strictEqual(value(yield* session.accessToken), "test-access-refresh-1")
        assert.deepStrictEqual(presented(tele), ["test-stored"])

        const silent = server()
        const { session: signedOut } = yield* setup(silent, {}, "none")
        assert.strictEqual((yield* Effect.flip(signedOut.accessToken))._tag, "SignedOut")
        assert.deepStrictEqual(silent.sent, [])
      })
    )

    it.effect("its tokens cannot be revoked, and its refresh tokens are spent by one use", () =>
      Effect.gen(function* () {
        const { client } = server()
        const make = (options: TeleTracker.Options) =>
          Effect.provideService(TeleTracker.make(options), HttpClient.HttpClient, client)
        const { origins, redactedHeaders, reuseWindow, revoke, rotation } = yield* make({})
        assert.isTrue(Option.isNone(revoke))
        assert.deepStrictEqual([rotation, reuseWindow], ["single-use", undefined])
        assert.deepStrictEqual([origins, redactedHeaders], [["https://api.teletracker.net"], ["authorization"]])
        const declared = yield* make({ reuseWindow: "30 seconds" })
        assert.strictEqual(declared.reuseWindow && Duration.toSeconds(declared.reuseWindow), 30)
      })
    )
  })

  describe("rejections", () => {
    for (const status of [401, 403]) {
      it.scoped(`law 24: ${status} is refreshed once, and the request is sent once more`, () =>
        manually(function* () {
          const tele = server({
            [calls]: ({ headers }) =>
              headers.authorization === "Bearer test-access-login-1"
                ? refused(status)
                : Response.json({ calls: [headers.authorization] })
          })
          const { api } = yield* setup(tele)
          const response = yield* api.get("/calls")
          assert.deepStrictEqual(yield* response.json, { calls: ["Bearer test-access-refresh-1"] })
          assert.deepStrictEqual(paths(tele), [login, calls, refresh, calls])
          yield* api.get("/calls")
          assert.deepStrictEqual(paths(tele).slice(4), [calls])
        })
      )

      it.scoped(`law 24: a second ${status} goes to the caller, with its body`, () =>
        manually(function* () {
          const tele = server({ [calls]: (_, nth) => Response.json({ nth }, { status }) })
          const { api } = yield* setup(tele)
          const response = yield* api.get("/calls")
          assert.deepStrictEqual([response.status, yield* response.json], [status, { nth: 2 }])
          assert.deepStrictEqual(paths(tele), [login, calls, refresh, calls])
        })
      )

      it.scoped(`law 25: ${status} for want of a scope, or with a challenge of another scheme, refreshes nothing`, () =>
        manually(function* () {
          for (const challenge of ['Bearer error="insufficient_scope"', 'Basic realm="proxy"']) {
            const tele = server({
              [calls]: () => new Response(null, { status, headers: { "www-authenticate": challenge } })
            })
            const { api } = yield* setup(tele)
            assert.strictEqual((yield* api.get("/calls")).status, status)
            assert.deepStrictEqual(paths(tele), [login, calls])
          }
        })
      )
    }

    it.scoped("law 6: 50 rejected requests are one refresh", () =>
      manually(function* (clock) {
        const tele = server({
          [calls]: ({ headers }) =>
            Effect.delay(
              Effect.succeed(
                new Response(null, { status: headers.authorization === "Bearer test-access-login-1" ? 403 : 200 })
              ),
              "1 second"
            )
        })
        const { api } = yield* setup(tele)
        const callers = yield* Effect.fork(herd(50, api.get("/calls")))
        yield* clock.advance("3 seconds")
        const results = yield* Fiber.join(callers)
        assert.isTrue(results.every((one) => one._tag === "Right" && one.right.status === 200))
        assert.deepStrictEqual([tele.count(login), tele.count(refresh), tele.count(calls)], [1, 1, 100])
      })
    )
  })
})
