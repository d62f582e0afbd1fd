/** Prints what the library adds to a bundle of the web: its own bytes, minified and compressed, without the peers. */
import { gzipSync } from "node:zlib"
import { Effect } from "effect"
import { root } from "../../support/bundle.js"
import { bundled, withoutPeers } from "./bundled.js"

const used = (name: string) => `export const used = [${name}.layer, AuthHttpClient.AuthHttpClient]`
const deep = (name: string) => `
  import * as AuthHttpClient from "effect-auth/AuthHttpClient"
  import * as ${name} from "effect-auth/providers/${name}"
  ${used(name)}
`
const providers = ["Violet", "TeleTracker", "Freddy", "OAuth2"]
const programs = {
  ...Object.fromEntries(providers.map((name) => [name, deep(name)])),
  "Violet, from the barrel": `import { AuthHttpClient, Violet } from "effect-auth"; ${used("Violet")}`,
  "all providers": `import { ${providers} } from "effect-auth"; export const used = [${providers.map((name) => `${name}.layer`)}]`,
  "the errors alone": `import { AuthError } from "effect-auth"; export const used = AuthError.isAuthError`
}

const compressed = (text: string) => gzipSync(text, { level: 9 }).length

/** The modules of a bundle, and how many of its compressed bytes would be gone without each. */
const modules = (program: string) =>
  Effect.map(
    // With its white space, a bundle says where each file begins; most of that is gone when it is compressed.
    bundled(root, program, { ...withoutPeers, minify: false, minifyIdentifiers: true, minifySyntax: true }),
    ({ code }) => {
      const parts = code.split(/^\/\/ (?=\S+\.ts$)/m).map((part) => {
        const [path = "", ...lines] = part.split("\n")
        return { path, text: lines.map((line) => line.trimStart()).join("\n") }
      })
      const textOf = (leftOut?: string) =>
        parts.flatMap(({ path, text }) => (path === leftOut ? [] : [text])).join("\n")
      const total = compressed(textOf())
      return Array.from(new Set(parts.map(({ path }) => path)), (path) => ({
        path,
        bytes: total - compressed(textOf(path))
      })).sort((a, b) => b.bytes - a.bytes)
    }
  )

const print = (size: number, ...rest: ReadonlyArray<string>) => console.log(String(size).padStart(7), ...rest)

await Effect.runPromise(
  Effect.gen(function* () {
    console.log("compressed bytes of the library's own")
    for (const [name, program] of Object.entries(programs)) {
      const { code, gzipped } = yield* bundled(root, program, withoutPeers)
      print(gzipped, name, `(${code.length} before)`)
    }
    console.log("\nof Violet, what each module adds to the others")
    for (const { bytes, path } of yield* modules(deep("Violet"))) if (path.startsWith("src/")) print(bytes, path)
  })
)
