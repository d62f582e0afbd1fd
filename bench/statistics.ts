/** The median of all rounds, and the bounds of their middle half. */
export interface Figure {
  readonly median: number
  readonly low: number
  readonly high: number
}

const quantile = (sorted: ReadonlyArray<number>, share: number): number => {
  const at = (sorted.length - 1) * share
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

export const percentile = (values: Iterable<number>, share: number): number =>
  quantile(
    Array.from(values).sort((a, b) => a - b),
    share
  )

export const figure = (values: ReadonlyArray<number>): Figure => {
  const sorted = [...values].sort((a, b) => a - b)
  return { median: quantile(sorted, 0.5), low: quantile(sorted, 0.25), high: quantile(sorted, 0.75) }
}

const pairwise =
  (f: (a: number, b: number) => number) =>
  (one: ReadonlyArray<number>, other: ReadonlyArray<number>): ReadonlyArray<number> =>
    one.map((value, round) => f(value, other[round] ?? Number.NaN))

/** Returns the ratio of each round, so that a disturbance of a whole round cancels out. */
export const ratios = pairwise((a, b) => a / b)

export const differences = pairwise((a, b) => a - b)

/**
 * Returns the 95 % confidence interval of a median, by the bootstrap. Its random numbers are the same in each run, so
 * that the same figures give the same interval.
 */
export const interval = (values: ReadonlyArray<number>): readonly [low: number, high: number] => {
  let seed = 1
  const next = () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  const medians = Array.from({ length: 2000 }, () =>
    percentile(
      values.map(() => values[Math.floor(next() * values.length)] ?? Number.NaN),
      0.5
    )
  )
  return [percentile(medians, 0.025), percentile(medians, 0.975)]
}
