import { readFileSync } from "node:fs"
import { join } from "node:path"
import { createContext, runInContext } from "node:vm"
import { Command, FileSystem, HttpApp, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Option, Ref, Scope, Stream } from "effect"
import { build } from "esbuild"
import * as FreddySandbox from "../../src/testing/FreddySandbox.js"
import * as OAuth2Sandbox from "../../src/testing/OAuth2Sandbox.js"
import * as TeleTrackerSandbox from "../../src/testing/TeleTrackerSandbox.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { bundle, root } from "../support/bundle.js"
import { postgres } from "../support/postgres.js"
import { serve } from "../testing/serve.js"

const examples = [
  "freddy",
  "many-tenants",
  "oauth2",
  "observability",
  "promises",
  "refresh-token",
  "replicas",
  "sandbox",
  "start",
  "teletracker",
  "two-apis",
  "violet",
  "your-own-api"
]
const scope = Effect.runSync(Scope.make())
let folder = ""

beforeAll(() =>
  Effect.runPromise(
    Effect.map(Scope.extend(bundle(examples.map((name) => `examples/${name}.ts`)), scope), (made) => {
      folder = made
    })
  )
)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

/** A sandbox on a loopback port, and the variables that lead to it. */
const served = Effect.gen(function* () {
  const sandbox = yield* VioletSandbox.make()
  const baseUrl = yield* serve(sandbox)
  return {
    sandbox,
    env: {
      VIOLET_APP_ID: "1234",
      VIOLET_APP_SECRET: "test-app-secret",
      VIOLET_USERNAME: "test-user@example.com",
      VIOLET_PASSWORD: "test-password",
      VIOLET_BASE_URL: baseUrl
    }
  }
})

const command = (example: string, env: Record<string, string>) =>
  Command.env(Command.make(process.execPath, join(folder, `${example}.mjs`)), env)

/** Runs an example until the scope closes. */
const start = (example: string, env: Record<string, string>) => Command.start(command(example, env))

const run = (example: string, env: Record<string, string>, typed = "") =>
  command(example, env).pipe(Command.feed(typed), Command.string, Effect.provide(NodeContext.layer))

it.live("the first program prints what the README shows", () =>
  Effect.gen(function* () {
    const shown = /```text\n(\{"content"[\s\S]*?)```/.exec(readFileSync("README.md", "utf8"))?.[1]
    assert.strictEqual(yield* run("start", {}), shown)
  })
)

it.scopedLive("the example of Violet prints a page of merchants", () =>
  Effect.gen(function* () {
    const { env } = yield* served
    assert.include(yield* run("violet", env), "Merchant 1\n")
  })
)

it.scopedLive("the example that serves a sandbox says where, and another program signs in to it", () =>
  Effect.gen(function* () {
    const { env } = yield* served
    const process = yield* start("sandbox", { PORT: "0" })
    const said = yield* process.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.filterMap((line) => Option.fromNullable(/http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0])),
      Stream.runHead
    )
    const address = Option.getOrElse(said, () => "")
    assert.include(yield* run("violet", { ...env, VIOLET_BASE_URL: `${address}/v1` }), "Merchant 1\n")
  }).pipe(Effect.provide(NodeContext.layer))
)

/** What a page has of a browser, with a sandbox at the other end of `fetch`. */
const page = Effect.fnUntraced(function* (code: string, sandbox: OAuth2Sandbox.Service, items: Map<string, string>) {
  const printed = yield* Deferred.make<string>()
  const asked: Array<string> = []
  const handler = HttpApp.toWebHandler(sandbox.served)
  const context = createContext({
    ...{ AbortController, Headers, ReadableStream, Request, Response, TextDecoder, TextEncoder, URL, URLSearchParams },
    ...{ clearTimeout, crypto, queueMicrotask, setTimeout },
    console: { log: (line: string) => Deferred.unsafeDone(printed, Effect.succeed(line)) },
    fetch: (url: URL, init: RequestInit) => handler(new Request(url, init)),
    localStorage: {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value)
    },
    prompt: (question: string) => {
      asked.push(question)
      return question === "Password" ? "test-password" : "test-user@example.com"
    }
  })
  runInContext(`"use strict";${code}`, context, { timeout: 30_000 })
  return { asked, printed: yield* Deferred.await(printed) }
})

