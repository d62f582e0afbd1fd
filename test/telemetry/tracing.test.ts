import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, FiberRef, Layer, Option, TestClock, Tracer } from "effect"
import * as AuthHttpClient from "../../src/client/AuthHttpClient.js"
import * as AuthError from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import * as Session from "../../src/session/Session.js"
import * as AuthMetrics from "../../src/telemetry/AuthMetrics.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import {
  fails,
  failure,
  herd,
  paused,
  provider,
  secret,
  session,
  until,
  value,
  watchedStore
} from "../support/harness.js"
import { Secrets, shown, shownCause } from "../support/secrets.js"
import { type Fault, logging, named, tracing } from "../support/telemetry.js"

const within = (name: string) => Effect.withSpan(name, { captureStackTrace: false })

/** Lets whatever can run without the clock run. */
const flush = Effect.repeatN(Effect.yieldNow(), 100)

describe("the span of a token request", () => {
  it.scoped("law 27: of a success it holds no token, the one who looks into what was answered", () => {
    const { layer, of } = tracing()
    const secrets = new Secrets()
    for (const text of ["test-access-1", "test-refresh-1", "test-user", "test-password"]) secrets.add(text)
    return Effect.gen(function* () {
      const s = yield* session(provider())
      yield* s.accessToken.pipe(within("the caller's"))
      for (const span of [...of("auth.login"), ...of("auth.wait")]) {
        assert.isDefined(span.exit)
        for (const text of shown(span)) assert.isUndefined(secrets.findIn(text), text)
      }
    }).pipe(Effect.provide(layer))
  })

  it.scoped("has no parent, is a client's, and tells provider, session and outcome", () => {
    const { layer, spans } = tracing()
    return Effect.gen(function* () {
      // Not even the span of the application's start, which the session was made in.
      const s = yield* session(provider(), { label: "shop" }).pipe(within("the start"))
      yield* s.accessToken.pipe(within("the caller's"))
      yield* s.refresh.pipe(within("the caller's"))
      yield* s.logout.pipe(within("the caller's"))
      const tokenRequests = spans.filter(({ kind }) => kind === "client")
      assert.deepStrictEqual(
        tokenRequests.map(({ attributes, links, name, parent }) => ({ attributes, links, name, parent })),
        [
          ["auth.login", "obtained"],
          ["auth.refresh", "obtained"],
          ["auth.revoke", "revoked"]
        ].map(([name, outcome]) => ({
          name: name as string,
          parent: undefined,
          links: [],
          attributes: { "auth.provider": "test", "auth.session": "shop", "auth.outcome": outcome }
        }))
      )
      assert.isTrue(spans.every(({ exit }) => exit !== undefined && Exit.isSuccess(exit)))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("has no session unless that has a name", () => {
    const { layer, spans } = tracing()
    return Effect.gen(function* () {
      const s = yield* session(provider(), { key: "alice" })
      yield* s.accessToken
      assert.deepStrictEqual(spans[0]?.attributes, { "auth.provider": "test", "auth.outcome": "obtained" })
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is traced of a renewal in the background, by the tracer that the session was made with", () => {
    const { layer, of } = tracing()
    return Effect.gen(function* () {
      const s = yield* session(provider(), { renewal: true })
      yield* s.accessToken
      yield* TestClock.adjust("4 minutes")
      yield* flush
      assert.deepInclude(of("auth.refresh")[0], { parent: undefined, kind: "client", links: [] })
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is about the token request, not about the caller who happened to start it", () => {
    const { layer, of, spans } = tracing()
    return Effect.gen(function* () {
      const s = yield* session(provider())
      const other = yield* Effect.makeSpan("other")
      yield* s.accessToken.pipe(
        Effect.annotateSpans("request", "test-request-1"),
        Effect.linkSpans(other),
        within("the caller's")
      )
      assert.deepStrictEqual(of("auth.login")[0]?.links, [])
      assert.notProperty(of("auth.login")[0]?.attributes, "request")
      assert.strictEqual(spans.find(({ name }) => name === "auth.wait")?.attributes.request, "test-request-1")
    }).pipe(Effect.provide(layer))
  })

  it.scoped("nor is what the store and the provider do meanwhile about that caller", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const look = Effect.zipWith(
        Effect.contextWith((context: Context.Context<never>) => Context.getOption(context, Tracer.ParentSpan)),
        FiberRef.get(FiberRef.currentMetricLabels),
        (span, labels) => seen.push([Option.isSome(span) && "name" in span.value && span.value.name, labels])
      )
      const { service, state } = yield* watchedStore
      state.save = Effect.as(look, true)
      const p = provider({ rotation: "none" })
      p.next((honest) => Effect.zipRight(look, honest))
      const s = yield* session(p, { store: service })
      yield* s.accessToken.pipe(within("the caller's"), Effect.tagMetrics("caller", "one"))
      assert.deepStrictEqual(seen, [
        ["auth.login", []],
        [false, []]
      ])
    })
  )

  it.scoped("but it has what the application says of all its spans", () => {
    const { layer, of } = tracing()
    return Effect.gen(function* () {
      const s = yield* session(provider())
      yield* s.accessToken
      assert.strictEqual(of("auth.login")[0]?.attributes.region, "eu")
    }).pipe(Effect.annotateSpans("region", "eu"), Effect.provide(layer))
  })

  const failures: ReadonlyArray<readonly [string, AuthError.AuthError]> = [
    ["refused", failure.refused],
    ["not-spent", failure.unspent],
    ["unknown", failure.malformed],
    ["misconfigured", failure.misconfigured]
  ]
  for (const [outcome, error] of failures) {
    it.scoped(`law 27: ${outcome}, it fails with the AuthError, without a secret`, () => {
      const { layer, of, spans } = tracing()
      const secrets = new Secrets()
      for (const text of ["test-access-1", "test-refresh-1", "test-user", "test-password"]) secrets.add(text)
      return Effect.gen(function* () {
        const p = provider({ rotation: "single-use" })
        const s = yield* session(p, { patience: 0 })
        yield* s.accessToken
        p.next(fails(error))
        yield* Effect.exit(s.refresh)
        const [refresh] = of("auth.refresh")
        assert.strictEqual(refresh?.attributes["auth.outcome"], outcome)
        const { exit } = refresh ?? {}
        if (exit === undefined || Exit.isSuccess(exit)) return assert.fail("the span did not fail")
        const reported = Cause.failureOption(exit.cause)
        assert.isTrue(Option.exists(reported, (one) => AuthError.isAuthError(one) && one.message === error.message))
        for (const text of [...shownCause(exit.cause), ...spans.flatMap(shown)]) {
          assert.isUndefined(secrets.findIn(text), text)
        }
      }).pipe(Effect.provide(layer))
    })
  }

  it.scoped("the requests of the bare client are its children, and those of the application are not", () => {
    const { layer, of, spans } = tracing()
    return Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make()
      const auth = Violet.layer({
        appId: 1234,
        appSecret: secret("test-app-secret"),
        baseUrl: sandbox.baseUrl,
        renewal: "on-use"
      }).pipe(
        Layer.provide([
          Credentials.layer({ username: secret("test-user@example.com"), password: secret("test-password") }),
          Layer.succeed(HttpClient.HttpClient, sandbox.client)
        ])
      )
      yield* Effect.provide(
        Effect.gen(function* () {
          const client = yield* AuthHttpClient.AuthHttpClient
          yield* client.get("/merchants").pipe(within("a page"))
          yield* Effect.flatMap(Session.Session, (s) => s.refresh)
        }),
        auth
      )
      const requests = spans.filter(({ name }) => name.startsWith("http.client"))
      assert.deepStrictEqual(
        requests.map(({ attributes, parent }) => [new URL(String(attributes["url.full"])).pathname, parent]),
        [
          ["/v1/login", of("auth.login")[0]?.id],
          ["/v1/merchants", of("a page")[0]?.id],
          ["/v1/auth/token", of("auth.refresh")[0]?.id]
        ]
      )
      const reported = JSON.stringify(spans.map(({ attributes, name }) => ({ attributes, name })))
      assert.include(reported, "x-violet-app-secret")
      assert.notMatch(reported, /test-app-secret|test-password|eyJ/)
    }).pipe(Effect.provide(layer))
  })
})

describe("the span of a wait", () => {
  it.scoped("is a child of the caller's, and 50 of them link to the one token request that they waited for", () => {
    const { layer, of, spans } = tracing()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { label: "shop" })
      const flight = yield* paused
      p.next(flight.tokenRequest)
      const callers = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 50 }, (_, i) => i),
          (i) => s.accessToken.pipe(within(`caller ${i}`)),
          {
            concurrency: "unbounded"
          }
        )
      )
      yield* flight.sent
      yield* until(() => of("auth.wait").length === 50)
      assert.isTrue(of("auth.wait").every(({ exit }) => exit === undefined))
      yield* flight.respond
      yield* Fiber.join(callers)
      const [login, ...more] = of("auth.login")
      assert.strictEqual(more.length, 0)
      for (const wait of of("auth.wait")) {
        assert.deepStrictEqual(wait.links, [login?.id])
        assert.deepStrictEqual(wait.attributes, { "auth.provider": "test", "auth.session": "shop" })
        assert.isTrue(wait.exit !== undefined && Exit.isSuccess(wait.exit))
      }
      const parents = of("auth.wait").map(({ parent }) => spans.find(({ id }) => id === parent)?.name)
      assert.deepStrictEqual(new Set(parents), new Set(Array.from({ length: 50 }, (_, i) => `caller ${i}`)))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("links to both token requests of a flight whose refresh was refused", () => {
    const { layer, of } = tracing()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      p.next(fails(failure.refused))
      yield* s.refresh.pipe(within("the caller's"))
      const ids = [...of("auth.refresh"), of("auth.login")[1]].map((span) => span?.id)
      assert.deepStrictEqual(of("auth.wait")[0]?.links, ids)
    }).pipe(Effect.provide(layer))
  })

  it.scoped("is not there when the caller has no span, nor when no one waits", () => {
    const { layer, of } = tracing()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* herd(10, s.accessToken)
      yield* TestClock.adjust("4 minutes")
      // Stale: answered at once, and renewed behind.
      yield* s.accessToken.pipe(within("the caller's"))
      yield* until(() => p.count().refresh === 1)
      assert.strictEqual(of("auth.refresh").length, 1)
      assert.deepStrictEqual(of("auth.wait"), [])
    }).pipe(Effect.provide(layer))
  })

  it.scoped("ends with the caller's interruption, and with the failure of the token request", () => {
    const { layer, of } = tracing()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: 0 })
      const flight = yield* paused
      p.next((_, asked) => flight.tokenRequest(Effect.fail(failure.unspent), asked))
      const first = yield* Effect.fork(s.accessToken.pipe(within("the caller's")))
      const second = yield* Effect.fork(s.accessToken.pipe(within("the caller's")))
      yield* flight.sent
      yield* until(() => of("auth.wait").length === 2)
      yield* Fiber.interrupt(first)
      const [gone, left] = of("auth.wait")
      assert.isTrue(gone?.exit !== undefined && Exit.isInterrupted(gone.exit))
      assert.deepStrictEqual(gone?.links, [of("auth.login")[0]?.id])
      assert.isUndefined(left?.exit)
      assert.isUndefined(of("auth.login")[0]?.exit)
      yield* flight.respond
      yield* Effect.exit(Fiber.join(second))
      assert.isTrue(left?.exit !== undefined && Exit.isFailure(left.exit) && !Exit.isInterrupted(left.exit))
    }).pipe(Effect.provide(layer))
  })
})

