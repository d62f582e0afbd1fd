import { createContext, runInContext } from "node:vm"
import { HttpApp } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Runtime } from "effect"
import type * as Sandbox from "../../../src/testing/internal/sandbox.js"
import * as OAuth2Sandbox from "../../../src/testing/OAuth2Sandbox.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import { root } from "../../support/bundle.js"
import { bundled } from "./bundled.js"

/** What browsers, Deno, Bun and the workers of the edge have in common, beside the language itself. */
const web = {
  AbortController,
  AbortSignal,
  Blob,
  FormData,
  Headers,
  ReadableStream,
  Request,
  Response,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
  atob,
  btoa,
  clearInterval,
  clearTimeout,
  crypto,
  queueMicrotask,
  setInterval,
  setTimeout
}

/** What a browser keeps of a page when it is loaded again. */
const storage = () => {
  const items = new Map<string, string>()
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key)
  }
}

/** Runs a bundle where there is nothing else than the web's globals, with a sandbox at the other end of `fetch`. */
const runBare = (code: string, sandbox: Sandbox.Service, localStorage = storage()) =>
  Effect.gen(function* () {
    const handler = HttpApp.toWebHandler(sandbox.served)
    const runtime = yield* Effect.runtime<never>()
    const printed: Array<string> = []
    const context = createContext({
      ...web,
      localStorage,
      console: { log: (line: string) => printed.push(line) },
      fetch(this: unknown, url: URL, init: RequestInit) {
        // Browsers throw the same when a `fetch` is called as the method of something else.
        if (this !== undefined) throw new TypeError("Illegal invocation")
        return handler(new Request(url, init))
      },
      revoke: () => Runtime.runPromise(runtime)(sandbox.revokeAccessTokens)
    })
    yield* Effect.promise(() => runInContext(`"use strict";${code};application.run()`, context, { timeout: 30_000 }))
    return printed
  })

/** A program that calls, has its token revoked, calls again, and prints what it got. */
const program = (path: string, layer: string) => `
  import { FetchHttpClient, KeyValueStore } from "@effect/platform"
  import { Effect, Layer, Redacted } from "effect"
  import { Auth, AuthHttpClient, Credentials, OAuth2, TokenStore, Violet } from "effect-auth"
  import * as Encrypted from "effect-auth/stores/Encrypted"
  import * as Kept from "effect-auth/stores/KeyValueStore"

  const signedIn = ${layer}

  const call = Effect.gen(function* () {
    const client = yield* AuthHttpClient.AuthHttpClient
    const answer = yield* client.get(${JSON.stringify(path)})
    console.log(answer.status + " " + (yield* answer.text))
  })

  export const run = () =>
    Effect.runPromise(
      call.pipe(
        Effect.zipRight(Effect.promise(() => revoke())),
        Effect.zipRight(call),
        Effect.provide(signedIn),
        Effect.provide(FetchHttpClient.layer)
      )
    )
`

const violet = (options = "", store = "Layer.empty") =>
  program(
    "/merchants?page=1&size=1",
    `Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: "https://api.violet.test/v1",
      ${options}
    }).pipe(
      Layer.provide(${store}),
      Layer.provide(
        Credentials.layer({
          username: Redacted.make("test-user@example.com"),
          password: Redacted.make("test-password")
        })
      )
    )`
  )

const key = Buffer.alloc(32, 7).toString("base64")

const keptViolet = violet(
  `store: TokenStore.at("me")`,
  `Encrypted.layer({ key: Redacted.make(${JSON.stringify(key)}) }).pipe(
    Layer.provide(Kept.layer()),
    Layer.provide(KeyValueStore.layerStorage(() => localStorage))
  )`
)

const oauth2 = (url: string) =>
  program(
    "/orders",
    `Auth.layer(
      OAuth2.make({
        name: "orders",
        baseUrl: ${JSON.stringify(url)},
        tokenEndpoint: ${JSON.stringify(`${url}/token`)},
        grant: "client_credentials",
        clientId: "test-client",
        clientSecret: Redacted.make("test-secret:with %+/ chars")
      })
    ).pipe(Layer.provide(Credentials.layerNone))`
  )

/** A bundle that asks for nothing of Node, by import or by name. */
const bundledForWeb = (program: string) =>
  Effect.map(bundled(root, program, { format: "iife", globalName: "application" }), ({ code, imports }) => {
    assert.deepStrictEqual(imports, [])
    assert.deepStrictEqual(code.match(/\brequire\(|["'`]node:\w+/g), null)
    return code
  })

/** What the sandbox counted of one session. */
const counts = (sandbox: Sandbox.Service) =>
  Effect.map(sandbox.report, ({ complaints, logins, refreshes, rejections }) => ({
    complaints,
    logins,
    refreshes,
    rejections
  }))

const twice = (printed: ReadonlyArray<string>, pattern: RegExp) => {
  assert.strictEqual(printed.length, 2)
  for (const line of printed) assert.match(line, pattern)
}

describe("in a browser, or at the edge", () => {
  it.scopedLive("Violet: a login, a call, and a refresh after a rejection", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make()
      twice(yield* runBare(yield* bundledForWeb(violet()), sandbox), /^200 .*Merchant 1/)
      assert.deepStrictEqual(yield* counts(sandbox), { complaints: 0, logins: 1, refreshes: 1, rejections: 1 })
    })
  )

  it.scopedLive("OAuth 2.0: a service signs in as itself, and again after a rejection", () =>
    Effect.gen(function* () {
      const sandbox = yield* OAuth2Sandbox.make()
      twice(yield* runBare(yield* bundledForWeb(oauth2(sandbox.baseUrl)), sandbox), /^200 .*Order 1/)
      assert.deepStrictEqual(yield* counts(sandbox), { complaints: 0, logins: 2, refreshes: 0, rejections: 1 })
    })
  )

  it.scopedLive("a page that is loaded again finds its session in the browser's storage, encrypted", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make()
      const code = yield* bundledForWeb(keptViolet)
      const localStorage = storage()
      twice(yield* runBare(code, sandbox, localStorage), /^200 .*Merchant 1/)
      twice(yield* runBare(code, sandbox, localStorage), /^200 .*Merchant 1/)
      assert.deepStrictEqual(yield* counts(sandbox), { complaints: 0, logins: 1, refreshes: 2, rejections: 2 })
    })
  )
})