it.live("the example of a browser asks for the password once, and is signed in when the page is loaded again", () =>
  Effect.gen(function* () {
    const sandbox = yield* OAuth2Sandbox.make({ clientId: "orders-page", authentication: "none" })
    const { outputFiles } = yield* Effect.promise(() =>
      build({
        absWorkingDir: root,
        entryPoints: ["examples/browser.ts"],
        bundle: true,
        minify: true,
        platform: "browser",
        write: false,
        logLevel: "error"
      })
    )
    const code = outputFiles[0]?.text ?? ""
    const items = new Map<string, string>()
    const first = yield* page(code, sandbox, items)
    assert.deepStrictEqual(first.asked, ["User name", "Password"])
    assert.include(first.printed, "Order 1")
    const second = yield* page(code, sandbox, items)
    assert.deepStrictEqual(second, { asked: [], printed: first.printed })
    const { complaints, logins } = yield* sandbox.report
    assert.deepStrictEqual({ complaints, logins }, { complaints: 0, logins: 1 })
  })
)

it.scopedLive("the example of two accounts keeps them apart", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const both = Object.entries(env).flatMap(([name, value]) => [
      [`SHOP_${name}`, value],
      [`OUTLET_${name}`, value]
    ])
    assert.strictEqual(yield* run("two-apis", Object.fromEntries(both)), "shop 200\noutlet 200\n")
    assert.strictEqual((yield* sandbox.report).logins, 2)
    const wrong = { ...Object.fromEntries(both), OUTLET_VIOLET_PASSWORD: "test-wrong" }
    assert.match(yield* run("two-apis", wrong), /^shop 200\n(?!.*outlet)/s)
  })
)

it.scopedLive("the example of many tenants serves each merchant with its own session, which outlives the process", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const account = { username: env.VIOLET_USERNAME, password: env.VIOLET_PASSWORD }
    const fs = yield* FileSystem.FileSystem
    const folder = yield* fs.makeTempDirectoryScoped()
    const lines = run("many-tenants", {
      ...env,
      EFFECT_AUTH_DIRECTORY: join(folder, "tokens"),
      MERCHANTS: JSON.stringify({ acme: account, globex: account })
    }).pipe(Effect.map((output) => output.trim().split("\n").sort()))
    const all = ["acme 200", "acme 200", "globex 200", "initech is not known here"]
    assert.deepStrictEqual(yield* lines, all)
    assert.strictEqual((yield* sandbox.report).logins, 2)
    assert.deepStrictEqual(yield* lines, all)
    assert.strictEqual((yield* sandbox.report).logins, 2)
  }).pipe(Effect.provide(NodeContext.layer))
)

it.scopedLive("the example of a refresh token signs in without a password", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const output = yield* run("refresh-token", { ...env, VIOLET_REFRESH_TOKEN: yield* sandbox.mintRefreshToken })
    assert.include(output, "signed-in, token fresh")
    assert.include(output, "signed-out, token none")
    assert.strictEqual((yield* sandbox.report).logins, 0)
  })
)

it.scopedLive("the example of Freddy asks for the mailed code on the terminal", () =>
  Effect.gen(function* () {
    const sandbox = yield* FreddySandbox.make({ code: "4711" })
    const env = {
      FREDDY_USERNAME: "test-user@example.com",
      FREDDY_PASSWORD: "test-password",
      FREDDY_BASE_URL: yield* serve(sandbox)
    }
    const output = yield* run("freddy", env, "4711\n")
    assert.include(output, "The code that Freddy mailed to test-user@example.com: ")
    assert.include(output, "Thread 1")
  })
)

it.scopedLive("the example of TeleTracker, started again, goes on with the session that it kept", () =>
  Effect.gen(function* () {
    const sandbox = yield* TeleTrackerSandbox.make()
    const fs = yield* FileSystem.FileSystem
    const env = {
      TELETRACKER_USERNAME: "test-user@example.com",
      TELETRACKER_PASSWORD: "test-password",
      TELETRACKER_BASE_URL: yield* serve(sandbox),
      EFFECT_AUTH_DIRECTORY: `${yield* fs.makeTempDirectoryScoped()}/tokens`
    }
    assert.strictEqual(yield* run("teletracker", env), "calls: 200\n")
    assert.strictEqual(yield* run("teletracker", env), "calls: 200\n")
    const { complaints, logins } = yield* sandbox.report
    assert.deepStrictEqual({ complaints, logins }, { complaints: 0, logins: 1 })
  }).pipe(Effect.provide(NodeContext.layer))
)