/** Breaks, while the effect runs, whatever counts; and counts how often that was. */
const brokenMetrics = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  let calls = 0
  const all = Object.values(AuthMetrics) as ReadonlyArray<{ unsafeUpdate: unknown; unsafeModify: unknown }>
  return Effect.acquireUseRelease(
    Effect.sync(() => {
      const before = all.map(({ unsafeModify, unsafeUpdate }) => ({ unsafeModify, unsafeUpdate }))
      const broken = () => {
        calls++
        throw new Error("a broken metric")
      }
      for (const metric of all) Object.assign(metric, { unsafeUpdate: broken, unsafeModify: broken })
      return before
    }),
    () => Effect.map(effect, (result) => ({ result, calls })),
    (before) =>
      Effect.sync(() => {
        for (const [i, methods] of before.entries()) Object.assign(all[i] as object, methods)
      })
  )
}

it.scoped("law 1: reading a fresh token makes no span, no log and no update of a metric", () => {
  const { layer, spans } = tracing()
  const logs = logging()
  return Effect.gen(function* () {
    const s = yield* session(provider(), { label: "shop" })
    yield* s.accessToken
    yield* flush
    const before = spans.length
    logs.take()
    const { calls } = yield* brokenMetrics(Effect.repeatN(s.accessToken, 1000)).pipe(within("the caller's"))
    assert.strictEqual(calls, 0)
    assert.deepStrictEqual(
      spans.slice(before).map(({ name }) => name),
      ["the caller's"]
    )
    assert.deepStrictEqual(logs.take(), [])
  }).pipe(Effect.provide([layer, logs.layer]))
})

