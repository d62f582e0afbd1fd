import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import type * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
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

/** Nothing that listens can fail what it listens to (law 32): an effect whose end, whatever it is, concerns nobody. */
export const quietly = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.asVoid(effect), () => Effect.void)

/** The same for what is told by a plain call: to a metric or to a span. */
const tell = (call: () => void): void => {
  try {
    call()
  } catch {
    // Whoever listens is broken, and that is all.
  }
}

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
      return Effect.onExit(run(span), (exit) => Effect.sync(() => (ended = exit)))
    }).pipe(Effect.catchAllCause((cause) => ended ?? (began ? Effect.failCause(cause) : run(undefined))))
  })

const log = (of: Observed, generation: number, entry: Effect.Effect<void>): Effect.Effect<void> =>
  quietly(Effect.annotateLogs(entry, { ...attributes(of), "auth.generation": generation }))

/** What a fiber says of itself in all that it logs, traces and measures. */
export const said = Effect.all({
  annotations: FiberRef.get(FiberRef.currentLogAnnotations),
  logSpans: FiberRef.get(FiberRef.currentLogSpan),
  metricLabels: FiberRef.get(FiberRef.currentMetricLabels),
  spanAnnotations: FiberRef.get(FiberRef.currentTracerSpanAnnotations),
  spanLinks: FiberRef.get(FiberRef.currentTracerSpanLinks)
})

/**
 * What runs in a fiber that some caller started, and is not about that caller: it says what whoever made the session said,
 * and whose session it is.
 */
export const apart = (
  of: Observed & { readonly setting: { readonly said: Effect.Effect.Success<typeof said> } },
  effect: Effect.Effect<void>
): Effect.Effect<void> => {
  const { annotations, logSpans, metricLabels, spanAnnotations, spanLinks } = of.setting.said
  return Effect.all(
    [
      FiberRef.set(
        FiberRef.currentLogAnnotations,
        HashMap.union(annotations, HashMap.fromIterable(Object.entries(attributes(of))))
      ),
      FiberRef.set(FiberRef.currentLogSpan, logSpans),
      FiberRef.set(FiberRef.currentMetricLabels, metricLabels),
      FiberRef.set(FiberRef.currentTracerSpanAnnotations, spanAnnotations),
      FiberRef.set(FiberRef.currentTracerSpanLinks, spanLinks),
      effect
    ],
    { discard: true }
  )
}

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
        tell(() => AuthMetrics.exchanges.unsafeUpdate(1, labelled(of, { kind, outcome })))
        tell(() => AuthMetrics.exchangeDuration.unsafeUpdate(seconds, labelled(of, { kind })))
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
    return log(of, generation, complained ? Effect.logDebug(text) : Effect.logWarning(text))
  }
  if (!result.right) tell(() => AuthMetrics.storeConflicts.unsafeUpdate(1, labels(of)))
  return complained ? log(of, generation, Effect.logInfo(`${name}: the token store saves again`)) : Effect.void
}

export const notRevoked = (of: Observed, failure: AuthError.AuthError): Effect.Effect<void> =>
  quietly(Effect.logWarning(`${of.provider.name}: tokens were not revoked: ${failure.message}`))

export const staleRead = (of: Observed): void => tell(() => AuthMetrics.staleReads.unsafeUpdate(1, labels(of)))

/** Waits for something, and is counted while it does; `restore` is of a region that nothing else can interrupt. */
export const counted = <A, E>(
  of: Observed,
  wait: Effect.Effect<A, E>,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const own = labels(of)
  const count = (more: number) => tell(() => AuthMetrics.waiting.unsafeModify(more, own))
  return Effect.suspend(() => {
    count(1)
    return Effect.ensuring(
      restore(wait),
      Effect.sync(() => count(-1))
    )
  })
}

