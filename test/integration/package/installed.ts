import { execFile } from "node:child_process"
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { Effect, type Scope } from "effect"
import { root } from "../../support/bundle.js"

/** What this file reads of a package.json. */
export interface Manifest {
  readonly files: ReadonlyArray<string>
  readonly exports: Readonly<Record<string, null | string | object>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
}

const execute = promisify(execFile)

/** What a program prints; it dies of what it prints on its other stream when it fails. */
const output = (program: string, args: ReadonlyArray<string>, cwd: string) =>
  Effect.promise((signal) => {
    // What npm tells the scripts it runs is about this project, and not about the one in the folder.
    const env = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|VITEST)/i.test(name))
    return execute(program, args, { cwd, env: Object.fromEntries(env), signal, maxBuffer: 1 << 26 })
  })

/** Runs a file of a folder with Node, and answers what it prints. */
export const node = (folder: string, file: string): Effect.Effect<string> =>
  Effect.map(output(process.execPath, [file], folder), ({ stdout }) => stdout)

/** Writes a file into a folder that may not be there yet. */
export const put = (path: string, text: string): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** The paths of the files below a folder, in order. */
export const filesOf = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, withFileTypes: true, encoding: "utf8" })
    .flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []))
    .map((path) => path.slice(folder.length + 1).replaceAll("\\", "/"))
    .sort()

/** Lends a project's folder the packages that this one has installed. */
const link = (project: string, names: ReadonlyArray<string>) => {
  for (const name of names) {
    mkdirSync(dirname(join(project, "node_modules", name)), { recursive: true })
    symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name), "junction")
  }
}

/** What a packer must leave behind: a folder's own secrets, and what an earlier build made of files that are gone. */
const litter = [".env", ".npmrc", "test-secret.pem", "dist/Gone.js", "dist/internal/gone.d.ts", "coverage/tests.json"]

/** Where the package is, and the two projects that have it. */
export interface Installed {
  readonly home: string
  readonly library: string
  readonly manifest: Manifest
  /** A project with all peers. */
  readonly whole: string
  /** A project without those that are optional. */
  readonly small: string
}

/**
 * The package as a user gets it, until the scope closes: packed of a copy of this project, and installed without a
 * network in two empty projects.
 */
export const installed: Effect.Effect<Installed, never, Scope.Scope> = Effect.gen(function* () {
  const home = yield* Effect.acquireRelease(
    // TypeScript tells files by their real paths.
    Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "effect-auth-")))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const copy = join(home, "copy")
  for (const name of readdirSync(root)) {
    if (!["node_modules", "dist", "coverage", ".git"].includes(name))
      cpSync(join(root, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction")
  for (const path of litter) put(join(copy, path), "TEST_SECRET=test-litter")

  // A cache of its own, and an empty one: whatever this machine downloaded once does not count.
  const npm = (args: ReadonlyArray<string>, cwd: string) =>
    output("npm", [...args, "--offline", "--cache", join(home, "cache"), "--no-audit", "--no-fund"], cwd)
  yield* npm(["pack", "--pack-destination", home], copy)
  const tarball = readdirSync(home).find((name) => name.endsWith(".tgz")) ?? "none"

  const manifest = JSON.parse(readFileSync(join(copy, "package.json"), "utf8")) as Manifest
  const optional = Object.keys(manifest.peerDependenciesMeta)
  const needed = Object.keys(manifest.peerDependencies).filter((name) => !optional.includes(name))
  const project = Effect.fnUntraced(function* (name: string, peers: ReadonlyArray<string>) {
    const folder = join(home, name)
    put(join(folder, "package.json"), JSON.stringify({ name, private: true, type: "module" }))
    yield* npm(["install", "--legacy-peer-deps", "--ignore-scripts", join(home, tarball)], folder)
    link(folder, peers)
    return folder
  })
  const whole = yield* project("whole", [...needed, ...optional, "@types/node"])
  const small = yield* project("small", needed)
  return { home, library: join(whole, "node_modules/effect-auth"), manifest, whole, small }
})
