import { HttpClient, type HttpClientError, type HttpClientResponse } from "@effect/platform"
import { Array, Context, Effect, identity, Layer, Record, Redacted } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as Session from "../../../src/session/Session.js"
import * as Token from "../../../src/token/Token.js"
import type { Client } from "./oidcProvider.js"

export type Options = OAuth2.Options & Auth.Options

/** How the library under test is told who a client is. */
export const named = ({ authentication, clientId, clientSecret }: Client) => ({
  authentication,
  clientId,
  ...(clientSecret === undefined ? {} : { clientSecret: Redacted.make(clientSecret) })
})

/** An application over the HTTP client at hand. */
export const application = Effect.fnUntraced(function* (
  options: Options,
  credentials: Layer.Layer<Credentials.Credentials, AuthError> = Credentials.layerNone
) {
  const context = yield* Layer.build(
    OAuth2.layer({ renewal: "on-use", ...options }).pipe(
      Layer.provide([credentials, Layer.succeed(HttpClient.HttpClient, yield* HttpClient.HttpClient)])
    )
  )
  return {
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

export const seed = (refreshToken: string) => Token.make({ refreshToken: Redacted.make(refreshToken) })

type Answer = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | AuthError>

/** The status of an answer, when its body has been read: a body left alone holds its connection. */
export const status = (answer: Answer) =>
  Effect.flatMap(answer, (response) => Effect.as(response.text, response.status))

/** What so many callers get who ask at once, each outcome counted: the status, or the name of the error. */
export const herd = (size: number, answer: Answer) => {
  const outcome = Effect.match(status(answer), { onFailure: ({ _tag }) => _tag, onSuccess: String })
  return Effect.map(
    Effect.all(
      Array.makeBy(size, () => outcome),
      { concurrency: "unbounded" }
    ),
    (outcomes) => Record.map(Array.groupBy(outcomes, identity), Array.length)
  )
}
