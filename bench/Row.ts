import type { Figure } from "./statistics.js"

/** A row of the results: a measurement, its limit and its budget. */
export interface Row {
  /** The operation that was measured. */
  readonly work: string
  /** The least that any library could do, and its cost. */
  readonly limit: string
  readonly figure: string
  readonly ratio: string
  readonly budget: string
  /** `undefined` if there is no budget, and the figure is only reported. */
  readonly met: boolean | undefined
}

/** A table of figures without a budget, such as those of the peers. */
export interface Aside {
  readonly title: string
  readonly head: ReadonlyArray<string>
  readonly lines: ReadonlyArray<ReadonlyArray<string>>
}

/** The points of one line of a plot. */
export interface Series {
  readonly name: string
  readonly points: ReadonlyArray<readonly [x: number, y: number]>
}

export interface Plot {
  readonly file: string
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: ReadonlyArray<Series>
}

/** The results of one part of the benchmark. */
export interface Part {
  readonly rows: ReadonlyArray<Row>
  readonly asides?: ReadonlyArray<Aside>
  readonly plots?: ReadonlyArray<Plot>
}

/** The extent of a run. A short one only checks that everything works, and does not look at times. */
export interface Extent {
  readonly short: boolean
  /** Whether to open a million sessions too, which takes minutes and gigabytes. */
  readonly million: boolean
}

const digits = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1) : n.toFixed(2))

export const times = ({ high, low, median }: Figure): string =>
  `${digits(median)} × (${digits(low)} to ${digits(high)})`

/** Formats nanoseconds. */
export const span = (nanos: number): string =>
  Math.abs(nanos) < 1000
    ? `${digits(nanos)} ns`
    : Math.abs(nanos) < 1e6
      ? `${digits(nanos / 1e3)} µs`
      : `${digits(nanos / 1e6)} ms`

export const bytes = (count: number): string => (count < 1000 ? `${count.toFixed(0)} B` : `${digits(count / 1000)} kB`)

/** Fails the run if a count is not as expected. Counts must be exact, however busy the machine is. */
export const count = (what: string, found: number, expected: number): void => {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`)
}
