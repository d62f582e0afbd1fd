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

/** A login of one or two steps. */
export interface Login {
  /** The time that the login may take beyond that of one token request. */
  readonly extraTime: Duration.Duration | undefined
  /** Sends the first request, and the second if the response asks for one. */
  readonly run: (request: Request, send: Send, process: Process) => Effect.Effect<TokenSet, AuthError>
}

/**
 * The longest time each of the two requests may take. The time limit of the login as a whole includes the wait for a person.
 */
const stepTimeout = Duration.seconds(10)

/** Makes the login of a provider. Fails with `Misconfigured` if `verification.within` is not longer than zero. */
export const make = Effect.fnUntraced(function* <V, VI>(
  name: string,
  verification: Verification<V, VI> | undefined
): Effect.fn.Return<Login, Misconfigured> {
  if (verification === undefined) {
    return { extraTime: undefined, run: (request, send, process) => Effect.flatMap(send(request), process) }
  }
  const within = yield* positive("verification.within", verification.within)
  const decodeFirstResponse = Schema.decodeUnknownOption(verification.asked)

  const bounded = (request: Effect.Effect<TokenResponse, AuthError>) =>
    Effect.timeoutFail(request, {
      duration: stepTimeout,
      onTimeout: () => new NetworkFailure({ provider: name, reason: "timeout", outcome: "unknown" })
    })

  // Failures are caught before the time limit forks the effect: Effect would log them, and they are the application's
  // own. An effect that interrupts itself, as an aborted prompt does, has no code either. `disconnect` bounds one that
  // cannot be interrupted from outside.
  const respond = (firstResponse: V): Effect.Effect<Request, AuthError> =>
    Effect.suspend(() => verification.respond(firstResponse)).pipe(
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
        Option.match(decodeFirstResponse(response.body), {
          onNone: () => process(response),
          onSome: (firstResponse) =>
            respond(firstResponse).pipe(
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
