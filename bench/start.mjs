/**
 * The program of `npm run bench`. It installs the peers if they are missing, builds the library as JavaScript, as its
 * users get it, and starts the benchmark.
 */
import { spawnSync } from "node:child_process"
import { existsSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

const run = (command, ...args) => {
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}

if (!existsSync(`${root}/bench/node_modules`)) run("npm", "ci", "--prefix", "bench", "--no-audit", "--no-fund")
rmSync(`${root}/bench/.build`, { recursive: true, force: true })
run("npx", "tsc", "-p", "tsconfig.build.json", "--outDir", "bench/.build", "--declarationMap", "false")
// Most objects of the benchmark are short-lived. In the young generation of Node's default size, garbage collection
// would dominate the figures.
run("node", "--expose-gc", "--max-semi-space-size=64", "--import", "tsx", "bench/main.ts", ...process.argv.slice(2))
