import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import ts from "typescript"
import { root } from "../../support/bundle.js"
import { bundled, withoutPeers } from "./bundled.js"
import { filesOf, type Installed, installed, node, put } from "./installed.js"

const scope = Effect.runSync(Scope.make())
let given: Installed

beforeAll(
  () =>
    Effect.runPromise(
      Effect.map(Scope.extend(installed, scope), (made) => {
        given = made
      })
    ),
  120_000
)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const read = (path: string) => readFileSync(join(given.library, path), "utf8")
const beginsWith = (folder: string) => (path: string) => path.startsWith(`${folder}/`)

/** The subpaths of the package that can be imported, by `exports`; and those that would lead to any other module of it. */
const entries = () => {
  const { exports } = given.manifest
  const modules = filesOf(join(given.library, "dist")).flatMap((path) => /^(.*)\.js$/.exec(path)?.[1] ?? [])
  const isClosed = (path: string) =>
    Object.entries(exports).some(([name, target]) => target === null && matches(name, `./${path}`) !== undefined)
  const open = Object.entries(exports).flatMap(([name, target]) => {
    if (target === null || typeof target === "string") return []
    if (!name.includes("*")) return [name]
    return modules.filter((path) => matches(name, `./${path}`) && !isClosed(path)).map((path) => `./${path}`)
  })
  const nameOf = (subpath: string) => subpath.replace(/^\./, "effect-auth")
  const known = new Set(open.map(nameOf))
  return {
    open: Array.from(known).sort(),
    closed: modules.map((path) => `effect-auth/${path}`).filter((name) => !known.has(name))
  }
}

/** What the star of a pattern of `exports` stands for in a subpath. */
const matches = (pattern: string, subpath: string): string | undefined => {
  const [before = "", after] = pattern.split("*")
  if (after === undefined) return pattern === subpath ? subpath : undefined
  return subpath.startsWith(before) && subpath.endsWith(after) && subpath.length > pattern.length - 1
    ? subpath.slice(before.length, subpath.length - after.length)
    : undefined
}

/** What each name of a module comes to in a project: how many exports, or the code and the words of its refusal. */
const tried = (project: string, kind: "import" | "require", names: ReadonlyArray<string>) => {
  const file = `try.${kind === "import" ? "mjs" : "cjs"}`
  put(
    join(project, file),
    `(async () => {
      const found = {}
      for (const name of ${JSON.stringify(names)}) {
        try {
          found[name] = { exports: Object.keys(${kind === "import" ? "await import(name)" : "require(name)"}).length }
        } catch ({ code, message }) {
          found[name] = { code, message }
        }
      }
      console.log(JSON.stringify(found))
    })()`
  )
  return Effect.map(
    node(project, file),
    (output) => JSON.parse(output) as Record<string, { exports?: number; code?: string; message?: string }>
  )
}

/** An application as its author writes it, in one text for both module systems. */
const application = `
  import { FetchHttpClient } from "@effect/platform"
  import { Effect, Layer, Redacted } from "effect"
  import { AuthError, AuthHttpClient, Credentials, type Session, Violet } from "effect-auth"
  import * as Deep from "effect-auth/providers/Violet"

  const answer = { token: "test-token", refresh_token: "test-refresh-token" }
  const sent: Array<string> = []
  const fetch: typeof globalThis.fetch = (url, init) => {
    const { pathname } = new URL(String(url))
    sent.push(pathname + " " + new Headers(init?.headers).get("x-violet-token"))
    return Promise.resolve(pathname === "/v1/gone" ? new Response(null, { status: 404 }) : Response.json(answer))
  }

  export const options = { appId: 1234, appSecret: Redacted.make("test-app-secret"), renewal: "on-use" } as const
  export const violet = Violet.layer(options)
  export const same: typeof violet = Deep.layer(options)
  // @ts-expect-error the secret is not redacted: what is imported has types
  export const wrong = () => Violet.layer({ appId: 1234, appSecret: "test-app-secret" })

  export const status = (session: Session.Service) => Effect.map(session.status, ({ state }) => state)

  export const program = Effect.gen(function* () {
    const client = yield* AuthHttpClient.AuthHttpClient
    const merchants = yield* client.get("/merchants")
    const gone = yield* client.get("/gone")
    const elsewhere = yield* client.get("https://elsewhere.test/").pipe(
      Effect.as("sent"),
      Effect.catchTag("UntrustedOrigin", ({ origin }) => Effect.succeed("not sent to " + origin)),
      Effect.catchIf(AuthError.isAuthError, ({ message }) => Effect.succeed(message))
    )
    console.log(merchants.status, gone.status, elsewhere, sent.join(", "))
  })

  Effect.runPromise(
    program.pipe(
      Effect.provide(violet),
      Effect.provide(
        Credentials.layer({ username: Redacted.make("test-user"), password: Redacted.make("test-password") })
      ),
      Effect.provide(FetchHttpClient.layer),
      Effect.provide(Layer.succeed(FetchHttpClient.Fetch, fetch))
    )
  )
`

