import { existsSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
const page = read("docs/ecosystem.md")

describe("docs/ecosystem.md", () => {
  for (const example of ["http-api", "http-api-server", "rpc", "rpc-socket", "stream"]) {
    it(`shows ${example}.ts as it is`, () => {
      const [, code = ""] = /^\/\/ .*\n([\s\S]*)$/.exec(read(`examples/${example}.ts`)) ?? []
      assert.include(page, `\`\`\`ts\n${code}\`\`\``)
    })
  }

  it("names only examples, documents and tests that there are", () => {
    const named = [...page.matchAll(/`((?:examples|docs|test)\/[\w./-]+)`/g)].map(([, path = ""]) => path)
    assert.isAbove(named.length, 5)
    for (const path of named) assert.isTrue(existsSync(new URL(`../../${path}`, import.meta.url)), path)
  })
})
