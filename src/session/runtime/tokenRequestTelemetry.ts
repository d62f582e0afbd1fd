import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type * as AuthError from "../../common/AuthError.js"
import * as AuthMetrics from "../../telemetry/AuthMetrics.js"
import { attributes, labels, log, type Observed, quietly, tell } from "../../telemetry/labels.js"
import type * as Token from "../../token/Token.js"
import { isUnknown } from "../machine/gate.js"
import type { Command, Event } from "../machine/order.js"
import { countWaiting, type Landing } from "./waiters.js"

/**
 * Runs an effect once, in a span if the tracer makes one. A tracer that breaks, before it or after it, changes nothing of
 * how it ends (law 32): the answer of an exchange may be the only copy of a refresh token.
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
        onSuccess: (answer) => end(Exit.succeed(answer))
      })
    }).pipe(Effect.catchAllCause((cause) => ended ?? (began ? Effect.failCause(cause) : run(undefined))))
  })

type Kind = "login" | "refresh" | "revoke"

const outcomeOf = (failure: AuthError.AuthError): string => {
  switch (failure._tag) {
    case "NetworkFailure":
    case "MalformedResponse":
      return isUnknown(failure) ? "unknown" : "not-spent"
    case "Misconfigured":
      return "misconfigured"
    default:
      return "refused"
  }
}

/** The spans of a flight's exchanges, for those who wait for it to link to. */
const spans = new WeakMap<Landing, Array<Tracer.AnySpan>>()

/**
 * Counts, times and traces an exchange. Its span has no parent: it belongs to nobody who happens to wait for it.
 */
export const exchange = <A>(
  of: Observed,
  kind: Kind,
  run: Effect.Effect<A>,
  failureOf: (result: A) => AuthError.AuthError | undefined,
  landing?: Landing
): Effect.Effect<A> =>
  Effect.clockWith((clock) => {
    const since = clock.unsafeCurrentTimeNanos()
    let result: Option.Option<A> = Option.none()
    const options: Tracer.SpanOptions = { root: true, kind: "client", attributes: attributes(of) }
    return traced(`auth.${kind}`, options, (span) => {
      if (landing !== undefined && span !== undefined) spans.set(landing, [...(spans.get(landing) ?? []), span])
      const within = span === undefined ? run : Effect.withParentSpan(run, span)
      return Effect.flatMap(within, (answer) => {
        result = Option.some(answer)
        const failure = failureOf(answer)
        const outcome = failure === undefined ? (kind === "revoke" ? "revoked" : "obtained") : outcomeOf(failure)
        const seconds = Number(clock.unsafeCurrentTimeNanos() - since) / 1e9
        tell(() => AuthMetrics.exchanges.unsafeUpdate(1, labels(of, { kind, outcome })))
        tell(() => AuthMetrics.exchangeDuration.unsafeUpdate(seconds, labels(of, { kind })))
        tell(() => span?.attribute("auth.outcome", outcome))
        return failure === undefined ? Effect.succeed(answer) : Effect.fail(failure)
      })
    }).pipe(
      Effect.catchAll((failure) => Option.match(result, { onNone: () => Effect.die(failure), onSome: Effect.succeed }))
    )
  })

/** What the command of a flight is to those who look on, and what became of it. */
export const kindOf = ({ _tag }: Command): Kind | undefined =>
  _tag === "Refresh" ? "refresh" : _tag === "Login" ? "login" : undefined

export const failureOf = (event: Event): AuthError.AuthError | undefined =>
  "failure" in event ? event.failure : undefined

/** What became of a save: a conflict is counted; a store that fails is told of once, and once more when it works again. */
export const saved = (
  of: Observed & { complained: boolean },
  generation: number,
  result: Either.Either<boolean, AuthError.StoreFailure>
): Effect.Effect<void> => {
  const { complained } = of
  const { name } = of.provider
  of.complained = Either.isLeft(result)
  if (Either.isLeft(result)) {
    const text = `${name}: ${result.left.message}; saving is tried again`
    return log(of, generation, complained ? LogLevel.Debug : LogLevel.Warning, text)
  }
  if (!result.right) tell(() => AuthMetrics.storeConflicts.unsafeUpdate(1, labels(of)))
  return complained ? log(of, generation, LogLevel.Info, `${name}: the token store saves again`) : Effect.void
}

export const notRevoked = (of: Observed, failure: AuthError.AuthError): Effect.Effect<void> =>
  quietly(Effect.logWarning(`${of.provider.name}: tokens were not revoked: ${failure.message}`))

export const staleRead = (of: Observed): void => tell(() => AuthMetrics.staleReads.unsafeUpdate(1, labels(of)))

/** Waits for something, and is counted while it does; `restore` is of a region that nothing else can interrupt. */
export const counted = <A, E>(
  of: Observed,
  wait: Effect.Effect<A, E>,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    countWaiting(of, 1)
    return Effect.ensuring(
      restore(wait),
      Effect.sync(() => countWaiting(of, -1))
    )
  })

/** Waits for a flight. A caller within a span gets one of its own for that, linked to the exchanges that it waited for. */
export const wait = (
  of: Observed,
  landing: Landing
): Effect.Effect<Option.Option<Token.AccessToken>, AuthError.AuthError> =>
  Effect.withFiberRuntime(({ currentSpan }) =>
    currentSpan === undefined
      ? landing.token
      : traced("auth.wait", { attributes: attributes(of) }, (span) =>
          Effect.ensuring(
            landing.token,
            Effect.sync(() => {
              const links = (spans.get(landing) ?? []).map(link)
              if (links.length > 0) tell(() => span?.addLinks(links))
            })
          )
        )
  )

const link = (span: Tracer.AnySpan): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} })
