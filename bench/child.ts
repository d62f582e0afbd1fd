import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const here = fileURLToPath(new URL(".", import.meta.url))

/** Runs a program of `children/` in a new process, with a heap of its own, and returns the JSON that it prints. */
export const run = async <A>(name: string, args: ReadonlyArray<string>): Promise<A> => {
  const flags = ["--expose-gc", "--max-old-space-size=12000", "--import", "tsx"]
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, `children/${name}.ts`, ...args], {
    cwd: here
  })
  return JSON.parse(stdout) as A
}