/** A session's life, with most of what is told about: what callers got, and what the server saw. */
const life = Effect.gen(function* () {
  const p = named("broken-listeners", { rotation: "single-use", refreshLifetime: "30 days" })
  const store = yield* watchedStore
  const s = yield* session(p, { store: store.service, patience: 0, label: "shop" })
  const reported: Array<unknown> = []
  const ask = (effect: Effect.Effect<unknown, AuthError.AuthError>) =>
    Effect.map(Effect.exit(effect.pipe(within("the caller's"))), (exit) => {
      reported.push(
        Exit.match(exit, {
          onFailure: (cause) =>
            Option.getOrElse(
              Option.map(Cause.failureOption(cause), ({ _tag }) => _tag),
              () => "a defect"
            ),
          onSuccess: (token) => (token === undefined ? "done" : value(token as never))
        })
      )
    })
  yield* ask(s.accessToken)
  yield* ask(s.refresh)
  // A caller that leaves, a stale read, and who asks by name in between.
  const flight = yield* paused
  p.next(flight.tokenRequest)
  const leaving = yield* Effect.fork(s.refresh.pipe(within("the caller's")))
  yield* flight.sent
  yield* Fiber.interrupt(leaving)
  yield* flight.respond
  yield* flush
  yield* TestClock.adjust("4 minutes")
  yield* ask(s.accessToken)
  yield* flush
  p.next(fails(failure.unspent), fails(failure.unspent))
  yield* ask(s.refresh)
  yield* TestClock.adjust("1 minute")
  yield* ask(s.refresh)
  yield* TestClock.adjust("1 minute")
  yield* ask(s.refresh)
  // A store that does not save, and then does.
  store.state.save = Effect.fail(new AuthError.StoreFailure({ operation: "save", problem: "full" }))
  yield* ask(s.login)
  store.state.save = undefined
  yield* TestClock.adjust("30 seconds")
  reported.push((yield* s.status).saved ? "saved" : "not saved")
  p.next(() => Effect.die("a defect in the provider"))
  yield* ask(s.login)
  yield* TestClock.adjust("1 minute")
  yield* ask(s.login)
  const token = yield* s.accessToken
  yield* s.reject(token, { retried: true })
  p.next(fails(failure.refused))
  yield* ask(s.refresh)
  yield* TestClock.adjust("29 days")
  yield* ask(s.refresh)
  yield* ask(s.logout)
  yield* ask(s.accessToken)
  return { reported, counts: p.count(), presented: [...p.presented], revoked: [...p.revoked] }
}).pipe(Effect.withRandomFixed([0.5]))

