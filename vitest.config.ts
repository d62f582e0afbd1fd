import { defineConfig } from "vitest/config"

const source = (path: string) => new URL(path, import.meta.url).pathname

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-auth$/, replacement: source("src/index.ts") },
      { find: /^effect-auth\/(.*)$/, replacement: source("src/$1.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    testTimeout: 60_000,
    coverage: {
      provider: "v8",
      include: ["src/**"],
      thresholds: { lines: 90, functions: 90, branches: 85, statements: 90 }
    }
  }
})
