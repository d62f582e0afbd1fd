import type { Plot } from "./Row.js"

const width = 640
const height = 360
const left = 70
const right = 30
const top = 50
const bottom = 50
const colours = ["#2563eb", "#9ca3af", "#059669"]

/** Returns the powers of ten around some values. */
const decades = (values: ReadonlyArray<number>): readonly [number, number] => {
  const known = values.filter((value) => value > 0).map(Math.log10)
  const low = Math.floor(Math.min(...known))
  return [low, Math.max(Math.ceil(Math.max(...known)), low + 1)]
}

const between = (low: number, high: number) => Array.from({ length: high - low + 1 }, (_, n) => low + n)

const label = (power: number) => (10 ** power).toLocaleString("en", { maximumFractionDigits: 3 })

/** Draws lines on two logarithmic axes. A straight line means growth in proportion to x, a level one no growth. */
export const svg = ({ series, title, x, y }: Plot): string => {
  const points = series.flatMap(({ points }) => points)
  const [x0, x1] = decades(points.map(([x]) => x))
  const [y0, y1] = decades(points.map(([, y]) => y))
  const across = (power: number) => left + ((power - x0) / (x1 - x0)) * (width - left - right)
  const up = (power: number) => height - bottom - ((power - y0) / (y1 - y0)) * (height - top - bottom)
  const text = (at: readonly [number, number], anchor: string, words: string, fill = "#374151") =>
    `<text x="${at[0]}" y="${at[1]}" text-anchor="${anchor}" fill="${fill}">${words}</text>`
  const grid = [
    ...between(x0, x1).map(
      (power) =>
        `<path d="M${across(power)} ${top}V${height - bottom}"/>${text([across(power), height - bottom + 18], "middle", label(power))}`
    ),
    ...between(y0, y1).map(
      (power) =>
        `<path d="M${left} ${up(power)}H${width - right}"/>${text([left - 8, up(power) + 4], "end", label(power))}`
    )
  ]
  const lines = series.map(({ name, points }, n) => {
    const colour = colours[n % colours.length] ?? ""
    const at = points.map(([x, y]) => [across(Math.log10(x)), up(Math.log10(y))] as const)
    const dots = at.map(([x, y]) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="4" fill="${colour}"/>`)
    const path = `<polyline points="${at.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`
    return path + dots.join("") + text([width - right, top + 16 * n - 26], "end", name, colour)
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    text([left, 24], "start", title),
    `<g stroke="#e5e7eb">${grid.join("").replaceAll("<text", '<text stroke="none"')}</g>`,
    text([(left + width - right) / 2, height - 10], "middle", x),
    text([left - 8, top - 12], "end", y),
    ...lines,
    "</svg>\n"
  ].join("\n")
}
