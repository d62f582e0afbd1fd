import { HttpClient, type HttpClientError, HttpClientResponse } from "@effect/platform"
import { Context, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as AuthProvider from "../../../src/provider/AuthProvider.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Protocol from "../../../src/provider/Protocol.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"
import { secret, user } from "../../support/harness.js"

const Answer = Schema.Struct({
  access: Protocol.Field,
  seconds: Protocol.Field,
  ends: Protocol.Field,
  refresh: Protocol.Field,
  refreshSeconds: Protocol.Field,
  refreshEnds: Protocol.Field,
  account: Protocol.Field,
  plan: Protocol.Field
})

const Failure = Schema.Struct({ error: Schema.String })

export type Acme = Protocol.Protocol<
  typeof Answer.Type,
  typeof Answer.Encoded,
  typeof Failure.Type,
  typeof Failure.Encoded,
  { readonly challenge: string },
  { readonly challenge: string }
>

const refusedClient = new AuthError.Misconfigured({ field: "apiKey", problem: "is refused" })

const refusals: Readonly<Record<string, Protocol.ErrorMeaning>> = {
  wrong: "invalid",
  withdrawn: "revoked",
  replayed: "reused",
  late: "expired",
  busy: "unavailable",
  broken: "failed",
  stranger: refusedClient
}

/** An API that no one knows, as an application would describe it. */
export const acme: Acme = {
  name: "acme",
  baseUrl: "https://api.acme.test/v2",
  login: Option.map(({ password, username }) => Protocol.json("auth/login", { username, password })),
  refresh: (refresh_token) => Protocol.form("auth/refresh", { refresh_token }),
  revoke: ({ accessToken }) => Option.map(accessToken, (token) => Protocol.json("auth/revoke", { token })),
  response: Answer,
  tokens: (answer) => ({
    accessToken: answer.access,
    expiresIn: answer.seconds,
    expiresAt: answer.ends,
    refreshToken: answer.refresh,
    refreshExpiresIn: answer.refreshSeconds,
    refreshExpiresAt: answer.refreshEnds,
    extra: { account: answer.account, plan: answer.plan }
  }),
  errorResponse: Failure,
  errorMeaning: ({ error }) => refusals[error]
}

export interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export type Reply = (sent: Sent, nth: number) => Response | Effect.Effect<Response, HttpClientError.HttpClientError>

/** A client that answers so, and what it was sent. */
export const server = (reply: Reply) => {
  const sent: Array<Sent> = []
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      const { body, headers, method } = request
      const text = body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""
      const one: Sent = { method, url: url.href, headers, body: text }
      const answer = reply(one, sent.push(one))
      return Effect.map(answer instanceof Response ? Effect.succeed(answer) : answer, (response) =>
        HttpClientResponse.fromWeb(request, response)
      )
    })
  )
  return { client, sent }
}

export const make = (client: HttpClient.HttpClient, more: Partial<Acme> = {}) =>
  Effect.provideService(AuthProvider.make({ ...acme, ...more }), HttpClient.HttpClient, client)

export const paused = Token.make({ accessToken: secret("test-access"), refreshToken: secret("test-refresh") })

/** The provider over a client that answers so, and each of its token requests. */
export const setup = Effect.fnUntraced(function* (reply: Reply, more: Partial<Acme> = {}) {
  const { client, sent } = server(reply)
  const provider = yield* make(client, more)
  return {
    provider,
    sent,
    login: Option.getOrThrow(provider.login(Option.some(user))),
    refresh: provider.refresh(paused),
    revoke: Option.getOrThrow(provider.revoke)(paused)
  }
})

/** A session of it, and its authorized client. */
export const application = Effect.fnUntraced(function* (
  client: HttpClient.HttpClient,
  more: Partial<Acme> = {},
  options: Auth.Options = {}
) {
  const context = yield* Layer.build(
    // No one moves the clock while a test ends.
    Auth.layer(AuthProvider.make({ ...acme, ...more }), { renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
      Layer.provide([Credentials.layer(user), Layer.succeed(HttpClient.HttpClient, client)])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

export const granted = () => Response.json({ access: "test-granted", refresh: "test-rotated" })

export const never = () => Effect.dieMessage("nothing is sent")

export const about = (error: AuthError.AuthError) => ({ ...error })

export const maybe = <A>(option: Option.Option<Redacted.Redacted<A>>) =>
  Option.getOrUndefined(Option.map(option, Redacted.value))

export const seconds = (lifetime: Option.Option<Duration.Duration>) =>
  Option.getOrUndefined(Option.map(lifetime, Duration.toSeconds))
