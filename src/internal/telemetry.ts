import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as MetricLabel from "effect/MetricLabel"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type * as AuthError from "../AuthError.js"
import * as AuthMetrics from "../AuthMetrics.js"
import type * as Moment from "../Moment.js"
import type { Landing, State } from "../SessionState.js"
import type * as Token from "../Token.js"
import { isUnknown } from "./failure.js"
import * as Held from "./held.js"
import type { Command, Event } from "./order.js"

/** Whose metrics, spans and logs these are. */
export interface Observed {
  readonly provider: { readonly name: string }
  /** The application's own name for the session. */
  readonly label: string | undefined
}

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

const byProvider = new WeakMap<Observed["provider"], Labels>()

/** The labels of a session; those without a name of their own are the same for all of a provider. */
export const labels = ({ label, provider }: Observed): Labels => {
  const known = byProvider.get(provider) ?? [MetricLabel.make("provider", provider.name)]
  byProvider.set(provider, known)
  return label === undefined ? known : [...known, MetricLabel.make("session", label)]
}

// These labels and no others: what the first caller's fiber is tagged with is not what an exchange is about.
const labelled = (of: Observed, more: Readonly<Record<string, string>>): Labels => [
  ...labels(of),
  ...Object.entries(more).map(([key, value]) => MetricLabel.make(key, value))
]

const attributes = ({ label, provider }: Observed): Record<string, string> => ({
  "auth.provider": provider.name,
  ...(label === undefined ? {} : { "auth.session": label })
})

/** Nothing that listens can fail or delay what it listens to (law 32). */
const quietly = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.asVoid(effect), () => Effect.void)

const annotated = (of: Observed, state: State, log: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.annotateLogs(log, { ...attributes(of), "auth.generation": state.generation })

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
    const count = (result: A) => {
      const failure = failureOf(result)
      const outcome = failure === undefined ? (kind === "revoke" ? "revoked" : "obtained") : outcomeOf(failure)
      AuthMetrics.exchanges.unsafeUpdate(1, labelled(of, { kind, outcome }))
      const seconds = Number(clock.unsafeCurrentTimeNanos() - since) / 1e9
      AuthMetrics.exchangeDuration.unsafeUpdate(seconds, labelled(of, { kind }))
      return outcome
    }
    let result: Option.Option<A> = Option.none()
    return Effect.useSpan(
      `auth.${kind}`,
      { root: true, kind: "client", captureStackTrace: false, attributes: attributes(of) },
      (span) => {
        if (landing !== undefined) spans.set(landing, [...(spans.get(landing) ?? []), span])
        return Effect.flatMap(Effect.withParentSpan(run, span), (answer) => {
          result = Option.some(answer)
          span.attribute("auth.outcome", count(answer))
          const failure = failureOf(answer)
          return failure === undefined ? Effect.succeed(answer) : Effect.fail(failure)
        })
      }
    ).pipe(
      Effect.catchAll((failure) => Option.match(result, { onNone: () => Effect.die(failure), onSome: Effect.succeed }))
    )
  })

/** What the command of a flight is to those who look on, and what became of it. */
export const kindOf = ({ _tag }: Command): Kind | undefined =>
  _tag === "Refresh" ? "refresh" : _tag === "Login" ? "login" : undefined

export const failureOf = (event: Event): AuthError.AuthError | undefined =>
  "failure" in event ? event.failure : undefined

/** A save that met something newer. */
export const saved = (of: Observed, event: Event): void => {
  if ((event._tag === "Saved" || event._tag === "Amended") && event.result === "older") {
    AuthMetrics.storeConflicts.unsafeUpdate(1, labels(of))
  }
}

export const staleRead = (of: Observed): void => AuthMetrics.staleReads.unsafeUpdate(1, labels(of))

/**
 * Waits for a flight, and is counted while it does. A caller within a span gets one of its own for the wait, linked to the
 * exchanges that it waited for.
 */
