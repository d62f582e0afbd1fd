import type { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Schema } from "effect"
import * as AuthError from "../../../src/common/AuthError.js"
import * as Protocol from "../../../src/provider/Protocol.js"
import { secret, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets } from "../../support/secrets.js"
import { about, application, granted, maybe, type Reply, type Sent, server, setup } from "./harness.js"

describe("AuthProvider.make", () => {
  describe("verification", () => {
    const asked = Schema.Struct({ challenge: Schema.String })
    const asks = () => Response.json({ challenge: "test-challenge" })
    const path = ({ url }: Sent) => new URL(url).pathname
    const steps: Reply = (sent) => (path(sent) === "/v2/auth/login" ? asks() : granted())
    const respond = ({ challenge }: { readonly challenge: string }) =>
      Effect.succeed(Protocol.json("auth/verify", { challenge, code: secret("4711") }))
    const verification = { asked, respond, within: "2 minutes" } as const

    it.effect("an answer that asks for it is followed by the request of the second step", () =>
      Effect.gen(function* () {
        const { login, provider, sent } = yield* setup(steps, {
          headers: { "x-api-key": secret("test-api-key") },
          verification
        })
        const tokens = yield* login
        assert.strictEqual(maybe(tokens.accessToken), "test-granted")
        assert.strictEqual(maybe(tokens.refreshToken), "test-rotated")
        assert.deepStrictEqual(
          sent.map((one) => [path(one), one.body, one.headers["x-api-key"]]),
          [
            ["/v2/auth/login", '{"username":"test-user","password":"test-password"}', "test-api-key"],
            ["/v2/auth/verify", '{"challenge":"test-challenge","code":"4711"}', "test-api-key"]
          ]
        )
        assert.strictEqual(provider.extraLoginTime && Duration.toSeconds(provider.extraLoginTime), 130)
      })
    )

    it.effect("any other answer is judged at once, and no one is asked", () =>
      Effect.gen(function* () {
        const asksNobody = { ...verification, respond: () => Effect.dieMessage("no one is asked") }
        const given = yield* setup(granted, { verification: asksNobody })
        assert.strictEqual(maybe((yield* given.login).accessToken), "test-granted")
        const refused = yield* setup(() => Response.json({ error: "wrong" }, { status: 401 }), {
          verification: asksNobody
        })
        assert.deepInclude(about(yield* Effect.flip(refused.login)), {
          _tag: "InvalidCredentials",
          reason: "refused",
          status: 401
        })
        const other = yield* setup(() => Response.json({ challenge: 7 }), { verification: asksNobody })
        assert.strictEqual((yield* Effect.flip(other.login))._tag, "MalformedResponse")
        assert.deepStrictEqual([given.sent.length, refused.sent.length, other.sent.length], [1, 1, 1])
      })
    )

    it.effect("a refresh is never followed by a second step", () =>
      Effect.gen(function* () {
        const { refresh, sent } = yield* setup(asks, {
          verification: { ...verification, respond: () => Effect.dieMessage("no one is asked") }
        })
        assert.strictEqual((yield* Effect.flip(refresh))._tag, "MalformedResponse")
        assert.strictEqual(sent.length, 1)
      })
    )

    for (const [error, expected] of Object.entries<object>({
      wrong: { _tag: "InvalidCredentials", reason: "code-refused", status: 400 },
      late: { _tag: "InvalidCredentials", reason: "code-refused", status: 400 },
      busy: { _tag: "NetworkFailure", outcome: "not-spent" },
      stranger: { _tag: "Misconfigured", field: "apiKey" },
      other: { _tag: "MalformedResponse", outcome: "unknown" }
    })) {
      it.effect(`a second step that answers "${error}" is told apart from a refused password`, () =>
        Effect.gen(function* () {
          const { login, sent } = yield* setup(
            (one) => (path(one) === "/v2/auth/login" ? asks() : Response.json({ error }, { status: 400 })),
            { verification }
          )
          assert.deepInclude(about(yield* Effect.flip(login)), expected)
          assert.strictEqual(sent.length, 2)
        })
      )
    }

    it.effect("a second step that asks once more is malformed: there is no third", () =>
      Effect.gen(function* () {
        const { login, sent } = yield* setup(asks, { verification })
        assert.strictEqual((yield* Effect.flip(login))._tag, "MalformedResponse")
        assert.strictEqual(sent.length, 2)
      })
    )

    const noCodes: Record<string, () => Effect.Effect<HttpClientRequest.HttpClientRequest, unknown>> = {
      fails: () => Effect.fail({ code: "test-app-secret" }),
      "fails with nothing": () => Effect.fail(undefined),
      "fails as this library does": () => Effect.fail(new AuthError.SignedOut({ provider: "test-app-secret" })),
      dies: () => Effect.die(new Error("test-app-secret")),
      throws: () => {
        throw new Error("test-app-secret")
      },
      "interrupts itself": () => Effect.interrupt,
      "takes too long": () => Effect.never,
      "takes too long and cannot be interrupted": () => Effect.uninterruptible(Effect.never)
    }
    for (const [name, respond] of Object.entries(noCodes)) {
      it.effect(`a second step that ${name} is InvalidCredentials of reason no-code, and nothing of it shows`, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of ["test-app-secret", "test-challenge", "test-password"]) secrets.add(one)
          const exhibit = exhibits(secrets)
          const { login, sent } = yield* setup(steps, { verification: { ...verification, respond } })
          const caller = yield* Effect.fork(Effect.provide(Effect.withSpan(login, "login"), exhibit.layer))
          yield* clock.advance("2 minutes")
          const exit = yield* Fiber.await(caller)
          yield* exhibit.showExit("login", exit)
          assert.deepInclude(about(yield* Effect.flip(exit)), { _tag: "InvalidCredentials", reason: "no-code" })
          assert.strictEqual(sent.length, 1)
          assert.deepStrictEqual(yield* exhibit.leaks, [])
          assert.isAbove(exhibit.count("span"), 0)
        })
      )
    }

    it.effect("the second step is waited for as long as the description says, and no longer", () =>
      manually(function* (clock) {
        for (const [delay, tag] of [
          ["119 seconds", "granted"],
          ["121 seconds", "InvalidCredentials"]
        ] as const) {
          const { login } = yield* setup(steps, {
            verification: { ...verification, respond: (one) => Effect.delay(respond(one), delay) }
          })
          const caller = yield* Effect.fork(
            Effect.match(login, { onFailure: ({ _tag }) => _tag, onSuccess: () => "granted" })
          )
          yield* clock.advance("118 seconds")
          assert.isTrue(Option.isNone(yield* Fiber.poll(caller)))
          yield* clock.advance("2 seconds")
          assert.strictEqual(yield* Fiber.join(caller), tag)
        }
      })
    )

    for (const slow of ["/v2/auth/login", "/v2/auth/verify"]) {
      it.effect(`law 9: ${slow} may take 10 seconds of its own, and no more`, () =>
        manually(function* (clock) {
          const late =
            (delay: Duration.DurationInput): Reply =>
            (one, nth) => {
              const response = Effect.suspend(() => Effect.succeed(steps(one, nth) as Response))
              return path(one) === slow ? Effect.delay(response, delay) : response
            }
          const inTime = yield* setup(late("9 seconds"), { verification })
          const first = yield* Effect.fork(inTime.login)
          yield* clock.advance("9 seconds")
          assert.strictEqual(maybe((yield* Fiber.join(first)).accessToken), "test-granted")

          const tooLate = yield* setup(late("11 seconds"), { verification })
          const second = yield* Effect.fork(Effect.flip(tooLate.login))
          yield* clock.advance("9 seconds")
          assert.isTrue(Option.isNone(yield* Fiber.poll(second)))
          yield* clock.advance("1 second")
          assert.deepInclude(about(yield* Fiber.join(second)), {
            _tag: "NetworkFailure",
            reason: "timeout",
            outcome: "unknown"
          })
        })
      )
    }

    it.scoped("a session waits for both steps and the person between them", () =>
      manually(function* (clock) {
        const slowly: Reply = (one, nth) =>
          Effect.delay(
            Effect.suspend(() => Effect.succeed(steps(one, nth) as Response)),
            "9 seconds"
          )
        const { client } = server(slowly)
        const { session } = yield* application(client, {
          verification: { ...verification, respond: (one) => Effect.delay(respond(one), "119 seconds") }
        })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("136 seconds")
        assert.isTrue((yield* session.status).inFlight)
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-granted")
      })
    )
  })
})
