// Exports the spans and metrics of a session by OpenTelemetry: three pages at once, and a renewal that succeeds at the
// second attempt.
// It needs no account: the API is the sandbox of Violet, in this process.
import { NodeSdk } from "@effect/opentelemetry"
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Console, Effect, Layer, Logger, Redacted } from "effect"
import { AuthHttpClient, Credentials, Session, Violet } from "effect-auth"
import * as Faults from "effect-auth/testing/Faults"
import * as VioletSandbox from "effect-auth/testing/VioletSandbox"

// An application has OTLP exporters here. These keep the data in memory, and the end of the program prints a summary.
const spans = new InMemorySpanExporter()
const metrics = new PeriodicExportingMetricReader({
  exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
})
const telemetry = NodeSdk.layer(() => ({
  resource: { serviceName: "orders" },
  spanProcessor: new SimpleSpanProcessor(spans),
  metricReader: metrics
}))

const work = (sandbox: VioletSandbox.Service) =>
  Effect.gen(function* () {
    const client = yield* AuthHttpClient.AuthHttpClient
    const session = yield* Session.Session
    const page = (n: number) => client.get(`/merchants?page=${n}`).pipe(Effect.withSpan(`page ${n}`))
    yield* Effect.all([page(1), page(2), page(3)], { concurrency: "unbounded" })
    yield* sandbox.faults.inject("refresh", Faults.Status({ status: 503 }))
    yield* session.refresh.pipe(Effect.withSpan("renewal"))
  })

const orders = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const violet = Violet.layer({
    appId: 1234,
    appSecret: Redacted.make("test-app-secret"),
    baseUrl: sandbox.baseUrl,
    label: "shop",
    renewal: "on-use"
  }).pipe(
    Layer.provide([
      Credentials.layer({ username: Redacted.make("test-user@example.com"), password: Redacted.make("test-password") }),
      Layer.succeed(HttpClient.HttpClient, sandbox.client)
    ])
  )
  yield* Effect.provide(work(sandbox), violet)
})

const printSpans = Effect.suspend(() => {
  const all = spans.getFinishedSpans()
  const time = (span: (typeof all)[number]) => span.startTime[0] * 1e9 + span.startTime[1]
  const name = (id: string | undefined) => all.find((span) => span.spanContext().spanId === id)?.name ?? "?"
  const tree = (parent: string | undefined, indent: string): ReadonlyArray<string> =>
    all
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
      .sort((a, b) => time(a) - time(b))
      .flatMap((span) => {
        const { attributes, links } = span
        const parts = [attributes["url.path"], attributes["auth.session"], attributes["auth.outcome"]]
        const linked = links.map(({ context }) => `-> ${name(context.spanId)}`)
        const line = [indent + span.name, ...parts, ...linked].filter((part) => part !== undefined).join(" ")
        return [line, ...tree(span.spanContext().spanId, `${indent}  `)]
      })
  return Console.log(["", "spans", ...tree(undefined, "  ")].join("\n"))
})

const printMetrics = Effect.flatMap(
  Effect.promise(() => metrics.collect()),
  ({ resourceMetrics }) => {
    const lines = resourceMetrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .filter(({ descriptor }) => descriptor.name.startsWith("effect_auth_"))
      .flatMap(({ dataPoints, descriptor }) =>
        dataPoints.map(({ attributes, value }) => {
          const { kind, outcome, reason } = attributes
          const labels = [kind, outcome, reason].filter((label) => label !== undefined)
          const count = typeof value === "number" ? Math.round(value) : `${value.count} of them`
          return `  ${[descriptor.name, ...labels].join(" ")}: ${count}`
        })
      )
    return Console.log(["", "metrics, all of provider=violet, session=shop", ...lines.sort()].join("\n"))
  }
)

const logger = Logger.replace(
  Logger.defaultLogger,
  Logger.withConsoleLog(Logger.make(({ logLevel, message }) => `  ${logLevel.label} ${message}`))
)

const program = Console.log("logs").pipe(
  Effect.zipRight(orders),
  Effect.zipRight(printSpans),
  Effect.zipRight(printMetrics)
)

NodeRuntime.runMain(Effect.provide(program, [telemetry, logger]), { disablePrettyLogger: true })
