import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Pages from "./pages.js"

const pages = Pages.pages()
const blocks = pages.flatMap(Pages.blocksOf)
const none = (found: Pages.Complaints) => assert.deepStrictEqual(found, [])
const read = (path: string) => readFileSync(join(Pages.root, path), "utf8")

/** The tests, one text. */
const tests = readdirSync(join(Pages.root, "test"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts") && path !== "architecture/docs.test.ts")
  .map((path) => read(`test/${path}`))
  .join("\n")

describe("the documentation", () => {
  it("every block of TypeScript compiles as it stands there", () => {
    none(Pages.compile(blocks))
    assert.isAbove(blocks.filter(({ language }) => language === "ts").length, 20)
  })

  it("every program and every test in it is an example, word for word, that a test runs", () => {
    none(
      blocks.filter(Pages.isWhole).flatMap((block) => {
        const example = Pages.exampleOf(block)
        const place = `${block.page}:${block.line}`
        if (example === undefined) return [`${place}: is no file of examples/`]
        const name = example.replace(/^examples\/|\.ts$/g, "")
        // vitest.config.ts has the tests among the examples run.
        return name.endsWith(".test") || new RegExp(`\\b(?:run|start)\\("${name}"|examples/${name}\\.ts`).test(tests)
          ? []
          : [`${place}: no test runs ${example}`]
      })
    )
    assert.isAbove(blocks.filter(Pages.isWhole).length, 5)
  })

  it("every part of an example stands in it", () => {
    none(Pages.falseExcerpts(blocks))
  })

  it("every link within it leads somewhere", () => {
    none(Pages.deadLinks(pages))
  })

  it("every file, folder and entry point in backticks is there", () => {
    none(Pages.missingFiles(pages))
  })

  it("every npm script that it names is one", () => {
    none(Pages.missingScripts(pages))
  })

  it("every test that it gives as evidence is one", () => {
    none(Pages.missingTests(pages))
  })

  it("the diagram of a flight has every command that there is, and that of a session every state", () => {
    const tags = (path: string, type: RegExp) =>
      Array.from(type.exec(read(path))?.[1]?.matchAll(/(?:_tag: )?"([\w-]+)"/g) ?? [], ([, tag = ""]) => tag)
    const commands = tags("src/session/machine/state.ts", /export type Command =([\s\S]*?)\n\n/)
    const states = tags("src/session/machine/Status.ts", /readonly state: (.*)/)
    const diagrams = (path: string) =>
      Pages.blocksOf({ path, text: read(path) })
        .filter(({ language }) => language === "mermaid")
        .map(({ text }) => text)
    const session = diagrams("docs/concepts.md").join()
    const flight = diagrams("docs/architecture.md").join()
    none(commands.filter((command) => !new RegExp(`\\b${command} -->`).test(flight)))
    none(states.filter((state) => !session.includes(state)))
    assert.isAbove(commands.length, 5)
    assert.isAbove(states.length, 2)
  })

  it("the README leads to every page", () => {
    none(pages.flatMap(({ path }) => (path === "README.md" || read("README.md").includes(`](${path})`) ? [] : [path])))
  })

  it("the laws are numbered as they are in the tests, and a test bears the number of each", () => {
    const laws = Array.from(read("docs/laws.md").matchAll(/^\| (\d+)\s+\|/gm), ([, number]) => Number(number))
    assert.deepStrictEqual(
      laws,
      laws.map((_, i) => i + 1)
    )
    const named = Array.from(tests.matchAll(/\blaws? (\d+(?:(?:, (?:and )?| and | to )\d+)*)/g), ([, numbers = ""]) =>
      Array.from(numbers.matchAll(/\d+/g), Number)
    ).flat()
    assert.deepStrictEqual(
      laws.filter((law) => !named.includes(law)),
      []
    )
    assert.deepStrictEqual(
      named.filter((law) => !laws.includes(law)),
      []
    )
  })
})

it("the lease file names a package for every platform, so that npm ci works on each", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as {
    readonly packages: Record<string, { readonly optionalDependencies?: Record<string, string> }>
  }
  const named = Object.values(packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
  assert.deepStrictEqual(
    named.filter((name) => !(`node_modules/${name}` in packages)),
    []
  )
})
