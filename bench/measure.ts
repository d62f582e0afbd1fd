import { Bench } from "tinybench"
import { type Figure, figure, ratios } from "./statistics.js"

/** The CPU time of this process so far, in milliseconds: all its threads, so that collecting garbage counts too. */
export const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

export type Contenders = Readonly<Record<string, () => Promise<unknown>>>

/** What was measured: the CPU time of one operation of each contender, in nanoseconds. */
export interface Measured {
  /** One figure for each round. */
  readonly rounds: (name: string) => ReadonlyArray<number>
  readonly cost: (name: string) => Figure
  /** How many times the other one it is, round by round: what slowed a whole round down falls out. */
  readonly ratio: (name: string, other: string) => Figure
}

export interface Options {
  /** How many operations one call of a contender does. */
  readonly operations: number
  readonly rounds: number
  /** How many calls a contender gets in a round, at least. */
  readonly calls?: number
  /** For how much CPU time a contender is called in a round, in milliseconds, at least. */
  readonly time?: number
}

/**
 * Measures contenders that take turns: in each round each is called for a while, and each round begins with another. The
 * first round is longer, and only warms up. What disturbs the machine for a while then disturbs all alike.
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
    // Told that they are asynchronous, as the harness would find out by calling each once more and waiting for nothing.
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
