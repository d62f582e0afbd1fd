import type { Figure } from "./statistics.js"

/** One line of the results: what was measured, against what, and what it came to. */
export interface Row {
  readonly work: string
  readonly limit: string
  readonly figure: string
  readonly ratio: string
  readonly budget: string
  /** `undefined` where there is no budget: the figure is reported. */
  readonly met: boolean | undefined
}

/** A figure of a peer, or anything else that is worth telling without a budget. */
export interface Aside {
  readonly title: string
  readonly head: ReadonlyArray<string>
  readonly lines: ReadonlyArray<ReadonlyArray<string>>
}

/** Points of one line: what it grows with, and how it does. */
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

/** What one part of the benchmark found out. */
export interface Part {
  readonly rows: ReadonlyArray<Row>
  readonly asides?: ReadonlyArray<Aside>
  readonly plots?: ReadonlyArray<Plot>
}

/** How much a part is to do: all of it, or just so much that it shows that it works, without looking at a clock. */
export interface Extent {
  readonly short: boolean
  /** Whether to open a million sessions as well, which takes minutes and gigabytes. */
  readonly million: boolean
}

const digits = (n: number) => (Math.abs(n) >= 100 ? n.toFixed(0) : Math.abs(n) >= 10 ? n.toFixed(1) : n.toFixed(2))

export const times = ({ high, low, median }: Figure): string =>
  `${digits(median)} × (${digits(low)} to ${digits(high)})`

/** Nanoseconds, for people. */
export const span = (nanos: number): string =>
  Math.abs(nanos) < 1000
    ? `${digits(nanos)} ns`
    : Math.abs(nanos) < 1e6
      ? `${digits(nanos / 1e3)} µs`
      : `${digits(nanos / 1e6)} ms`

export const bytes = (count: number): string => (count < 1000 ? `${count.toFixed(0)} B` : `${digits(count / 1000)} kB`)

/** Fails the run: what is counted must be exact, however busy the machine is. */
export const count = (what: string, found: number, expected: number): void => {
  if (found !== expected) throw new Error(`${what}: ${found} instead of ${expected}`)
}
