import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type AuthError, InvalidCredentials, type Misconfigured, NetworkFailure } from "../common/AuthError.js"
import { disconnect } from "../common/runtime.js"
import { positive } from "../common/validate.js"
import type { TokenSet } from "../token/Token.js"
import type { Verification } from "./Protocol.js"
import type { TokenResponse } from "./tokenRequest.js"

type Request = HttpClientRequest.HttpClientRequest
type Send = (request: Request) => Effect.Effect<TokenResponse, AuthError>
type Process = (response: TokenResponse) => Effect.Effect<TokenSet, AuthError>

/** How a log in goes from its first request to its tokens, and how much longer than one exchange that may take. */
export interface Login {
  readonly extraTime: Duration.Duration | undefined
  readonly run: (request: Request, send: Send, process: Process) => Effect.Effect<TokenSet, AuthError>
}

/** How long each of two steps may take; the log in as a whole waits for a person. */
const stepTimeout = Duration.seconds(10)

export const make = Effect.fnUntraced(function* <V, VI>(
  name: string,
  verification: Verification<V, VI> | undefined
): Effect.fn.Return<Login, Misconfigured> {
  if (verification === undefined) {
    return { extraTime: undefined, run: (request, send, process) => Effect.flatMap(send(request), process) }
  }
  const within = yield* positive("verification.within", verification.within)
  const decodeAsked = Schema.decodeUnknownOption(verification.asked)

  const bounded = (request: Effect.Effect<TokenResponse, AuthError>) =>
    Effect.timeoutFail(request, {
      duration: stepTimeout,
      onTimeout: () => new NetworkFailure({ provider: name, reason: "timeout", outcome: "unknown" })
    })

  // Settled before the time limit forks it: Effect would log what the application failed with. That it interrupted
  // itself, as a prompt does that is left, is one more way to have no code; and it may be such that nobody else can.
  const respond = (asked: V): Effect.Effect<Request, AuthError> =>
    Effect.suspend(() => verification.respond(asked)).pipe(
      Effect.catchAllCause(() => Effect.succeed(undefined)),
      disconnect,
      Effect.timeoutTo({ duration: within, onSuccess: Option.fromNullable, onTimeout: Option.none<Request> }),
      Effect.flatMap(
        Option.match({
          onNone: () => new InvalidCredentials({ provider: name, reason: "no-code" }),
          onSome: Effect.succeed
        })
      )
    )

  return {
    extraTime: Duration.sum(within, stepTimeout),
    run: (request, send, process) =>
      Effect.flatMap(bounded(send(request)), (response) =>
        Option.match(decodeAsked(response.body), {
          onNone: () => process(response),
          onSome: (asked) =>
            respond(asked).pipe(
              Effect.flatMap((next) => bounded(send(next))),
              Effect.flatMap((verified) =>
                Effect.mapError(process(verified), (error) =>
                  error._tag === "InvalidCredentials"
                    ? new InvalidCredentials({ provider: name, reason: "code-refused", status: error.status })
                    : error
                )
              )
            )
        })
      )
  }
})
