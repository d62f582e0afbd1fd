import type * as Headers from "@effect/platform/Headers"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { MalformedResponse, NetworkFailure, type Outcome } from "../common/AuthError.js"
import { errorCode } from "../common/foreignErrors.js"
import * as Moment from "../common/Moment.js"
import * as Body from "../transport/body.js"
import { isRequestError, makeSend, responseIn } from "../transport/send.js"

/** A token response that is complete and neither 429, 5xx nor a redirect. */
export interface TokenResponse {
  readonly url: string
  readonly status: number
  readonly headers: Headers.Headers
  /** The parsed JSON; `undefined` if the body is not JSON. */
  readonly body: unknown
  readonly receivedAt: Moment.Moment
}

/** The codes of failures to connect: the request was certainly not sent. */
const notSent = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT"
])

/**
 * Sends one token request, once, and classifies its outcome (law 12). Everything that does not depend on the protocol
 * is decided here: statuses 429 and 5xx, redirects, broken bodies. Errors hold nothing of the request or the response
 * but the URL without its query, the status and a code.
 *
 * Fails with `NetworkFailure`, or with `MalformedResponse` for a redirect, a body of more than `maxBytes`, or a
 * successful response whose body is not JSON although `expectedBody` is.
 */
export const tokenRequest = (
  client: HttpClient.HttpClient,
  provider: {
    readonly name: string
    readonly redactedHeaders: ReadonlyArray<string>
    readonly maxBytes?: number | undefined
  },
  request: HttpClientRequest.HttpClientRequest,
  expectedBody: "JSON" | "anything" = "JSON"
): Effect.Effect<TokenResponse, NetworkFailure | MalformedResponse> => {
  const url = request.url.replace(/[?#].*$/s, "")
  const network = (reason: NetworkFailure["reason"], outcome: Outcome, details: Partial<NetworkFailure> = {}) =>
    new NetworkFailure({ provider: provider.name, reason, outcome, url, ...details })
  const malformed = (problem: string, status: number) =>
    new MalformedResponse({ provider: provider.name, problem, outcome: "unknown", url, status })

  const interrupted = (code: string | undefined) =>
    network("interrupted", "unknown", code === undefined ? {} : { code })

  const withoutResponse = (code: string | undefined) =>
    code !== undefined && notSent.has(code) ? network("unreachable", "not-spent", { code }) : interrupted(code)

  const classify = Effect.fnUntraced(function* (response: HttpClientResponse.HttpClientResponse) {
    const { headers, status } = response
    const receivedAt = yield* Moment.now
    if (status === 429 || status >= 500) {
      yield* Body.drain(response)
      const retryAfter = readRetryAfter(headers, receivedAt)
      return yield* network(
        status === 429 ? "rate-limited" : "server-error",
        status === 429 || status === 503 ? "not-spent" : "unknown",
        { status, ...(retryAfter === undefined ? {} : { retryAfter }) }
      )
    }
    // Browsers report a redirect that is not followed as status 0.
    if (status < 200 || (status >= 300 && status < 400)) {
      yield* Body.drain(response)
      return yield* malformed(
        "a redirect, which is not followed because it could take secrets to another server",
        status
      )
    }
    const bytes = yield* Body.read(response, provider.maxBytes)
    if (bytes === undefined) return yield* malformed("a body that is too long", status)
    const body = decodeJson(new TextDecoder().decode(bytes))
    if (Option.isNone(body) && status < 300 && expectedBody === "JSON") {
      return yield* malformed("a body that is not JSON", status)
    }
    return { url, status, headers, body: Option.getOrUndefined(body), receivedAt }
  })

  return makeSend(
    client,
    provider.redactedHeaders
  )(request).pipe(
    Effect.catchAll((error) => {
      const response = responseIn(error)
      if (response !== undefined) return Effect.succeed(response)
      const code = errorCode(error)
      return Effect.fail(isRequestError(error) ? withoutResponse(code) : interrupted(code))
    }),
    Effect.flatMap(classify),
    Effect.catchTag("UnreadableBody", ({ code }) => Effect.fail(interrupted(code)))
  )
}

const decodeJson = Schema.decodeOption(Schema.parseJson())

/**
 * Reads the header `Retry-After`: seconds, or a date, which is compared with the response's own `Date`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
 */
const readRetryAfter = (headers: Headers.Headers, now: Moment.Moment): Duration.Duration | undefined => {
  const value = headers["retry-after"]?.trim()
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Duration.seconds(Number(value))
  const until = Moment.instant(value)
  const from = Moment.instant(headers.date ?? "") ?? now.millis
  return until === undefined ? undefined : Duration.millis(Math.max(0, until - from))
}
