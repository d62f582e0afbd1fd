import { HttpClient, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Clock, type Duration, Effect, Layer, Option, Redacted } from "effect"
import * as AuthProvider from "#auth/provider/AuthProvider"
import * as Credentials from "#auth/provider/Credentials"
import * as OAuth2 from "#auth/providers/OAuth2"
import * as Session from "#auth/session/Session"
import * as TokenStore from "#auth/store/TokenStore"
import * as Token from "#auth/token/Token"
import type { SentRequest, Server, ServerResponse } from "./Server.js"

/** The origin of the stub API. */
export const origin = "https://api.test"

const text = (request: HttpClientRequest.HttpClientRequest): string =>
  request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""

/** Makes a client of a transport without a network. */
export const clientOf = (send: (sent: SentRequest) => Effect.Effect<ServerResponse>): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    Effect.map(
      send({ url: url.href, authorization: request.headers.authorization, body: text(request) }),
      ({ body, status }) => HttpClientResponse.fromWeb(request, new Response(body, { status }))
    )
  )

/** Makes a client of a server. Its token endpoint responds after `delay`. */
export const client = (server: Server, delay: Effect.Effect<void> = Effect.void): HttpClient.HttpClient =>
  clientOf((sent) => Effect.map(sent.url.endsWith("/token") ? delay : Effect.void, () => server.handle(sent)))

/** A client that returns the same empty response for each request. No transport can do less. */
export const empty: HttpClient.HttpClient = (() => {
  const response = new Response(null, { status: 204 })
  return HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, response)))
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

/** Makes a session without renewal, with a store in memory. */
export const session = (bare: HttpClient.HttpClient, lifetime: "fresh" | "spent" = "fresh") =>
  Effect.gen(function* () {
    const protocol = yield* provider(bare)
    return yield* Session.make({ seed: seed("alice", lifetime) }).pipe(
      Effect.provideService(AuthProvider.AuthProvider, protocol),
      Effect.provide(Layer.merge(Credentials.layerNone, TokenStore.layerMemory))
    )
  })

/** The clock of the machine, put forward by `ahead`. */
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

/** A provider that returns tokens at once, without a request. What remains is the cost of the library. */
export interface Direct {
  readonly provider: AuthProvider.Service
  tokenRequests: number
}

/** Makes a `Direct`. `onRefresh` is called at each refresh, with the account. */
export const direct = (lifetime: Duration.Duration, onRefresh: (account: string) => void = () => {}): Direct => {
  const made: Direct = {
    tokenRequests: 0,
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
          made.tokenRequests++
          const [account = "", use = "0"] = Option.match(refreshToken, {
            onNone: () => "",
            onSome: Redacted.value
          }).split(".")
          onRefresh(account)
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
