import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Option, Redacted, Schema, Scope, Stream, TestClock } from "effect"
import type * as Auth from "../../src/Auth.js"
import { AuthHttpClient } from "../../src/client/AuthHttpClient.js"
import { AuthProvider } from "../../src/provider/AuthProvider.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import * as Session from "../../src/session/Session.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Faults from "../../src/testing/Faults.js"
import type * as SandboxLog from "../../src/testing/internal/sandboxLog.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import * as Token from "../../src/token/Token.js"
import * as Records from "../support/records.js"
import { exhibits, Secrets, tap } from "../support/secrets.js"

// Each looks different in a URL, in JSON and in base64.
const appSecret = "app+s3cr3t/with==odd&signs?"
const password = 'p\u00e4ss w\u00f6rd "quoted" & \\slashed'

/** Lets fibers get on that wait for a promise, which no clock governs. */
const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Runs to the end, however long that takes by the test's clock, and answers how it ended. */
const finish = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    for (let step = 0; step < 100; step++) {
      for (let turns = 0; turns < 8; turns++) {
        const exit = yield* fiber.poll
        if (Option.isSome(exit)) return exit.value
        yield* turn
      }
      yield* TestClock.adjust("5 seconds")
    }
    return yield* Effect.zipRight(Fiber.interrupt(fiber), Effect.dieMessage("it never ended"))
  })

interface Setup {
  readonly rewrite?: (text: string) => string
  readonly wrap?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
  readonly options?: Partial<Violet.Options & Auth.Options>
  readonly password?: string
}

/** A session with the sandbox, its authorized client, and everything that shows of either. */
const setup = Effect.fnUntraced(function* (setup: Setup = {}) {
  const sandbox = yield* VioletSandbox.make({ appSecret, password })
  const secrets = new Secrets()
  for (const secret of [appSecret, password, setup.password ?? password]) secrets.add(secret)
  const exhibit = exhibits(secrets)
  const tapped = tap(sandbox.client, secrets, setup.rewrite)
  const bare = setup.wrap === undefined ? tapped : setup.wrap(tapped)
  const credentials = {
    username: Redacted.make("test-user@example.com"),
    password: Redacted.make(setup.password ?? password)
  }
  const violet: Violet.Options & Auth.Options = {
    appId: 1234,
    appSecret: Redacted.make(appSecret),
    baseUrl: sandbox.baseUrl,
    ...setup.options
  }
  const needs = Layer.merge(Credentials.layer(credentials), Layer.succeed(HttpClient.HttpClient, bare))
  const scope = yield* Scope.make()
  const build = Violet.layer(violet).pipe(Layer.provide(needs), Layer.buildWithScope(scope))
  /** All that happens here is shown: what it logs, its spans, and how it ended. */
  const watch = <A, E>(place: string, effect: Effect.Effect<A, E>) =>
    finish(Effect.withSpan(effect, place)).pipe(
      Effect.tap((exit) => exhibit.showExit(place, exit)),
      Effect.provide(exhibit.layer)
    )
  return { sandbox, secrets, exhibit, bare, credentials, violet, build, watch, scope }
})

type Setting = Effect.Effect.Success<ReturnType<typeof setup>>

const clean = Effect.fnUntraced(function* (
  { exhibit, secrets }: Pick<Setting, "exhibit" | "secrets">,
  beyondReach?: string
) {
  const leaks = yield* exhibit.leaks
  assert.deepStrictEqual(
    leaks.filter((leak) => beyondReach === undefined || !leak.startsWith(beyondReach)),
    []
  )
  assert.isAbove(secrets.seen.size, 0)
})

const tag = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.match(exit, {
    onSuccess: () => "success",
    onFailure: (cause) =>
      cause._tag === "Fail" ? String(Object(cause.error)._tag) : cause._tag === "Die" ? "defect" : cause._tag
  })

