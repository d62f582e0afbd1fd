import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type * as OAuth2 from "../../../src/providers/OAuth2.js"
import { manually } from "../../support/ManualClock.js"
import { exhibits, Secrets, tap } from "../../support/secrets.js"
import { type Replies, type Reply, revoking, type Sent, secret, seed, server, setup, user } from "./harness.js"

describe("OAuth2", () => {
  describe("law 27: no secret shows", () => {
    const clientSecret = "app+s3cr3t/with==odd&signs?"
    const password = 'p\u00e4ss w\u00f6rd "quoted" & \\slashed'
    const quoting = (status: number, error?: string) => (sent: Sent) =>
      Response.json(
        { error: error ?? sent.body, error_description: `${sent.body} ${sent.headers.authorization}` },
        { status }
      )
    const broken = ({ body, headers, url }: Sent) =>
      Effect.fail(
        new HttpClientError.RequestError({
          request: HttpClientRequest.post(url, { headers: { authorization: headers.authorization ?? "" } }),
          reason: "Transport",
          description: body,
          cause: new Error(`${body} ${headers.authorization}`)
        })
      )
    const all = (reply: (sent: Sent) => Reply): Replies => ({ "/token": reply, "/revoke": reply })
    const odd: OAuth2.Options = { ...revoking, clientSecret: secret(clientSecret) }
    const settings: Record<string, readonly [Replies, OAuth2.Options]> = {
      "while all is well": [{}, { ...odd, grant: "password" }],
      "with client_secret_post": [{}, { ...odd, grant: "password", authentication: "client_secret_post" }],
      "when all is refused with the request quoted": [
        all(quoting(400, "invalid_grant")),
        { ...odd, grant: "password", authentication: "client_secret_post" }
      ],
      "when the client is refused with the request quoted": [all(quoting(401, "invalid_client")), odd],
      "when the code of the error quotes the request": [
        all(quoting(400)),
        { ...odd, grant: "password", authentication: "client_secret_post" }
      ],
      "when the network quotes the request": [all(broken), { ...odd, grant: "password" }],
      "when the server breaks": [all(() => new Response("x", { status: 500 })), { ...odd, grant: "password" }]
    }
    for (const [name, [replies, options]] of Object.entries(settings)) {
      it.scoped(name, () =>
        manually(function* (clock) {
          const secrets = new Secrets()
          for (const one of [password, clientSecret, "test-stored"]) secrets.add(one)
          for (const n of [1, 2, 3, 4]) for (const kind of ["access", "refresh"]) secrets.add(`test-${kind}-${n}`)
          const exhibit = exhibits(secrets)
          const as = server(replies)
          const tapped = { ...as, client: tap(as.client, secrets) }
          const credentials = { ...user, password: secret(password) }
          for (const seeded of [{}, { seed }]) {
            yield* Effect.gen(function* () {
              const { api, session } = yield* setup(tapped, { ...options, ...seeded, patience: 0 }, credentials)
              const ways: Record<string, Effect.Effect<unknown, unknown>> = {
                accessToken: session.accessToken,
                api: api.get("/orders"),
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
          if (options.authentication === undefined) {
            assert.isTrue(secrets.seen.has(as.at("/token")[0]?.headers.authorization ?? "none"))
          }
        })
      )
    }
  })
})
