import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as MetricLabel from "effect/MetricLabel"

/** Whose metrics, spans and logs these are. */
export interface Observed {
  readonly provider: { readonly name: string }
  /** The application's own name for the session. */
  readonly label: string | undefined
}

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** A metric knows its series by the very array of labels: another one, though equal, costs it a search. */
const kept = new WeakMap<object, Labels>()

/** The labels of a session; those without a name of their own are the same for all of a provider. */
export const labels = (of: Observed): Labels => {
  const { label, provider } = of
  const whose = label === undefined ? provider : of
  const known = kept.get(whose) ?? [
    MetricLabel.make("provider", provider.name),
    ...(label === undefined ? [] : [MetricLabel.make("session", label)])
  ]
  kept.set(whose, known)
  return known
}

// These labels and no others: what the first caller's fiber is tagged with is not what an exchange is about.
export const labelled = (of: Observed, more: Readonly<Record<string, string>>): Labels => [
  ...labels(of),
  ...Object.entries(more).map(([key, value]) => MetricLabel.make(key, value))
]

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
export const log = (of: Observed, generation: number, entry: Effect.Effect<void>): Effect.Effect<void> =>
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
