import type { HttpClient } from "@effect/platform"
import { HttpClientRequest } from "@effect/platform"
import * as Effect from "effect/Effect"
import Jwt from "jsonwebtoken"

/** The app headers every request of Violet carries. */
export const appHeaders = { "x-violet-app-id": "1234", "x-violet-app-secret": "test-app-secret" }

/** What the tests read of an answer. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  // biome-ignore lint/suspicious/noExplicitAny: answers are inspected field by field
  readonly body: any
}

const parse = (text: string) =>
  Effect.orElseSucceed(
    Effect.try(() => JSON.parse(text)),
    () => text
  )

/** A plain client of Violet, as simple as the protocol allows. */
export const violet = (client: HttpClient.HttpClient, baseUrl: string) => {
  const run = (request: HttpClientRequest.HttpClientRequest) =>
    Effect.gen(function* () {
      const response = yield* client.execute(request)
      const answer: Answer = {
        status: response.status,
        headers: response.headers,
        body: yield* parse(yield* response.text)
      }
      return answer
    })
  const get = (path: string, headers: Record<string, string> = appHeaders) =>
    run(HttpClientRequest.get(`${baseUrl}${path}`).pipe(HttpClientRequest.setHeaders(headers)))
  const post = (path: string, body: unknown, headers: Record<string, string> = appHeaders) =>
    run(
      HttpClientRequest.post(`${baseUrl}${path}`).pipe(
        HttpClientRequest.setHeaders(headers),
        HttpClientRequest.bodyUnsafeJson(body)
      )
    )
  const withToken = (token: string) => ({ ...appHeaders, "x-violet-token": token })
  return {
    run,
    get,
    post,
    login: post("/login", { username: "test-user@example.com", password: "test-password" }),
    refresh: (token: string) => get("/auth/token", withToken(token)),
    merchants: (token: string, query = "") => get(`/merchants${query}`, withToken(token)),
    echo: (token: string, body: unknown) => post("/echo", body, withToken(token)),
    withToken
  }
}

/** The claims of a JWT. */
export const claims = (token: string) => Jwt.decode(token, { json: true }) ?? {}