const nodeNext = { module: ts.ModuleKind.NodeNext }
const bundler = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }

const optionsOf = (settings: ts.CompilerOptions): ts.CompilerOptions => ({
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  isolatedModules: true,
  declaration: true,
  skipLibCheck: false,
  ...settings
})

/** Compiles files of a project, and answers what TypeScript has against them or against the package's own types. */
const compiled = (project: string, settings: ts.CompilerOptions, files: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(files)) put(join(project, name), text)
  const program = ts.createProgram(
    Object.keys(files).map((name) => join(project, name)),
    optionsOf(settings)
  )
  const own = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(project))
  const found = [
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...own.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
    ...program.emit().diagnostics
  ]
  const host = { getCurrentDirectory: () => project, getCanonicalFileName: (_: string) => _, getNewLine: () => "\n" }
  return ts.formatDiagnostics(found, host)
}

const reexported = (names: ReadonlyArray<string>) =>
  names.map((name, index) => `export * as M${index} from ${JSON.stringify(name)}`).join("\n")

describe("the tarball", () => {
  it("holds what package.json names, and nothing that lies about", () => {
    const all = filesOf(given.library)
    assert.deepStrictEqual(
      Array.from(new Set(all.map((path) => path.split("/")[0]))).sort(),
      Array.from(
        new Set(["LICENSE", "README.md", "package.json", ...given.manifest.files.map((path) => path.split("/")[0])])
      ).sort()
    )
    assert.deepStrictEqual(
      all.filter((path) => !/\.(js|ts|map|md|json)$|^LICENSE$|^bench\/plots\/.*\.svg$/.test(path)),
      []
    )
    assert.deepStrictEqual(
      all.filter((path) => /\.test\./.test(path) && !beginsWith("examples")(path)),
      []
    )
  })

  for (const folder of ["src", "docs", "examples"]) {
    it(`holds ${folder}/ as it is`, () => {
      const files = filesOf(join(root, folder))
      assert.isNotEmpty(files)
      assert.deepStrictEqual(filesOf(join(given.library, folder)), files)
      for (const path of files) {
        assert.strictEqual(read(`${folder}/${path}`), readFileSync(join(root, folder, path), "utf8"))
      }
    })
  }

  it("holds four files of each module, and of no module that is gone", () => {
    assert.deepStrictEqual(
      filesOf(join(given.library, "dist")),
      filesOf(join(given.library, "src"))
        .map((path) => path.replace(/\.ts$/, ""))
        .flatMap((path) => [`${path}.d.ts`, `${path}.d.ts.map`, `${path}.js`, `${path}.js.map`])
        .sort()
    )
  })

  it("its source maps lead to its own sources", () => {
    const dist = filesOf(given.library).filter(beginsWith("dist"))
    for (const path of dist.filter((path) => path.endsWith(".map"))) {
      const { sources, sourceRoot = "" } = JSON.parse(read(path)) as { sources: Array<string>; sourceRoot?: string }
      assert.deepStrictEqual(
        sources.map((source) => join(dirname(path), sourceRoot, source)),
        [path.replace(/^dist\//, "src/").replace(/(\.d\.ts|\.js)\.map$/, ".ts")]
      )
    }
    for (const path of dist.filter((path) => /\.(js|d\.ts)$/.test(path))) {
      assert.include(dist, join(dirname(path), /\n\/\/# sourceMappingURL=(.*)\s*$/.exec(read(path))?.[1] ?? ""))
    }
  })

  it("holds no secret, and no path of the machine that packed it", () => {
    for (const path of filesOf(given.library)) {
      const text = read(path)
      for (const word of [root, given.home, "test-litter", "PRIVATE KEY-----", "eyJ"]) {
        assert.notInclude(text, word, path)
      }
    }
  })
})

describe("installed in a project", () => {
  it.live("every module can be imported and required, and no internal one", () =>
    Effect.gen(function* () {
      const { closed, open } = entries()
      assert.includeMembers(open, ["effect-auth", "effect-auth/providers/Violet", "effect-auth/stores/Redis"])
      assert.includeMembers(closed, [
        "effect-auth/common/url",
        "effect-auth/session/runtime/engine",
        "effect-auth/stores/internal/fileLayout",
        "effect-auth/testing/index",
        "effect-auth/testing/internal/sandbox"
      ])
      const found = yield* Effect.all(
        [tried(given.whole, "import", [...open, ...closed]), tried(given.whole, "require", [...open, ...closed])],
        { concurrency: 2 }
      )
      for (const each of found) {
        for (const name of open) assert.isAbove(each[name]?.exports ?? 0, 0, `${name}: ${each[name]?.message}`)
        for (const name of closed) assert.strictEqual(each[name]?.code, "ERR_PACKAGE_PATH_NOT_EXPORTED", name)
      }
    })
  )

  it.live("an application compiles and runs as a module and as CommonJS, each with its own Effect", () =>
    Effect.gen(function* () {
      const everything = reexported(entries().open)
      const errors = compiled(
        given.whole,
        { ...nodeNext, types: ["node"] },
        {
          "application.mts": application,
          "application.cts": application,
          "everything.mts": everything,
          "everything.cts": everything
        }
      )
      assert.strictEqual(errors, "")
      for (const file of ["application.mjs", "application.cjs"]) {
        assert.strictEqual(
          yield* node(given.whole, file),
          "200 404 not sent to https://elsewhere.test /v1/login null, /v1/merchants test-token, /v1/gone test-token\n"
        )
      }
    })
  )

  it.live("without the optional peers only what is made of them is missing, and no type needs those of Node", () =>
    Effect.gen(function* () {
      const { open } = entries()
      const found = yield* tried(given.small, "import", open)
      const missing = open.filter((name) => found[name]?.exports === undefined)
      assert.deepStrictEqual(
        missing.filter((name) => !name.startsWith("effect-auth/testing")),
        ["effect-auth/stores/Redis", "effect-auth/stores/Sql"]
      )
      for (const name of missing) {
        assert.strictEqual(found[name]?.code, "ERR_MODULE_NOT_FOUND")
        assert.match(found[name]?.message ?? "", /package '(redis|@effect\/sql|jsonwebtoken)'/)
      }
      assert.isNumber(found["effect-auth/testing/StoreLaws"]?.exports)
      const errors = compiled(given.small, bundler, {
        "application.ts": application,
        "everything.ts": reexported(open.filter((name) => !missing.includes(name)))
      })
      assert.strictEqual(errors, "")
    })
  )

  for (const [name, settings] of Object.entries({ NodeNext: nodeNext, bundler })) {
    it(`no type of an internal module resolves under ${name}`, () => {
      const { closed, open } = entries()
      const resolved = [...closed, ...open].filter(
        (name) =>
          ts.resolveModuleName(name, join(given.whole, "application.mts"), optionsOf(settings), ts.sys).resolvedModule
      )
      assert.deepStrictEqual(resolved.sort(), open)
    })
  }
})

describe("bundled", () => {
  const providers = ["Freddy", "OAuth2", "TeleTracker", "Violet"]

  /** The modules of the package that are in a bundle. */
  const inside = (program: string) =>
    Effect.map(bundled(given.whole, program, withoutPeers), ({ parts }) =>
      parts.flatMap(([path]) => /effect-auth\/dist\/(.*)\.js$/.exec(path)?.[1] ?? []).sort()
    )

  /** Those that are not for every session. */
  const special = (modules: ReadonlyArray<string>) =>
    modules.filter((path) => /^(providers|stores|testing|tenants)\/|^provider\/discovery$/.test(path))

  it("every provider is looked at", () => {
    assert.deepStrictEqual(
      filesOf(join(given.library, "dist/providers")).filter((path) => path.endsWith(".js")),
      providers.map((name) => `${name}.js`)
    )
  })

  for (const name of providers) {
    const own = name === "OAuth2" ? ["provider/discovery", `providers/${name}`] : [`providers/${name}`]

    it.live(`${name} and its client bring no other provider, no store and nothing for tests`, () =>
      Effect.gen(function* () {
        const barrel = yield* inside(`
          import { Auth, AuthHttpClient, ${name} } from "effect-auth"
          export const made = [Auth.layer, ${name}.make, ${name}.layer, AuthHttpClient.AuthHttpClient]
        `)
        const deep = yield* inside(`
          import * as Auth from "effect-auth/Auth"
          import * as AuthHttpClient from "effect-auth/AuthHttpClient"
          import * as ${name} from "effect-auth/providers/${name}"
          export const made = [Auth.layer, ${name}.make, ${name}.layer, AuthHttpClient.AuthHttpClient]
        `)
        assert.deepStrictEqual(special(barrel), own)
        assert.deepStrictEqual(special(deep), own)
        assert.includeMembers(barrel, deep)
        assert.include(deep, "session/Session")
      })
    )
  }

  it.live("what is imported and not used is not there", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* inside(`import "effect-auth"; import { Violet } from "effect-auth"`), [])
      const errors = `import { AuthError, Violet } from "effect-auth"; export const made = AuthError.isTransient`
      assert.deepStrictEqual(yield* inside(errors), ["common/AuthError"])
      const token = `import { Token } from "effect-auth"; export const made = Token.make`
      assert.deepStrictEqual(special(yield* inside(token)), [])
      assert.notInclude(yield* inside(token), "session/Session")
    })
  )

  it.live("a store brings no other store and no session", () =>
    Effect.gen(function* () {
      const modules = yield* inside(`import * as File from "effect-auth/stores/File"; export const made = File.layer`)
      assert.deepStrictEqual(special(modules), ["stores/File", "stores/internal/fileLayout"])
      assert.notInclude(modules, "session/Session")
    })
  )
})
