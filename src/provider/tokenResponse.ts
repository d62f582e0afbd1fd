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
import * as Token from "../token/Token.js"
import type { Grant, Protocol, Refusal } from "./Protocol.js"
import type { TokenAnswer } from "./tokenRequest.js"

/** What was sent decides what a refusal means. */
type Sent = "login" | "refresh" | "revocation"

/** What answers come to: token sets worth having, or typed errors (law 12). */
export const make = <A, AI, F, FI>(
  protocol: Pick<Protocol<A, AI, F, FI>, "answer" | "tokens" | "failure" | "refusal">,
  name: string,
  fallback: Duration.Duration | undefined
) => {
  const decodeAnswer = Schema.decodeUnknownOption(protocol.answer)
  const decodeFailure = Schema.decodeUnknownOption(protocol.failure)

  const malformed = ({ status, url }: TokenAnswer, problem: string) =>
    new MalformedResponse({ provider: name, problem, outcome: "unknown", url, status })

  /** The answer, if it refuses nothing. */
  const accepted = (sent: Sent, answer: TokenAnswer): Effect.Effect<TokenAnswer, AuthError> => {
    const { body, status, url } = answer
    const refusal = Option.flatMapNullable(decodeFailure(body), (failure) => protocol.refusal(failure, status))
    if (Option.isSome(refusal)) return Effect.fail(refused(refusal.value, sent, { provider: name, url, status }))
    return status < 400 ? Effect.succeed(answer) : malformed(answer, "an undocumented refusal; is the base URL right?")
  }

  const tokens =
    (sent: "login" | "refresh") =>
    (answer: TokenAnswer): Effect.Effect<Token.TokenSet, AuthError> =>
      Effect.flatMap(accepted(sent, answer), ({ body }) => {
        const grant = Option.match(decodeAnswer(body), { onNone: () => ({}), onSome: protocol.tokens })
        const tokens = tokenSet(grant, answer, fallback)
        const enough = Option.isSome(tokens.accessToken) || (sent === "refresh" && Option.isSome(tokens.refreshToken))
        return enough ? Effect.succeed(tokens) : malformed(answer, "the access token is missing or unusable")
      })

  /** What a revocation answers is of no interest, unless it refuses. */
  const revocation = (answer: TokenAnswer): Effect.Effect<void, AuthError> =>
    Effect.asVoid(accepted("revocation", answer))

  return { login: tokens("login"), refresh: tokens("refresh"), revocation }
}

const refused = (
  refusal: Refusal,
  sent: Sent,
  place: { readonly provider: string; readonly url: string; readonly status: number }
): AuthError => {
  const { provider, status } = place
  if (typeof refusal !== "string") return refusal
  if (refusal === "unavailable" || refusal === "failed") {
    const outcome = refusal === "unavailable" ? "not-spent" : "unknown"
    return new NetworkFailure({ ...place, reason: "server-error", outcome })
  }
  if (sent === "login") return new InvalidCredentials({ provider, status })
  return refusal === "expired"
    ? new TokenExpired({ provider, token: "refresh" })
    : new InvalidRefreshToken({ provider, reason: refusal })
}

const readToken = Schema.decodeUnknownOption(Token.TokenFromString)
const text = (value: unknown) => (typeof value === "string" ? value : undefined)

/** Each field on its own, lifetimes from the arrival of the answer (laws 4 and 22). */
const tokenSet = (
  grant: Grant,
  { arrived, headers: { date } }: TokenAnswer,
  fallback: Duration.Duration | undefined
): Token.TokenSet => {
  const { accessToken, expiresAt, expiresIn, refreshExpiresAt, refreshExpiresIn, refreshToken } = grant
  const refreshSources = { stated: refreshExpiresIn, jwt: text(refreshToken), expiresAt: refreshExpiresAt, date }
  return {
    accessToken: readToken(accessToken),
    lifetime: Token.lifetime({ stated: expiresIn, jwt: text(accessToken), expiresAt, date, fallback }, arrived),
    refreshToken: readToken(refreshToken),
    refreshLifetime: Token.lifetime(refreshSources, arrived),
    extra: Object.fromEntries(Object.entries(grant.extra ?? {}).filter(([, value]) => Predicate.isNotNullable(value)))
  }
}
