import { HttpClient, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Clock, type Duration, Effect, Layer, Option, Redacted } from "effect"
import * as AuthProvider from "#auth/AuthProvider"
import * as Credentials from "#auth/Credentials"
import * as OAuth2 from "#auth/providers/OAuth2"
import * as Session from "#auth/Session"
import * as Token from "#auth/Token"
import * as TokenStore from "#auth/TokenStore"
import type { Answered, Sent, Server } from "./Server.js"

/** Where the stub's API is. */
export const origin = "https://api.test"

const text = (request: HttpClientRequest.HttpClientRequest): string =>
  request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""

/** A client over a transport that is no network. */
export const over = (send: (sent: Sent) => Effect.Effect<Answered>): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    Effect.map(
      send({ url: url.href, authorization: request.headers.authorization, body: text(request) }),
      ({ body, status }) => HttpClientResponse.fromWeb(request, new Response(body, { status }))
    )
  )

/** A client over a server, whose token endpoint answers after `delay`. */
export const client = (server: Server, delay: Effect.Effect<void> = Effect.void): HttpClient.HttpClient =>
  over((sent) => Effect.map(sent.url.endsWith("/token") ? delay : Effect.void, () => server.handle(sent)))

/** A client that answers each request with the same empty answer: as little as a transport can do. */
export const empty: HttpClient.HttpClient = (() => {
  const answer = new Response(null, { status: 204 })
  return HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, answer)))
})()

export const seed = (account: string, lifetime: "fresh" | "spent") =>
  Token.make({
    ...(lifetime === "fresh" ? { accessToken: Redacted.make(`test-access-${account}.0`), lifetime: "1 hour" } : {}),
    refreshToken: Redacted.make(`test-refresh-${account}.0`)
  })

export const options = {
  baseUrl: origin,
  grant: "refresh_token",
  clientId: "bench",
  tokenEndpoint: `${origin}/token`
} as const

export const provider = (bare: HttpClient.HttpClient, baseUrl: string = origin) =>
  Effect.provideService(OAuth2.make({ ...options, baseUrl }), HttpClient.HttpClient, bare)

/** A session by itself: no renewal, a store in memory. */
export const session = (bare: HttpClient.HttpClient, lifetime: "fresh" | "spent" = "fresh") =>
  Effect.gen(function* () {
    const protocol = yield* provider(bare)
    return yield* Session.make({ seed: seed("alice", lifetime) }).pipe(
      Effect.provideService(AuthProvider.AuthProvider, protocol),
      Effect.provide(Layer.merge(Credentials.layerNone, TokenStore.layerMemory))
    )
  })

/** The clock of the machine, and how far it was put forward. */
export interface Forward extends Clock.Clock {
  /** In milliseconds. */
  ahead: number
}

export const forward = (): Forward => {
  const live = Clock.make()
  const clock: Forward = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    ahead: 0,
    unsafeCurrentTimeMillis: () => live.unsafeCurrentTimeMillis() + clock.ahead,
    unsafeCurrentTimeNanos: () => live.unsafeCurrentTimeNanos() + BigInt(clock.ahead) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis()),
    currentTimeNanos: Effect.sync(() => clock.unsafeCurrentTimeNanos()),
    sleep: (duration) => live.sleep(duration)
  }
  return clock
}

/** A provider that answers at once, without a request: what remains is the library's own. */
export interface Direct {
  readonly provider: AuthProvider.Service
  exchanges: number
}

/** Makes one whose tokens live for so long. `told` hears of each exchange, and of whose it is. */
export const direct = (lifetime: Duration.Duration, told: (account: string) => void = () => {}): Direct => {
  const made: Direct = {
    exchanges: 0,
    provider: {
      name: "direct",
      baseUrl: new URL(origin),
      origins: [origin],
      redactedHeaders: [],
      rotation: "single-use",
      login: Option.none,
      revoke: Option.none(),
      authorize: (request) => request,
      rejects: () => false,
      refresh: ({ refreshToken }) =>
        Effect.sync(() => {
          made.exchanges++
          const [account = "", use = "0"] = Option.match(refreshToken, {
            onNone: () => "",
            onSome: Redacted.value
          }).split(".")
          told(account)
          return {
            accessToken: Option.some(Redacted.make(`${account.replace("refresh", "access")}.${Number(use) + 1}`)),
            refreshToken: Option.some(Redacted.make(`${account}.${Number(use) + 1}`)),
            lifetime: Option.some(lifetime),
            refreshLifetime: Option.none(),
            extra: {}
          }
        })
    }
  }
  return made
}