/** The same without anybody who listens, lived once. */
const soundLife = Effect.runSync(Effect.cached(life))

describe("law 32: what listens can neither fail a flight nor a caller", () => {
  it.scoped("the life that is compared with has all that is told about", () => {
    const { layer, spans } = tracing()
    const logs = logging()
    return Effect.gen(function* () {
      const { counts, reported } = yield* life
      assert.deepStrictEqual(reported, [
        "test-access-1",
        "test-access-2",
        "test-access-3",
        "NetworkFailure",
        "NetworkFailure",
        "test-access-5",
        "test-access-6",
        "saved",
        "MalformedResponse",
        "test-access-7",
        "test-access-8",
        "test-access-9",
        "done",
        "SignedOut"
      ])
      assert.isAbove(counts.total, 8)
      assert.deepStrictEqual([...new Set(spans.map(({ name }) => name))].sort(), [
        "auth.login",
        "auth.refresh",
        "auth.revoke",
        "auth.wait",
        "the caller's"
      ])
      const levels = new Set(logs.lines.map(({ level }) => level))
      assert.deepStrictEqual([...levels].sort(), ["DEBUG", "ERROR", "INFO", "WARN"])
    }).pipe(Effect.provide([layer, logs.layer]))
  })

  for (const fault of ["span", "attribute", "addLinks", "end"] satisfies ReadonlyArray<Fault>) {
    it.scoped(`a tracer whose ${fault} throws`, () =>
      Effect.gen(function* () {
        const { layer, spans } = tracing(fault)
        const sound = yield* soundLife
        assert.deepStrictEqual(yield* Effect.provide(life, layer), sound)
        assert.isAbove(spans.length, 10)
      })
    )
  }

  it.scoped("a logger that throws", () =>
    Effect.gen(function* () {
      const sound = yield* soundLife
      assert.deepStrictEqual(yield* Effect.provide(life, logging(true).layer), sound)
    })
  )

  it.scoped("a metric that throws", () =>
    Effect.gen(function* () {
      const sound = yield* soundLife
      const { calls, result } = yield* brokenMetrics(life)
      assert.deepStrictEqual(result, sound)
      assert.isAbove(calls, 30)
    })
  )

  it.scoped("all of them at once", () =>
    Effect.gen(function* () {
      const sound = yield* soundLife
      const broken = Effect.provide(life, [tracing("end").layer, logging(true).layer])
      assert.deepStrictEqual((yield* brokenMetrics(broken)).result, sound)
    })
  )
})
