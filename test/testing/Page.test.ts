import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")

describe("the page about testing", () => {
  const page = read("docs/testing.md")
  const examples = readdirSync(new URL("../../examples", import.meta.url)).filter((name) =>
    /^testing.*\.test\.ts$/.test(name)
  )

  for (const example of examples) {
    it(`shows ${example} as it is, and says where it is`, () => {
      assert.include(page, `\`\`\`ts\n${read(`examples/${example}`).replace(/^\/\/.*\n/, "")}\`\`\`\n`)
      assert.include(page, `\`examples/${example}\``)
    })
  }

  it("shows no code that is not run", () => {
    assert.strictEqual([...page.matchAll(/^```ts$/gm)].length, examples.length)
    assert.isAtLeast(examples.length, 5)
  })
})