/** Uses a session in every way there is, and answers how each ended. */
const use = Effect.fnUntraced(function* (setting: Setting, readers: "all" | "some" = "some") {
  const { exhibit, scope, watch } = setting
  const built = yield* watch("layer", setting.build)
  if (Exit.isFailure(built)) return [tag(built)]
  const session = yield* Effect.provide(Session.Session, built.value)
  const client = yield* Effect.provide(AuthHttpClient, built.value)
  const body = <A, E>(read: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const response = yield* client.get("/merchants?size=2")
      const exit = yield* Effect.exit(read(response))
      // Only now: looking at an answer reads its body.
      yield* exhibit.show("answer", response)
      yield* exhibit.show("request", response.request)
      return yield* exit
    })
  const ways: Record<string, Effect.Effect<unknown, unknown>> = {
    accessToken: session.accessToken,
    json: body((response) => response.json),
    text: body((response) => response.text),
    ...(readers === "all" && {
      arrayBuffer: body((response) => response.arrayBuffer),
      formData: body((response) => response.formData),
      urlParams: body((response) => response.urlParamsBody)
    }),
    stream: body((response) => Stream.runCollect(response.stream)),
    schema: body(HttpClientResponse.schemaBodyJson(Schema.Struct({ nothing: Schema.Number }))),
    status: Effect.flatMap(session.status, (status) => Effect.as(exhibit.show("status", status), status)),
    ok: HttpClient.filterStatusOk(client).get("/merchants"),
    post: HttpClientRequest.post("/echo").pipe(HttpClientRequest.bodyUnsafeJson({ hello: "there" }), client.execute),
    missing: HttpClient.filterStatusOk(client).get("/nothing"),
    foreign: client.get("https://elsewhere.test/merchants?x=1"),
    refresh: session.refresh,
    reject: Effect.flatMap(session.accessToken, (token) => session.reject(token)),
    rejectAgain: Effect.flatMap(session.accessToken, (token) => session.reject(token, { retried: true })),
    login: session.login,
    changes: Stream.runHead(session.changes),
    adoptNothing: session.adopt(Token.make({})),
    logout: session.logout,
    signedOut: session.accessToken,
    signedOutCall: client.get("/merchants")
  }
  const tags: Array<string> = []
  for (const [name, effect] of Object.entries(ways)) tags.push(`${name} ${tag(yield* watch(name, effect))}`)
  yield* exhibit.show("session", session)
  yield* exhibit.show("client", client)
  yield* watch("close", Scope.close(scope, Exit.void))
  tags.push(`closed ${tag(yield* watch("closed", session.accessToken))}`)
  tags.push(`closedCall ${tag(yield* watch("closedCall", client.get("/merchants")))}`)
  return tags
})

const faults: Record<string, Faults.Fault> = {
  "a late request": Faults.Delay({ duration: "30 seconds" }),
  "a late answer": Faults.Delay({ duration: "30 seconds", when: "after" }),
  "a connection dropped before": Faults.Drop({ when: "before" }),
  "a connection dropped after": Faults.Drop({ when: "after" }),
  "status 400": Faults.Status({ status: 400 }),
  "status 401": Faults.Status({ status: 401 }),
  "status 403": Faults.Status({ status: 403 }),
  "status 429": Faults.Status({ status: 429, retryAfter: "3" }),
  "status 500": Faults.Status({ status: 500 }),
  "status 503": Faults.Status({ status: 503, retryAfter: "garbage" }),
  "a broken body": Faults.Body({ kind: "broken" }),
  "a truncated body": Faults.Body({ kind: "truncated" }),
  "a gateway's page": Faults.Body({ kind: "html" }),
  "an empty body": Faults.Body({ kind: "empty" }),
  "no token": Faults.Token({ kind: "missing" }),
  "a number for a token": Faults.Token({ kind: "number" }),
  "null for a token": Faults.Token({ kind: "null" }),
  "an absurd expiry": Faults.Expiry({ claims: { exp: "soon", iat: -1 } }),
  "an expiry that is past": Faults.Expiry({ claims: { exp: 1, iat: undefined } }),
  "a redirect": Faults.Redirect({ location: "https://elsewhere.test/login?from=violet" }),
  "a redirect that keeps the method": Faults.Redirect({ location: "https://elsewhere.test/", status: 307 })
}

const endpoints: ReadonlyArray<SandboxLog.Endpoint> = ["login", "refresh", "api"]

