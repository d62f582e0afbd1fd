import { existsSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8")
const readme = read("README.md")
const code = (example: string) =>
  read(`examples/${example}`)
    .replace(/^\/\/.*\n/, "")
    .trim()

describe("the README", () => {
  for (const example of ["violet.ts", "your-own-api.ts", "replicas.ts", "testing.test.ts"]) {
    it(`shows ${example} as it is`, () => {
      assert.include(readme, code(example))
    })
  }

  for (const [example, start] of [
    ["freddy.ts", "const freddy ="],
    ["oauth2.ts", "const provider ="]
  ] as const) {
    it(`shows a part of ${example} as it is`, () => {
      const part = code(example)
        .split("\n\n")
        .find((paragraph) => paragraph.startsWith(start))
      assert.include(readme, `\n${part}\n`)
    })
  }

  it("names only examples, documents and tests that there are", () => {
    for (const [, path = ""] of readme.matchAll(/`((?:examples|docs|test)\/[\w./-]+)`/g)) {
      assert.isTrue(existsSync(new URL(`../${path}`, import.meta.url)), path)
    }
  })
})

it("the lock file names a package for every platform, so that npm ci works on each", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as {
    readonly packages: Record<string, { readonly optionalDependencies?: Record<string, string> }>
  }
  const named = Object.values(packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
  assert.deepStrictEqual(
    named.filter((name) => !(`node_modules/${name}` in packages)),
    []
  )
})

it("laws.md and the tests speak of the same laws", () => {
  const laws = [...read("docs/laws.md").matchAll(/^\| (\d+)\s+\|/gm)].map(([, number]) => Number(number))
  const still = [33]
  assert.deepStrictEqual(
    laws,
    Array.from({ length: 32 }, (_, i) => i + 1).filter((law) => !still.includes(law))
  )
})
