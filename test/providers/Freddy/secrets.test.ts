import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as Freddy from "../../../src/providers/Freddy.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets, tap } from "../../support/secrets.js"
import {
  devLogin,
  login,
  type Replies,
  type Reply,
  refresh,
  type Sent,
  secret,
  seed,
  server,
  setup,
  user,
  verify
} from "./harness.js"

describe("Freddy", () => {
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
      "when the one who finds the code fails with it": [{}, { code: () => Effect.fail({ longCode }) }],
      "when the one who finds the code dies of it": [{}, { code: () => Effect.die(new Error(longCode)) }]
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
