import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import manifest from "../../package.json" with { type: "json" }

const root = fileURLToPath(new URL("../../src/", import.meta.url))

/** The text of each file of src by its path, and the same without comments. */
const files = new Map(
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, readFileSync(root + path, "utf8")])
)
const withoutComments = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "")
const code = new Map(Array.from(files, ([path, text]) => [path, withoutComments(text)]))
const paths = Array.from(files.keys())
const library = paths.filter((path) => !path.startsWith("testing/"))

/** What a file imports, types included. */
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

/** The folders from top to bottom; a file of src itself stands for itself. Those of one row do not know each other. */
const rows: ReadonlyArray<ReadonlyArray<string>> = [
  ["index.ts"],
  ["testing", "providers", "stores"],
  ["Auth.ts"],
  ["tenants"],
  ["client", "renewal"],
  ["session"],
  ["session/runtime"],
  ["session/machine"],
  ["store", "provider"],
  ["telemetry", "transport", "token"],
  ["common"]
]

/** The folder that a file belongs to; an `internal` folder belongs to the one that it is in. */
const folderOf = (path: string): string => {
  const folder = path
    .split("/")
    .slice(0, -1)
    .join("/")
    .replace(/\/?\binternal$/, "")
  return folder === "" ? path : folder
}

const rowOf = (folder: string): number => rows.findIndex((row) => row.includes(folder))

/** The only files that reach below the public API of Effect: each has a twin for every other line of Effect. */
const belowTheApi = [
  "common/runtime.ts",
  "common/foreignErrors.ts",
  "common/bounded.ts",
  "transport/send.ts",
  "session/runtime/waiters.ts",
  "session/runtime/fiberContext.ts"
]

const none = (found: ReadonlyArray<string>) => assert.deepStrictEqual(found, [])

/** The lines of the files at `paths` that match. */
const places = (paths: ReadonlyArray<string>, pattern: RegExp) =>
  paths.flatMap((path) =>
    (code.get(path) ?? "").split("\n").flatMap((line) => (pattern.test(line) ? [`${path}: ${line.trim()}`] : []))
  )

describe("the folders of src", () => {
  it("every file is in a folder of the rows, and every import leads to a file", () => {
    none(paths.filter((path) => rowOf(folderOf(path)) === -1))
    none(paths.flatMap((path) => ownImportsOf(path).filter((next) => !files.has(next))))
    assert.isAbove(paths.flatMap(ownImportsOf).length, 200)
  })

  it("a folder imports only folders of the rows below it", () => {
    none(
      paths.flatMap((path) =>
        ownImportsOf(path)
          .filter((next) => folderOf(next) !== folderOf(path) && rowOf(folderOf(next)) <= rowOf(folderOf(path)))
          .map((next) => `${path} imports ${next}`)
      )
    )
  })

  it("only a folder itself imports its internal files", () => {
    none(
      paths.flatMap((path) =>
        ownImportsOf(path)
          .filter((next) => next.includes("/internal/") && folderOf(next) !== folderOf(path))
          .map((next) => `${path} imports ${next}`)
      )
    )
  })

  it("no files import each other in a circle", () => {
    const leadsBack = (path: string, from: string, visited = new Set<string>()): boolean =>
      ownImportsOf(path).some((next) => {
        if (next === from) return true
        if (visited.has(next)) return false
        visited.add(next)
        return leadsBack(next, from, visited)
      })
    none(paths.filter((path) => leadsBack(path, path)))
  })

  it("a file is public if and only if its name begins with a capital", () => {
    const isPublic = (path: string) => {
      const subpath = `./${path.replace(/\.ts$/, "")}`
      const direct = Object.values(manifest.exports).some(
        (target) => typeof target === "object" && target?.default === `./dist/${path.replace(/\.ts$/, ".js")}`
      )
      return direct || (/^\.\/(providers|stores|testing)\/[^/]+$/.test(subpath) && subpath !== "./testing/index")
    }
    none(
      paths
        .filter((path) => !/(^|\/)index\.ts$/.test(path))
        .filter((path) => isPublic(path) !== /^[A-Z]/.test(path.split("/").at(-1) ?? ""))
    )
  })
})

describe("what a folder may use", () => {
  it("the machine is pure: nothing of Effect's runtime is in it", () => {
    const pure = /^effect\/(DateTime|Duration|Either|Equal|Equivalence|Function|Option|Order|Predicate)$/
    none(
      paths
        .filter((path) => path.startsWith("session/machine/"))
        .flatMap((path) =>
          importsOf(path)
            .filter((name) => !name.startsWith(".") && !pure.test(name))
            .map((name) => `${path} imports ${name}`)
        )
    )
  })

  it("what is below Effect's public API stands in six files", () => {
    none(
      places(
        library.filter((path) => !belowTheApi.includes(path)),
        /\bFiberRefs?\b|\bwithFiberRuntime\b|\bcurrentContext\b|\bcurrentDefaultServices\b|\bcurrentSpan\b|\bgetFiberRef\b|\bunsafePoll\b|\bcheckInterruptible\b|\bEffect\.disconnect\b|\bScheduler\b|\bcatchSomeCause\b/
      )
    )
    none(
      places(
        library.filter((path) => !belowTheApi.includes(path)),
        /\bConfigError\b.*from "effect|\bParseResult\b|_tag === "(SystemError|BadArgument|RequestError|ResponseError)"|\.pathOrDescriptor\b|new HttpClientError\./
      )
    )
    for (const path of belowTheApi) assert.isTrue(files.has(path), path)
  })

  it("only what is for tests needs Node, a platform or the library of a server", () => {
    none(
      library.flatMap((path) =>
        importsOf(path)
          .filter((name) => !/^(\.|effect(\/|$)|@effect\/platform(\/|$))/.test(name))
          // Optional peers, each behind a subpath of its own that nothing else imports.
          .filter((name) => !(path === "stores/Sql.ts" && name.startsWith("@effect/sql/")))
          .filter((name) => !(path === "stores/Redis.ts" && name === "redis"))
          .map((name) => `${path} imports ${name}`)
      )
    )
  })

  it("law 27: secrets are revealed in few places", () => {
    none(
      places(
        library.filter(
          (path) =>
            !/^(providers|stores)\/|^provider\/AuthProvider\.ts$|^common\/secret\.ts$|^store\/record\.ts$/.test(path)
        ),
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

  it("fibers are started by the runtime of a session, by the renewal, and around third-party code", () => {
    none(
      places(
        library.filter((path) => !/^(session\/runtime|renewal)\/|^common\/bounded\.ts$/.test(path)),
        /\bfork(Daemon|In|Scoped|All|WithErrorHandler)?\b|\brun(Fork|Promise|Sync|Callback)(Exit)?\b/
      )
    )
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
})
