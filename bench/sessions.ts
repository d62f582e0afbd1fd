import { HttpClient } from "@effect/platform"
import { Duration, Effect } from "effect"
import * as SessionMap from "#auth/tenants/SessionMap"
import * as child from "./child.js"
import { cpu } from "./measure.js"
import * as ours from "./ours.js"
import { bytes, count, type Extent, type Part, type Row, span } from "./Row.js"

/** The cost of idle sessions. */
export interface Cost {
  /** In bytes, of each session. */
  readonly heap: number
  /** In nanoseconds of CPU time, of each session. */
  readonly creation: number
  /** In milliseconds of CPU time a minute, of all sessions. */
  readonly idle: number
  readonly tokenRequests: number
}

const collected = (): number => {
  for (let n = 0; n < 3; n++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const idling = (seconds: number): Effect.Effect<number> =>
  Effect.gen(function* () {
    yield* Effect.sleep("1 second")
    const before = cpu()
    yield* Effect.sleep(`${seconds} seconds`)
    return ((cpu() - before) * 60) / seconds
  })

/** Creates sessions, and returns the bytes and the CPU time of each. `keep` stays reachable meanwhile. */
const costOf = <A, E>(sessions: number, create: (n: number) => Effect.Effect<A, E>, idle: number, keep: unknown) =>
  Effect.gen(function* () {
    const heap = collected()
    const began = cpu()
    for (let n = 0; n < sessions; n++) yield* create(n)
    const creation = ((cpu() - began) * 1e6) / sessions
    const each = (collected() - heap) / sessions
    const idled = idle === 0 ? 0 : yield* idling(idle)
    return { heap: each, creation, idle: idled, reachable: keep !== undefined }
  })

/** How many sessions are made first, so that their code is compiled before the measurement. */
const warm = 3000

export const contenders: Readonly<Record<string, (sessions: number, idle: number) => Effect.Effect<Cost, unknown>>> = {
  /** Sessions that renew in the background. Each got its token by a token request and is in the store in memory. */
  sessions: (sessions, idle) =>
    Effect.gen(function* () {
      const direct = ours.direct(Duration.hours(1))
      const map = yield* Effect.provideService(
        SessionMap.make({
          idleTimeToLive: "1 day",
          lookup: (account: string) =>
            Effect.succeed({ account, provider: direct.provider, seed: ours.seed(account, "spent") })
        }),
        HttpClient.HttpClient,
        ours.empty
      )
      yield* Effect.forEach(
        Array.from({ length: warm }, (_, n) => `warm-${n}`),
        map.accessToken,
        { discard: true }
      )
      const cost = yield* costOf(sessions, (n) => map.accessToken(`tenant-${n}`), idle, map)
      return { ...cost, tokenRequests: direct.tokenRequests - warm }
    }).pipe(Effect.scoped),
  /** Plain objects with the same texts, as a program without any library would have. */
  plain: (sessions, idle) =>
    Effect.gen(function* () {
      const map = new Map<string, unknown>()
      const create = (n: number) =>
        Effect.sync(() =>
          map.set(`tenant-${n}`, {
            accessToken: `test-access-tenant-${n}.1`,
            refreshToken: `test-refresh-tenant-${n}.1`,
            expiresAt: Date.now() + 3_600_000
          })
        )
      const cost = yield* costOf(sessions, create, idle, map)
      return { ...cost, tokenRequests: map.size }
    }),
  /** A process without sessions that sleeps. */
  nothing: (_, idle) => Effect.map(idling(idle), (idle) => ({ heap: 0, creation: 0, idle, tokenRequests: 0 }))
}

const budget = 2500

/** Measures idle sessions: their heap, their creation and their CPU time. */
export const sessions = async ({ million, short }: Extent): Promise<Part> => {
  const sizes = short ? [100] : [100, 1000, 10_000, 100_000, ...(million ? [1_000_000] : [])]
  const idle = short ? 0 : 10
  const cost = (name: string, size: number) => child.run<Cost>("sessions", [name, String(size), String(idle)])
  const sleeping: Array<number> = []
  const found: Array<{ readonly size: number; readonly ours: Cost; readonly plain: Cost }> = []
  for (const size of sizes) {
    const plain = await cost("plain", size)
    const one = await cost("sessions", size)
    count(`token requests of ${size} sessions`, one.tokenRequests, size)
    if (!short) sleeping.push((await cost("nothing", 0)).idle)
    found.push({ size, ours: one, plain })
  }
  const quiet = Math.max(...sleeping, 0)
  const noise = short
    ? "not looked at"
    : `of a process that sleeps ${Math.min(...sleeping).toFixed(0)} to ${quiet.toFixed(0)} ms`
  const rows = found.map(
    ({ ours, plain, size }): Row => ({
      work: `an idle session with background renewal, of ${size.toLocaleString("en")}`,
      limit: `a plain object in a \`Map\`, ${bytes(plain.heap)}`,
      figure: `${bytes(ours.heap)}; made in ${span(ours.creation)}; idle CPU ${ours.idle.toFixed(0)} ms a minute, ${noise}`,
      ratio: `${(ours.heap / plain.heap).toFixed(1)} ×`,
      budget: size < 1000 || size > 100_000 ? "reported" : "≤ 2.5 kB; idle CPU of a process that sleeps",
      met: size < 1000 || size > 100_000 ? undefined : ours.heap <= budget && ours.idle <= quiet * 1.5 + 30
    })
  )
  const first = found.find(({ size }) => size >= 1000)
  const last = found.filter(({ size }) => size <= 100_000).at(-1)
  const growth = (of: (cost: Cost) => number) =>
    first === undefined || last === undefined ? Number.NaN : of(last.ours) / of(first.ours)
  const heap = growth(({ heap }) => heap)
  const creation = growth(({ creation }) => creation)
  return {
    rows: [
      ...rows,
      {
        work: "growth of a session's heap and creation time, from 1,000 to 100,000",
        limit: "linear: a session costs the same among many",
        figure: `heap ${heap.toFixed(2)} ×; creation ${creation.toFixed(2)} ×`,
        ratio: `${Math.max(heap, creation).toFixed(2)} ×`,
        budget: "≤ 1.2 ×",
        met: Math.max(heap, creation) <= 1.2
      }
    ],
    plots: (["heap", "creation"] as const).map((what) => ({
      file: `sessions-${what}.svg`,
      title:
        what === "heap" ? "Heap of an idle session" : "CPU time of making a session, its first token request included",
      x: "sessions",
      y: what === "heap" ? "bytes" : "µs",
      series: [
        {
          name: "this library",
          points: found.map(({ ours, size }) => [size, what === "heap" ? ours.heap : ours.creation / 1e3] as const)
        },
        ...(what === "heap"
          ? [{ name: "a plain object in a Map", points: found.map(({ plain, size }) => [size, plain.heap] as const) }]
          : [])
      ]
    }))
  }
}
