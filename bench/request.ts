import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect } from "effect"
import * as AuthHttpClient from "#auth/client/AuthHttpClient"
import * as AuthProvider from "#auth/provider/AuthProvider"
import * as Session from "#auth/session/Session"
import * as limits from "./limits.js"
import { times as loop } from "./loop.js"
import { measure } from "./measure.js"
import * as ours from "./ours.js"
import * as Peers from "./peers/all.js"
import { count, type Extent, type Part, type Row, span, times } from "./Row.js"
import * as Server from "./Server.js"
import { differences, figure, interval, ratios } from "./statistics.js"

/** The peers that, by the budget, must cost more than this library. */
const slower = [
  "@azure/core-rest-pipeline",
  "google-auth-library",
  "axios-auth-refresh",
  "@badgateway/oauth2-client",
  "@supabase/auth-js"
]

const authorized = (bare: HttpClient.HttpClient, lifetime: "fresh" | "spent", baseUrl?: string) =>
  Effect.gen(function* () {
    const session = yield* ours.session(bare, lifetime)
    const provider = yield* ours.provider(bare, baseUrl)
    return yield* AuthHttpClient.make.pipe(
      Effect.provideService(Session.Session, session),
      Effect.provideService(AuthProvider.AuthProvider, provider),
      Effect.provideService(HttpClient.HttpClient, bare)
    )
  })

const url = `${ours.origin}/orders`

/** Measures what authorization adds to a request over a transport that costs nothing. */
const stubbed = ({ short }: Extent): Promise<Part> =>
  Effect.gen(function* () {
    const operations = short ? 10 : 1000
    const client = yield* authorized(ours.empty, "fresh")
    const limit = limits.client(ours.empty)
    const peers = yield* Effect.promise(() => Peers.all(() => Server.make(3600), "fresh", Peers.atOnce))
    const requesting = peers.flatMap(([name, { request }]) => {
      const send = async () => {
        for (let n = 0; n < operations; n++) count(`status of ${name}`, (await request?.()) ?? 0, 200)
      }
      return request === undefined ? [] : [[name, send] as const]
    })
    const sending = <E>(client: HttpClient.HttpClient.With<E>) =>
      loop(operations, () => Effect.map(client.get(url), ({ status }) => count("status", status, 204)))
    const run =
      <E>(client: HttpClient.HttpClient.With<E>) =>
      () =>
        Effect.runPromise(sending(client))
    const untraced =
      <E>(client: HttpClient.HttpClient.With<E>) =>
      () =>
        Effect.runPromise(Effect.withTracerEnabled(sending(client), false))
    const { cost, ratio, rounds } = yield* Effect.promise(() =>
      measure(
        {
          limit: run(limit),
          bare: run(ours.empty),
          ours: run(client),
          untraced: untraced(client),
          limitUntraced: untraced(limit),
          ...Object.fromEntries(requesting)
        },
        { operations, rounds: short ? 1 : 20, time: short ? 0 : 40 }
      )
    )
    const added = differences(rounds("ours"), rounds("limit"))
    const [low, high] = interval(added)
    const { median } = figure(added)
    const below = slower.filter((name) => cost("ours").median < cost(name).median)
    return {
      rows: [
        {
          work: "an authorized request over a stub transport",
          limit: `a static header by \`mapRequest\`, ${span(cost("limit").median)}`,
          figure: `${span(cost("ours").median)}; ${span(median)} added (${span(low)} to ${span(high)})`,
          ratio: times(ratio("ours", "limit")),
          budget: "≤ 1.5 ×, ≤ 3 µs added",
          met: ratio("ours", "limit").median <= 1.5 && median <= 3000
        },
        {
          work: "the same, against those peers that send requests",
          limit: slower.map((name) => `${name} ${span(cost(name).median)}`).join("; "),
          figure: span(cost("ours").median),
          ratio: `less than ${below.length} of ${slower.length}`,
          budget: "less than each",
          met: below.length === slower.length
        },
        {
          work: "spans of a request: on, against off",
          limit: `the tracer off, ${span(cost("untraced").median)}`,
          figure: span(cost("ours").median),
          ratio: `${times(ratio("ours", "untraced"))}; of the limit ${times(ratio("limit", "limitUntraced"))}`,
          budget: "reported",
          met: undefined
        }
      ],
      asides: [
        {
          title: "A request over a stub transport",
          head: ["contender", "CPU time", "× ours"],
          lines: ["ours", "limit", "bare", "untraced", "limitUntraced", ...requesting.map(([name]) => name)].map(
            (name) => [names[name] ?? name, span(cost(name).median), times(ratio(name, "ours"))]
          )
        }
      ]
    }
  }).pipe(Effect.scoped, Effect.runPromise)

const names: Readonly<Record<string, string>> = {
  ours: "this library",
  limit: "limit: a static header",
  bare: "no header at all",
  untraced: "this library, tracer off",
  limitUntraced: "limit, tracer off"
}

/** Starts a server in a process of its own, so that its CPU time does not count. */
const elsewhere = Effect.acquireRelease(
  Effect.async<{ readonly port: number; readonly stop: () => void }>((resume) => {
    const child = fork(fileURLToPath(new URL("children/server.mjs", import.meta.url)), { execArgv: [] })
    child.once("message", (port) => resume(Effect.succeed({ port: Number(port), stop: () => child.kill() })))
  }),
  ({ stop }) => Effect.sync(stop)
)

