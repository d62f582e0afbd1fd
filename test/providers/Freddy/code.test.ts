import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Context,
  Deferred,
  Duration,
  Effect,
  Encoding,
  Exit,
  Fiber,
  Layer,
  Option,
  Redacted,
  Scope,
  TestClock
} from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Freddy from "../../../src/providers/Freddy.js"
import * as Session from "../../../src/session/Session.js"
import { httpDate } from "../../../src/testing/internal/sandboxClient.js"
import * as Token from "../../../src/token/Token.js"
import { herd, until, value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets, tap } from "../../support/secrets.js"

const secret = Redacted.make<string>
const user = { username: secret("test-user@example.com"), password: secret("test-password") }
const code = () => Effect.succeed(secret("4711"))
const seed = Token.make({ refreshToken: secret("test-stored") })

/** A JWT with these claims. */
const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

/** The n-th token, of five minutes. */
const issued = (n: number) => jwt({ n, iat: 1000, exp: 1300 })

interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}
type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>
type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

const login = "/v1/auth/login"
const verify = "/v1/auth/verify"
const devLogin = "/v1/auth/dev-login"
const refresh = "/v1/auth/refresh"

/** What Freddy documents. */
const documented: Replies = {
  [login]: () =>
    Response.json({
      success: true,
      email_key: "test-key",
      email: "test-user@example.com",
      requires_verification: true,
      next_step: "email_verification",
      message: "test-message"
    }),
  [verify]: (_, nth) => Response.json({ token: issued(nth), refreshToken: `test-verified-${nth}` }),
  [devLogin]: (_, nth) =>
    Response.json({
      access_token: issued(nth),
      refresh_token: `test-developed-${nth}`,
      token_type: "bearer",
      expires_in: 3600,
      device_id: "device-123"
    }),
  [refresh]: (_, nth) => Response.json({ token: issued(100 + nth), device_id: "device-123" })
}

/** A client that answers as documented unless the test says otherwise, and what it was sent. */
const server = (replies: Replies = {}) => {
  const sent: Array<Sent> = []
  const count = (path: string) => sent.filter(({ url }) => new URL(url).pathname === path).length
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { body, headers, method } = request
      const text = body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(body.body)) : undefined
      const one: Sent = { method, url: url.href, headers, body: text }
      sent.push(one)
      const reply = { ...documented, ...replies }[url.pathname]?.(one, count(url.pathname)) ?? Response.json({})
      return Effect.map(reply instanceof Response ? Effect.succeed(reply) : reply, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { client, count, sent }
}

type Server = ReturnType<typeof server>

