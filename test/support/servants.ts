import { type ChildProcess, execFile } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import { Effect } from "effect"

/** Whom a server runs as that does not run as root: the first of these users that there is. */
export const servant = (
  ...names: ReadonlyArray<string>
): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const users = fs.readFileSync("/etc/passwd", "utf8").split("\n")
  const user = names.flatMap((name) => users.filter((line) => line.startsWith(`${name}:`)))[0]
  const [, , uid, gid] = (user ?? "").split(":")
  return { uid: Number(uid), gid: Number(gid) }
}

export const freePort = Effect.async<number>((resume) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/**
 * A shell's program that runs another until it is told to stop. Standard input ends with this process at the latest, also
 * when that is killed: then no other will end the program and remove its folder.
 */
export const guard = (signals: { readonly stop: string; readonly orphaned: string }) => `
"$@" >>"$FOLDER/log" 2>&1 &
echo $!
if read -r word; then kill -${signals.stop} $!; wait $!
else kill -${signals.orphaned} $!; wait $!; rm -rf "$FOLDER"
fi
`

export const run = (
  program: string,
  args: ReadonlyArray<string>,
  user: { readonly uid: number; readonly gid: number } | undefined
) =>
  Effect.async<string, Error>((resume) => {
    execFile(program, args, { cwd: "/", ...user }, (error, stdout) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.fail(error))
    )
  })

export const exited = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("exit", () => resume(Effect.void))
  })