/** Waits for a flight. A caller within a span gets one of its own for that, linked to the exchanges that it waited for. */
export const wait = (
  of: Observed,
  landing: Landing,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<Option.Option<Token.AccessToken>, AuthError.AuthError> => {
  const waited = counted(of, Deferred.await(landing), restore)
  return Effect.contextWithEffect((context: Context.Context<never>) =>
    Option.isNone(Context.getOption(context, Tracer.ParentSpan))
      ? waited
      : traced("auth.wait", { attributes: attributes(of) }, (span) =>
          Effect.ensuring(
            waited,
            Effect.sync(() => {
              const links = (spans.get(landing) ?? []).map(link)
              if (links.length > 0) tell(() => span?.addLinks(links))
            })
          )
        )
  )
}

const link = (span: Tracer.AnySpan): Tracer.SpanLink => ({ _tag: "SpanLink", span, attributes: {} })

/** What is worth telling of a change: cool-downs, refusals and recoveries, each once, however many callers it meets. */
export const changed = (
  of: Observed & { warned: unknown },
  before: State,
  after: State,
  now: Moment.Moment
): Effect.Effect<void> =>
  quietly(
    Effect.suspend(() => {
      const logs = news(of, before, after, now)
      return logs.length === 0
        ? Effect.void
        : Effect.forEach(logs, (entry) => log(of, after.generation, entry), { discard: true })
    })
  )

const news = (
  of: Observed & { warned: unknown },
  before: State,
  after: State,
  now: Moment.Moment
): ReadonlyArray<Effect.Effect<void>> => {
  const { block, held } = after
  const { name } = of.provider
  const logs: Array<Effect.Effect<void>> = []
  const dead = held?.refresh._tag === "Dead" ? held.refresh.failure : undefined
  if (dead !== undefined && before.held?.refresh._tag !== "Dead") {
    logs.push(Effect.logWarning(`${name}: the refresh token is no good any more: ${dead.message}`))
  }
  const refusedAgain = after.refused !== before.refused
  if (block !== undefined && block !== before.block) {
    const { failure, failures, until } = block
    const cools = until !== undefined && (failures > 0 || refusedAgain)
    if (cools) tell(() => AuthMetrics.coolDowns.unsafeUpdate(1, labelled(of, { reason: failure._tag })))
    const again = until === undefined ? "not tried again" : `tried again in ${seconds(until - now.nanos)}`
    const text = `${name}: no token was obtained, and this is ${again}: ${failure.message}`
    // The first failure in a row is news, and so is one that lasts; those between repeat it. What the refresh token's
    // refusal leads to was told with it, and that nobody has signed in yet is no failure.
    const known = failures === 0 && failure === before.block?.failure && !refusedAgain
    const isNews = failures < 2 && failure !== dead && failure._tag !== "SignedOut" && !known
    logs.push(isNews ? Effect.logWarning(text) : Effect.logDebug(text))
  }
  if (after.strikes !== undefined && after.strikes !== before.strikes) {
    tell(() => AuthMetrics.coolDowns.unsafeUpdate(1, labelled(of, { reason: "Rejections" })))
    const text = `${name}: a token that was just obtained was rejected by the API as well`
    logs.push(after.strikes.count > 1 ? Effect.logDebug(text) : Effect.logWarning(text))
  }
  const left = held === undefined ? Number.POSITIVE_INFINITY : Held.left(held, now)
  if (held !== undefined && held.issued !== before.held?.issued) {
    const reserve = before.held === undefined ? Number.POSITIVE_INFINITY : Held.left(before.held, now)
    if (Number.isFinite(reserve)) {
      tell(() => AuthMetrics.secondsInReserve.unsafeUpdate(reserve / 1000, labels(of)))
    }
    const lives = Number.isFinite(left) ? `, good for ${Duration.format(Duration.millis(Math.round(left)))}` : ""
    // Whatever was warned of is over, and who reads warnings wants to know.
    const recovered = before.block !== undefined && before.block.failure._tag !== "SignedOut"
    const text = `${name}: a token was obtained${recovered ? " at last" : ""}${lives}`
    logs.push(recovered ? Effect.logInfo(text) : Effect.logDebug(text))
  }
  if (after.signedOut && !before.signedOut) logs.push(Effect.logInfo(`${name}: signed out`))
  if (after.flight === undefined && Number.isFinite(left)) {
    tell(() => AuthMetrics.secondsToExpiry.unsafeUpdate(left / 1000, labels(of)))
  }
  if (held !== undefined && Held.refreshPhase(held, now) === "ends-soon") {
    const { refreshToken } = held.tokens
    // The same token arrives anew when another process has renewed with it.
    if (!Equal.equals(of.warned, refreshToken)) {
      of.warned = refreshToken
      const end = Option.match(Held.refreshEndsAt(held), { onNone: () => "soon", onSome: DateTime.formatIso })
      logs.push(Effect.logWarning(`${name}: the refresh token ends at ${end}; from then on, only a log in helps`))
    }
  }
  return logs
}

const seconds = (nanos: bigint): string =>
  Duration.format(Duration.millis(Math.max(0, Math.round(Number(nanos) / 1e6))))
