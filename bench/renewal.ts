import { HttpClient } from "@effect/platform"
import { Duration, Effect, Random, type Scope } from "effect"
import type * as Session from "#auth/session/Session"
import * as SessionMap from "#auth/tenants/SessionMap"
import * as child from "./child.js"
import { times as loop } from "./loop.js"
import { cpu, measure } from "./measure.js"
import * as ours from "./ours.js"
import { bytes, count, type Extent, type Part, span, times } from "./Row.js"
import * as Server from "./Server.js"
import { figure, percentile, ratios } from "./statistics.js"

/** The results of sessions that were renewed for a while. */
export interface Renewed {
  readonly renewals: number
  /** The CPU time of the process, in milliseconds. */
  readonly cpu: number
  /** The heap of the process, in bytes. */
  readonly heap: number
  /** How much later than planned renewals began, in milliseconds: the median, the 99th percentile, the maximum. */
  readonly late: { readonly median: number; readonly p99: number; readonly max: number }
  /** Sessions whose token expired before it was replaced. */
  readonly missed: number
  /** The duration, in seconds. */
  readonly seconds: number
}

/** Compares the time of each refresh with the time that was planned for it at the end of the previous one. */
const watch = (lifetime: number, renewalAge: number) => {
  const last = new Map<string, number>()
  const late: Array<number> = []
  let open = false
  let missed = 0
  return {
    onRefresh: (account: string) => {
      const now = performance.now()
      const before = last.get(account)
      if (open && before !== undefined) {
        late.push(now - before - renewalAge)
        if (now - before >= lifetime) missed++
      }
      last.set(account, now)
    },
    begin: () => {
      open = true
    },
    any: () => late.length > 0,
    /** A session that is overdue by now is missed too. */
    end: () => {
      const now = performance.now()
      for (const before of last.values()) if (now - before >= lifetime) missed++
      return {
        renewals: late.length,
        missed,
        late: { median: percentile(late, 0.5), p99: percentile(late, 0.99), max: percentile(late, 1) }
      }
    }
  }
}

/** A token is renewed after this share of its lifetime, because these runs have no random jitter. */
const share = 0.8

type Start = (
  lifetime: Duration.Duration,
  onRefresh: (account: string) => void
) => Effect.Effect<(n: number) => Effect.Effect<unknown, unknown>, unknown, Scope.Scope>

const bySessions: Start = (lifetime, onRefresh) =>
  Effect.gen(function* () {
    const { provider } = ours.direct(lifetime, onRefresh)
    const map = yield* Effect.provideService(
      SessionMap.make({
        idleTimeToLive: "1 day",
        lookup: (account: string) => Effect.succeed({ account, provider, seed: ours.seed(account, "spent") })
      }),
      HttpClient.HttpClient,
      ours.empty
    )
    return (n) => map.accessToken(`tenant-${n}`)
  })

/** The limit: a plain object for each session, one fiber for all, and a heap with the next one at its head. */
const byHeap: Start = (lifetime, onRefresh) =>
  Effect.gen(function* () {
    const { provider } = ours.direct(lifetime, onRefresh)
    const after = Duration.toMillis(lifetime) * share
    const heap = new Heap<Plain>()
    const renew = (plain: Plain) =>
      Effect.map(provider.refresh(plain.tokens), (tokens) => {
        plain.tokens = tokens
        plain.at = performance.now() + after
        heap.push(plain)
      })
    const due: Effect.Effect<void, unknown> = Effect.suspend(() => {
      const head = heap.peek()
      if (head === undefined) return Effect.sleep(10)
      const wait = head.at - performance.now()
      // What is pushed meanwhile is due later, because all tokens have the same lifetime.
      if (wait > 0) return Effect.sleep(wait)
      heap.pop()
      return Effect.forkDaemon(renew(head))
    })
    yield* Effect.forkScoped(Effect.forever(due))
    return (n) => renew({ tokens: ours.seed(`tenant-${n}`, "spent"), at: 0 })
  })

