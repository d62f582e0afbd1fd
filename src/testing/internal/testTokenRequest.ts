/**
 * What an exchange of a `TestProvider` does: the steps of its script.
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
 * One request to the token endpoint, with its answer.
 *
 * @since 0.1.0
 * @category testing
 */
export type Exchange = Effect.Effect<TokenSet, AuthError>

/**
 * @since 0.1.0
 * @category testing
 */
export type Kind = "login" | "refresh"

/**
 * What one exchange does. It is given the honest exchange, in which the server acts and answers, and may run it, change
 * its answer, or leave it alone: `Effect.delay("3 seconds")` is a step, and so is `() => Effect.never`.
 *
 * @since 0.1.0
 * @category testing
 */
export type Step = (honest: Exchange, kind: Kind) => Exchange

/**
 * The server acts, and its answer arrives.
 *
 * @since 0.1.0
 * @category testing
 */
export const honest: Step = (exchange) => exchange

/**
 * The server does nothing, and the exchange fails.
 *
 * @since 0.1.0
 * @category testing
 */
export const fails =
  (error: AuthError): (() => Exchange) =>
  () =>
    Effect.fail(error)

/**
 * The server acts, a refresh token that is good for one use is spent, and its answer is lost on the way.
 *
 * @since 0.1.0
 * @category testing
 */
export const lost: Step = (exchange) => Effect.zipRight(exchange, Effect.fail(failure.lost))

/**
 * The server acts at once, and its answer or refusal takes this long to arrive. (With `Effect.delay` it acts late.)
 *
 * @since 0.1.0
 * @category testing
 */
export const late =
  (duration: Duration.DurationInput): Step =>
  (exchange) =>
    Effect.flatMap(Effect.exit(exchange), (exit) => Effect.delay(exit, duration))

/**
 * The access token of the answer lives this long.
 *
 * @since 0.1.0
 * @category testing
 */
export const lives = (lifetime: Duration.DurationInput): Step =>
  Effect.map((tokens) => ({ ...tokens, lifetime: Option.some(Duration.decode(lifetime)) }))

/**
 * A step for one kind of exchange; the other kind stays honest.
 *
 * @since 0.1.0
 * @category testing
 */
export const only =
  (kind: Kind, step: Step): Step =>
  (exchange, asked) =>
    asked === kind ? step(exchange, asked) : exchange

/**
 * A step that a test holds in its hand.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Held {
  /** Waits until the exchange has been sent. */
  readonly sent: Effect.Effect<void>
  /** Lets the server act and answer. */
  readonly answer: Effect.Effect<void>
  readonly step: Step
}

/**
 * Makes a step that says when its exchange has been sent, and in which the server acts and answers when it is told to: for
 * what happens in between, without a clock.
 *
 * @since 0.1.0
 * @category testing
 */
export const held: Effect.Effect<Held> = Effect.gen(function* () {
  const sent = yield* Deferred.make<void>()
  const answer = yield* Deferred.make<void>()
  return {
    sent: Deferred.await(sent),
    answer: Effect.asVoid(Deferred.succeed(answer, void 0)),
    step: (exchange) =>
      Effect.zipRight(Deferred.succeed(sent, void 0), Effect.zipRight(Deferred.await(answer), exchange))
  }
})
