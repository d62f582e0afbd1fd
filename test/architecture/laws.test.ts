import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import ts from "typescript"
import { root } from "./pages.js"

const page = readFileSync(join(root, "docs/laws.md"), "utf8")

/** The numbers of the laws, from the tables. */
const laws = Array.from(page.matchAll(/^\| (\d+)\s+\|/gm), ([, number]) => Number(number))

/** The list below the tables: the test of each law. */
const rows = Array.from(
  page.matchAll(/^(\d+)\. `(test\/[\w./-]+\.test\.ts)`:\s+_([^_]+)_$/gm),
  ([, law, file = "", title = ""]) => ({ law: Number(law), file, title: title.replaceAll(/\s+/g, " ") })
)

/** Whether a call is of `describe`, `describe.each(…)` and the like. */
const isOfDescribe = (node: ts.Expression): boolean =>
  ts.isCallExpression(node) || ts.isPropertyAccessExpression(node)
    ? isOfDescribe(node.expression)
    : ts.isIdentifier(node) && node.text === "describe"

/**
 * The titles of the tests in a file, as they are written there: a template keeps its `${…}`. A test is a call with a title
 * first and a function after it, of `it`, `it.effect` and so on, or of what a file has in their place, such as `onDisk`.
 */
const titlesOf = (file: string): ReadonlyArray<string> => {
  const path = join(root, file)
  if (!existsSync(path)) return []
  const source = ts.createSourceFile(file, readFileSync(path, "utf8"), ts.ScriptTarget.Latest)
  const titles: Array<string> = []
  const visit = (node: ts.Node): void => {
    const [title, ...rest] = ts.isCallExpression(node) && !isOfDescribe(node.expression) ? node.arguments : []
    const isTest = rest.some((argument) => ts.isArrowFunction(argument))
    if (isTest && title !== undefined && ts.isStringLiteralLike(title)) titles.push(title.text)
    else if (isTest && title !== undefined && ts.isTemplateExpression(title))
      titles.push(title.getText(source).slice(1, -1))
    ts.forEachChild(node, visit)
  }
  visit(source)
  return titles
}

describe("the list of the laws' tests", () => {
  it("has one test for each law, in the order of the laws", () => {
    assert.deepStrictEqual(
      rows.map(({ law }) => law),
      laws
    )
    assert.isAtLeast(laws.length, 33)
  })

  for (const { file, law, title } of rows) {
    it(`names a test of law ${law} that is in ${file}`, () => {
      assert.include(titlesOf(file), title)
      assert.include(Array.from(title.split(": ")[0]?.matchAll(/\d+/g) ?? [], Number), law)
    })
  }
})
