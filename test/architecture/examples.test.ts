import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Pages from "./pages.js"

/** The docstrings of a file, each line where it was and without its star. Everything else is blank. */
const docstringsOf = (path: string): Pages.Page => {
  const source = readFileSync(join(Pages.root, path), "utf8")
  const blank = (text: string) => text.replaceAll(/[^\n]/g, "")
  let text = ""
  let end = 0
  for (const { 0: docstring, index } of source.matchAll(/^[ \t]*\/\*\*[\s\S]*?\*\//gm)) {
    text += blank(source.slice(end, index)) + docstring.replaceAll(/^[ \t]*(?:\* ?|\/\*\*.*)/gm, "")
    end = index + docstring.length
  }
  return { path, text }
}

const files = readdirSync(join(Pages.root, "src"), { recursive: true, encoding: "utf8" })
  .map((path) => `src/${path.replaceAll("\\", "/")}`)
  .filter((path) => path.endsWith(".ts"))
  .sort()
const pages = files.map(docstringsOf)
const blocks = pages.flatMap(Pages.blocksOf).filter(({ language }) => language === "ts")
const at = ({ line, page }: Pages.Block) => `${page}:${line}`

describe("the examples in docstrings", () => {
  it("each one compiles as it stands there", () => {
    assert.deepStrictEqual(Pages.compile(blocks), [])
    assert.isAbove(blocks.length, 5)
  })

  it("each one begins with its imports", () => {
    assert.deepStrictEqual(blocks.filter(({ text }) => !text.startsWith("import ")).map(at), [])
  })

  it("each @example is followed by one", () => {
    const missing = pages.flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, i) => {
        // The code begins two lines further on, counted from one.
        const isFound = blocks.some((block) => block.page === path && block.line === i + 3)
        return line.startsWith("@example") && !isFound ? [`${path}:${i + 1}`] : []
      })
    )
    assert.deepStrictEqual(missing, [])
  })
})
