import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Clock, Context, DateTime, Effect, Layer, Option } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"
import { secret, user, value } from "../../support/harness.js"
import type { ManualClock } from "../../support/ManualClock.js"

export interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}

export type Reply = Response | Effect.Effect<Response, HttpClientError.HttpClientError>

type Replies = Readonly<Record<string, (sent: Sent, nth: number) => Reply>>

export const login = "/auth/login"

export const refresh = "/auth/refresh"

export const calls = "/calls"

export const hours = (n: number) => n * 3_600_000

export const days = (n: number) => n * 24

/** A date as TeleTracker writes it. */
export const iso = (millis: number) => DateTime.formatIso(DateTime.unsafeMake(millis)).replace(/\.\d+Z$/, "+00:00")

/** What TeleTracker documents, by a clock that differs from ours by some hours. */
export const granted = (name: string, changes: object = {}, offset = 0) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const theirs = now + hours(offset)
    return Response.json({
      success: true,
      guid: "test-guid",
      token: `test-access-${name}`,
      tokenExpiration: iso(theirs + hours(1)),
      tokenLifetime: 3600,
      refreshToken: `test-refresh-${name}`,
      refreshTokenExpiration: iso(theirs + hours(days(30))),
      ...changes
    })
  })

export const refused = (status = 200) => Response.json({ success: false, message: "test-message" }, { status })

export const page = (status: number) =>
  new Response("<html>test-message", { status, headers: { "content-type": "text/html" } })

/** A client that answers as documented unless the test says otherwise, and what it was sent. */
export const server = (replies: Replies = {}, changes: object = {}, offset = 0) => {
  const documented: Replies = {
    [login]: (_, nth) => granted(`login-${nth}`, changes, offset),
    [refresh]: (_, nth) => granted(`refresh-${nth}`, changes, offset)
  }
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

export type Server = ReturnType<typeof server>

/** An answer that was lost on its way, after TeleTracker has acted. */
export const lost = () =>
  Effect.fail(
    new HttpClientError.RequestError({
      request: HttpClientRequest.post("https://api.teletracker.net/"),
      reason: "Transport",
      cause: Object.assign(new Error("test-message"), { code: "ECONNRESET" })
    })
  )

/** An application that uses TeleTracker. */
export const setup = Effect.fnUntraced(function* (
  tele: Server,
  options: TeleTracker.Options & Auth.Options = {},
  credentials: Credentials.UserPassword | "none" = user
) {
  const context = yield* Layer.build(
    // No one moves the clock while a test ends.
    TeleTracker.layer({ renewal: "on-use", shutdownDeadline: 0, patience: 0, ...options }).pipe(
      Layer.provide([
        credentials === "none" ? Credentials.layerNone : Credentials.layer(credentials),
        Layer.succeed(HttpClient.HttpClient, tele.client)
      ])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

const paused = Token.make({ accessToken: secret("test-access"), refreshToken: secret("test-refresh") })

/** The provider alone, over a client that always answers so. */
export const scripted = Effect.fnUntraced(function* (answer: () => Reply) {
  const tele = server({ [login]: answer, [refresh]: answer })
  const provider = yield* Effect.provideService(TeleTracker.make(), HttpClient.HttpClient, tele.client)
  return {
    login: Option.getOrThrow(provider.login(Option.some(user))),
    refresh: provider.refresh(paused)
  }
})

export const about = (error: AuthError) => ({ ...error })

const pathOf = ({ url }: Sent) => new URL(url).pathname

export const paths = ({ sent }: Server) => sent.map(pathOf)

export const presented = ({ sent }: Server) =>
  sent.filter((one) => pathOf(one) === refresh).map(({ body }) => Object(body).refresh_token)

/** Reads the token each second for so long, and answers what was read, without repetitions. */
export const read = (clock: ManualClock, session: Session.Service, times: number) =>
  Effect.gen(function* () {
    const seen: Array<string> = []
    for (let i = 0; i < times; i++) {
      const one = yield* Effect.match(session.accessToken, { onFailure: ({ _tag }) => _tag, onSuccess: value })
      if (seen.at(-1) !== one) seen.push(one)
      yield* clock.advance("1 second")
    }
    return seen
  })
