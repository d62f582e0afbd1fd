import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import * as Faults from "../../src/testing/Faults.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { bundle } from "../support/bundle.js"

const scope = Effect.runSync(Scope.make())
let folder = ""

beforeAll(() =>
  Effect.runPromise(
    Effect.map(Scope.extend(bundle(["test/integration/exitProgram.ts"]), scope), (made) => {
      folder = made
    })
  )
)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** Where the programs have their layer, their call and the rest from. */
const prelude = () => `
  import {
    Effect, FetchHttpClient, Layer, ManagedRuntime, NodeHttpClient, Redacted, Scope, Session, call, layer, timers
  } from ${JSON.stringify(pathToFileURL(join(folder, "exitProgram.mjs")).href)}
`

interface Ended {
  /** `undefined` when the process had to be killed. */
  readonly code: number | undefined
  readonly output: string
}

/** Runs a program in a process of its own, to its end, or to the end of all patience. */
const run = (program: string, baseUrl: string) =>
  Effect.async<Ended>((resume) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", prelude() + program], {
      env: { ...process.env, BASE_URL: baseUrl, NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 60_000,
      killSignal: "SIGKILL"
    })
    let output = ""
    const keep = (chunk: Buffer) => {
      output += chunk.toString()
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.on("close", (code) => resume(Effect.succeed({ code: code ?? undefined, output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const live = (title: string, test: (sandbox: VioletSandbox.Service, url: string) => Effect.Effect<void>) =>
  it.scopedLive(
    title,
    () => {
      const server = createServer()
      return Effect.gen(function* () {
        const sandbox = yield* VioletSandbox.make()
        yield* Layer.build(HttpServer.serve(sandbox.served))
        const { address } = yield* HttpServer.HttpServer
        yield* test(sandbox, `http://127.0.0.1:${address._tag === "TcpAddress" ? address.port : 0}/v1`)
      }).pipe(
        Effect.ensuring(Effect.sync(() => server.closeAllConnections())),
        Effect.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" }))
      )
    },
    90_000
  )

/** The process made its call and then ended without being told to. */
const endedByItself = ({ code, output }: Ended) => {
  assert.include(output, "status 200")
  assert.include(output, "by itself")
  assert.strictEqual(code, 0)
}

describe.concurrent("a process", () => {
  for (const client of ["FetchHttpClient.layer", "NodeHttpClient.layer", "NodeHttpClient.layerUndici"]) {
    live(`ends by itself when it renews on use and closes nothing (${client})`, (sandbox, url) =>
      Effect.gen(function* () {
        const program = `
          const runtime = ManagedRuntime.make(layer({ renewal: "on-use" }, ${client}))
          await runtime.runPromise(call)
          console.log("timers", await timers())
        `
        const ended = yield* run(program, url)
        endedByItself(ended)
        // Node's own client has a timer for the connection it keeps, which does not keep the process.
        if (client !== "NodeHttpClient.layer") assert.include(ended.output, "timers 0")
        assert.strictEqual((yield* sandbox.report).logins, 1)
      })
    )
  }

  live("ends by itself when a session that renews on use had a stale token, and a scope is left open", (sandbox, url) =>
    Effect.gen(function* () {
      yield* sandbox.setLifetime("1 second")
      const program = `
        const scope = await Effect.runPromise(Scope.make())
        const services = await Effect.runPromise(Layer.buildWithScope(layer({ renewal: "on-use" }), scope))
        await Effect.runPromise(Effect.provide(call, services))
        await Effect.runPromise(Effect.provide(Effect.flatMap(Session.Session, (session) => session.refresh), services))
        await Effect.runPromise(Effect.provide(call, services))
      `
      endedByItself(yield* run(program, url))
    })
  )

  live("law 29: is kept alive by background renewal, until its scope closes", (_, url) =>
    Effect.gen(function* () {
      const program = `
        const runtime = ManagedRuntime.make(layer({}))
        await runtime.runPromise(call)
        console.log("open", await timers())
        await runtime.dispose()
        console.log("closed", await timers())
      `
      const ended = yield* run(program, url)
      endedByItself(ended)
      assert.include(ended.output, "open 1")
      assert.include(ended.output, "closed 0")
    })
  )

  live("law 31: ends when its scope closes in the middle of a token request that hangs", (sandbox, url) =>
    Effect.gen(function* () {
      yield* sandbox.faults.inject("refresh", Faults.Delay({ duration: "1 hour" }), Number.POSITIVE_INFINITY)
      const program = `
        const runtime = ManagedRuntime.make(layer({ timeout: "1 hour", shutdownDeadline: "100 millis" }))
        await runtime.runPromise(call)
        runtime.runFork(Effect.flatMap(Session.Session, (session) => Effect.ignore(session.refresh)))
        await timers()
        await runtime.dispose()
      `
      endedByItself(yield* run(program, url))
    })
  )

  live("ends when it is misconfigured, and prints no secret", (_, url) =>
    Effect.gen(function* () {
      const program = `
        const runtime = ManagedRuntime.make(layer({ appId: -1 }))
        await runtime.runPromise(call)
      `
      const { code, output } = yield* run(program, url)
      assert.strictEqual(code, 1)
      assert.include(output, "appId: must be a positive integer")
      assert.notInclude(output, 'test-app-secret"')
      assert.notInclude(output, 'test-password"')
    })
  )

  live("prints no secret when an error of a call ends it", (sandbox, url) =>
    Effect.gen(function* () {
      yield* sandbox.faults.inject("api", Faults.Drop({ when: "after" }), Number.POSITIVE_INFINITY)
      const program = `
        const runtime = ManagedRuntime.make(layer({ renewal: "on-use" }))
        const exit = await runtime.runPromiseExit(call)
        const { inspect } = await import("node:util")
        console.log(inspect(exit, { depth: 20 }), JSON.stringify(exit))
        const token = await runtime.runPromise(Effect.flatMap(Session.Session, (session) => session.accessToken))
        console.log("shown", inspect(exit, { depth: 20 }).includes(Redacted.value(token)))
        await runtime.runPromise(call)
      `
      const { code, output } = yield* run(program, url)
      assert.strictEqual(code, 1)
      assert.include(output, "RequestError")
      assert.include(output, "shown false")
      assert.notMatch(output, /eyJ[\w-]{20}/)
    })
  )
})