const layer = <R = never>(
  freddy: Server,
  options: Freddy.Options<R> & Auth.Options = {},
  credentials: Credentials.UserPassword | "none" = user
) =>
  // Nobody moves the clock while a test ends.
  Freddy.layer({ renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
    Layer.provide([
      credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
      Layer.succeed(HttpClient.HttpClient, freddy.client)
    ])
  )

/** An application that uses Freddy. */
const setup = Effect.fnUntraced(function* <R = never>(
  freddy: Server,
  options: Freddy.Options<R> & Auth.Options = {},
  credentials: Credentials.UserPassword | "none" = user
) {
  const context = yield* Layer.build(layer(freddy, options, credentials))
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** The provider alone, over a client that always answers so. */
const scripted = Effect.fnUntraced(function* (answer: () => Response) {
  const freddy = server({ [login]: answer, [verify]: answer, [devLogin]: answer, [refresh]: answer })
  const make = (options: Freddy.Options) =>
    Effect.provideService(Freddy.make(options), HttpClient.HttpClient, freddy.client)
  const provider = yield* make({ development: true })
  const mailed = yield* make({ code })
  return {
    login: Option.getOrThrow(provider.login(Option.some(user))),
    mailed: Option.getOrThrow(mailed.login(Option.some(user))),
    refresh: provider.refresh(seed)
  }
})

const about = (error: AuthError): object => ({ ...error })

const pathOf = ({ url }: Sent) => new URL(url).pathname

describe("Freddy", () => {
  describe("requests", () => {
    const plain = (sent: Sent | undefined) => ({
      method: sent?.method,
      url: sent?.url,
      type: sent?.headers["content-type"],
      accept: sent?.headers.accept,
      authorization: sent?.headers.authorization,
      body: sent?.body
    })
    const json = { method: "POST", type: "application/json", accept: "application/json", authorization: undefined }

    it.scoped("a log in is two steps, exactly as documented, and the token goes to the API", () =>
      Effect.gen(function* () {
        const freddy = server()
        const { api } = yield* setup(freddy, { code })
        yield* api.get("/v1/models?x=1")
        assert.deepStrictEqual(freddy.sent.map(plain), [
          {
            ...json,
            url: "https://api.aitronos.com/v1/auth/login",
            body: { email_or_username: "test-user@example.com", password: "test-password" }
          },
          {
            ...json,
            url: "https://api.aitronos.com/v1/auth/verify",
            body: { email_key: "test-key", verification_code: "4711" }
          },
          {
            method: "GET",
            url: "https://api.aitronos.com/v1/models?x=1",
            type: undefined,
            accept: undefined,
            authorization: `Bearer ${issued(1)}`,
            body: undefined
          }
        ])
      })
    )

    it.scoped("a log in in development is one step, exactly as documented", () =>
      Effect.gen(function* () {
        const freddy = server()
        const { session } = yield* setup(freddy, { development: true })
        assert.strictEqual(value(yield* session.accessToken), issued(1))
        assert.deepStrictEqual(freddy.sent.map(plain), [
          {
            ...json,
            url: "https://api.aitronos.com/v1/auth/dev-login",
            body: { email_or_username: "test-user@example.com", password: "test-password" }
          }
        ])
      })
    )

    it.scoped("a refresh is exactly as documented, from a stored refresh token, without credentials and a code", () =>
      Effect.gen(function* () {
        const freddy = server()
        const { session } = yield* setup(freddy, { seed }, "none")
        assert.strictEqual(value(yield* session.accessToken), issued(101))
        assert.deepStrictEqual(freddy.sent.map(plain), [
          { ...json, url: "https://api.aitronos.com/v1/auth/refresh", body: { refresh_token: "test-stored" } }
        ])
      })
    )

    it.scoped("at another address, all goes there", () =>
      Effect.gen(function* () {
        for (const [baseUrl, root] of [
          ["https://api.freddy.aitronos.com", "https://api.freddy.aitronos.com/"],
          [new URL("http://127.0.0.1:1/mock/"), "http://127.0.0.1:1/mock/"]
        ] as const) {
          const freddy = server({ "/mock/v1/auth/dev-login": documented[devLogin] ?? (() => Response.json({})) })
          const { api } = yield* setup(freddy, { development: true, baseUrl })
          yield* api.get("/v1/models")
          assert.deepStrictEqual(
            freddy.sent.map(({ url }) => url),
            [`${root}v1/auth/dev-login`, `${root}v1/models`]
          )
        }
      })
    )

    it.scoped("a first step that answers tokens at once asks nobody for a code", () =>
      Effect.gen(function* () {
        const freddy = server({ [login]: () => Response.json({ token: "test-at-once", refreshToken: "test-r" }) })
        const { session } = yield* setup(freddy, { code: () => Effect.dieMessage("nobody asks") })
        assert.strictEqual(value(yield* session.accessToken), "test-at-once")
        assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
      })
    )

    it.scoped("whoever finds the code is told the address it was mailed to, if Freddy says which", () =>
      Effect.gen(function* () {
        const told: Array<unknown> = []
        for (const email of ["test-user@example.com", null, 7, undefined]) {
          const asks = () => Response.json({ email_key: "test-key", requires_verification: true, email })
          const { session } = yield* setup(server({ [login]: asks }), {
            code: (mailed) =>
              Effect.zipRight(
                Effect.sync(() => told.push(mailed)),
                code()
              )
          })
          yield* session.accessToken
        }
        assert.deepStrictEqual(told, [
          { email: "test-user@example.com" },
          { email: undefined },
          { email: undefined },
          { email: undefined }
        ])
      })
    )

    for (const answer of [
      { requires_verification: true },
      { email_key: 7, requires_verification: true },
      { email_key: "test-key", requires_verification: false },
      { email_key: "test-key" },
      null
    ]) {
      it.scoped(`law 12: a first step of ${JSON.stringify(answer)} is no answer, and asks nobody for a code`, () =>
        Effect.gen(function* () {
          const freddy = server({ [login]: () => Response.json(answer) })
          const { session } = yield* setup(freddy, { patience: 0, code: () => Effect.dieMessage("nobody asks") })
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "MalformedResponse")
          assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
        })
      )
    }
  })

  describe("the code", () => {
    it.scoped("law 6: 100 callers are one log in, one code and one token", () =>
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
          assert.strictEqual((yield* session.status).exchanging, true)
          yield* clock.advance("1 second")
          assert.strictEqual((yield* session.status).exchanging, false)
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
        assert.strictEqual((yield* session.status).exchanging, true)
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
          assert.strictEqual((yield* session.status).exchanging, true)
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
        const { session } = yield* setup(freddy, { code: () => Effect.dieMessage("nobody asks") })
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

      it.scoped(`law 16: after ${reason} whoever logs in by name gets another mail at once`, () =>
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

    it.scoped("law 30: after a log out while a code was awaited its tokens are not seen", () =>
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

  describe("refreshing", () => {
    it.scoped("a session begins with a log in and goes on with refreshes, no code asked for again", () =>
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
      "the form of a log in": { token: "test-new", refreshToken: "test-rotated", device_id: "device-9" }
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
          const answers = [
            { token: "test-1", refresh_token: "test-second" },
            { access_token: null, refresh_token: "test-third" },
            { token: "test-3", refreshToken: "test-fourth" },
            { token: "test-4" }
          ]
          const freddy = server({ [refresh]: () => Response.json(answers.shift()) })
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

  describe("refusals", () => {
    const older = (detail: unknown, status = 401) => Response.json({ detail }, { status })
    const newer = (message: string, status: number, answered = status) =>
      Response.json(
        { success: false, error: { code: "AUTHENTICATION_REQUIRED", message, status, trace_id: "test-trace" } },
        { status: answered }
      )
    const invalid = { _tag: "InvalidRefreshToken", reason: "invalid" }
    const expired = { _tag: "TokenExpired", token: "refresh" }
    const refused = { _tag: "InvalidCredentials", reason: "refused" }
    const malformed = { _tag: "MalformedResponse", outcome: "unknown" }
    const cases: ReadonlyArray<readonly [string, () => Response, login: object, refresh: object]> = [
      ["Invalid refresh token", () => older("Invalid refresh token"), refused, invalid],
      ["Refresh token has expired", () => older("Refresh token has expired"), refused, expired],
      ["Refresh token has expired, with 400", () => older("Refresh token has expired", 400), refused, expired],
      ["Refresh token has expired, with 403", () => older("Refresh token has expired", 403), refused, expired],
      ["Invalid refresh token, with 403", () => older("Invalid refresh token", 403), refused, invalid],
      ["Invalid refresh token, with 200", () => older("Invalid refresh token", 200), refused, invalid],
      ["Refresh token has expired, with 200", () => older("Refresh token has expired", 200), refused, expired],
      ["another 401", () => older("test-message"), { ...refused, status: 401 }, invalid],
      ["another 400", () => older("test-message", 400), { ...refused, status: 400 }, invalid],
      ["the newer form", () => newer("test-message", 401), refused, invalid],
      ["the newer form of an expired one", () => newer("Refresh token has expired", 401), refused, expired],
      ["the newer form with HTTP 200", () => newer("test-message", 401, 200), refused, invalid],
      ["the newer form of a 403", () => newer("test-message", 403), malformed, malformed],
      [
        "the newer form of a 500 with HTTP 200",
        () => newer("test-message", 500, 200),
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown", status: 200 },
        { _tag: "NetworkFailure", reason: "server-error", outcome: "unknown", status: 200 }
      ],
      [
        "the newer form of a 429 with HTTP 200",
        () => newer("test-message", 429, 200),
        { _tag: "NetworkFailure", outcome: "not-spent" },
        { _tag: "NetworkFailure", outcome: "not-spent" }
      ],
      [
        "the newer form of a 503 with HTTP 200",
        () => newer("test-message", 503, 200),
        { _tag: "NetworkFailure", outcome: "not-spent" },
        { _tag: "NetworkFailure", outcome: "not-spent" }
      ],
      ["404 of FastAPI", () => older("Not Found", 404), { ...malformed, status: 404 }, { ...malformed, status: 404 }],
      ["405 of FastAPI", () => older("Method Not Allowed", 405), malformed, malformed],
      [
        "422 of FastAPI",
        () => older([{ loc: ["body", "refresh_token"], msg: "test-message", type: "missing" }], 422),
        { ...malformed, status: 422 },
        { ...malformed, status: 422 }
      ],
      ["a detail with HTTP 200", () => older("test-message", 200), malformed, malformed],
      ["a 401 page", () => new Response("<html>test-message", { status: 401 }), malformed, malformed],
      ["a 401 of another form", () => Response.json({ error: "test-message" }, { status: 401 }), malformed, malformed],
      ["a 401 of null", () => Response.json(null, { status: 401 }), malformed, malformed],
      [
        "500",
        () => new Response("test-message", { status: 500 }),
        { _tag: "NetworkFailure", outcome: "unknown" },
        { _tag: "NetworkFailure", outcome: "unknown" }
      ],
      [
        "429",
        () => Response.json({ detail: "test-message" }, { status: 429, headers: { "retry-after": "7" } }),
        { _tag: "NetworkFailure", reason: "rate-limited", outcome: "not-spent" },
        { _tag: "NetworkFailure", reason: "rate-limited", outcome: "not-spent" }
      ]
    ]
    for (const [name, answer, login, refresh] of cases) {
      it.effect(`law 12: ${name}`, () =>
        Effect.gen(function* () {
          const client = yield* scripted(answer)
          const errors: ReadonlyArray<AuthError> = [
            yield* Effect.flip(client.login),
            yield* Effect.flip(client.mailed),
            yield* Effect.flip(client.refresh)
          ]
          assert.deepInclude(about(errors[0] as AuthError), login)
          assert.deepInclude(about(errors[1] as AuthError), login)
          assert.deepInclude(about(errors[2] as AuthError), refresh)
          assert.notMatch(JSON.stringify(errors) + errors.join(), /test-(message|trace|stored|password)/)
        })
      )
    }

    for (const [detail, tag] of [
      ["Invalid refresh token", "InvalidRefreshToken"],
      ["Refresh token has expired", "TokenExpired"]
    ] as const) {
      it.scoped(`law 14: ${detail}: with credentials and a code, log in`, () =>
        Effect.gen(function* () {
          const freddy = server({ [refresh]: () => older(detail) })
          const { session } = yield* setup(freddy, { seed, code })
          assert.strictEqual(value(yield* session.accessToken), issued(1))
          assert.deepStrictEqual(freddy.sent.map(pathOf), [refresh, login, verify])
        })
      )

      for (const [name, options, credentials] of [
        ["without credentials", { seed, code }, "none"],
        ["without a way to log in", { seed }, user]
      ] as const) {
        it.scoped(`law 14: ${detail}: ${name} it is ${tag}, and nobody asks again`, () =>
          manually(function* (clock) {
            const freddy = server({ [refresh]: () => older(detail) })
            const { session } = yield* setup(freddy, { ...options, renewal: "background" }, credentials)
            for (let i = 0; i < 20; i++) {
              const error = yield* Effect.flip(session.accessToken)
              assert.strictEqual(error._tag, tag)
              if (error._tag === "TokenExpired") assert.strictEqual(error.token, "refresh")
              yield* clock.advance("10 minutes")
            }
            assert.deepStrictEqual(freddy.sent.map(pathOf), [refresh])
            assert.strictEqual((yield* Effect.flip(session.login))._tag, "Misconfigured")
            assert.strictEqual(freddy.sent.length, 1)
          })
        )
      }
    }

    it.scoped("law 12: a 422 passes, and needs no new sign in", () =>
      manually(function* (clock) {
        const replies = [older([{ msg: "test-message" }], 422), older("Not Found", 404)]
        const freddy = server({
          [devLogin]: () => replies.shift() ?? Response.json({ access_token: "test-then" })
        })
        const { session } = yield* setup(freddy, { development: true })
        const caller = yield* Effect.fork(session.accessToken)
        yield* clock.advance("1 second")
        assert.strictEqual(value(yield* Fiber.join(caller)), "test-then")
        assert.strictEqual(freddy.count(devLogin), 3)
      })
    )

    it.scoped("a token that Freddy's API rejects is refreshed, and the request sent once more", () =>
      Effect.gen(function* () {
        const freddy = server({
          "/v1/models": ({ headers }) =>
            headers.authorization === `Bearer ${issued(1)}`
              ? Response.json({ detail: "test-message" }, { status: 401 })
              : Response.json([])
        })
        const { api } = yield* setup(freddy, { development: true })
        assert.strictEqual((yield* api.get("/v1/models")).status, 200)
        assert.deepStrictEqual(freddy.sent.map(pathOf), [devLogin, "/v1/models", refresh, "/v1/models"])
        assert.deepStrictEqual(freddy.sent[2]?.body, { refresh_token: "test-developed-1" })
      })
    )
  })

  describe("make", () => {
    const wrong: ReadonlyArray<readonly [string, Freddy.Options, string]> = [
      ["a code and development", { code, development: true }, "code"],
      ["no time for a code", { code, codeTimeout: 0 }, "codeTimeout"],
      ["a negative time for a code", { code, codeTimeout: "-1 minutes" as Duration.DurationInput }, "codeTimeout"],
      ["NaN for a code", { code, codeTimeout: Number.NaN }, "codeTimeout"],
      ["plain http", { code, baseUrl: "http://api.aitronos.com" }, "baseUrl"],
      ["no address", { code, baseUrl: "api.aitronos.com" }, "baseUrl"],
      ["an address with a password", { code, baseUrl: "https://x:test-secret@api.aitronos.com" }, "baseUrl"]
    ]
    for (const [name, options, field] of wrong) {
      it.effect(`${name} is Misconfigured, by name and without its value`, () =>
        Effect.gen(function* () {
          const freddy = server()
          const make = Effect.provideService(Freddy.make(options), HttpClient.HttpClient, freddy.client)
          const error = yield* Effect.flip(make)
          assert.deepInclude(about(error), { _tag: "Misconfigured", field })
          assert.notMatch(String(error), /test-secret/)
        })
      )
    }

    it.scoped("without a way to log in, a session without tokens is signed out and sends nothing", () =>
      Effect.gen(function* () {
        const freddy = server()
        const { session } = yield* setup(freddy, { development: false })
        assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "SignedOut")
        assert.deepInclude(about(yield* Effect.flip(session.login)), { _tag: "Misconfigured", field: "credentials" })
        assert.deepStrictEqual(freddy.sent, [])
      })
    )

    it.scoped("layerConfig reads the environment, and names the variable that is wrong", () =>
      Effect.gen(function* () {
        const freddy = server()
        const build = (values: Record<string, string>) =>
          Freddy.layerConfig({ code, renewal: "on-use" }).pipe(
            Layer.provide([Freddy.layerCredentialsConfig(), Layer.succeed(HttpClient.HttpClient, freddy.client)]),
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(values))))),
            Layer.build
          )
        const values = { FREDDY_USERNAME: "test-name", FREDDY_PASSWORD: "test-pass" }
        for (const [more, host] of [
          [{}, "api.aitronos.com"],
          [{ FREDDY_BASE_URL: "https://freddy.test" }, "freddy.test"]
        ] as const) {
          const context = yield* build({ ...values, ...more })
          yield* Context.get(context, Session.Session).accessToken
          assert.strictEqual(new URL(freddy.sent.at(-1)?.url ?? "").host, host)
          assert.deepStrictEqual(freddy.sent.at(-2)?.body, { email_or_username: "test-name", password: "test-pass" })
        }
        const error = yield* Effect.flip(build({ ...values, FREDDY_BASE_URL: "x" }))
        assert.deepInclude(about(error), { _tag: "Misconfigured", field: "FREDDY_BASE_URL" })
        for (const name of Object.keys(values)) {
          const rest = Object.fromEntries(Object.entries(values).filter(([key]) => key !== name))
          assert.deepInclude(about(yield* Effect.flip(build(rest))), { _tag: "Misconfigured", field: name })
        }
      })
    )
  })

  describe("law 27: no secret shows", () => {
    const quoting = (status: number) => (sent: Sent) =>
      Response.json({ detail: `test-echo ${JSON.stringify(sent.body)}` }, { status })
    const broken = ({ body, url }: Sent) =>
      Effect.fail(
        new HttpClientError.RequestError({
          request: HttpClientRequest.bodyUnsafeJson(HttpClientRequest.post(url), body),
          reason: "Transport",
          description: JSON.stringify(body)
        })
      )
    const all = (reply: (sent: Sent) => Reply): Replies =>
      Object.fromEntries([login, verify, devLogin, refresh].map((path) => [path, reply]))
    const longCode = "secret-code-4711-0815"
    const settings: Record<string, readonly [Replies, Freddy.Options]> = {
      "while all is well": [{}, { code: () => Effect.succeed(secret(longCode)) }],
      "in development": [{}, { development: true }],
      "when all is refused with the request quoted": [
        all(quoting(401)),
        { code: () => Effect.succeed(secret(longCode)) }
      ],
      "when the code is refused with the request quoted": [
        { [verify]: quoting(400) },
        { code: () => Effect.succeed(secret(longCode)) }
      ],
      "when nothing is as documented": [all(quoting(422)), { development: true }],
      "when the network quotes the request": [all(broken), { development: true }],
      "when whoever finds the code fails with it": [{}, { code: () => Effect.fail({ longCode }) }],
      "when whoever finds the code dies of it": [{}, { code: () => Effect.die(new Error(longCode)) }]
    }
    for (const [name, [replies, options]] of Object.entries(settings)) {
      it.scoped(name, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of [value(user.password), longCode, "test-stored"]) secrets.add(one)
          for (const kind of ["verified", "developed"]) for (const n of [1, 2]) secrets.add(`test-${kind}-${n}`)
          const exhibit = exhibits(secrets)
          const freddy = server(replies)
          const tapped = { ...freddy, client: tap(freddy.client, secrets) }
          for (const seeded of [{}, { seed }]) {
            yield* Effect.gen(function* () {
              const { api, session } = yield* setup(tapped, { ...options, ...seeded, patience: 0 })
              const ways: Record<string, Effect.Effect<unknown, unknown>> = {
                accessToken: session.accessToken,
                api: api.get("/v1/models"),
                refresh: session.refresh,
                login: session.login,
                status: session.status,
                logout: session.logout,
                signedOut: session.accessToken
              }
              for (const [way, effect] of Object.entries(ways)) {
                yield* exhibit.showExit(way, yield* Effect.exit(Effect.withSpan(effect, way)))
                yield* clock.advance("1 second")
              }
              yield* exhibit.show("session", session)
              yield* exhibit.show("api", api)
            }).pipe(Effect.provide(exhibit.layer))
          }
          // The bare client fails with what it was given; only its own span shows that.
          assert.deepStrictEqual(
            (yield* exhibit.leaks).filter((leak) => !leak.startsWith("span of the bare client")),
            []
          )
          assert.isAbove(exhibit.count("span"), 0)
        })
      )
    }
  })
})