interface Plain {
  tokens: ReturnType<typeof ours.seed>
  at: number
}

/** The usual binary heap. */
class Heap<A extends { readonly at: number }> {
  readonly items: Array<A> = []

  peek(): A | undefined {
    return this.items[0]
  }

  push(item: A): void {
    let n = this.items.push(item) - 1
    while (n > 0) {
      const above = (n - 1) >> 1
      if (this.at(above) <= item.at) break
      this.items[n] = this.items[above] as A
      n = above
    }
    this.items[n] = item
  }

  pop(): void {
    const last = this.items.pop()
    if (last === undefined || this.items.length === 0) return
    let n = 0
    for (;;) {
      const child = 2 * n + 1
      const less = this.at(child + 1) < this.at(child) ? child + 1 : child
      if (this.at(less) >= last.at) break
      this.items[n] = this.items[less] as A
      n = less
    }
    this.items[n] = last
  }

  at(n: number): number {
    return this.items[n]?.at ?? Number.POSITIVE_INFINITY
  }
}

/** Opens sessions at an even pace over one round of renewals, and then measures for `seconds`. */
const run =
  (start: Start, lifetime: Duration.Duration, opening: Duration.Duration) =>
  (sessions: number, seconds: number): Effect.Effect<Renewed, unknown> =>
    Effect.gen(function* () {
      const whole = Duration.toMillis(lifetime)
      const watcher = watch(whole, whole * share)
      const open = yield* start(lifetime, watcher.onRefresh)
      const began = performance.now()
      const pace = Duration.toMillis(opening) / sessions
      for (let n = 0; n < sessions; n++) {
        const early = began + n * pace - performance.now()
        if (early > 5) yield* Effect.sleep(early)
        yield* open(n)
      }
      yield* Effect.sleep(Math.min(whole, 2000))
      watcher.begin()
      const since = performance.now()
      const used = cpu()
      // Longer, if the machine was too busy for even one renewal.
      yield* Effect.repeat(Effect.sleep(`${seconds} seconds`), { until: () => watcher.any(), times: 30 })
      const spent = cpu() - used
      const seen = watcher.end()
      const lasted = (performance.now() - since) / 1000
      globalThis.gc?.()
      return { ...seen, cpu: spent, seconds: lasted, heap: process.memoryUsage().heapUsed }
      // Without jitter the planned time is known here: four fifths of the lifetime, to the millisecond.
    }).pipe(Effect.scoped, Effect.withRandom(Random.fixed([0])))

const brief = [Duration.millis(1250), Duration.millis(900)] as const
const minute = [Duration.minutes(1), Duration.seconds(44)] as const

export const contenders: Readonly<
  Record<string, (sessions: number, seconds: number) => Effect.Effect<Renewed, unknown>>
> = {
  sessions: run(bySessions, ...brief),
  heap: run(byHeap, ...brief),
  soak: run(bySessions, ...minute),
  soakHeap: run(byHeap, ...minute)
}

/** Measures the cost of a renewal beyond its token request, which costs next to nothing here. */
const fires = async (short: boolean): Promise<Part> => {
  const sessions = short ? 50 : 500
  const each: Record<"sessions" | "heap", Array<number>> = { sessions: [], heap: [] }
  const plain = Server.make(3600)
  for (let round = 0; round < (short ? 1 : 5); round++) {
    for (const name of round % 2 === 0 ? (["sessions", "heap"] as const) : (["heap", "sessions"] as const)) {
      const renewed = await child.run<Renewed>("renewal", [name, String(sessions), short ? "1" : "4"])
      if (short) count(`whether ${name} were renewed`, Number(renewed.renewals > 0), 1)
      each[name].push((renewed.cpu * 1e6) / renewed.renewals)
    }
  }
  const tokenRequest = await bare(short, plain)
  const beyond = (values: ReadonlyArray<number>) => values.map((value) => value - tokenRequest.direct)
  const ratio = figure(ratios(beyond(each.sessions), beyond(each.heap)))
  const whole = figure(each.sessions).median - tokenRequest.direct
  return {
    rows: [
      {
        work: "a renewal, beyond the token request",
        limit: `one fiber and a heap, ${span(figure(beyond(each.heap)).median)}`,
        figure: `${span(whole)}; beside a token request over a stub transport, ${span(tokenRequest.served)}`,
        ratio: `${times(ratio)}; token request included, ${((whole + tokenRequest.served) / (figure(beyond(each.heap)).median + tokenRequest.served)).toFixed(2)} ×`,
        budget: "≤ 1.2 ×",
        met: ratio.median <= 1.2
      },
      {
        work: "spans of a token request: on, against off",
        limit: `the tracer off, ${span(tokenRequest.untraced)}`,
        figure: span(tokenRequest.traced),
        ratio: `${(tokenRequest.traced / tokenRequest.untraced).toFixed(2)} ×`,
        budget: "reported",
        met: undefined
      }
    ]
  }
}

