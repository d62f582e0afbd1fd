import { Bench } from "tinybench"

/** The CPU time of this process so far, in milliseconds: all its threads, so that collecting garbage counts too. */
export const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

export type Contenders = Readonly<Record<string, () => Promise<unknown>>>

/** The CPU time of one operation of each contender, in nanoseconds: one figure for each round. */
export type Measured<Name extends string = string> = Readonly<Record<Name, ReadonlyArray<number>>>

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
 * first round only warms up. What disturbs the machine for a while then disturbs all alike.
 */
export const measure = async <const C extends Contenders>(
  contenders: C,
  { calls = 1, operations, rounds, time = 20 }: Options
): Promise<Measured<keyof C & string>> => {
  const names: ReadonlyArray<keyof C & string> = Object.keys(contenders)
  const figures = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<
    keyof C & string,
    Array<number>
  >
  for (let round = 0; round <= rounds; round++) {
    const bench = new Bench({ now: cpu, iterations: calls, time, warmup: false, throws: true })
    const shift = round % names.length
    for (const name of [...names.slice(shift), ...names.slice(0, shift)])
      bench.add(name, contenders[name], { async: true })
    await bench.run()
    if (round === 0) continue
    for (const { name, result } of bench.tasks) {
      if (result.state !== "completed") throw new Error(`${name} was not measured: ${result.state}`)
      figures[name as keyof C & string].push(((result.totalTime / result.latency.samplesCount) * 1e6) / operations)
    }
  }
  return figures
}
