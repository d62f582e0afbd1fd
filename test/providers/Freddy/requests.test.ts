import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { value } from "../../support/harness.js"
import { code, devLogin, documented, issued, login, pathOf, type Sent, seed, server, setup } from "./harness.js"

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

    it.scoped("a login is two steps, exactly as documented, and the token goes to the API", () =>
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

    it.scoped("a login in development is one step, exactly as documented", () =>
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

    it.scoped("a first step that answers tokens at once asks no one for a code", () =>
      Effect.gen(function* () {
        const freddy = server({ [login]: () => Response.json({ token: "test-at-once", refreshToken: "test-r" }) })
        const { session } = yield* setup(freddy, { code: () => Effect.dieMessage("no one asks") })
        assert.strictEqual(value(yield* session.accessToken), "test-at-once")
        assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
      })
    )

    it.scoped("the one who finds the code is told the address it was mailed to, if Freddy says which", () =>
      Effect.gen(function* () {
        const reported: Array<unknown> = []
        for (const email of ["test-user@example.com", null, 7, undefined]) {
          const asks = () => Response.json({ email_key: "test-key", requires_verification: true, email })
          const { session } = yield* setup(server({ [login]: asks }), {
            code: (mailed) =>
              Effect.zipRight(
                Effect.sync(() => reported.push(mailed)),
                code()
              )
          })
          yield* session.accessToken
        }
        assert.deepStrictEqual(reported, [
          { email: "test-user@example.com" },
          { email: undefined },
          { email: undefined },
          { email: undefined }
        ])
      })
    )

    for (const response of [
      { requires_verification: true },
      { email_key: 7, requires_verification: true },
      { email_key: "test-key", requires_verification: false },
      { email_key: "test-key" },
      null
    ]) {
      it.scoped(`law 12: a first step of ${JSON.stringify(response)} is no answer, and asks no one for a code`, () =>
        Effect.gen(function* () {
          const freddy = server({ [login]: () => Response.json(response) })
          const { session } = yield* setup(freddy, { patience: 0, code: () => Effect.dieMessage("no one asks") })
          assert.strictEqual((yield* Effect.flip(session.accessToken))._tag, "MalformedResponse")
          assert.deepStrictEqual(freddy.sent.map(pathOf), [login])
        })
      )
    }
  })
})
