import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, LogLevel } from "effect"
import { until } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets } from "../../support/secrets.js"
import { after, base64, client, issue, type Reply, revoking, server, setup } from "./harness.js"

describe("OAuth2", () => {
  describe("revocation", () => {
    const basic = base64("test-client:test-client-secret")

    it.scoped("a logout revokes the refresh token, exactly as documented", () =>
      Effect.gen(function* () {
        const as = server({ "/revoke": () => new Response(null) })
        const { session } = yield* setup(as, { ...revoking, grant: "password", parameters: { audience: "x" } })
        yield* session.accessToken
        yield* session.logout
        const [revocation, ...more] = as.at("/revoke")
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual(
          {
            method: revocation?.method,
            url: revocation?.url,
            type: revocation?.headers["content-type"],
            authorization: revocation?.headers.authorization,
            body: revocation?.body
          },
          {
            method: "POST",
            url: "https://as.test/revoke",
            type: "application/x-www-form-urlencoded",
            authorization: basic,
            body: "token=test-refresh-1&token_type_hint=refresh_token"
          }
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("without a refresh token it revokes the access token", () =>
      Effect.gen(function* () {
        const as = server({ "/revoke": () => new Response(null) })
        const { session } = yield* setup(as, revoking)
        yield* session.accessToken
        yield* session.logout
        assert.deepStrictEqual(
          as.at("/revoke").map(({ body }) => body),
          ["token=test-access-1&token_type_hint=access_token"]
        )
      })
    )

    it.scoped("the client authenticates at the revocation endpoint as at the other", () =>
      Effect.gen(function* () {
        const { clientSecret: _, ...publicly } = revoking
        for (const [options, more] of [
          [{ ...revoking, authentication: "client_secret_post" }, { client_secret: "test-client-secret" }],
          [publicly, {}]
        ] as const) {
          const as = server({ "/revoke": () => new Response(null) })
          const { session } = yield* setup(as, options)
          yield* session.accessToken
          yield* session.logout
          const [revocation] = as.at("/revoke")
          assert.isUndefined(revocation?.headers.authorization)
          assert.deepStrictEqual(revocation?.form, {
            token: "test-access-1",
            token_type_hint: "access_token",
            client_id: "test-client",
            ...more
          })
        }
      })
    )

    const responses: ReadonlyArray<readonly [string, () => Reply, logged: boolean]> = [
      ["an empty 200", () => new Response(null), false],
      ["a 204", () => new Response(null, { status: 204 }), false],
      ["a 200 of text", () => new Response("ok"), false],
      ["a 200 of JSON", () => Response.json({}), false],
      ["500", () => new Response("test-message", { status: 500 }), true],
      ["503", () => new Response(null, { status: 503 }), true],
      ["a page with 400", () => new Response("<html>test-message", { status: 400 }), true],
      ["unsupported_token_type", () => Response.json({ error: "unsupported_token_type" }, { status: 400 }), true],
      ["invalid_client", () => Response.json({ error: "invalid_client" }, { status: 401 }), true],
      ["a redirect", () => new Response(null, { status: 302, headers: { location: "https://evil.test" } }), true],
      ["nothing, ever", () => Effect.never, true]
    ]
    for (const [name, response, logged] of responses) {
      it.scoped(`law 30: ${name}: the logout succeeds, and is ${logged ? "" : "not "}logged`, () =>
        manually(function* (clock) {
          const exhibit = exhibits(new Secrets())
          const as = server({ "/revoke": response })
          yield* Effect.gen(function* () {
            const { session } = yield* setup(as, revoking)
            yield* session.accessToken
            yield* after(clock, "10 seconds", session.logout)
            assert.strictEqual((yield* session.status).state, "signed-out")
            assert.strictEqual(as.at("/revoke").length, 1)
          }).pipe(Logger.withMinimumLogLevel(LogLevel.Warning), Effect.provide(exhibit.layer))
          assert.strictEqual(exhibit.count("log line") > 0, logged)
        })
      )
    }

    it.scoped("law 30: a login answered after the logout is revoked, never seen", () =>
      manually(function* (clock) {
        const gate = yield* Deferred.make<void>()
        const as = server({
          "/token": (sent, nth) => Effect.as(Deferred.await(gate), issue(sent, nth)),
          "/revoke": () => new Response(null)
        })
        const { session } = yield* setup(as, { ...revoking, grant: "password" })
        const caller = yield* Effect.fork(Effect.flip(session.accessToken))
        yield* until(() => as.sent.length === 1)
        yield* session.logout
        assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
        assert.strictEqual(as.at("/revoke").length, 0)
        yield* Deferred.succeed(gate, void 0)
        yield* clock.advance("1 second")
        assert.deepStrictEqual(
          as.at("/revoke").map(({ form }) => form.token),
          ["test-refresh-1"]
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("law 30: a refresh answered after the logout is revoked, as the token it was for", () =>
      manually(function* (clock) {
        const gate = yield* Deferred.make<void>()
        const as = server({
          "/token": (sent, nth) => (nth === 1 ? issue(sent, nth) : Effect.as(Deferred.await(gate), issue(sent, nth))),
          "/revoke": () => new Response(null)
        })
        const { session } = yield* setup(as, { ...revoking, grant: "password" })
        yield* session.accessToken
        const caller = yield* Effect.fork(Effect.flip(session.refresh))
        yield* until(() => as.sent.length === 2)
        yield* session.logout
        assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
        yield* Deferred.succeed(gate, void 0)
        yield* clock.advance("1 second")
        assert.deepStrictEqual(
          as.at("/revoke").map(({ form }) => form.token),
          ["test-refresh-1", "test-refresh-2"]
        )
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
      })
    )

    it.scoped("without a revocation endpoint a logout sends nothing", () =>
      Effect.gen(function* () {
        const as = server()
        const { session } = yield* setup(as, client)
        yield* session.accessToken
        yield* session.logout
        assert.strictEqual(as.sent.length, 1)
      })
    )
  })
})
