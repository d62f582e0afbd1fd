import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

// The documentation as data, and what can be wrong with it. How a block of TypeScript is written:
//
// - With its imports, it stands for itself. A program (it ends in `runMain(…)`) and a test (there is an `it` in it) is a
//   file of examples/, word for word, without the comment at its head; and a test runs that file.
// - Without any, it goes on with the block before it on the page.
// - With a comment `<!-- ts`, lines, `-->` right before it, it goes on with those lines, which readers do not see.
// - With a comment `<!-- from examples/name.ts -->` right before it, it is a part of that file.

/** The folder of the project, with a slash at its end. */
export const root = fileURLToPath(new URL("../../", import.meta.url))

/** A text of the documentation, by its path in the project. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** Code between two fences. `line` is where it begins, counted from one. */
export interface Block {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly text: string
  /** What stands right before it in a comment that readers do not see. */
  readonly comment: string | undefined
  readonly commentLine: number
}

/** What is wrong, and where. */
export type Complaints = ReadonlyArray<string>

export const pages = (): ReadonlyArray<Page> =>
  ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
    .filter((path) => path.endsWith(".md"))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }))

const lineOf = (text: string, at: number) => text.slice(0, at).split("\n").length

const fence = /^(?:<!--((?:(?!-->)[\s\S])*)-->\n+)?```([\w-]*)\n([\s\S]*?)^```$/gm

export const blocksOf = ({ path, text }: Page): ReadonlyArray<Block> =>
  Array.from(text.matchAll(fence), ([whole, comment, language = "", code = ""], _, at = 0) => {
    const start = text.indexOf(whole, at)
    const opened = start + whole.length - "```".length - code.length
    return { page: path, line: lineOf(text, opened), language, text: code, comment, commentLine: lineOf(text, start) }
  })

/** A page without its code, each line where it was. */
const prose = ({ text }: Page) => text.replaceAll(fence, (block) => block.replaceAll(/[^\n]/g, ""))

const excerpt = /^ from (examples\/[\w.-]+) $/

/** A block that is a part of an example says so: `<!-- from examples/freddy.ts -->`. */
export const excerptOf = ({ comment }: Block) => (comment === undefined ? undefined : excerpt.exec(comment)?.[1])

/** A block that is a program or holds a test, from its first import on. */
export const isWhole = ({ comment, text }: Block) =>
  comment === undefined &&
  text.startsWith("import ") &&
  (/\brunMain\(.*\)\n$/.test(text) || /\bit(\.\w+)*\(/.test(text))

const withoutHead = (text: string) => text.replace(/^(\/\/.*\n)+/, "").trim()

/** The example, by its path, that a whole block shows. */
export const exampleOf = (block: Block) =>
  readdirSync(join(root, "examples"))
    .map((name) => `examples/${name}`)
    .find((path) => withoutHead(readFileSync(join(root, path), "utf8")) === block.text.trim())

/** Blocks that say which example they are from, and are not in it. */
export const falseExcerpts = (blocks: ReadonlyArray<Block>): Complaints =>
  blocks.flatMap((block) => {
    const path = excerptOf(block)
    if (path === undefined) return []
    const isThere = existsSync(join(root, path)) && readFileSync(join(root, path), "utf8").includes(`\n${block.text}`)
    return isThere ? [] : [`${block.page}:${block.line}: is no part of ${path}`]
  })

/** A module that is made of one block or of several, and where each of its lines comes from. */
interface Module {
  readonly name: string
  readonly page: string
  readonly lines: Array<{ readonly text: string; readonly line: number }>
}

/**
 * What there is to compile. A block that imports something, or has a comment `<!-- ts … -->` right before it with what a
 * reader need not see, begins a module; any other goes on with the one before it on its page.
 */
const modulesOf = (blocks: ReadonlyArray<Block>): ReadonlyArray<Module> => {
  const modules: Array<Module> = []
  for (const block of blocks) {
    if (block.language !== "ts" || excerptOf(block) !== undefined) continue
    const hidden = block.comment?.startsWith(" ts\n") ? block.comment.split("\n").slice(1) : undefined
    const last = modules.at(-1)
    const goesOn = hidden === undefined && !/^import /m.test(block.text) && last?.page === block.page
    const module: Module = goesOn
      ? last
      : { name: `${block.page.replace(/\.md$/, "").replace("/", ".")}.${block.line}.ts`, page: block.page, lines: [] }
    if (!goesOn) modules.push(module)
    hidden?.forEach((text, i) => {
      module.lines.push({ text, line: block.commentLine + 1 + i })
    })
    block.text.split("\n").forEach((text, i) => {
      module.lines.push({ text, line: block.line + i })
    })
  }
  return modules
}

/** What the compiler says of the blocks, under the settings of the project, in one program. */
export const compile = (blocks: ReadonlyArray<Block>): Complaints => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const modules = new Map(modulesOf(blocks).map((module) => [join(root, module.name), module]))
  const host = ts.createCompilerHost(options)
  const { fileExists, getSourceFile, readFile } = host
  const textOf = (path: string) =>
    modules
      .get(path)
      ?.lines.map(({ text }) => text)
      .join("\n")
  host.fileExists = (path) => modules.has(path) || fileExists(path)
  host.readFile = (path) => textOf(path) ?? readFile(path)
  host.getSourceFile = (path, version, ...rest) => {
    const text = textOf(path)
    return text === undefined ? getSourceFile(path, version, ...rest) : ts.createSourceFile(path, text, version, true)
  }
  const program = ts.createProgram([...modules.keys()], options, host)
  return [...modules].flatMap(([path, { lines, page }]) => {
    const file = program.getSourceFile(path)
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found
      .filter((diagnostic) => !isShown(file, diagnostic))
      .map(({ messageText, start = 0 }) => {
        const at = file?.getLineAndCharacterOfPosition(start).line ?? 0
        return `${page}:${lines[at]?.line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`
      })
  })
}

