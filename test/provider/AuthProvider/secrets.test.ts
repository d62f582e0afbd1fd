import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Token from "../../../src/token/Token.js"
import { secret } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets } from "../../support/secrets.js"
import { application, type Reply, server } from "./harness.js"

describe("AuthProvider.make", () => {
  describe("law 27: no secret shows", () => {
    const headers = { "X-Acme-Key": secret("test-api-key-7f3a"), "X-Client": "acme-app/1.0" }
    const token = { header: "X-Acme-Token" }
    const granting: Reply = ({ url }, nth) =>
      url.includes("/auth/")
        ? Response.json({ access: `test-granted-${nth}`, refresh: `test-rotated-${nth}` })
        : new Response(null, { status: nth % 2 === 0 ? 401 : 200 })
    const replies: Record<string, Reply> = {
      "while all is well": granting,
      "when all is refused, with the request quoted": (sent) =>
        Response.json({ error: "wrong", echo: sent }, { status: 401 }),
      "when the client is refused, with the request quoted": (sent) =>
        Response.json({ error: "stranger", echo: sent }, { status: 403 }),
      "when nothing is as described, with the request quoted": (sent) => Response.json([sent], { status: 422 }),
      "when tokens cannot stand in a header": ({ headers, body }) =>
        Response.json({ access: `${headers["x-acme-key"]}\n${body}`, refresh: ` ${body}` }),
      "when a redirect quotes the request": (sent) =>
        Response.json(sent, { status: 307, headers: { location: "https://evil.test/" } }),
      "when the network quotes the request": ({ body, headers, url }) =>
        Effect.fail(
          new HttpClientError.RequestError({
            request: HttpClientRequest.post(url, { headers: { "x-acme-key": String(headers["x-acme-key"]) } }),
            reason: "Transport",
            description: `${body} ${headers["x-acme-key"]} ${headers["x-acme-token"]}`
          })
        )
    }
    for (const [name, reply] of Object.entries(replies)) {
      it.scoped(`law 27: ${name}`, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of ["test-api-key-7f3a", "test-password", "test-stored"]) secrets.add(one)
          for (let n = 1; n < 30; n++) for (const kind of ["granted", "rotated"]) secrets.add(`test-${kind}-${n}`)
          const exhibit = exhibits(secrets)
          const { client, sent } = server(reply)
          for (const seed of [undefined, Token.make({ refreshToken: secret("test-stored") })]) {
            yield* Effect.gen(function* () {
              const { api, session } = yield* application(client, { headers, token }, { patience: 0, seed })
              const ways: Record<string, Effect.Effect<unknown, unknown>> = {
                accessToken: session.accessToken,
                api: api.get("/orders"),
                again: api.get("/orders"),
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
            }).pipe(Effect.provide(exhibit.layer), Effect.scoped)
          }
          assert.isAbove(sent.filter(({ headers }) => headers["x-acme-key"] === "test-api-key-7f3a").length, 1)
          assert.isAbove(exhibit.count("span"), 0)
          // The bare client fails with what it was given; only its own span shows that.
          assert.deepStrictEqual(
            (yield* exhibit.leaks).filter((leak) => !leak.startsWith("span of the bare client")),
            []
          )
        })
      )
    }
  })
})
