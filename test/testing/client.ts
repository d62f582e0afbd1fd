import type { HttpClient } from "@effect/platform"
import { HttpClientRequest } from "@effect/platform"
import * as Effect from "effect/Effect"

/** The user whom every sandbox knows by default. */
export const user = { username: "test-user@example.com", password: "test-password" }

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

/** A client of a sandbox that knows no protocol; the headers are those of every request that brings none. */
export const plain = (client: HttpClient.HttpClient, baseUrl: string, standing: Record<string, string> = {}) => {
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
  const postAs = (
    path: string,
    body: (request: HttpClientRequest.HttpClientRequest) => HttpClientRequest.HttpClientRequest,
    headers = standing
  ) => run(HttpClientRequest.post(`${baseUrl}${path}`).pipe(HttpClientRequest.setHeaders(headers), body))
  return {
    run,
    get: (path: string, headers = standing) =>
      run(HttpClientRequest.get(`${baseUrl}${path}`).pipe(HttpClientRequest.setHeaders(headers))),
    post: (path: string, body: unknown, headers = standing) =>
      postAs(path, HttpClientRequest.bodyUnsafeJson(body), headers),
    postForm: (path: string, fields: Record<string, string>, headers = standing) =>
      postAs(path, HttpClientRequest.bodyUrlParams(fields), headers),
    postMultipart: (path: string, fields: Record<string, string>, headers = standing) =>
      postAs(path, HttpClientRequest.bodyFormDataRecord(fields), headers)
  }
}
