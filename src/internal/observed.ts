import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as HashMap from "effect/HashMap"
import type * as LogLevel from "effect/LogLevel"
import * as MetricLabel from "effect/MetricLabel"

/** Whose metrics, spans and logs these are. */
export interface Observed {
  readonly provider: { readonly name: string }
  /** The application's own name for the session. */
  readonly label: string | undefined
}

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

const series = new WeakMap<Observed["provider"], Map<string, Labels>>()

/**
 * The labels of a session and no others: what the first caller's fiber is tagged with is not what an exchange is about.
 * They are made once for each series, since a metric finds a series again by the very array that it is labelled with.
 */
export const labels = ({ label, provider }: Observed, more?: Readonly<Record<string, string>>): Labels => {
  const name = `${label === undefined ? "" : `${label} `}${more === undefined ? "" : Object.entries(more)}`
  const known = series.get(provider)?.get(name)
  if (known !== undefined) return known
  const made = [
    MetricLabel.make("provider", provider.name),
    ...(label === undefined ? [] : [MetricLabel.make("session", label)]),
    ...Object.entries(more ?? {}).map(([key, value]) => MetricLabel.make(key, value))
  ]
  series.set(provider, (series.get(provider) ?? new Map<string, Labels>()).set(name, made))
  return made
}

export const attributes = ({ label, provider }: Observed): Record<string, string> => ({
  "auth.provider": provider.name,
  ...(label === undefined ? {} : { "auth.session": label })
})

/** Nothing that listens can fail what it listens to (law 32): an effect whose end, whatever it is, concerns nobody. */
export const quietly = (effect: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.asVoid(effect), () => Effect.void)

/** The same for what is told by a plain call: to a metric or to a span. */
export const tell = (call: () => void): void => {
  Either.try(call)
}

/** A line of a log, with whom it is about. */
export const log = (of: Observed, generation: number, level: LogLevel.LogLevel, text: string): Effect.Effect<void> =>
  quietly(Effect.annotateLogs(Effect.logWithLevel(level, text), { ...attributes(of), "auth.generation": generation }))

/** What a fiber runs with, and says of itself in all that it logs, traces and measures. */
export const said = Effect.all({
  context: Effect.context<never>(),
  annotations: FiberRef.get(FiberRef.currentLogAnnotations),
  logSpans: FiberRef.get(FiberRef.currentLogSpan),
  metricLabels: FiberRef.get(FiberRef.currentMetricLabels),
  spanAnnotations: FiberRef.get(FiberRef.currentTracerSpanAnnotations),
  spanLinks: FiberRef.get(FiberRef.currentTracerSpanLinks)
})

/**
 * For a fiber that some caller started, and that is not about that caller: from here on it runs with and says what whoever
 * made the session did, and whose session it is.
 */
export const apart = (
  of: Observed & { readonly setting: { readonly said: Effect.Effect.Success<typeof said> } }
): Effect.Effect<void> =>
  Effect.updateFiberRefs((id, refs) => {
    const { annotations, context, logSpans, metricLabels, spanAnnotations, spanLinks } = of.setting.said
    const entry = <A>(ref: FiberRef.FiberRef<A>, value: A) => [ref, [[id, value]]] as const
    return FiberRefs.updateManyAs(refs, {
      forkAs: id,
      entries: [
        entry(FiberRef.currentContext, context),
        entry(FiberRef.currentLogAnnotations, HashMap.union(annotations, annotated(of))),
        entry(FiberRef.currentLogSpan, logSpans),
        entry(FiberRef.currentMetricLabels, metricLabels),
        entry(FiberRef.currentTracerSpanAnnotations, spanAnnotations),
        entry(FiberRef.currentTracerSpanLinks, spanLinks)
      ]
    })
  })

const annotated = (of: Observed) => HashMap.fromIterable<string, unknown>(Object.entries(attributes(of)))