describe("law 27: no secret shows", () => {
  it.effect("the scan finds a secret wherever there may be one", () =>
    Effect.gen(function* () {
      const secrets = new Secrets()
      const shows = (program: (exhibit: ReturnType<typeof exhibits>) => Effect.Effect<unknown>) =>
        Effect.gen(function* () {
          const exhibit = exhibits(secrets)
          yield* Effect.provide(Effect.exit(program(exhibit)), exhibit.layer)
          return (yield* exhibit.leaks).length > 0
        })
      const secret = "the-secret-of-the-scan"
      secrets.add(secret)
      const request = HttpClientRequest.get("https://violet.test").pipe(
        HttpClientRequest.setHeader("x-violet-token", secret)
      )
      const error = new HttpClientError.RequestError({ request, reason: "Transport" })
      const hidden = Object.defineProperty(new Error("boom"), "hidden", { value: { secret }, enumerable: false })
      const places: Record<string, Parameters<typeof shows>[0]> = {
        "a log line": () => Effect.logTrace("at", { deep: [secret] }),
        "the cause of a log line": () => Effect.logDebug("oh", Cause.die(error)),
        "an annotation": () => Effect.annotateLogs(Effect.log("oh"), "who", secret),
        "a log span": () => Effect.withLogSpan(Effect.log("oh"), secret),
        "a fiber that fails": () => Effect.flatMap(Effect.fork(Effect.die(secret)), Fiber.await),
        "the name of a span": () => Effect.withSpan(Effect.void, secret),
        "an attribute": () => Effect.withSpan(Effect.annotateCurrentSpan("token", secret), "span"),
        "the status of a span": () => Effect.withSpan(Effect.die(hidden), "span"),
        "the request of an error": (exhibit) => exhibit.showExit("x", Exit.fail(error)),
        "a hidden property": (exhibit) => exhibit.show("x", hidden),
        "a chain of causes": (exhibit) =>
          exhibit.show("x", new Error("a", { cause: new Error("b", { cause: secret }) })),
        bytes: (exhibit) => exhibit.show("x", { body: new TextEncoder().encode(`{"a":"${secret}"}`) }),
        "base64 of it and more": (exhibit) => exhibit.show("x", Buffer.from(`user:${secret}\n`).toString("base64")),
        "a part of a URL": (exhibit) => exhibit.show("x", new URL(`https://violet.test/?a=${secret}`))
      }
      for (const [place, program] of Object.entries(places)) assert.isTrue(yield* shows(program), place)
      assert.isFalse(yield* shows((exhibit) => exhibit.show("x", Redacted.make(secret))))
    })
  )

  it.effect("while all is well", () =>
    Effect.gen(function* () {
      const setting = yield* setup()
      const tags = yield* use(setting, "all")
      yield* clean(setting)
      assert.includeMembers(tags, [
        "accessToken success",
        "json success",
        "schema ParseError",
        "foreign UntrustedOrigin",
        "missing ResponseError",
        "refresh success",
        "adoptNothing Misconfigured",
        "logout success",
        "signedOut SignedOut",
        "closed Misconfigured"
      ])
      // App secret, password, refresh tokens and access tokens went by; spans and logs were there to be looked at.
      assert.isAbove(setting.secrets.seen.size, 5)
      for (const place of ["span", "answer", "status", "metric"]) assert.isAbove(setting.exhibit.count(place), 0, place)
    })
  )

  for (const endpoint of endpoints) {
    for (const [name, fault] of Object.entries(faults)) {
      // The API issues no token, so none of it can be odd.
      if (endpoint === "api" && (fault._tag === "Token" || fault._tag === "Expiry")) continue
      it.effect(`under ${name} at ${endpoint}`, () =>
        Effect.gen(function* () {
          const setting = yield* setup()
          yield* setting.sandbox.faults.inject(endpoint, fault, Number.POSITIVE_INFINITY)
          yield* use(setting, endpoint === "api" && fault._tag === "Body" ? "all" : "some")
          yield* clean(setting)
        })
      )
    }
  }

  it.effect("when the password is wrong", () =>
    Effect.gen(function* () {
      const setting = yield* setup({ password: 'wr\u00f6ng pass/word+"' })
      assert.include(yield* use(setting), "accessToken InvalidCredentials")
      yield* clean(setting)
    })
  )

  it.effect("when the application is refused", () =>
    Effect.gen(function* () {
      const wrong = "wrong+s3cr3t/=="
      const setting = yield* setup({ options: { appSecret: Redacted.make(wrong) } })
      setting.secrets.add(wrong)
      assert.include(yield* use(setting), "accessToken Misconfigured")
      yield* clean(setting)
    })
  )

  const misconfigured: Record<string, Partial<Violet.Options & Auth.Options>> = {
    "an app secret that no header can hold": { appSecret: Redacted.make(`${appSecret}\n${password}`) },
    "an address with a password in it": { baseUrl: `https://violet:${encodeURIComponent(password)}@violet.test/v1` },
    "an address with a secret in its query": {
      baseUrl: `https://violet.test/v1?secret=${encodeURIComponent(appSecret)}`
    },
    "an address that is none": { baseUrl: appSecret },
    "two addresses": { environment: "sandbox", baseUrl: "https://violet.test" }
  }
  for (const [name, options] of Object.entries(misconfigured)) {
    it.effect(`when the options hold ${name}`, () =>
      Effect.gen(function* () {
        const setting = yield* setup({ options })
        assert.deepStrictEqual(yield* use(setting), ["Misconfigured"])
        yield* clean(setting)
      })
    )
  }

  it.effect("when every token has been revoked, and every call is rejected", () =>
    Effect.gen(function* () {
      const setting = yield* setup()
      yield* setting.sandbox.faults.inject("api", Faults.Status({ status: 401 }), Number.POSITIVE_INFINITY)
      yield* setting.sandbox.faults.inject("login", Faults.Delay({ duration: 0 }))
      const built = yield* Effect.provide(setting.build, setting.exhibit.layer)
      const session = yield* Effect.provide(Session.Session, built)
      const client = yield* Effect.provide(AuthHttpClient, built)
      yield* setting.watch("accessToken", session.accessToken)
      yield* setting.sandbox.revokeAccessTokens
      yield* setting.sandbox.revokeRefreshTokens
      yield* setting.sandbox.setPassword("changed meanwhile")
      const rejected = yield* setting.watch(
        "call",
        Effect.flatMap(client.get("/merchants"), (response) =>
          Effect.as(setting.exhibit.show("answer", response), response)
        )
      )
      assert.strictEqual(tag(rejected), "InvalidCredentials")
      yield* setting.watch("close", Scope.close(setting.scope, Exit.void))
      yield* clean(setting)
    })
  )

  const tokens: Record<string, string> = {
    "a number": "918273645546372819",
    "a string with a line break": JSON.stringify("odd-token\nwith-a-break-0123456789"),
    "a string beyond ASCII": JSON.stringify("t\u00f6ken-beyond-ascii-\u2603-0123456789"),
    "a list": JSON.stringify(["token-in-a-list-0123456789"]),
    "a record": JSON.stringify({ token: "token-in-a-record-0123456789" })
  }
  for (const [name, token] of Object.entries(tokens)) {
    for (const field of ["token", "refresh_token"]) {
      it.effect(`when the ${field} is ${name}`, () =>
        Effect.gen(function* () {
          const setting = yield* setup({
            rewrite: (text) => text.replace(new RegExp(`"${field}":"[^"]*"`), `"${field}":${token}`)
          })
          const inner = /[\w\u0080-\uffff-]{15,}/u.exec(token)?.[0]
          if (inner !== undefined) setting.secrets.add(inner)
          const tags = yield* use(setting)
          assert.include(tags, field === "token" ? "accessToken MalformedResponse" : "accessToken success")
          yield* clean(setting)
        })
      )
    }
  }

  for (const kind of ["Transport", "Encode", "InvalidUrl"] as const) {
    it.effect(`when the client under fails (${kind}) with the authorized request in its cause`, () =>
      Effect.gen(function* () {
        const setting = yield* setup({
          wrap: (client) =>
            HttpClient.make((request, url) => {
              if (/login|token/.test(url.pathname)) return client.execute(request)
              const cause = Object.assign(new Error("boom"), {
                code: "ECONNRESET",
                request,
                headers: [request.headers]
              })
              return Effect.fail(new HttpClientError.RequestError({ request, reason: kind, cause }))
            })
        })
        assert.include(yield* use(setting), "json RequestError")
        yield* clean(setting)
      })
    )
  }

  it.effect("when the client under fails at the token endpoint with the request in its cause", () =>
    Effect.gen(function* () {
      const setting = yield* setup({
        wrap: (client) =>
          HttpClient.make((request) =>
            Effect.flatMap(client.execute(request), () => {
              const cause = Object.assign(new Error(JSON.stringify(request)), { request })
              return Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause }))
            })
          )
      })
      assert.include(yield* use(setting), "accessToken NetworkFailure")
      yield* clean(setting)
    })
  )

  it.effect("when the client under turns statuses into errors", () =>
    Effect.gen(function* () {
      const setting = yield* setup({ wrap: HttpClient.filterStatusOk })
      yield* setting.sandbox.faults.inject("api", Faults.Status({ status: 500 }), Number.POSITIVE_INFINITY)
      assert.include(yield* use(setting), "ok ResponseError")
      yield* clean(setting)
    })
  )

  it.effect("when the client under breaks at the token endpoint with a secret in its defect", () =>
    Effect.gen(function* () {
      const setting = yield* setup({
        wrap: (client) =>
          HttpClient.make((request) =>
            Effect.zipRight(
              client.execute(request),
              Effect.die(new TypeError(`cannot send ${JSON.stringify(request)}`))
            )
          )
      })
      assert.include(yield* use(setting), "accessToken MalformedResponse")
      yield* clean(setting, "span of the bare client")
    })
  )

  it.effect("when fetch refuses a header that an adopted token does not fit in", () =>
    Effect.gen(function* () {
      const token = "adopted-token\nwith-a-break-0123456789"
      const setting = yield* setup()
      setting.secrets.add(token)
      setting.secrets.add("with-a-break-0123456789")
      const fetch: typeof globalThis.fetch = (url, init) => {
        new Request(url, { headers: init?.headers ?? {} })
        return Promise.resolve(Response.json({}))
      }
      const bare = Layer.provide(FetchHttpClient.layer, Layer.succeed(FetchHttpClient.Fetch, fetch))
      const built = yield* Violet.layer(setting.violet).pipe(
        Layer.provide(Layer.merge(Credentials.layerNone, bare)),
        Layer.buildWithScope(setting.scope)
      )
      const session = yield* Effect.provide(Session.Session, built)
      const client = yield* Effect.provide(AuthHttpClient, built)
      const made = Token.make({ accessToken: Redacted.make(token), refreshToken: Redacted.make(token) })
      yield* setting.watch("adopt", session.adopt(made))
      yield* setting.watch("call", client.get("/merchants"))
      yield* setting.watch("refresh", session.refresh)
      yield* setting.watch("close", Scope.close(setting.scope, Exit.void))
      yield* clean(setting)
    })
  )

  it.effect("in layers, providers, credentials, token sets, records and stores", () =>
    Effect.gen(function* () {
      const setting = yield* setup()
      const { bare, credentials, exhibit, violet } = setting
      const provider = yield* Effect.provideService(Violet.make(violet), HttpClient.HttpClient, bare)
      const store = yield* TokenStore.makeMemory
      const session = yield* Session.make({ key: "key" }).pipe(
        Effect.provideService(AuthProvider, provider),
        Effect.provideService(TokenStore.TokenStore, store),
        Effect.provide(Credentials.layer(credentials)),
        Scope.extend(setting.scope)
      )
      yield* setting.watch("accessToken", session.accessToken)
      const record = yield* Records.load(store, "key")
      assert.isTrue(Option.isSome(Option.flatMap(record, ({ tokens }) => tokens)))
      const tokens = yield* Option.getOrThrow(provider.login(Option.some(credentials)))
      const values = {
        provider,
        store,
        session,
        record,
        tokens,
        credentials,
        layer: Violet.layer(violet),
        make: Violet.make(violet),
        credentialsLayer: Credentials.layer(credentials),
        credentialsService: yield* Effect.provide(Credentials.Credentials, Credentials.layer(credentials)),
        status: yield* session.status,
        token: yield* session.accessToken
      }
      for (const [place, value] of Object.entries(values)) yield* exhibit.show(place, value)
      yield* setting.watch("close", Scope.close(setting.scope, Exit.void))
      yield* clean(setting)
    })
  )
})
