import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import {
  type AuthError,
  InvalidCredentials,
  InvalidRefreshToken,
  MalformedResponse,
  NetworkFailure,
  TokenExpired
} from "../common/AuthError.js"
import { TokenFromString } from "../common/secret.js"
import * as Lifetime from "../token/lifetime.js"
import type * as Token from "../token/Token.js"
import type { ErrorMeaning, Protocol, TokenFields } from "./Protocol.js"
import type { TokenResponse } from "./tokenRequest.js"

/** The kind of a token request, which decides what an error response means. */
type Kind = "login" | "refresh" | "revocation"

/** Makes the functions that process token responses: each returns a token set or fails with a typed error (law 12). */
export const make = <A, AI, F, FI>(
  protocol: Pick<Protocol<A, AI, F, FI>, "response" | "tokens" | "errorResponse" | "errorMeaning">,
  name: string,
  fallback: Duration.Duration | undefined
) => {
  const decodeResponse = Schema.decodeUnknownOption(protocol.response)
  const decodeError = Schema.decodeUnknownOption(protocol.errorResponse)

  const malformed = ({ status, url }: TokenResponse, problem: string) =>
    new MalformedResponse({ provider: name, problem, outcome: "unknown", url, status })

  /** Returns the response if it is not an error response. */
  const successful = (kind: Kind, response: TokenResponse): Effect.Effect<TokenResponse, AuthError> => {
    const { body, status, url } = response
    const meaning = Option.flatMapNullable(decodeError(body), (error) => protocol.errorMeaning(error, status))
    if (Option.isSome(meaning)) return Effect.fail(toAuthError(meaning.value, kind, { provider: name, url, status }))
    return status < 400
      ? Effect.succeed(response)
      : malformed(response, "an error response in an undocumented form; check the base URL")
  }

  const tokens =
    (kind: "login" | "refresh") =>
    (response: TokenResponse): Effect.Effect<Token.TokenSet, AuthError> =>
      Effect.flatMap(successful(kind, response), ({ body }) => {
        const fields = Option.match(decodeResponse(body), { onNone: () => ({}), onSome: protocol.tokens })
        const tokens = toTokenSet(fields, response, fallback)
        const sufficient =
          Option.isSome(tokens.accessToken) || (kind === "refresh" && Option.isSome(tokens.refreshToken))
        return sufficient ? Effect.succeed(tokens) : malformed(response, "the access token is missing or unusable")
      })

  /** The body of a successful revocation has no meaning (RFC 7009 §2.2). */
  const revocation = (response: TokenResponse): Effect.Effect<void, AuthError> =>
    Effect.asVoid(successful("revocation", response))

  return { login: tokens("login"), refresh: tokens("refresh"), revocation }
}

const toAuthError = (
  meaning: ErrorMeaning,
  kind: Kind,
  details: { readonly provider: string; readonly url: string; readonly status: number }
): AuthError => {
  const { provider, status } = details
  if (typeof meaning !== "string") return meaning
  if (meaning === "unavailable" || meaning === "failed") {
    const outcome = meaning === "unavailable" ? "not-spent" : "unknown"
    return new NetworkFailure({ ...details, reason: "server-error", outcome })
  }
  if (kind === "login") return new InvalidCredentials({ provider, status })
  return meaning === "expired"
    ? new TokenExpired({ provider, token: "refresh" })
    : new InvalidRefreshToken({ provider, reason: meaning })
}

const readToken = Schema.decodeUnknownOption(TokenFromString)
const asText = (value: unknown) => (typeof value === "string" ? value : undefined)

/** Reads each field on its own; lifetimes count from when the response was received (laws 4 and 22). */
const toTokenSet = (
  fields: TokenFields,
  { headers: { date }, receivedAt }: TokenResponse,
  fallback: Duration.Duration | undefined
): Token.TokenSet => {
  const { accessToken, expiresAt, expiresIn, refreshExpiresAt, refreshExpiresIn, refreshToken } = fields
  const refreshSources = { stated: refreshExpiresIn, jwt: asText(refreshToken), expiresAt: refreshExpiresAt, date }
  return {
    accessToken: readToken(accessToken),
    lifetime: Lifetime.from({ stated: expiresIn, jwt: asText(accessToken), expiresAt, date, fallback }, receivedAt),
    refreshToken: readToken(refreshToken),
    refreshLifetime: Lifetime.from(refreshSources, receivedAt),
    extra: Object.fromEntries(Object.entries(fields.extra ?? {}).filter(([, value]) => Predicate.isNotNullable(value)))
  }
}
