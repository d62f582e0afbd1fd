import { Bench } from "tinybench"
import { type Figure, figure, ratios } from "./statistics.js"

/** The CPU time of this process so far, in milliseconds. It includes all threads, so garbage collection too. */
export const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

export type Contenders = Readonly<Record<string, () => Promise<unknown>>>

/** The measured CPU time of one operation of each contender, in nanoseconds. */
export interface Measured {
  /** One figure for each round. */
  readonly rounds: (name: string) => ReadonlyArray<number>
  readonly cost: (name: string) => Figure
  /** The ratio to another contender, round by round, so that a disturbance of a whole round cancels out. */
  readonly ratio: (name: string, other: string) => Figure
}

export interface Options {
  /** How many operations one call of a contender performs. */
  readonly operations: number
  readonly rounds: number
  /** The least number of calls of a contender in a round. Default: 1. */
  readonly calls?: number
  /** The least CPU time of a contender in a round, in milliseconds. Default: 20. */
  readonly time?: number
}

/**
 * Measures contenders that take turns. Each round calls each of them for a while and begins with another, so that a
 * disturbance of the machine affects all alike. The first round is longer and only warms up.
 */
export const measure = async (
  contenders: Contenders,
  { calls = 1, operations, rounds, time = 20 }: Options
): Promise<Measured> => {
  const entries = Object.entries(contenders)
  const figures = new Map(entries.map(([name]) => [name, [] as number[]]))
  for (let round = 0; round <= rounds; round++) {
    const long = round === 0 ? 8 * time : time
    const bench = new Bench({ now: cpu, iterations: calls, time: long, warmup: false, throws: true })
    const shift = round % entries.length
    // Declared as asynchronous: otherwise the harness would find that out by one more call of each.
    for (const [name, run] of [...entries.slice(shift), ...entries.slice(0, shift)])
      bench.add(name, run, { async: true })
    await bench.run()
    if (round === 0) continue
    for (const { name, result } of bench.tasks) {
      if (result.state !== "completed") throw new Error(`${name} was not measured: ${result.state}`)
      figures.get(name)?.push((result.latency.mean * 1e6) / operations)
    }
  }
  const of = (name: string) => figures.get(name) ?? []
  return {
    rounds: of,
    cost: (name) => figure(of(name)),
    ratio: (name, other) => figure(ratios(of(name), of(other)))
  }
}