export const wait = (
  of: Observed,
  landing: Landing,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<Option.Option<Token.AccessToken>, AuthError.AuthError> => {
  const own = labels(of)
  const leaving = <A, E>(then: Effect.Effect<A, E>) => {
    AuthMetrics.waiting.unsafeModify(-1, own)
    return then
  }
  const waited = Effect.suspend(() => {
    AuthMetrics.waiting.unsafeModify(1, own)
    return Effect.matchCauseEffect(restore(Deferred.await(landing)), {
      onFailure: (cause) => leaving(Effect.failCause(cause)),
      onSuccess: (token) => leaving(Effect.succeed(token))
    })
  })
  return Effect.contextWithEffect((context: Context.Context<never>) =>
    Option.isNone(Context.getOption(context, Tracer.ParentSpan))
      ? waited
      : Effect.useSpan("auth.wait", { captureStackTrace: false, attributes: attributes(of) }, (span) =>
          Effect.ensuring(
            waited,
            Effect.sync(() =>
              span.addLinks((spans.get(landing) ?? []).map((span) => ({ _tag: "SpanLink", span, attributes: {} })))
            )
          )
        )
  )
}

/** What is worth telling of a change: cool-downs, refusals and recoveries, each once, however many callers it meets. */
export const changed = (
  of: Observed & { warned: unknown },
  before: State,
  after: State,
  now: Moment.Moment
): Effect.Effect<void> => {
  const { block, held } = after
  const logs: Array<Effect.Effect<void>> = []
  const log = (entry: Effect.Effect<void>) => logs.push(annotated(of, after, entry))
  const name = of.provider.name
  if (block !== undefined && block !== before.block) {
    const { failure, failures, until } = block
    if (until !== undefined) {
      AuthMetrics.coolDowns.unsafeUpdate(1, labelled(of, { reason: failure._tag }))
    }
    const again = until === undefined ? "not tried again" : `tried again in ${seconds(until - now.nanos)}`
    const text = `${name}: no token was obtained, and this is ${again}: ${failure.message}`
    // The first failure in a row is news, and so is one that lasts; those between repeat it.
    log(failures > 1 ? Effect.logDebug(text) : Effect.logWarning(text))
  }
  if (after.strikes !== undefined && after.strikes !== before.strikes) {
    AuthMetrics.coolDowns.unsafeUpdate(1, labelled(of, { reason: "Rejections" }))
    log(Effect.logWarning(`${name}: a token that was just obtained was rejected by the API as well`))
  }
  const refused = held?.refresh._tag === "Dead" ? held.refresh : undefined
  if (refused !== undefined && before.held?.refresh._tag !== "Dead") {
    log(Effect.logWarning(`${name}: the refresh token is no good any more: ${refused.failure.message}`))
  }
  if (held !== undefined && held.issued !== before.held?.issued) {
    const last = before.held
    if (last !== undefined && Number.isFinite(Held.left(last, now))) {
      AuthMetrics.secondsInReserve.unsafeUpdate(Held.left(last, now) / 1000, labels(of))
    }
    const lives = Number.isFinite(Held.left(held, now))
      ? `, good for ${Duration.format(Duration.millis(Math.round(Held.left(held, now))))}`
      : ""
    const recovered = (before.block?.failures ?? 0) > 0
    log(
      (recovered ? Effect.logInfo : Effect.logDebug)(
        `${name}: a token was obtained${recovered ? " at last" : ""}${lives}`
      )
    )
  }
  if (before.held !== undefined && held === undefined && after.signedOut) log(Effect.logInfo(`${name}: signed out`))
  if (held !== undefined && after.flight === undefined && Number.isFinite(Held.left(held, now))) {
    AuthMetrics.secondsToExpiry.unsafeUpdate(Held.left(held, now) / 1000, labels(of))
  }
  if (Held.refreshPhase(held, now) === "ends-soon" && of.warned !== held?.refreshArrived) {
    of.warned = held?.refreshArrived
    const end = Option.match(Option.flatMap(Option.fromNullable(held), Held.refreshEndsAt), {
      onNone: () => "soon",
      onSome: DateTime.formatIso
    })
    log(Effect.logWarning(`${name}: the refresh token ends at ${end}; from then on, only a log in helps`))
  }
  return logs.length === 0 ? Effect.void : quietly(Effect.all(logs, { discard: true }))
}

const seconds = (nanos: bigint): string =>
  Duration.format(Duration.millis(Math.max(0, Math.round(Number(nanos) / 1e6))))
