import { HttpClient, type HttpClientError, HttpClientResponse } from "@effect/platform"
import { Context, Duration, Effect, Fiber, Layer, Option, Redacted } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"
import type { ManualClock } from "../../support/ManualClock.js"

export const secret = Redacted.make<string>

export const user = { username: secret("test-user@example.com"), password: secret("test-password") }

export const seed = Token.make({ refreshToken: secret("test-stored") })

/** A client of its own, of the server at `as.test` and the API at `api.test`. */
export const client: OAuth2.Options = {
  baseUrl: "https://api.test/v1",
  grant: "client_credentials",
  clientId: "test-client",
  clientSecret: secret("test-client-secret"),
  tokenEndpoint: "https://as.test/token"
}

export const byPassword: OAuth2.Options = { ...client, grant: "password" }

export const byRefresh: OAuth2.Options = { ...client, grant: "refresh_token" }

export const revoking: OAuth2.Options = { ...client, revocationEndpoint: "https://as.test/revoke" }

const { tokenEndpoint: _, ...endpointless } = client

export { endpointless }

export const discovering: OAuth2.Options = { ...endpointless, issuer: "https://as.test" }

export interface Sent {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  readonly form: Readonly<Record<string, string>>
}

export type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>

export type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

/** The n-th token set, of five minutes, with a refresh token where the grant has one. */
export const issue = ({ form }: Sent, nth: number) =>
  Response.json({
    access_token: `test-access-${nth}`,
    token_type: "Bearer",
    expires_in: 300,
    ...(form.grant_type === "client_credentials" ? {} : { refresh_token: `test-refresh-${nth}` })
  })

/** A client that answers so, and what it was sent. */
export const server = (replies: Replies = {}) => {
  const sent: Array<Sent> = []
  const at = (path: string) => sent.filter((one) => one.path === path)
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { headers, method } = request
      const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
      const form = Object.fromEntries(new URLSearchParams(body))
      const one: Sent = { method, url: url.href, path: url.pathname, headers, body, form }
      sent.push(one)
      const reply =
        replies[one.path]?.(one, at(one.path).length) ??
        (one.path === "/token" ? issue(one, at("/token").length) : Response.json({}))
      return Effect.map(reply instanceof Response ? Effect.succeed(reply) : reply, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { at, client, sent }
}

export type Server = ReturnType<typeof server>

/** An application of the API. */
export const setup = Effect.fnUntraced(function* (
  { client }: Server,
  options: OAuth2.Options & Auth.Options,
  credentials: Credentials.UserPassword | "none" = user
) {
  const context = yield* Layer.build(
    // No one moves the clock while a test ends.
    OAuth2.layer({ renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
      Layer.provide([
        credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
        Layer.succeed(HttpClient.HttpClient, client)
      ])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** The provider alone. */
export const make = ({ client: http }: Server, options: Partial<OAuth2.Options> = {}) =>
  Effect.map(
    Effect.provideService(OAuth2.make({ ...client, ...options }), HttpClient.HttpClient, http),
    (provider) => ({
      provider,
      login: Option.getOrThrow(provider.login(Option.some(user))),
      refresh: provider.refresh(seed)
    })
  )

export const about = (error: AuthError): object => ({ ...error })

export const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))

export const presented = (as: Server) => as.at("/token").map(({ form }) => form.refresh_token ?? form.grant_type)

export const base64 = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`

/** Runs an effect to its end while time passes. */
export const after = <A, E>(clock: ManualClock, duration: Duration.DurationInput, effect: Effect.Effect<A, E>) =>
  Effect.flatMap(Effect.fork(effect), (fiber) => Effect.zipRight(clock.advance(duration), Fiber.join(fiber)))