/** Measures a bare token request, and one of a session with and without spans. */
const bare = (short: boolean, server: Server.Server) =>
  Effect.gen(function* () {
    const client = ours.client(server)
    const provider = yield* ours.provider(client)
    const session: Session.Service = yield* ours.session(client, "spent")
    const direct = ours.direct(Duration.hours(1))
    const tokens = ours.seed("bob", "spent")
    const operations = short ? 3 : 50
    const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(loop(operations, () => effect))
    const { cost } = yield* Effect.promise(() =>
      measure(
        {
          direct: () => run(direct.provider.refresh(tokens)),
          served: () => run(provider.refresh(tokens)),
          traced: () => run(session.refresh),
          untraced: () => run(Effect.withTracerEnabled(session.refresh, false))
        },
        { operations, rounds: short ? 1 : 15 }
      )
    )
    return {
      direct: cost("direct").median,
      served: cost("served").median,
      traced: cost("traced").median,
      untraced: cost("untraced").median
    }
  }).pipe(Effect.scoped, Effect.runPromise)

/** Renews 100,000 sessions with tokens of a minute for two minutes. */
const soak = async (short: boolean): Promise<Part> => {
  const sessions = short ? 50 : 100_000
  const seconds = short ? 1 : 120
  const limit = short ? undefined : await child.run<Renewed>("renewal", ["soakHeap", String(sessions), "10"])
  const { cpu, heap, late, missed, renewals, ...rest } = await child.run<Renewed>("renewal", [
    short ? "sessions" : "soak",
    String(sessions),
    String(seconds)
  ])
  if (short) count("whether sessions were renewed", Number(renewals > 0), 1)
  const busy = (one: Pick<Renewed, "cpu" | "seconds">) =>
    `${((one.cpu / one.seconds / 1000) * 100).toFixed(1)} % of a core`
  return {
    rows: [
      {
        work: `${sessions.toLocaleString("en")} sessions with tokens of a minute, renewed for ${rest.seconds.toFixed(0)} s`,
        limit:
          limit === undefined
            ? ""
            : `one fiber and a heap: ${(limit.renewals / limit.seconds).toFixed(0)} renewals a second, ${busy(limit)}, late by ${limit.late.p99.toFixed(1)} ms (p99)`,
        figure: `${(renewals / rest.seconds).toFixed(0)} renewals a second; ${busy({ cpu, ...rest })}; heap ${bytes(heap)}; late by ${late.median.toFixed(1)} ms (half), ${late.p99.toFixed(1)} ms (p99), ${late.max.toFixed(0)} ms (the last); ${missed} missed`,
        ratio: limit === undefined ? "" : `CPU ${(cpu / rest.seconds / (limit.cpu / limit.seconds)).toFixed(1)} ×`,
        budget: "0 missed",
        met: missed === 0
      }
    ]
  }
}

/** Measures background renewals: the cost of one, and whether very many are in time. */
export const renewal = async ({ short }: Extent): Promise<Part> => {
  const one = await fires(short)
  const many = await soak(short)
  return { rows: [...one.rows, ...many.rows] }
}
