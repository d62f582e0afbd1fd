import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as AuthError from "../../common/AuthError.js"
import { ignoreCause } from "../../common/bounded.js"
import { hasSpan, withFiber } from "../../common/runtime.js"
import * as AuthMetrics from "../../telemetry/AuthMetrics.js"
import { attributes, labels, log, type Subject, tryMetric } from "../../telemetry/labels.js"
import type * as Token from "../../token/Token.js"
import type { Command, Event } from "../machine/state.js"
import { countWaiting, type Waiters } from "./waiters.js"

/**
 * Runs an effect once, in a span if the tracer makes one. A tracer that throws does not change its result (law 32): a
 * token response may be the only copy of a refresh token.
 */
const traced = <A, E>(
  name: string,
  options: Tracer.SpanOptions,
  run: (span: Tracer.Span | undefined) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    let began = false
    let ended: Exit.Exit<A, E> | undefined
    return Effect.useSpan(name, { ...options, captureStackTrace: false }, (span) => {
      began = true
      const end = (exit: Exit.Exit<A, E>) => (ended = exit)
      return Effect.matchCauseEffect(run(span), {
        onFailure: (cause) => end(Exit.failCause(cause)),
        onSuccess: (value) => end(Exit.succeed(value))
      })
    }).pipe(Effect.catchAllCause((cause) => ended ?? (began ? Effect.failCause(cause) : run(undefined))))
  })

type Kind = "login" | "refresh" | "revoke"

const outcomeOf = (failure: AuthError.AuthError): string => {
  switch (failure._tag) {
    case "NetworkFailure":
    case "MalformedResponse":
      return AuthError.isUnknown(failure) ? "unknown" : "not-spent"
    case "Misconfigured":
      return "misconfigured"
    default:
      return "refused"
  }
}

/** The spans of a flight's token requests, to which its waiters link. */
const spans = new WeakMap<Waiters, Array<Tracer.AnySpan>>()

/**
 * Counts, times and traces a token request. Its span has no parent, because the request belongs to none of its waiters.
 */
export const observe = <A>(
  subject: Subject,
  kind: Kind,
  run: Effect.Effect<A>,
  failureOf: (result: A) => AuthError.AuthError | undefined,
  waiters?: Waiters
): Effect.Effect<A> =>
  Effect.clockWith((clock) => {
    const since = clock.unsafeCurrentTimeNanos()
    let result: Option.Option<A> = Option.none()
    const options: Tracer.SpanOptions = { root: true, kind: "client", attributes: attributes(subject) }
    return traced(`auth.${kind}`, options, (span) => {
      if (waiters !== undefined && span !== undefined) spans.set(waiters, [...(spans.get(waiters) ?? []), span])
      const within = span === undefined ? run : Effect.withParentSpan(run, span)
      return Effect.flatMap(within, (value) => {
        result = Option.some(value)
        const failure = failureOf(value)
        const outcome = failure === undefined ? (kind === "revoke" ? "revoked" : "obtained") : outcomeOf(failure)
        const seconds = Number(clock.unsafeCurrentTimeNanos() - since) / 1e9
        tryMetric(() => AuthMetrics.tokenRequests.unsafeUpdate(1, labels(subject, { kind, outcome })))
        tryMetric(() => AuthMetrics.tokenRequestDuration.unsafeUpdate(seconds, labels(subject, { kind })))
        tryMetric(() => span?.attribute("auth.outcome", outcome))
        return failure === undefined ? Effect.succeed(value) : Effect.fail(failure)
      })
    }).pipe(
      Effect.catchAll((failure) => Option.match(result, { onNone: () => Effect.die(failure), onSome: Effect.succeed }))
    )
  })

/** The kind of token request that a command makes, if it makes one. */
export const kindOf = ({ _tag }: Command): Kind | undefined =>
  _tag === "Refresh" ? "refresh" : _tag === "Login" ? "login" : undefined

/** The failure that an event reports. */
export const failureOf = (event: Event): AuthError.AuthError | undefined =>
  "failure" in event ? event.failure : undefined

/** Counts a conflict, logs a store that fails once, and once more when it works again. */
export const logSave = (
  subject: Subject & { saveFailureLogged: boolean },
  generation: number,
  result: Either.Either<boolean, AuthError.StoreFailure>
): Effect.Effect<void> => {
  const { saveFailureLogged } = subject
  const { name } = subject.provider
  subject.saveFailureLogged = Either.isLeft(result)
  if (Either.isLeft(result)) {
    const text = `${name}: ${result.left.message}; saving is retried`
    return log(subject, generation, saveFailureLogged ? LogLevel.Debug : LogLevel.Warning, text)
  }
  if (!result.right) tryMetric(() => AuthMetrics.storeConflicts.unsafeUpdate(1, labels(subject)))
  return saveFailureLogged
    ? log(subject, generation, LogLevel.Info, `${name}: the token store saves again`)
    : Effect.void
}

/** Logs that tokens could not be revoked. */
export const logNotRevoked = (subject: Subject, failure: AuthError.AuthError): Effect.Effect<void> =>
  ignoreCause(Effect.logWarning(`${subject.provider.name}: tokens were not revoked: ${failure.message}`))

/** Counts a read that returned a stale token. */
export const countStaleRead = (subject: Subject): void =>
  tryMetric(() => AuthMetrics.staleReads.unsafeUpdate(1, labels(subject)))

/** Counts a caller as waiting while `wait` runs. `restore` makes only the wait interruptible. */
export const whileWaiting = <A, E>(
  subject: Subject,
  wait: Effect.Effect<A, E>,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    countWaiting(subject, 1)
    return Effect.ensuring(
      restore(wait),
      Effect.sync(() => countWaiting(subject, -1))
    )
  })

/** Waits for a flight. A caller within a span gets a span for the wait, linked to the token requests it waited for. */
export const awaitToken = (
  subject: Subject,
  waiters: Waiters
): Effect.Effect<Option.Option<Token.AccessToken>, AuthError.AuthError> =>
  withFiber((fiber) =>
    !hasSpan(fiber)
      ? waiters.awaitToken
      : traced("auth.wait", { attributes: attributes(subject) }, (span) =>
          Effect.ensuring(
            waiters.awaitToken,
            Effect.sync(() => {
              const links = (spans.get(waiters) ?? []).map(link)
              if (links.length > 0) tryMetric(() => span?.addLinks(links))
            })
          )
        )
  )

const link = (span: Tracer.AnySpan): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} })
