/**
 * The steps of a `TestProvider`'s script. A step decides what one token request does.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { AuthError } from "../../common/AuthError.js"
import type { TokenSet } from "../../token/Token.js"
import { failure } from "./testFailure.js"

/**
 * A token request. It succeeds with the tokens of the response.
 *
 * @since 0.1.0
 * @category testing
 */
export type TokenRequest = Effect.Effect<TokenSet, AuthError>

/**
 * The kind of a token request.
 *
 * @since 0.1.0
 * @category testing
 */
export type Kind = "login" | "refresh"

/**
 * A step of the script: it decides what one token request does. Its argument is the honest request, which the server
 * processes and responds to. The step may run that, change its response, or not run it at all: `Effect.delay("3
 * seconds")` is a step, and so is `() => Effect.never`.
 *
 * @since 0.1.0
 * @category testing
 */
export type Step = (honest: TokenRequest, kind: Kind) => TokenRequest

/**
 * A step without a fault: the server processes the request, and its response arrives.
 *
 * @since 0.1.0
 * @category testing
 */
export const honest: Step = (request) => request

/**
 * Makes a step that fails with `error`. The server does not process the request.
 *
 * @since 0.1.0
 * @category testing
 */
export const fails =
  (error: AuthError): (() => TokenRequest) =>
  () =>
    Effect.fail(error)

/**
 * A step whose response is lost. The server processes the request, so a single-use refresh token is spent. The request
 * fails with `failure.lost`.
 *
 * @since 0.1.0
 * @category testing
 */
export const lost: Step = (request) => Effect.zipRight(request, Effect.fail(failure.lost))

/**
 * Makes a step whose response is late: the server processes the request at once, and its response or refusal takes
 * `duration` to arrive. With `Effect.delay` the server processes it late.
 *
 * @since 0.1.0
 * @category testing
 */
export const late =
  (duration: Duration.DurationInput): Step =>
  (request) =>
    Effect.flatMap(Effect.exit(request), (exit) => Effect.delay(exit, duration))

/**
 * Makes a step whose response states this lifetime of the access token.
 *
 * @since 0.1.0
 * @category testing
 */
export const lives = (lifetime: Duration.DurationInput): Step =>
  Effect.map((tokens) => ({ ...tokens, lifetime: Option.some(Duration.decode(lifetime)) }))

/**
 * Makes a step that applies another to one kind of token request. The other kind stays honest.
 *
 * @since 0.1.0
 * @category testing
 */
export const only =
  (kind: Kind, step: Step): Step =>
  (request, requested) =>
    requested === kind ? step(request, requested) : request

/**
 * A step that pauses until the test continues it.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Paused {
  /** Waits until a token request with this step was sent. */
  readonly sent: Effect.Effect<void>
  /** Lets the server process the request and respond. */
  readonly respond: Effect.Effect<void>
  /** The step, for `next` or `always`. */
  readonly step: Step
}

/**
 * Makes a step that reports when its token request was sent, and then waits for `respond`. A test uses it to do
 * something in between, without a clock.
 *
 * @since 0.1.0
 * @category testing
 */
export const paused: Effect.Effect<Paused> = Effect.gen(function* () {
  const sent = yield* Deferred.make<void>()
  const continued = yield* Deferred.make<void>()
  return {
    sent: Deferred.await(sent),
    respond: Effect.asVoid(Deferred.succeed(continued, void 0)),
    step: (request) =>
      Effect.zipRight(Deferred.succeed(sent, void 0), Effect.zipRight(Deferred.await(continued), request))
  }
})