/** What is declared is there to be read, and need not be used; what is imported must be. */
const isShown = (file: ts.SourceFile | undefined, { code, start = 0 }: ts.Diagnostic) =>
  (code === 6133 || code === 6196) &&
  file?.statements.find(({ end, pos }) => pos <= start && start < end)?.kind !== ts.SyntaxKind.ImportDeclaration

/** Anchors as they are made of headings. */
const anchorsOf = (page: Page) => {
  const seen = new Map<string, number>()
  return Array.from(prose(page).matchAll(/^#+ (.*)$/gm), ([, heading = ""]) => {
    const name = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
      .replaceAll(" ", "-")
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    return times === 0 ? name : `${name}-${times}`
  })
}

/** Links within the project that lead nowhere. */
export const deadLinks = (all: ReadonlyArray<Page>): Complaints => {
  const anchors = new Map(all.map((page) => [page.path, anchorsOf(page)]))
  return all.flatMap((page) =>
    Array.from(prose(page).matchAll(/\]\(([^)\s]+)\)/g)).flatMap(({ 1: target = "", index }) => {
      if (/^\w+:/.test(target)) return []
      const [path = "", anchor] = target.split("#")
      const to = path === "" ? page.path : normalize(join(dirname(page.path), path))
      const leads = existsSync(join(root, to)) && (anchor === undefined || anchors.get(to)?.includes(anchor) === true)
      return leads ? [] : [`${page.path}:${lineOf(page.text, index)}: ${target} leads nowhere`]
    })
  )
}

/** Files, folders and entry points in backticks that are not there. */
export const missingFiles = (all: ReadonlyArray<Page>): Complaints => {
  const folders = readdirSync(root, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : []
  )
  const inProject = new RegExp(`^(?:${folders.join("|")})/[\\w./-]+$`)
  return all.flatMap((page) =>
    Array.from(prose(page).matchAll(/`([\w.@/-]+)`/g)).flatMap(({ 1: name = "", index }) => {
      const entry = /^effect-auth\/((?:stores|testing|providers)\/\w+)$/.exec(name)
      const path = entry === null ? (inProject.test(name) ? name : undefined) : `src/${entry[1]}.ts`
      return path === undefined || existsSync(join(root, path))
        ? []
        : [`${page.path}:${lineOf(page.text, index)}: there is no ${name}`]
    })
  )
}

/** Scripts of npm that are named and do not exist. */
export const missingScripts = (all: ReadonlyArray<Page>): Complaints => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly scripts: Record<string, string>
  }
  return all.flatMap((page) =>
    Array.from(page.text.matchAll(/\bnpm (?:run ([\w:-]+)|(test)\b)/g)).flatMap(({ 1: run, 2: test, index }) => {
      const name = run ?? test ?? ""
      return name in scripts ? [] : [`${page.path}:${lineOf(page.text, index)}: there is no script ${name}`]
    })
  )
}

/** Tests that are named as evidence, as in `test/A.test.ts`: _its name_, and are not in that file. */
export const missingTests = (all: ReadonlyArray<Page>): Complaints =>
  all.flatMap((page) =>
    Array.from(page.text.matchAll(/`(test\/[\w./-]+\.ts)`:((?:[\s,;]+_[^_]+_)+)/g)).flatMap(
      ({ 1: path = "", 2: names = "", index }) => {
        const text = existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : ""
        return Array.from(names.matchAll(/_([^_]+)_/g))
          .map(([, name = ""]) => name.replaceAll(/\s+/g, " "))
          .filter((name) => !text.includes(name))
          .map((name) => `${page.path}:${lineOf(page.text, index)}: ${path} has no test ${name}`)
      }
    )
  )
