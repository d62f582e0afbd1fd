import { HttpClient } from "@effect/platform"
import { type Context, Effect } from "effect"
import * as Session from "#auth/session/Session"
import * as SessionMap from "#auth/tenants/SessionMap"
import * as limits from "./limits.js"
import { times as loop } from "./loop.js"
import { measure } from "./measure.js"
import * as ours from "./ours.js"
import * as Peers from "./peers/all.js"
import { count, type Extent, type Part, span, times } from "./Row.js"
import * as Server from "./Server.js"

/** Measures the read of a fresh token, which is the cost of every request. */
export const read = ({ short }: Extent): Promise<Part> =>
  Effect.gen(function* () {
    const operations = short ? 100 : 10_000
    const tenants = Array.from({ length: short ? 100 : 10_000 }, (_, n) => `tenant-${n}`)
    const session = yield* ours.session(ours.empty)
    const map = yield* Effect.provideService(
      SessionMap.make({
        renewal: "on-use",
        idleTimeToLive: Infinity,
        lookup: (account: string) =>
          Effect.map(ours.provider(ours.empty), (provider) => ({
            account,
            provider,
            seed: ours.seed(account, "fresh")
          }))
      }),
      HttpClient.HttpClient,
      ours.empty
    )
    yield* session.accessToken
    yield* Effect.forEach(tenants, map.accessToken, { discard: true })
    count("open sessions", (yield* map.statuses).length, tenants.length)
    const plain = new Map(tenants.map((tenant) => [tenant, limits.readBoth]))
    const one = tenants[tenants.length / 2] ?? ""

    const run = <E>(read: (n: number) => Effect.Effect<unknown, E>) => {
      const program = loop(operations, read)
      return () => Effect.runPromise(program)
    }
    const tagged = <I, S>(
      tag: Context.Tag<I, S>,
      service: S,
      read: (service: S) => Effect.Effect<unknown, unknown>
    ) => {
      const through = Effect.flatMap(tag, read)
      const program = Effect.provideService(
        loop(operations, () => through),
        tag,
        service
      )
      return () => Effect.runPromise(program)
    }
    const peers = yield* Effect.promise(() => Peers.all(() => Server.make(3600), "fresh", Peers.atOnce))
    const reading = peers.flatMap(([name, { token }]) => {
      const read = async () => {
        for (let n = 0; n < operations; n++) await token?.()
      }
      return token === undefined ? [] : [[name, read] as const]
    })
    const traced = loop(operations, () => session.accessToken)
    const { cost, ratio: against } = yield* Effect.promise(() =>
      measure(
        {
          limit: run(() => limits.read),
          both: run(() => limits.readBoth),
          session: run(() => session.accessToken),
          limitThroughTag: tagged(limits.Read, { read: limits.read }, ({ read }) => read),
          throughTag: tagged(Session.Session, session, ({ accessToken }) => accessToken),
          map: run((n) => map.accessToken(tenants[n] ?? "")),
          mapOne: run(() => map.accessToken(one)),
          plainMap: run((n) => plain.get(tenants[n] ?? "") ?? Effect.never),
          inSpan: () => Effect.runPromise(Effect.withSpan(traced, "reading")),
          ...Object.fromEntries(reading),
          untraced: () => Effect.runPromise(Effect.withTracerEnabled(traced, false))
        },
        { operations, rounds: short ? 1 : 25, time: short ? 0 : 25 }
      )
    )
    for (const [name, { server }] of peers)
      count(`token requests of ${name} while its token is fresh`, server.tokenRequests, 0)
    const line = (name: string, limit: string) => ({
      figure: span(cost(name).median),
      ratio: times(against(name, limit))
    })
    return {
      rows: [
        {
          work: "read a fresh token, in a running fiber",
          limit: `one reading of a clock, ${span(cost("limit").median)}`,
          ...line("session", "limit"),
          budget: "≤ 1.3 ×",
          met: against("session", "limit").median <= 1.3
        },
        {
          work: "the same through the service tag",
          limit: `the same behind a tag, ${span(cost("limitThroughTag").median)}`,
          ...line("throughTag", "limitThroughTag"),
          budget: "≤ 1.3 ×",
          met: against("throughTag", "limitThroughTag").median <= 1.3
        },
        {
          work: "read through `SessionMap`, each of 10,000 tenants in turn",
          limit: `the read of one session, ${span(cost("session").median)}`,
          ...line("map", "session"),
          budget: "≤ 1.5 ×",
          met: against("map", "session").median <= 1.5
        },
        {
          work: "read with a span around it",
          limit: "the same with the tracer off",
          ...line("inSpan", "untraced"),
          budget: "the same instructions",
          met: against("inSpan", "untraced").low <= 1.05
        }
      ],
      asides: [
        {
          title: "Reading a fresh token",
          head: ["contender", "CPU time", "× our read"],
          lines: [
            ["this library", span(cost("session").median), "1"],
            ["limit: one clock", span(cost("limit").median), times(against("limit", "session"))],
            ["limit: both clocks", span(cost("both").median), times(against("both", "session"))],
            [
              "`SessionMap`, one tenant of 10,000 again and again",
              span(cost("mapOne").median),
              times(against("mapOne", "session"))
            ],
            ["a `Map` of 10,000, each in turn", span(cost("plainMap").median), times(against("plainMap", "session"))],
            ...reading.map(([name]) => [name, span(cost(name).median), times(against(name, "session"))])
          ]
        }
      ]
    }
  }).pipe(Effect.scoped, Effect.runPromise)
