import { type Cause, Effect, type Exit, Layer, Logger, LogLevel, Metric, MetricState, Option, Tracer } from "effect"
import type * as TestProvider from "../../src/testing/TestProvider.js"
import { provider, type Scripted } from "./harness.js"

/** The scripted provider under a name of its own, since all tests of a process share the metrics. */
export const named = (name: string, options: TestProvider.Options = {}): Scripted => provider({ ...options, name })

/** What the library measured for a provider, by name and labels: `token_requests kind=login outcome=obtained`. */
export const metrics = (
  provider: string
): Effect.Effect<Readonly<Record<string, number | { readonly count: number; readonly sum: number }>>> =>
  Effect.map(Metric.snapshot, (pairs) =>
    Object.fromEntries(
      pairs.flatMap(({ metricKey: { name, tags }, metricState }) => {
        if (!tags.some(({ key, value }) => key === "provider" && value === provider)) return []
        const labels = tags.flatMap(({ key, value }) => (key === "provider" ? [] : [`${key}=${value}`]))
        const value = MetricState.isCounterState(metricState)
          ? Number(metricState.count)
          : MetricState.isGaugeState(metricState)
            ? Number(metricState.value)
            : MetricState.isHistogramState(metricState)
              ? { count: metricState.count, sum: metricState.sum }
              : Number.NaN
        return [[[name.replace("effect_auth_", ""), ...labels].join(" "), value]]
      })
    )
  )

/** A span as an exporter would see it. */
export interface Seen {
  readonly id: string
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly parent: string | undefined
  readonly attributes: Record<string, unknown>
  readonly links: Array<string>
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** Where a tracer breaks, for the spans of this library. */
export type Fault = "span" | "attribute" | "addLinks" | "end"

/** A tracer that keeps its spans. */
export const tracing = (fault?: Fault) => {
  const spans: Array<Seen> = []
  const breaks = (name: string, at: Fault) => {
    if (fault === at && name.startsWith("auth.")) throw new Error(`a broken ${at}`)
  }
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      breaks(name, "span")
      const id = `${name} ${spans.length}`
      const seen: Seen = {
        id,
        name,
        kind,
        parent: Option.getOrUndefined(Option.map(parent, ({ spanId }) => spanId)),
        attributes: {},
        links: links.map(({ span }) => span.spanId),
        exit: undefined
      }
      spans.push(seen)
      return {
        _tag: "Span",
        name,
        spanId: id,
        traceId: "trace",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes: new Map(),
        links,
        sampled: true,
        kind,
        attribute: (key, value) => {
          if (key === "auth.outcome") breaks(name, "attribute")
          seen.attributes[key] = value
        },
        event: () => {},
        addLinks: (more) => {
          breaks(name, "addLinks")
          seen.links.push(...more.map(({ span }) => span.spanId))
        },
        end: (_, exit) => {
          breaks(name, "end")
          seen.exit = exit
        }
      }
    },
    context: (run) => run()
  })
  return {
    spans,
    of: (name: string) => spans.filter((span) => span.name === name),
    layer: Layer.setTracer(tracer)
  }
}

/** A log line as a logger gets it. */
export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
  readonly spans: ReadonlyArray<string>
  readonly cause: Cause.Cause<unknown>
}

/** A logger that keeps its lines, of all levels; `broken` throws at each. */
export const logging = (broken = false) => {
  const lines: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ annotations, cause, logLevel, message, spans }) => {
    if (broken) throw new Error("a broken logger")
    lines.push({
      level: logLevel.label,
      text: Array.isArray(message) ? message.join(" ") : String(message),
      annotations: Object.fromEntries(annotations),
      spans: Array.from(spans, ({ label }) => label),
      cause
    })
  })
  return {
    lines,
    /** The lines since the last look, as level and text. */
    take: () => lines.splice(0).map(({ level, text }) => `${level} ${text}`),
    layer: Layer.merge(
      Logger.replace(Logger.defaultLogger, logger),
      // A fiber that fails logs at Debug, and the runtime breaks with its logger.
      Logger.minimumLogLevel(broken ? LogLevel.Info : LogLevel.All)
    )
  }
}
