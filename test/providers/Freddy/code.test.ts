import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, type Redacted, Scope } from "effect"
import * as Session from "../../../src/session/Session.js"
import { herd, until, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import {
  about,
  code,
  documented,
  issued,
  layer,
  login,
  pathOf,
  type Sent,
  secret,
  server,
  setup,
  verify
} from "./harness.js"

describe("Freddy", () => {
  describe("the code", () => {
    it.scoped("law 6: 100 callers are one login, one code and one token", () =>
      manually(function* () {
        const freddy = server()
        const mailed = yield* Deferred.make<Redacted.Redacted<string>>()
        let asked = 0
        const { session } = yield* setup(freddy, {
          code: () =>
            Effect.zipRight(
              Effect.sync(() => ++asked),
              Deferred.await(mailed)
            )
        })
        const callers = yield* Effect.fork(herd(100, session.accessToken))
        yield* until(() => asked > 0)
        yield* Deferred.succeed(mailed, secret("0815"))
        const results = yield* Fiber.join(callers)
        assert.isTrue(results.every((one) => one._tag === "Right" && value(one.right) === issued(1)))
        assert.deepStrictEqual([asked, ...freddy.sent.map(pathOf)], [1, login, verify])
        assert.deepStrictEqual(freddy.sent[1]?.body, { email_key: "test-key", verification_code: "0815" })
      })
    )

    it.scoped("law 7: a caller that gives up leaves the code to the others", () =>
      manually(function* () {
        const freddy = server()
        const mailed = yield* Deferred.make<Redacted.Redacted<string>>()
        let asked = 0
        const { session } = yield* setup(freddy, {
          code: () =>
            Effect.zipRight(
              Effect.sync(() => ++asked),
              Deferred.await(mailed)
            )
        })
        const first = yield* Effect.fork(session.accessToken)
        yield* until(() => asked > 0)
        const second = yield* Effect.fork(session.accessToken)
        yield* Fiber.interrupt(first)
        yield* Deferred.succeed(mailed, secret("0815"))
        assert.strictEqual(value(yield* Fiber.join(second)), issued(1))
        assert.strictEqual(asked, 1)
      })
    )

    const noCodes: Record<string, () => Effect.Effect<Redacted.Redacted<string>, unknown>> = {
      "a failure": () => Effect.fail("test-failure 4711"),
      "a failure with nothing": () => Effect.fail(undefined),
      "a defect": () => Effect.die(new Error("test-defect 4711")),
      "a function that throws": () => {
        throw new Error("test-thrown 4711")
      },
      "one that interrupts itself": () => Effect.interrupt
    }
    for (const [name, code] of Object.entries(noCodes)) {
      it.scoped(
        `law 16: ${name} in place of a code is InvalidCredentials of reason no-code, for each of 100 callers`,
        () =>
          manually(function* (clock) {
            const freddy = server()
            const { session } = yield* setup(freddy, { code })
            const callers = yield* Effect.fork(herd(100, session.accessToken))
            yield* clock.advance("30 seconds")
            for (const one of yield* Fiber.join(callers)) {
              assert.deepInclude(one._tag === "Left" ? about(one.left) : {}, {
                _tag: "InvalidCredentials",
                reason: "no-code"
              })
              assert.notMatch(JSON.stringify(one) + String(one), /4711|test-(failure|defect|thrown)/)
            }
            assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
          })
      )
    }

    for (const [name, code] of Object.entries({
      "": () => Effect.never,
      ", also where it cannot be interrupted": () => Effect.uninterruptible(Effect.never)
    })) {
      it.scoped(`law 16: a code is waited for 5 minutes, and no longer${name}`, () =>
        manually(function* (clock) {
          const freddy = server()
          const { session } = yield* setup(freddy, { code })
          const caller = yield* Effect.fork(Effect.flip(session.accessToken))
          yield* clock.advance("299 seconds")
          assert.strictEqual((yield* session.status).inFlight, true)
          yield* clock.advance("1 second")
          assert.strictEqual((yield* session.status).inFlight, false)
          assert.deepInclude(about(yield* Fiber.join(caller)), { _tag: "InvalidCredentials", reason: "no-code" })
          assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
        })
      )
    }

    it.scoped("a code of the last second is in time, and so is its answer", () =>
      manually(function* (clock) {
        const slow = () =>
          Effect.delay(
            Effect.sync(() => Response.json({ token: "test-late" })),
            "9 seconds"
          )
        const asks = () =>
          Effect.delay(
            Effect.sync(() => documented[login]?.({} as Sent, 1) as Response),
            "9 seconds"
          )
        const freddy = server({ [login]: asks, [verify]: slow })
        const { session } = yield* setup(freddy, { code: () => Effect.delay(code(), "299 seconds") })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("320 seconds")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-late")
        assert.deepStrictEqual(freddy.sent.map(pathOf), [login, verify])
      })
    )

    it.scoped("codeTimeout is how long a code may take", () =>
      manually(function* (clock) {
        const { session } = yield* setup(server(), { code: () => Effect.never, codeTimeout: "20 minutes" })
        const caller = yield* Effect.fork(Effect.flip(session.accessToken))
        yield* clock.advance("1199 seconds")
        assert.strictEqual((yield* session.status).inFlight, true)
        yield* clock.advance("1 second")
        assert.deepInclude(about(yield* Fiber.join(caller)), { _tag: "InvalidCredentials", reason: "no-code" })
      })
    )

    for (const [path, steps] of [
      [login, [login]],
      [verify, [login, verify]]
    ] as const) {
      it.scoped(`law 9: ${path} that does not answer is a NetworkFailure after 10 seconds`, () =>
        manually(function* (clock) {
          const freddy = server({ [path]: () => Effect.never })
          const { session } = yield* setup(freddy, { code, patience: 0 })
          const caller = yield* Effect.fork(Effect.flip(session.accessToken))
          yield* clock.advance("9 seconds")
          assert.strictEqual((yield* session.status).inFlight, true)
          yield* clock.advance("1 second")
          assert.deepInclude(about(yield* Fiber.join(caller)), {
            _tag: "NetworkFailure",
            reason: "timeout",
            outcome: "unknown"
          })
          assert.strictEqual(freddy.sent.map(pathOf).join(), steps.join())
        })
      )
    }

    const refuses = () => Response.json({ detail: "Invalid verification code" }, { status: 400 })

    it.scoped("law 16: a refused code is told apart from a refused password", () =>
      Effect.gen(function* () {
        const code1 = yield* setup(server({ [verify]: refuses }), { code })
        assert.deepInclude(about(yield* Effect.flip(code1.session.accessToken)), {
          _tag: "InvalidCredentials",
          reason: "code-refused",
          status: 400
        })
        const freddy = server({ [login]: () => Response.json({ detail: "Invalid credentials" }, { status: 401 }) })
        const { session } = yield* setup(freddy, { code: () => Effect.dieMessage("no one asks") })
        assert.deepInclude(about(yield* Effect.flip(session.accessToken)), {
          _tag: "InvalidCredentials",
          reason: "refused",
          status: 401
        })
      })
    )

    const withoutCode = { code: () => Effect.fail("no mail") }
    for (const [reason, replies, options] of [
      ["no-code", {}, withoutCode],
      ["code-refused", { [verify]: refuses }, { code }]
    ] as const) {
      it.scoped(`law 16: after ${reason} no mail is asked for by itself before a growing cool-down ends`, () =>
        manually(function* (clock) {
          const freddy = server(replies)
          const { session } = yield* setup(freddy, options)
          const sent: Array<number> = []
          for (let minute = 0; minute < 70; minute++) {
            for (let i = 0; i < 3; i++) {
              const before = freddy.count(login)
              yield* herd(10, session.accessToken)
              assert.deepInclude(about(yield* Effect.flip(session.accessToken)), { _tag: "InvalidCredentials", reason })
              if (freddy.count(login) > before) sent.push(minute)
              assert.isAtMost(freddy.count(login) - before, 1)
              yield* clock.advance("20 seconds")
            }
          }
          assert.deepStrictEqual(sent, [0, 1, 3, 7, 15, 31, 63])
        })
      )

      it.scoped(`law 16: after ${reason} the one who logs in by name gets another mail at once`, () =>
        manually(function* () {
          const freddy = server(replies)
          const { session } = yield* setup(freddy, options)
          yield* Effect.flip(session.accessToken)
          yield* Effect.flip(session.accessToken)
          assert.strictEqual(freddy.count(login), 1)
          assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "InvalidCredentials", reason })
          assert.strictEqual(freddy.count(login), 2)
        })
      )
    }

    it.scoped("law 16: a refused password is not sent again by name either", () =>
      manually(function* () {
        const freddy = server({ [login]: () => Response.json({ detail: "Invalid credentials" }, { status: 401 }) })
        const { session } = yield* setup(freddy, { code })
        yield* Effect.flip(session.accessToken)
        assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "InvalidCredentials", reason: "refused" })
        assert.strictEqual(freddy.count(login), 1)
      })
    )

    it.scoped("law 16: a mail that came after all signs in by name, and ends the cool-down", () =>
      manually(function* (clock) {
        const freddy = server()
        const codes = [Effect.fail("no mail"), code(), code()]
        const { session } = yield* setup(freddy, { code: () => codes.shift() ?? Effect.dieMessage("once too often") })
        yield* Effect.flip(session.accessToken)
        assert.strictEqual(value(yield* session.login), issued(1))
        assert.strictEqual(value(yield* session.accessToken), issued(1))
        yield* clock.advance("1 second")
        assert.strictEqual((yield* session.status).state, "signed-in")
      })
    )

    it.scoped("law 6: those who log in by name at once share one mail", () =>
      manually(function* () {
        const freddy = server()
        const mailed = yield* Deferred.make<Redacted.Redacted<string>>()
        let asked = 0
        const { session } = yield* setup(freddy, {
          code: () =>
            Effect.zipRight(
              Effect.sync(() => ++asked),
              Deferred.await(mailed)
            )
        })
        const callers = yield* Effect.fork(herd(10, session.login))
        yield* until(() => asked > 0)
        yield* Deferred.succeed(mailed, secret("0815"))
        assert.isTrue((yield* Fiber.join(callers)).every(({ _tag }) => _tag === "Right"))
        assert.deepStrictEqual([asked, ...freddy.sent.map(pathOf)], [1, login, verify])
      })
    )

    it.scoped("law 9: a second step that fails for now starts again from the first, after the cool-down", () =>
      manually(function* (clock) {
        const replies = [new Response(null, { status: 503 }), Response.json({ token: "test-then" })]
        const freddy = server({ [verify]: () => replies.shift() ?? Response.error() })
        const { session } = yield* setup(freddy, { code })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("100 millis")
        assert.deepStrictEqual(freddy.sent.map(pathOf), [login, verify])
        yield* clock.advance("200 millis")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-then")
        assert.deepStrictEqual(freddy.sent.map(pathOf), [login, verify, login, verify])
      })
    )

    class Mailbox extends Context.Tag("effect-auth/test/providers/Freddy/code.test/Mailbox")<
      Mailbox,
      { readonly read: (email: string | undefined) => Effect.Effect<Redacted.Redacted<string>> }
    >() {}

    it.scoped("finding it may need services, which the layer asks for", () =>
      Effect.gen(function* () {
        const freddy = server()
        const needy = layer(freddy, {
          code: ({ email }) => Effect.flatMap(Mailbox, (mailbox) => mailbox.read(email))
        })
        // Of type `never` if the layer did not ask for exactly the mailbox.
        const asked: [Layer.Layer.Context<typeof needy>, Mailbox] extends [Mailbox, Layer.Layer.Context<typeof needy>]
          ? true
          : never = true
        assert.isTrue(asked)
        const mailbox = Layer.succeed(Mailbox, { read: (email) => Effect.succeed(secret(`code for ${email}`)) })
        const context = yield* Layer.build(Layer.provide(needy, mailbox))
        assert.strictEqual(value(yield* Context.get(context, Session.Session).accessToken), issued(1))
        assert.deepStrictEqual(freddy.sent[1]?.body, {
          email_key: "test-key",
          verification_code: "code for test-user@example.com"
        })
      })
    )

    it.scoped("law 31: the layer closes within its deadline while a code is awaited", () =>
      manually(function* (clock) {
        const asked = yield* Deferred.make<void>()
        let interrupted = false
        const options = {
          shutdownDeadline: "10 seconds",
          code: () =>
            Effect.zipRight(Deferred.succeed(asked, void 0), Effect.never).pipe(
              Effect.onInterrupt(() => Effect.sync(() => (interrupted = true)))
            )
        } as const
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(layer(server(), options), scope)
        const caller = yield* Effect.fork(Context.get(context, Session.Session).accessToken)
        yield* Deferred.await(asked)
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* clock.advance("9 seconds")
        assert.isTrue(Option.isNone(yield* closing.poll))
        yield* clock.advance("1 second")
        assert.isTrue(Option.isSome(yield* closing.poll))
        yield* clock.advance("0 seconds")
        assert.isTrue(interrupted)
        assert.isTrue(Exit.isFailure(yield* Fiber.await(caller)))
      })
    )

    it.scoped("law 30: after a logout while a code was awaited its tokens are not seen", () =>
      manually(function* (clock) {
        const freddy = server()
        const asked = yield* Deferred.make<void>()
        const mailed = yield* Deferred.make<Redacted.Redacted<string>>()
        const { session } = yield* setup(freddy, {
          code: () => Effect.zipRight(Deferred.succeed(asked, void 0), Deferred.await(mailed))
        })
        const caller = yield* Effect.fork(Effect.flip(session.accessToken))
        yield* Deferred.await(asked)
        yield* session.logout
        assert.strictEqual((yield* Fiber.join(caller))._tag, "SignedOut")
        yield* Deferred.succeed(mailed, secret("4711"))
        yield* clock.advance("1 second")
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
        const { state, token } = yield* session.status
        assert.deepStrictEqual({ state, token }, { state: "signed-out", token: "none" })
      })
    )
  })
})