it.scopedLive("the example of Promises answers as before, and with one login", () =>
  Effect.gen(function* () {
    const { env, sandbox } = yield* served
    const output = yield* run("promises", env)
    assert.include(output, "Merchant 1\n")
    assert.include(output, "a token of 3 parts")
    assert.strictEqual((yield* sandbox.report).logins, 1)
  })
)

it.scopedLive("the example of OAuth 2.0 finds its endpoints and signs in as itself", () =>
  Effect.gen(function* () {
    const sandbox = yield* OAuth2Sandbox.make({ clientId: "orders", clientSecret: "test-s:cr%t" })
    const url = yield* serve(sandbox)
    const output = yield* run("oauth2", { ORDERS_URL: url, ORDERS_ISSUER: url, ORDERS_SECRET: "test-s:cr%t" })
    assert.include(output, "Order 1")
    const { complaints, logins, metadata } = yield* sandbox.report
    assert.deepStrictEqual({ complaints, logins, metadata }, { complaints: 0, logins: 1, metadata: 1 })
  })
)

it.scopedLive.skipIf(Option.isNone(postgres))("the example of replicas shares one session in Postgres", () =>
  Effect.gen(function* () {
    const sandbox = yield* TeleTrackerSandbox.make()
    const { database } = yield* Effect.flatten(postgres)
    const env = {
      TELETRACKER_USERNAME: "test-user@example.com",
      TELETRACKER_PASSWORD: "test-password",
      TELETRACKER_BASE_URL: yield* serve(sandbox),
      DATABASE_URL: yield* database,
      EFFECT_AUTH_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString("base64")
    }
    const outputs = yield* Effect.all([run("replicas", env), run("replicas", env)], { concurrency: 2 })
    for (const output of outputs) assert.include(output, "calls: 200\ncalls: 200\n")
    const { complaints, logins, reuses } = yield* sandbox.report
    assert.deepStrictEqual({ complaints, logins, reuses }, { complaints: 0, logins: 1, reuses: 0 })
  })
)

it.live("the example of observability exports what the documentation shows", () =>
  Effect.gen(function* () {
    const output = yield* run("observability", {})
    const shown = /```text\n(logs\n[\s\S]*?)```/.exec(readFileSync("docs/observability.md", "utf8"))?.[1] ?? ""
    // How long a cool-down lasts is up to chance, and what a token has left to the machine.
    const flush = (text: string) => text.replaceAll(/\d+ms|valid for .*|seconds_to_expiry: \d+/g, "…")
    assert.strictEqual(flush(output), flush(shown))
    assert.include(output, "    auth.wait shop -> auth.login\n")
    assert.notMatch(output, /test-|eyJ/)
  })
)

/** The API that the example describes: its first key is rejected once, its second one is good. */
const parcel = Effect.map(Ref.make<ReadonlyArray<string>>([]), (seen) => {
  const session = (key: string, next: string) =>
    HttpServerResponse.unsafeJson({ data: { session: { key, ttl: "600", next } } })
  const served = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = request.method === "POST" ? yield* Effect.orDie(request.text) : ""
    const key = request.headers["x-parcel-session"] ?? ""
    yield* Ref.update(seen, (all) => [...all, `${request.method} ${request.url} ${key}${body}`])
    if (request.headers["x-parcel-client"] !== "test-client") return HttpServerResponse.empty({ status: 400 })
    if (request.url === "/v2/sessions") return session("test-key-1", "test-next-1")
    if (request.url === "/v2/sessions/renew") return session("test-key-2", "test-next-2")
    return key === "test-key-2" ? HttpServerResponse.text("2 parcels") : HttpServerResponse.empty({ status: 401 })
  })
  return { seen: Ref.get(seen), served, baseUrl: "https://parcel.test/v2" }
})

it.scopedLive("the example of an API of one's own logs in, renews, and puts key and client where they belong", () =>
  Effect.gen(function* () {
    const api = yield* parcel
    const output = yield* run("your-own-api", {
      PARCEL_BASE_URL: yield* serve(api),
      PARCEL_CLIENT: "test-client",
      PARCEL_USER: "test-user",
      PARCEL_PASSWORD: "test-password"
    })
    assert.strictEqual(output, "2 parcels\n")
    assert.deepStrictEqual(yield* api.seen, [
      'POST /v2/sessions {"user":"test-user","pass":"test-password"}',
      "GET /v2/parcels test-key-1",
      'POST /v2/sessions/renew {"next":"test-next-1"}',
      "GET /v2/parcels test-key-2"
    ])
  })
)
