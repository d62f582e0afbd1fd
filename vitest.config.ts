import ts from "typescript"
import { defineConfig } from "vitest/config"

const { config } = ts.readConfigFile(new URL("tsconfig.json", import.meta.url).pathname, ts.sys.readFile)

/** The paths of `tsconfig.json`: the tests import the library by its public names, and get its sources. */
const alias = Object.entries(config.compilerOptions.paths as Record<string, [string]>).map(([name, [path]]) => ({
  find: new RegExp(`^${name.replace("*", "(.*)")}$`),
  replacement: new URL(path.replace("*", "$1"), import.meta.url).pathname
}))

export default defineConfig({
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // chai takes some of Effect's values for equal that are not.
    setupFiles: ["test/support/equality.ts"],
    testTimeout: 60_000,
    // One process for each core, which reads Effect once for all files: no test replaces a module or keeps state in one.
    // Most of what the tests leave behind is short-lived, and not worth moving to the old generation.
    pool: "forks",
    isolate: false,
    maxWorkers: "100%",
    poolOptions: { forks: { execArgv: ["--max-semi-space-size=64"] } },
    coverage: {
      provider: "v8",
      include: ["src/**"],
      thresholds: { lines: 90, functions: 90, branches: 85, statements: 90 }
    }
  }
})
