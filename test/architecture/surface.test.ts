import { readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import ts from "typescript"
import manifest from "../../package.json" with { type: "json" }

const root = fileURLToPath(new URL("../../", import.meta.url))
const src = join(root, "src")

/** The source of each public module, by `exports` of package.json. */
const publicModules: ReadonlyArray<string> = Object.entries(manifest.exports).flatMap(([name, target]) => {
  if (target === null || typeof target === "string" || /^\.(\/testing)?$/.test(name)) return []
  const path = target.default.replace("./dist/", "").replace(/\.js$/, ".ts")
  if (!path.includes("*")) return [path]
  const folder = path.replace("/*.ts", "")
  return readdirSync(join(src, folder))
    .filter((file) => file.endsWith(".ts") && file !== "index.ts")
    .map((file) => `${folder}/${file}`)
})

const isPublic = (path: string) => publicModules.includes(path)

/** The declarations of src as users get them, by the path of their source. */
const declarations = new Map<string, ts.SourceFile>()

beforeAll(() => {
  const { config } = ts.readConfigFile(join(root, "tsconfig.build.json"), ts.sys.readFile)
  const { fileNames, options } = ts.parseJsonConfigFileContent(
    { ...config, extends: "./tsconfig.json" },
    ts.sys,
    root,
    { declarationMap: false, sourceMap: false, emitDeclarationOnly: true, outDir: join(root, "declarations") }
  )
  ts.createProgram(fileNames, options).emit(undefined, (file, text) => {
    const path = file.slice(join(root, "declarations/").length).replace(/\.d\.ts$/, ".ts")
    declarations.set(path, ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  })
}, 120_000)

const none = (found: ReadonlyArray<string>) => assert.deepStrictEqual(found, [])

const declarationOf = (path: string): ts.SourceFile => declarations.get(path) ?? assert.fail(`${path} is not built`)

/** The file of src that a relative import leads to. */
const resolved = (from: string, specifier: string) =>
  specifier.startsWith(".") ? join(dirname(from), specifier).replace(/\.js$/, ".ts") : undefined

/** The names of a file's declarations that a public module exports again. */
const exportedNames = (path: string): ReadonlySet<string> => {
  const names = new Set<string>()
  for (const module of publicModules) {
    const imported = new Map<string, string>()
    declarationOf(module).forEachChild((node) => {
      const bindings = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : undefined
      if (ts.isImportDeclaration(node) && bindings !== undefined && ts.isNamedImports(bindings)) {
        const target = resolved(module, (node.moduleSpecifier as ts.StringLiteral).text)
        for (const { name } of bindings.elements) if (target !== undefined) imported.set(name.text, target)
      }
      if (!ts.isExportDeclaration(node) || node.exportClause === undefined || !ts.isNamedExports(node.exportClause))
        return
      const from = node.moduleSpecifier && resolved(module, (node.moduleSpecifier as ts.StringLiteral).text)
      for (const { name, propertyName } of node.exportClause.elements) {
        const local = (propertyName ?? name).text
        if ((from ?? imported.get(local)) === path) names.add(local)
      }
    })
  }
  return names
}

/** The names of private modules that the declarations of a public one mention. */
const privateMentions = (path: string): ReadonlyArray<string> => {
  const file = declarationOf(path)
  const found: Array<string> = []
  const check = (target: string | undefined, name: string) => {
    if (target !== undefined && !isPublic(target) && !exportedNames(target).has(name)) {
      found.push(`${path} mentions ${name} of ${target}`)
    }
  }
  const namespaces = new Map<string, string>()
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const target = resolved(path, (node.moduleSpecifier as ts.StringLiteral).text)
      const bindings = node.importClause?.namedBindings
      if (bindings !== undefined && ts.isNamespaceImport(bindings) && target !== undefined) {
        namespaces.set(bindings.name.text, target)
      } else if (bindings !== undefined && ts.isNamedImports(bindings)) {
        for (const { name, propertyName } of bindings.elements) check(target, (propertyName ?? name).text)
      }
    } else if (ts.isQualifiedName(node) && ts.isIdentifier(node.left)) {
      check(namespaces.get(node.left.text), node.right.text)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      check(resolved(path, (node.argument.literal as ts.StringLiteral).text), node.qualifier?.getText() ?? "*")
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/** The exported declarations of a file, with their names and documentation. */
const exportsOf = (path: string) =>
  declarationOf(path).statements.flatMap((node) => {
    const isExported =
      ts.canHaveModifiers(node) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    if (!isExported) return []
    const named = ts.isVariableStatement(node)
      ? node.declarationList.declarations[0]
      : (node as ts.DeclarationStatement)
    const name = named?.name?.getText() ?? "?"
    const text = declarationOf(path).text
    const doc = (ts.getLeadingCommentRanges(text, node.pos) ?? [])
      .map(({ end, pos }) => text.slice(pos, end))
      .filter((comment) => comment.startsWith("/**"))
      .at(-1)
    return [{ name, node, doc }]
  })

const categories = /@category (models|tags|constructors|layers|errors|predicates|combinators|schemas|testing)\n/

describe("the public surface", () => {
  it("there are modules to look at, and the paths of tsconfig.json lead to them", () => {
    assert.includeMembers([...publicModules], ["session/Session.ts", "providers/Violet.ts", "testing/TestSession.ts"])
    const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile)
    const { paths } = config.compilerOptions as { readonly paths: Record<string, [string]> }
    const expected = Object.entries(manifest.exports).flatMap(([name, target]) =>
      target === null || typeof target === "string"
        ? []
        : [[name.replace(/^\./, "effect-auth"), target.default.replace("./dist/", "./src/").replace(/\.js$/, ".ts")]]
    )
    assert.deepStrictEqual(
      Object.entries(paths)
        .map(([name, [path]]) => [name, path])
        .sort(),
      expected.sort()
    )
  })

  it("no public signature mentions a private type", () => {
    none(publicModules.flatMap(privateMentions))
  })

  it("every public export says what it is, since when, and where it belongs", () => {
    none(
      publicModules.flatMap((path) =>
        exportsOf(path).flatMap(({ doc, name }) => {
          if (doc === undefined || !/\/\*\*\s*\n?\s*\*? *[^@\s*]/.test(doc))
            return [`${path}: ${name} is not documented`]
          if (!/@since \d/.test(doc)) return [`${path}: ${name} has no @since`]
          return categories.test(doc) ? [] : [`${path}: ${name} has no @category`]
        })
      )
    )
  })

  it("every member of a public interface is documented", () => {
    none(
      publicModules.flatMap((path) =>
        exportsOf(path).flatMap(({ name, node }) =>
          ts.isInterfaceDeclaration(node)
            ? node.members.flatMap((member) =>
                ts.getJSDocCommentsAndTags(member).length > 0 ? [] : [`${path}: ${name}.${member.name?.getText()}`]
              )
            : []
        )
      )
    )
  })

  it("no docstring begins with a headless clause", () => {
    none(
      Array.from(declarations).flatMap(([path, { text }]) =>
        Array.from(
          text.matchAll(/\/\*\*\s*\n?\s*\*? *((What|Whoever|Whatever|Whether|Who|Whose|How) [^\n]*)/g),
          ([, line]) => `${path}: ${line}`
        )
      )
    )
  })
})
