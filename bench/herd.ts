import { Deferred, Effect, Fiber, Option } from "effect"
import { times as loop } from "./loop.js"
import { measure } from "./measure.js"
import * as ours from "./ours.js"
import { count, type Extent, type Part, type Row, span, times } from "./Row.js"
import * as Server from "./Server.js"

/** Lets all fibers that were forked so far reach the point where they wait. */
const yieldToFibers = Effect.yieldNow()

/** Forks many fibers that do the same. `release` lets them continue, after all of them wait. */
const herd = <A, E>(callers: number, ask: Effect.Effect<A, E>, release: Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    const fibers: Array<Fiber.RuntimeFiber<A, E>> = []
    yield* loop(callers, () => Effect.map(Effect.forkDaemon(ask), (fiber) => fibers.push(fiber)))
    yield* yieldToFibers
    yield* release
    yield* loop(callers, (n) => Effect.flatten(Fiber.await(fibers[n] as Fiber.RuntimeFiber<A, E>)))
  })

/** Measures concurrent callers of an expired token, against as many fibers that await one `Deferred`. */
const ofSize = (callers: number, rounds: number) =>
  Effect.gen(function* () {
    const server = Server.make(60)
    const clock = ours.forward()
    let gate = yield* Deferred.make<void>()
    const bare = ours.client(
      server,
      Effect.suspend(() => Deferred.await(gate))
    )
    const session = yield* ours.session(bare, "spent")
    const provider = yield* ours.provider(bare)
    let runs = 0

    const expired = Effect.gen(function* () {
      runs++
      clock.ahead += 120_000
      gate = yield* Deferred.make<void>()
      yield* herd(callers, session.accessToken, Deferred.succeed(gate, undefined))
    })
    const tokens = ours.seed("bob", "spent")
    const limit = Effect.gen(function* () {
      runs++
      gate = yield* Deferred.make<void>()
      const result = yield* Deferred.make<unknown>()
      const tokenRequest = yield* Effect.forkDaemon(
        Effect.flatMap(provider.refresh(tokens), (set) => Deferred.succeed(result, Option.some(set)))
      )
      yield* herd(callers, Deferred.await(result), Deferred.succeed(gate, undefined))
      yield* Fiber.join(tokenRequest)
    })
    const run =
      <A, E>(effect: Effect.Effect<A, E>) =>
      () =>
        Effect.runPromise(Effect.withClock(effect, clock))
    const figures = yield* Effect.promise(() =>
      measure(
        { limit: run(limit), session: run(expired) },
        { operations: callers, rounds, time: rounds === 1 ? 0 : 25 }
      )
    )
    count(`token requests of herds of ${callers}`, server.tokenRequests, runs)
    return figures
  }).pipe(Effect.scoped)

export const herds = ({ short }: Extent): Promise<Part> =>
  Effect.gen(function* () {
    const sizes = short ? [1, 10, 1000] : [1, 10, 100, 1000, 10_000, 100_000]
    const found = yield* Effect.forEach(sizes, (size) =>
      Effect.map(ofSize(size, short ? 1 : size < 10_000 ? 25 : size < 100_000 ? 11 : 5), (figures) => ({
        size,
        figures
      }))
    )
    const alone = found[0]
    const rows = found.slice(1).map(({ figures, size }): Row => {
      const ratio = figures.ratio("session", "limit")
      return {
        work: `${size.toLocaleString("en")} callers at expiry`,
        limit: `as many fibers at one \`Deferred\`, and the bare token request, ${span(figures.cost("limit").median)} each`,
        figure: `1 token request; ${span(figures.cost("session").median)} each`,
        ratio: times(ratio),
        budget: "1 token request; ≤ 1.15 ×",
        met: ratio.median <= 1.15
      }
    })
    return {
      rows,
      asides:
        alone === undefined
          ? []
          : [
              {
                title: "One caller at expiry: what a herd pays once",
                head: ["contender", "CPU time"],
                lines: [
                  ["the bare token request, awaited by a fiber", span(alone.figures.cost("limit").median)],
                  ["the session's flight", span(alone.figures.cost("session").median)]
                ]
              }
            ],
      plots: [
        {
          file: "herd.svg",
          title: "CPU time of a caller at expiry",
          x: "callers",
          y: "µs",
          series: (["session", "limit"] as const).map((name) => ({
            name: name === "session" ? "this library" : "limit: one Deferred",
            points: found.map(({ figures, size }) => [size, figures.cost(name).median / 1e3] as const)
          }))
        }
      ]
    }
  }).pipe(Effect.runPromise)