/** Measures real requests over loopback: whether the CPU time of authorization can be told from zero. */
const served = ({ short }: Extent): Promise<Part> =>
  Effect.gen(function* () {
    const { port } = yield* elsewhere
    const address = `http://127.0.0.1:${port}`
    const bare = yield* HttpClient.HttpClient
    const client = yield* authorized(bare, "fresh", address)
    const requests = short ? 64 : 640
    const run =
      <E>(client: HttpClient.HttpClient.With<E>, concurrency: number) =>
      () =>
        Effect.forEach(
          Array.from({ length: requests }, () => `${address}/orders`),
          (url) => Effect.flatMap(client.get(url), ({ text }) => text),
          { concurrency, discard: true }
        ).pipe(Effect.runPromise)
    const rows: Array<Row> = []
    for (const concurrency of [1, 64]) {
      const { cost, rounds } = yield* Effect.promise(() =>
        measure(
          { bare: run(bare, concurrency), ours: run(client, concurrency) },
          { operations: requests, rounds: short ? 1 : 40, time: 0 }
        )
      )
      const [low, high] = interval(ratios(rounds("ours"), rounds("bare")))
      rows.push({
        work: `an authorized request over loopback, undici layer, concurrency ${concurrency}`,
        limit: `the bare client, ${span(cost("bare").median)} of CPU`,
        figure: span(cost("ours").median),
        ratio: `95 % between ${low.toFixed(3)} × and ${high.toFixed(3)} ×`,
        budget: "1 × lies in the interval",
        met: low <= 1
      })
    }
    return { rows }
  }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici), Effect.runPromise)

const crowd = 64

const pause = (millis: number) => new Promise<void>((done) => setTimeout(done, millis))

/** The results of concurrent requests with a revoked token. */
interface Outcome {
  readonly succeeded: number
  readonly tokenRequests: number
}

/**
 * Responds to the requests one after another over 64 ms, and to a token request after 15 ms. So some get their 401 when
 * there is a new token already.
 */
const slowly = (server: Server.Server) => {
  let requests = 0
  return async (sent: Server.SentRequest): Promise<Server.ServerResponse> => {
    const isToken = new URL(sent.url, url).pathname.includes("/token")
    const response = isToken ? undefined : server.handle(sent)
    await pause(isToken ? 15 : requests++ % crowd)
    return response ?? server.token(sent.body)
  }
}

const oursRejected = (): Promise<Outcome> =>
  Effect.gen(function* () {
    const server = Server.make(3600, true)
    const send = slowly(server)
    const bare = ours.clientOf((sent) => Effect.promise(() => send(sent)))
    const client = yield* authorized(bare, "fresh")
    const statuses = yield* Effect.forEach(
      Array.from({ length: crowd }),
      () =>
        Effect.map(Effect.either(client.get(url)), (result) => result._tag === "Right" && result.right.status === 200),
      { concurrency: "unbounded" }
    )
    return { succeeded: statuses.filter(Boolean).length, tokenRequests: server.tokenRequests }
  }).pipe(Effect.scoped, Effect.runPromise)

const quietly = async <A>(run: () => Promise<A>): Promise<A> => {
  const { error, warn } = console
  console.error = console.warn = () => {}
  try {
    return await run()
  } finally {
    Object.assign(console, { error, warn })
  }
}

const rejected = async ({ short }: Extent): Promise<Part> => {
  const runs = short ? 2 : 10
  const outcomes: Array<Outcome> = []
  for (let n = 0; n < runs; n++) outcomes.push(await oursRejected())
  for (const { tokenRequests, succeeded } of outcomes) {
    count("requests of 64 that succeed after a 401", succeeded, crowd)
    count("token requests for 64 requests that met a 401", tokenRequests, 1)
  }
  const peers: Array<ReadonlyArray<string>> = []
  for (const [name, { request, server }] of await Peers.all(() => Server.make(3600, true), "fresh", slowly)) {
    if (request === undefined) continue
    const statuses = await quietly(() => Promise.allSettled(Array.from({ length: crowd }, request)))
    const succeeded = statuses.filter((one) => one.status === "fulfilled" && one.value === 200).length
    peers.push([name, `${succeeded} of ${crowd}`, String(server.tokenRequests)])
  }
  return {
    rows: [
      {
        work: "64 concurrent requests meet a 401, with a single-use refresh token",
        limit: "64 of 64, 1 token request",
        figure: `64 of 64, 1 token request, in each of ${runs} runs`,
        ratio: "",
        budget: "64 of 64, 1 token request, every run",
        met: true
      }
    ],
    asides: [
      {
        title: "64 concurrent requests meet a 401",
        head: ["contender", "succeed", "token requests"],
        lines: [["this library", "64 of 64", "1"], ...peers]
      }
    ]
  }
}

/** Measures authorized requests: without a network, over loopback, and with a revoked token. */
export const request = async (extent: Extent): Promise<Part> => {
  const parts = [await stubbed(extent), await served(extent), await rejected(extent)]
  return { rows: parts.flatMap(({ rows }) => rows), asides: parts.flatMap(({ asides = [] }) => asides) }
}
