import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

const root = fileURLToPath(new URL("../../src/", import.meta.url))

/** Each file of src by its path, without its comments where only code is to be judged. */
const files = new Map(
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, readFileSync(root + path, "utf8")])
)
const withoutComments = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "")
const code = new Map(Array.from(files, ([path, text]) => [path, withoutComments(text)]))
const library = Array.from(files.keys()).filter((path) => !path.startsWith("testing/"))

const importsOf = (path: string): ReadonlyArray<string> =>
  Array.from(
    (code.get(path) ?? "").matchAll(
      /^(?:import|export)\b[^;]*?from "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm
    ),
    (match) => match[1] ?? match[2] ?? match[3] ?? ""
  )

/** The files of src that a file imports, by their paths. */
const ownImportsOf = (path: string): ReadonlyArray<string> =>
  importsOf(path)
    .filter((name) => name.startsWith("."))
    .map((name) => new URL(name.replace(/\.js$/, ".ts"), `file:///${path}`).pathname.slice(1))

/** The house of the README, from the roof down: a file imports only from files above it. */
const order = [
  "AuthError.ts",
  "Moment.ts",
  "Token.ts",
  "RenewalPolicy.ts",
  "AuthMetrics.ts",
  "Credentials.ts",
  "Protocol.ts",
  "AuthProvider.ts",
  "TokenStore.ts",
  "SessionState.ts",
  "Question.ts",
  "Status.ts",
  "Flight.ts",
  "Session.ts",
  "Renewal.ts",
  "AuthHttpClient.ts",
  "Auth.ts",
  /^stores\//,
  /^providers\//,
  "SessionMap.ts",
  "index.ts"
]

const floor = (path: string) => order.findIndex((at) => (typeof at === "string" ? at === path : at.test(path)))

/** The lowest public file that a file of `internal/` leads to. */
const reach = (path: string, visited = new Set<string>()): number => {
  if (!path.startsWith("internal/")) return floor(path)
  if (visited.has(path)) return -1
  visited.add(path)
  return Math.max(-1, ...ownImportsOf(path).map((next) => reach(next, visited)))
}

const none = (found: ReadonlyArray<string>) => assert.deepStrictEqual(found, [])

/** The places in the files at `paths` that match. */
const places = (paths: ReadonlyArray<string>, pattern: RegExp) =>
  paths.flatMap((path) =>
    (code.get(path) ?? "").split("\n").flatMap((line) => (pattern.test(line) ? [`${path}: ${line.trim()}`] : []))
  )

describe("the house", () => {
  it("every import leads to a file there is, and every file has its floor", () => {
    none(library.flatMap((path) => ownImportsOf(path).filter((next) => !files.has(next))))
    none(library.filter((path) => !path.startsWith("internal/") && floor(path) === -1))
    assert.isAbove(library.flatMap(ownImportsOf).length, 50)
  })

  it("a file imports only from files above it", () => {
    none(
      library
        .filter((path) => !path.startsWith("internal/"))
        .flatMap((path) =>
          ownImportsOf(path)
            .filter((next) => reach(next) >= floor(path))
            .map((next) => `${path} imports ${next}`)
        )
    )
  })

  it("files of internal/ and of one floor do not import each other in a circle", () => {
    const circular = (path: string, from: string, visited = new Set<string>()): boolean =>
      ownImportsOf(path).some((next) => {
        if (next === from) return true
        if (visited.has(next)) return false
        visited.add(next)
        return circular(next, from, visited)
      })
    none(Array.from(files.keys()).filter((path) => circular(path, path)))
  })

  it("nothing but what is for tests needs Node, a platform or a server's library", () => {
    none(
      library.flatMap((path) =>
        importsOf(path)
          .filter((name) => !/^(\.|effect(\/|$)|@effect\/platform(\/|$))/.test(name))
          // Optional peers, each behind a subpath of its own that the core does not import.
          .filter((name) => !(path === "stores/Sql.ts" && name.startsWith("@effect/sql/")))
          .filter((name) => !(path === "stores/Redis.ts" && name === "redis"))
          .map((name) => `${path} imports ${name}`)
      )
    )
    none(library.filter((path) => ownImportsOf(path).some((next) => next.startsWith("testing/"))))
  })

  it("law 27: secrets are taken out of their wrapping in few places", () => {
    none(
      places(
        library.filter((path) => !/^(providers|stores)\/|^AuthProvider\.ts$|^internal\/(bare|record)\.ts$/.test(path)),
        /\bRedacted\.(value|unsafeWipe)\b|\bvalue\b.*from "effect\/Redacted"/
      )
    )
  })

  it("time, chance, network and environment come from Effect's services", () => {
    none(
      places(
        library,
        /\bDate\.now\b|\bnew Date\b|\bMath\.random\b|\bfetch\(|\bset(Timeout|Interval|Immediate)\b|\bprocess\.|\bperformance\.|\bconsole\./
      )
    )
    none(
      places(library, /\basync\b|\bawait\b|\bnew Promise\b|\bPromise\./).filter(
        (place) => !/Effect\.async|\.await\b/.test(place)
      )
    )
    none(places(library, /\btry \{|\bcatch \(/))
  })

  it("fibers are started by sessions, their lock between processes and their renewal alone", () => {
    none(
      places(
        library.filter(
          (path) =>
            ![
              "internal/engine.ts",
              "internal/pilot.ts",
              "internal/section.ts",
              "internal/settle.ts",
              "Renewal.ts"
            ].includes(path)
        ),
        /\bfork(Daemon|In|Scoped|All|WithErrorHandler)?\b|\brun(Fork|Promise|Sync|Callback)(Exit)?\b/
      )
    )
  })

  it("every export is documented, and what is public says since when and where it belongs", () => {
    const isPublic = (path: string) =>
      /^(providers|testing)\//.test(path) ||
      (files.get("index.ts") ?? "").includes(`"./${path.replace(/\.ts$/, ".js")}"`)
    const missing: Array<string> = []
    for (const path of files.keys()) {
      if (path.startsWith("internal/") || path === "index.ts") continue
      const text = files.get(path) ?? ""
      if (!/^\/\*\*\n( \*.*\n)* \*\//.test(text)) missing.push(`${path}: the file`)
      // What another file exports is documented there.
      for (const match of text.matchAll(/^export (?!(type )?\{|\*).*$/gm)) {
        const doc = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/.exec(text.slice(0, match.index))?.[0]
        const place = `${path}: ${match[0]}`
        if (doc === undefined) missing.push(place)
        else if (isPublic(path) && !/@since \d/.test(doc)) missing.push(`${place} has no @since`)
        else if (
          isPublic(path) &&
          !/@category (models|tags|constructors|layers|errors|predicates|combinators|schemas|testing)\n/.test(doc)
        ) {
          missing.push(`${place} has no @category`)
        }
      }
    }
    none(missing)
  })

  it("what tests a unit needs no server, and nothing that signs tokens", () => {
    const needs = (path: string): ReadonlyArray<string> => [
      ...importsOf(path).filter((name) => !/^(\.|effect\/|@effect\/platform\/)/.test(name)),
      ...ownImportsOf(path).flatMap(needs)
    ]
    none(needs("testing/TestSession.ts"))
    none(needs("testing/StoreLaws.ts"))
    assert.include(needs("testing/VioletSandbox.ts"), "jsonwebtoken")
  })

  it("a file of more than 250 lines has two nouns in it", () => {
    none(
      Array.from(files.keys()).flatMap((path) => {
        const lines = (files.get(path) ?? "").split("\n").length - 1
        return lines > 250 ? [`${path}: ${lines}`] : []
      })
    )
  })
})
