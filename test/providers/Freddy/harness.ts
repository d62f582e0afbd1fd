import { HttpClient, type HttpClientError, HttpClientResponse } from "@effect/platform"
import { Context, Effect, Encoding, Layer, Option, Redacted } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Freddy from "../../../src/providers/Freddy.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"

export const secret = Redacted.make<string>

export const user = { username: secret("test-user@example.com"), password: secret("test-password") }

export const code = () => Effect.succeed(secret("4711"))

export const seed = Token.make({ refreshToken: secret("test-stored") })

/** A JWT with these claims. */
export const jwt = (claims: object) => `e30.${Encoding.encodeBase64Url(JSON.stringify(claims))}.sig`

/** The n-th token, of five minutes. */
export const issued = (n: number) => jwt({ n, iat: 1000, exp: 1300 })

export interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}

export type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>

export type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

export const login = "/v1/auth/login"

export const verify = "/v1/auth/verify"

export const devLogin = "/v1/auth/dev-login"

export const refresh = "/v1/auth/refresh"

/** What Freddy documents. */
export const documented: Replies = {
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
export const server = (replies: Replies = {}) => {
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

export const layer = <R = never>(
  freddy: Server,
  options: Freddy.Options<R> & Auth.Options = {},
  credentials: Credentials.UserPassword | "none" = user
) =>
  // No one moves the clock while a test ends.
  Freddy.layer({ renewal: "on-use", shutdownDeadline: 0, ...options }).pipe(
    Layer.provide([
      credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
      Layer.succeed(HttpClient.HttpClient, freddy.client)
    ])
  )

/** An application that uses Freddy. */
export const setup = Effect.fnUntraced(function* <R = never>(
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
export const scripted = Effect.fnUntraced(function* (answer: () => Response) {
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

export const about = (error: AuthError): object => ({ ...error })

export const pathOf = ({ url }: Sent) => new URL(url).pathname
