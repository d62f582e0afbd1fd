import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import {
  Context,
  Data,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Hash,
  Layer,
  Option,
  Scope,
  Stream,
  TestClock
} from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import * as Token from "../../../src/token/Token.js"
import {
  fails,
  failure,
  held,
  herd,
  provider,
  type Scripted,
  secret,
  until,
  user,
  value
} from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"

const bare = HttpClient.make((request) =>
  Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers.authorization ?? "none")))
)

/** A provider whose tokens name it, and which puts them on requests. */
const named = (name: string, options: Parameters<typeof provider>[0] = {}): Scripted => {
  const made = provider(options)
  const mark = <A extends Token.TokenSet>(tokens: A) => ({
    ...tokens,
    accessToken: Option.map(tokens.accessToken, (token) => secret(`${name}-${value(token)}`))
  })
  const { service } = made
  return {
    ...made,
    // Read anew each time: to spread it reads it once.
    get presented() {
      return made.presented
    },
    get revoked() {
      return made.revoked
    },
    service: {
      ...service,
      name,
      login: (credentials) => Option.map(service.login(credentials), Effect.map(mark)),
      refresh: (tokens) => Effect.map(service.refresh(tokens), mark),
      authorize: (request, token) =>
        ({ ...request, headers: { ...request.headers, authorization: value(token) } }) as never
    }
  }
}

class Unknown extends Data.TaggedError("Unknown")<{ readonly key: string }> {}

/** A map of tenants, each with a provider of its own, made when it is looked up first. */
const tenants = Effect.fnUntraced(function* (
  options: Partial<SessionMap.Options<string, Unknown>> & {
    readonly provider?: Parameters<typeof provider>[0]
    /** What happens in a lookup before it answers, the n-th of all. */
    readonly before?: (key: string, nth: number) => Effect.Effect<void, Unknown>
  } = {}
) {
  const providers = new Map<string, Scripted>()
  const lookups: Array<string> = []
  const of = (key: string) => {
    const made = providers.get(key) ?? named(key, options.provider)
    providers.set(key, made)
    return made
  }
  const map = yield* SessionMap.make<string, Unknown>({
    shutdownDeadline: 0,
    lookup: (key) =>
      Effect.suspend(() => {
        lookups.push(key)
        return Effect.as(options.before?.(key, lookups.length) ?? Effect.void, {
          provider: of(key).service,
          account: "account",
          credentials: Effect.succeed(user)
        })
      }),
    ...options
  }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
  return { map, of, lookups }
})

const open = (map: SessionMap.Service<string, Unknown>) =>
  Effect.map(map.statuses, (all) => all.map(([key]) => key).sort())

/** Lets whatever can run without the clock run. */
const settled = Effect.repeatN(Effect.yieldNow(), 50)

describe("many tenants", () => {
  it.scoped("law 6, law 33: one lookup and one exchange for a thousand callers of a new key", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants()
      const all = yield* herd(1000, map.accessToken("a"))
      assert.deepStrictEqual(new Set(all.map((one) => (one._tag === "Right" ? value(one.right) : "failed"))).size, 1)
      assert.deepStrictEqual(lookups, ["a"])
      assert.strictEqual(of("a").count().total, 1)
    })
  )

  it.scoped(
    "law 33: the same account at two providers never mixes, in memory, in the store and under one key each",
    () =>
      Effect.gen(function* () {
        const { map, of } = yield* tenants({ store: TokenStore.makeMemory })
        yield* Effect.all(
          ["a", "b"].flatMap((key) => Array.from({ length: 20 }, () => map.accessToken(key))),
          { concurrency: "unbounded" }
        )
        for (const key of ["a", "b"]) {
          assert.strictEqual(value(yield* map.accessToken(key)), `${key}-test-access-1`)
          assert.strictEqual(
            yield* Effect.flatMap(map.client(key).get("x"), (answer) => answer.text),
            `${key}-test-access-1`
          )
          yield* map.invalidate(key)
          assert.strictEqual(value(yield* map.accessToken(key)), `${key}-test-access-1`)
          assert.strictEqual(of(key).count().total, 1)
        }
      })
  )

  it.scoped("law 33: sessions that differ in base URL or scopes only share nothing", () =>
    Effect.gen(function* () {
      const one = named("api")
      const at = (baseUrl: string, scope: ReadonlyArray<string>) => ({
        ...one.service,
        baseUrl: new URL(baseUrl),
        scope
      })
      const providers = {
        plain: at("https://a.test/", []),
        read: at("https://a.test/", ["read"]),
        both: at("https://a.test/", ["write", "read"]),
        same: at("https://a.test/", ["read", "write"]),
        elsewhere: at("https://b.test/", [])
      }
      const map = yield* SessionMap.make({
        lookup: (key: keyof typeof providers) =>
          Effect.succeed({ provider: providers[key], account: "account", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      const tokens = yield* Effect.forEach(["plain", "read", "both", "same", "elsewhere"] as const, (key) =>
        Effect.map(map.accessToken(key), value)
      )
      assert.strictEqual(new Set(tokens).size, 4)
      assert.strictEqual(tokens[2], tokens[3])
    })
  )

  it.scoped("law 33: an endpoint that hangs or fails delays nobody else", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants()
      of("hangs").always(() => Effect.never)
      of("fails").always(fails(failure.unspent))
      const hanging = yield* Effect.fork(Effect.either(map.accessToken("hangs")))
      const failing = yield* Effect.fork(Effect.either(map.accessToken("fails")))
      yield* settled
      // The clock does not move: whoever waited for anything would wait for ever.
      for (let i = 0; i < 20; i++)
        assert.strictEqual(value(yield* map.accessToken(`fine-${i}`)), `fine-${i}-test-access-1`)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(hanging))._tag, "Left")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "Left")
    })
  )

  it.scoped("law 33: a lookup that hangs, fails or dies is its own key's affair, and typed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { map } = yield* tenants({
        lookup: (key) =>
          key === "hangs"
            ? Effect.zipRight(Deferred.await(gate), Effect.never)
            : key === "dies"
              ? Effect.die(new Error("test-secret"))
              : key === "throws"
                ? (JSON.parse("{") as never)
                : key === "unknown"
                  ? new Unknown({ key })
                  : Effect.succeed({
                      provider: named(key).service,
                      account: key === "nameless" ? " " : key,
                      credentials: Effect.succeed(user),
                      ...(key === "seedless" ? { seed: Token.make({}) } : {})
                    })
      })
      const hanging = yield* Effect.fork(Effect.flip(map.accessToken("hangs")))
      const of = (key: string) => Effect.map(Effect.flip(map.accessToken(key)), (error) => error)
      assert.deepStrictEqual(yield* of("unknown"), new Unknown({ key: "unknown" }))
      for (const [key, field] of [
        ["dies", "lookup"],
        ["throws", "lookup"],
        ["nameless", "account"],
        ["seedless", "seed"]
      ] as const) {
        const error = yield* of(key)
        assert.strictEqual(error._tag === "Misconfigured" && error.field, field)
        assert.notInclude(String(error), "test-secret")
      }
      assert.strictEqual(value(yield* map.accessToken("fine")), "fine-test-access-1")
      yield* TestClock.adjust("10 seconds")
      const late = yield* Fiber.join(hanging)
      assert.strictEqual(late._tag === "NetworkFailure" && late.reason, "timeout")
      assert.deepStrictEqual(yield* open(map), ["fine"])
    })
  )

  it.scoped("a plain HttpClient of a key tells what its lookup failed with as the cause", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ before: (key) => (key === "unknown" ? new Unknown({ key }) : Effect.void) })
      const error = yield* Effect.flip(AuthHttpClient.toHttpClient(map.client("unknown")).get("x"))
      assert.deepInclude(error, { _tag: "RequestError", reason: "Encode", cause: new Unknown({ key: "unknown" }) })
      assert.strictEqual((yield* AuthHttpClient.toHttpClient(map.client("a")).get("x")).status, 200)
    })
  )

  it.scoped("a failed lookup is not remembered", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ before: (key, nth) => (nth === 1 ? new Unknown({ key }) : Effect.void) })
      assert.strictEqual((yield* Effect.flip(map.accessToken("a")))._tag, "Unknown")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
    })
  )

  it.scoped("law 7: the first caller of a key is interrupted, and the others get their token of the same lookup", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { lookups, map } = yield* tenants({ before: () => Deferred.await(gate) })
      const first = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => lookups.length === 1)
      const second = yield* Effect.fork(map.accessToken("a"))
      yield* settled
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, void 0)
      assert.strictEqual(value(yield* Fiber.join(second)), "a-test-access-1")
      assert.deepStrictEqual(lookups, ["a"])
    })
  )

  it.scoped("keys are compared as Effect compares values", () =>
    Effect.gen(function* () {
      class Key extends Data.Class<{ readonly shop: string; readonly user: number }> {}
      const made = named("api")
      const map = yield* SessionMap.make({
        lookup: ({ shop, user: id }: Key) =>
          Effect.succeed({ provider: made.service, account: `${shop}/${id}`, credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      yield* map.accessToken(new Key({ shop: "a", user: 1 }))
      yield* map.accessToken(new Key({ shop: "a", user: 1 }))
      yield* map.accessToken(new Key({ shop: "a", user: 2 }))
      assert.strictEqual(made.count().total, 2)
    })
  )

  it.scoped("a layer of a tag of one's own", () =>
    Effect.gen(function* () {
      class Merchants extends Context.Tag("effect-auth/test/tenants/SessionMap/eviction.test/Merchants")<
        Merchants,
        SessionMap.Service<string, Unknown>
      >() {}
      const made = named("a")
      const layer = SessionMap.layer(Merchants, {
        lookup: (key: string) =>
          Effect.map(TokenStore.TokenStore, () => ({
            provider: made.service,
            account: key,
            credentials: Effect.succeed(user)
          })),
        store: TokenStore.TokenStore
      }).pipe(Layer.provide(TokenStore.layerMemory), Layer.provide(Layer.succeed(HttpClient.HttpClient, bare)))
      const token = yield* Effect.provide(
        Effect.flatMap(Merchants, (map) => map.accessToken("x")),
        layer
      )
      assert.strictEqual(value(token), "a-test-access-1")
    })
  )

  for (const [field, options] of [
    ["idleTimeToLive", { idleTimeToLive: 0 }],
    ["idleTimeToLive", { idleTimeToLive: -1 }],
    ["timeout", { timeout: 0 }],
    ["leeway", { leeway: Number.NaN }],
    ["renewal", { renewal: "never" as never }]
  ] as const) {
    it.scoped(`a bad option is Misconfigured and named: ${field}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(tenants(options))
        assert.strictEqual(error.field, field)
      })
    )
  }
})

describe("tenants that come and go", () => {
  it.scoped(
    "law 33: a session that nobody uses is let go, and loaded again with the refresh token that was rotated last",
    () =>
      Effect.gen(function* () {
        const { lookups, map, of } = yield* tenants({
          provider: { rotation: "single-use", lifetime: "1 hour" },
          idleTimeToLive: "10 minutes",
          renewal: "on-use"
        })
        yield* map.accessToken("a")
        yield* map.session("a").refresh
        yield* TestClock.adjust("9 minutes")
        assert.deepStrictEqual(yield* open(map), ["a"])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* open(map), [])
        assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-2")
        assert.deepStrictEqual(lookups, ["a", "a"])
        yield* map.session("a").refresh
        assert.deepStrictEqual(of("a").presented, ["test-refresh-1", "test-refresh-2"])
        assert.strictEqual(of("a").count().login, 1)
      })
  )

  it.scoped("a use of any kind postpones it, the fast path too", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("9 minutes")
        yield* map.accessToken("a")
      }
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped("background renewal is no use, and renews whoever is open; on-use renews nobody by itself", () =>
    Effect.gen(function* () {
      const options = { provider: { lifetime: "5 minutes" }, idleTimeToLive: "1 hour" } as const
      const eager = yield* tenants(options)
      const lazy = yield* tenants({ ...options, renewal: "on-use" })
      yield* eager.map.accessToken("a")
      yield* lazy.map.accessToken("a")
      yield* TestClock.adjust("59 minutes")
      assert.isAtLeast(eager.of("a").count().refresh, 14)
      assert.strictEqual(lazy.of("a").count().refresh, 0)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* open(eager.map), [])
      const { refresh } = eager.of("a").count()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(eager.of("a").count().refresh, refresh)
    })
  )

  it.scoped("kept alive for ever, sessions are renewed for ever", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ provider: { lifetime: "4 hours" }, idleTimeToLive: Duration.infinity })
      yield* map.accessToken("a")
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.isAtLeast(of("a").count().refresh, 6)
    })
  )

  it.scoped("law 33: what the store could not take stays until it can", () =>
    Effect.gen(function* () {
      const inner = yield* TokenStore.makeMemory
      let broken = true
      const store: TokenStore.Service = {
        ...inner,
        save: (key, entry) => (broken ? Effect.never : inner.save(key, entry))
      }
      const { map } = yield* tenants({
        provider: { lifetime: "1 day" },
        idleTimeToLive: "1 minute",
        store: Effect.succeed(store)
      })
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(caller)
      assert.deepStrictEqual(yield* open(map), ["a"])
      broken = false
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
    })
  )

  it.scoped("laws 9 and 16: to be let go is no way around a cool-down", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 second" })
      of("refused").always(fails(failure.credentials))
      of("busy").always(fails(failure.busy("30 minutes")))
      for (let minute = 0; minute < 29; minute++) {
        yield* Effect.fork(Effect.either(map.accessToken("busy")))
        yield* TestClock.adjust("1 minute")
      }
      assert.strictEqual(of("busy").count().total, 1)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      yield* Effect.flip(map.accessToken("refused"))
      yield* TestClock.adjust("30 seconds")
      yield* Effect.flip(map.accessToken("refused"))
      assert.strictEqual(of("refused").count().total, 1)
    })
  )

  it.scoped("law 16: to be let go forgets no refusals in a row", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ renewal: "on-use" })
      of("a").always(fails(failure.credentials))
      for (let use = 0; use < 36; use++) {
        yield* Effect.flip(map.accessToken("a"))
        yield* TestClock.adjust("20 minutes")
      }
      assert.isAtMost(of("a").count().total, 17)
    })
  )

  it.scoped("a session is not let go during an exchange, nor while somebody looks at its changes", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 second", timeout: "1 hour" })
      const exchange = yield* held
      of("a").next(exchange.exchange)
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* exchange.sent
      yield* TestClock.adjust("10 minutes")
      yield* exchange.answer
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
      const seen: Array<number> = []
      const watcher = yield* map.session("a").changes.pipe(
        Stream.runForEach(({ generation }) => Effect.sync(() => seen.push(generation))),
        Effect.fork
      )
      yield* until(() => seen.length > 0)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* Fiber.interrupt(watcher)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped(
    "law 8, law 33: a tenant that is invalidated during its exchange loses neither the answer nor its callers",
    () =>
      Effect.gen(function* () {
        const { lookups, map, of } = yield* tenants({
          shutdownDeadline: "10 seconds",
          provider: { rotation: "single-use" }
        })
        const exchange = yield* held
        of("a").next(exchange.exchange)
        const before = yield* Effect.fork(map.accessToken("a"))
        yield* exchange.sent
        const gone = yield* Effect.fork(map.invalidate("a"))
        yield* settled
        // A caller who comes meanwhile waits for the close, and gets what was saved in it.
        const meanwhile = yield* Effect.fork(map.accessToken("a"))
        yield* settled
        assert.strictEqual(of("a").count().total, 1)
        yield* exchange.answer
        yield* Fiber.join(gone)
        assert.strictEqual(value(yield* Fiber.join(before)), "a-test-access-1")
        assert.strictEqual(value(yield* Fiber.join(meanwhile)), "a-test-access-1")
        assert.strictEqual(of("a").count().total, 1)
        assert.deepStrictEqual(lookups, ["a", "a"])
      })
  )

  it.scoped("a caller in a cool-down whose session is invalidated asks the next one", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ shutdownDeadline: "1 second" })
      of("a").next(fails(failure.busy("2 seconds")))
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => of("a").count().total === 1)
      yield* settled
      yield* map.invalidate("a")
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.scoped("an invalidation during a lookup starts it anew", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (_, nth) => (nth === 1 ? Effect.never : Effect.void) })
      const caller = yield* Effect.fork(map.accessToken("a"))
      yield* until(() => lookups.length === 1)
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.effect("law 31: the closing map waits for what is under way, all at once, and answers nobody after", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { map, of } = yield* Scope.extend(tenants({ shutdownDeadline: "10 seconds" }), scope)
      const exchanges = yield* Effect.forEach(["a", "b", "c"], (key) =>
        Effect.tap(held, ({ exchange }) => Effect.sync(() => of(key).next(exchange)))
      )
      const callers = yield* Effect.forEach(["a", "b", "c"], (key) => Effect.fork(map.accessToken(key)))
      yield* Effect.forEach(exchanges, ({ sent }) => sent)
      const hanging = yield* Effect.fork(map.accessToken("unheard"))
      of("unheard").always(() => Effect.never)
      yield* settled
      const close = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settled
      yield* Effect.forEach(exchanges, ({ answer }) => answer)
      for (const caller of callers) assert.include(value(yield* Fiber.join(caller)), "test-access-1")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(close)
      assert.strictEqual((yield* Effect.either(Fiber.join(hanging)))._tag, "Left")
      const refused = yield* Effect.flip(map.accessToken("a"))
      assert.strictEqual((refused as AuthError.AuthError)._tag, "Misconfigured")
      assert.strictEqual((yield* Effect.flip(map.session("new").status))._tag, "Misconfigured")
    })
  )

  it.scoped("the client of a key goes on through rejections and evictions, and to no foreign origin", () =>
    Effect.gen(function* () {
      const made = named("a", { lifetime: "1 day" })
      const rejected = new Set<string>()
      const api = HttpClient.make((request) => {
        const token = request.headers.authorization ?? "none"
        return Effect.succeed(
          HttpClientResponse.fromWeb(request, new Response(token, { status: rejected.has(token) ? 401 : 200 }))
        )
      })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "x", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      const client = map.client("x")
      const text = Effect.flatMap(client.get("y"), (answer) => answer.text)
      assert.strictEqual(yield* text, "a-test-access-1")
      rejected.add("a-test-access-1")
      assert.strictEqual(yield* text, "a-test-access-2")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* map.statuses, [])
      assert.strictEqual(yield* text, "a-test-access-2")
      assert.strictEqual((yield* Effect.flip(client.get("https://evil.test/"))).name, "UntrustedOrigin")
    })
  )
})

/** Lets other fibers come between nearly any two steps of an effect; `lead` shifts where that is. */
const finely = <A, E>(effect: Effect.Effect<A, E>, lead: number): Effect.Effect<A, E> =>
  Effect.withMaxOpsBeforeYield(
    Array.from({ length: lead }).reduce<Effect.Effect<A, E>>((later) => Effect.zipRight(Effect.void, later), effect),
    15
  )

/** An API that keeps its answers back until it is told to give them. */
const gated = (statusOf: (host: string, token: string | undefined) => number) =>
  Effect.map(Effect.makeLatch(false), (gate) => {
    const seen: Array<string> = []
    const api = HttpClient.make((request, url) => {
      const token = request.headers.authorization
      seen.push(`${url.host} ${token}`)
      return Effect.as(
        gate.await,
        HttpClientResponse.fromWeb(request, new Response(null, { status: statusOf(url.host, token) }))
      )
    })
    return { api, gate, seen, arrived: until(() => seen.length > 0) }
  })

describe("what comes between", () => {
  for (const invalidated of [false, true]) {
    const whom = invalidated ? "a tenant that is being invalidated" : "what is under way"
    it.effect(`laws 8 and 31: the closing map waits for ${whom}, and the store has it`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const store = yield* TokenStore.makeMemory
        const options = { shutdownDeadline: "10 seconds", store: Effect.succeed(store) } as const
        const { map, of } = yield* Scope.extend(tenants(options), scope)
        const exchange = yield* held
        of("a").next(exchange.exchange)
        yield* Effect.fork(map.accessToken("a"))
        yield* exchange.sent
        if (invalidated) yield* Effect.fork(map.invalidate("a"))
        yield* settled
        const close = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* settled
        assert.isTrue(Option.isNone(yield* Fiber.poll(close)))
        yield* exchange.answer
        yield* Fiber.join(close)
        assert.isTrue(Option.isSome(yield* store.load("a https://api.test/v1/ account")))
      })
    )
  }

  it.scoped("whoever invalidates a tenant that is being invalidated waits as well", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants({ shutdownDeadline: "10 seconds" })
      const exchange = yield* held
      of("a").next(exchange.exchange)
      yield* Effect.fork(map.accessToken("a"))
      yield* exchange.sent
      const all = yield* Effect.replicateEffect(Effect.fork(map.invalidate("a")), 3)
      const meanwhile = yield* Effect.fork(map.accessToken("a"))
      yield* settled
      for (const one of all) assert.isTrue(Option.isNone(yield* Fiber.poll(one)))
      yield* exchange.answer
      yield* Fiber.joinAll(all)
      assert.strictEqual(value(yield* Fiber.join(meanwhile)), "a-test-access-1")
      assert.deepStrictEqual(lookups, ["a", "a"])
    })
  )

  it.scoped("an invalidation goes on when whoever wanted it is interrupted", () =>
    Effect.gen(function* () {
      for (let lead = 0; lead < 7; lead++) {
        for (let ticks = 1; ticks < 4; ticks++) {
          const { map, of } = yield* tenants({ shutdownDeadline: "10 seconds" })
          yield* map.accessToken("a")
          const exchange = yield* held
          of("a").next(exchange.exchange)
          const caller = yield* Effect.fork(map.session("a").refresh)
          yield* exchange.sent
          const gone = yield* Effect.fork(finely(map.invalidate("a"), lead))
          yield* Effect.repeatN(Effect.yieldNow(), ticks)
          yield* Fiber.interrupt(gone)
          const isOpen = (yield* open(map)).length === 1
          const next = yield* Effect.fork(map.accessToken("a"))
          yield* settled
          const served = Option.isSome(yield* Fiber.poll(next))
          yield* exchange.answer
          yield* Fiber.join(next)
          yield* Fiber.join(caller)
          // Either it is open as before, or it is closing, and whoever comes next waits for that.
          assert.strictEqual(served, isOpen, `${lead}, ${ticks}`)
        }
      }
    })
  )

  it.scoped(
    "law 30: a log out counts, also when its session is invalidated under its hands and another one comes",
    () =>
      Effect.gen(function* () {
        for (let lead = 0; lead < 20; lead++) {
          for (let ticks = 1; ticks < 12; ticks++) {
            const { map } = yield* tenants()
            yield* map.accessToken("a")
            const out = yield* Effect.fork(finely(map.session("a").logout, lead))
            yield* Effect.repeatN(Effect.yieldNow(), ticks)
            yield* map.invalidate("a")
            yield* Effect.either(map.accessToken("a"))
            yield* Fiber.join(out)
            const after = yield* Effect.either(map.accessToken("a"))
            assert.strictEqual(after._tag, "Left", `${lead}, ${ticks}`)
          }
        }
      })
  )

  it.scoped("a log out of a tenant that is removed needs no second lookup", () =>
    Effect.gen(function* () {
      const { lookups, map, of } = yield* tenants({
        shutdownDeadline: "10 seconds",
        before: (key, nth) => (nth > 1 ? new Unknown({ key }) : Effect.void)
      })
      yield* map.accessToken("a")
      yield* Effect.all([map.session("a").logout, map.invalidate("a")], { concurrency: "unbounded" })
      assert.deepStrictEqual(of("a").revoked, ["a-test-access-1"])
      assert.deepStrictEqual(lookups, ["a"])
    })
  )

  it.effect("law 31: nobody enters a map that is closing", () =>
    Effect.gen(function* () {
      for (let ticks = 0; ticks < 20; ticks++) {
        const scope = yield* Scope.make()
        const { map, of } = yield* Scope.extend(tenants({ shutdownDeadline: "10 seconds" }), scope)
        const exchange = yield* held
        of("b").next(exchange.exchange)
        yield* Effect.fork(map.accessToken("b"))
        yield* exchange.sent
        const caller = yield* Effect.fork(Effect.either(finely(map.accessToken("a"), 0)))
        yield* Effect.repeatN(Effect.yieldNow(), ticks)
        const close = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* settled
        yield* exchange.answer
        yield* Fiber.join(close)
        yield* Fiber.join(caller)
        assert.deepStrictEqual(yield* open(map), [], `${ticks}`)
      }
    })
  )

  it.scoped("one lookup, also when callers come between its steps", () =>
    Effect.gen(function* () {
      for (let lead = 0; lead < 8; lead++) {
        for (let ticks = 1; ticks < 4; ticks++) {
          const { lookups, map } = yield* tenants({ before: () => settled })
          const first = yield* Effect.fork(finely(map.accessToken("a"), lead))
          yield* Effect.repeatN(Effect.yieldNow(), ticks - 1)
          yield* map.accessToken("a")
          yield* Fiber.join(first)
          assert.deepStrictEqual(lookups, ["a"], `${lead}, ${ticks}`)
        }
      }
    })
  )

  it.scoped("law 23: a request made out for one API never carries the token of the one that came after it", () =>
    Effect.gen(function* () {
      const { api, arrived, gate, seen } = yield* gated((host) => (host === "old.test" ? 401 : 200))
      const at = (name: string) => {
        const made = named(name)
        const baseUrl = new URL(`https://${name}.test/`)
        return { ...made, service: { ...made.service, baseUrl, origins: [baseUrl.origin] } }
      }
      const [old, next] = [at("old"), at("new")]
      let now = old
      const map = yield* SessionMap.make({
        shutdownDeadline: 0,
        lookup: (_: string) =>
          Effect.sync(() => ({ provider: now.service, account: "account", credentials: Effect.succeed(user) }))
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      // Moved while the request waits for a token: it begins anew.
      old.next(fails(failure.busy("2 seconds")))
      const early = yield* Effect.fork(map.client("a").get("x"))
      yield* settled
      now = next
      yield* map.invalidate("a")
      yield* TestClock.adjust("3 seconds")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(early)).status, 200)
      assert.deepStrictEqual(seen.splice(0), ["new.test new-test-access-1"])
      // Moved between the request and its rejection: that is what the caller gets.
      now = old
      yield* gate.close
      yield* map.invalidate("a")
      const late = yield* Effect.fork(map.client("a").get("x"))
      yield* arrived
      now = next
      yield* map.invalidate("a")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(late)).status, 401)
      assert.deepStrictEqual(seen, ["old.test old-test-access-1"])
    })
  )

  it.scoped("law 10: a rejection is understood by the session that was loaded since", () =>
    Effect.gen(function* () {
      const { api, arrived, gate } = yield* gated((_, token) => (token === "a-test-access-1" ? 401 : 200))
      const made = named("a", { lifetime: "1 day" })
      const map = yield* SessionMap.make({
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "x", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, api))
      const caller = yield* Effect.fork(map.client("x").get("y"))
      yield* arrived
      yield* map.invalidate("x")
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(caller)).status, 200)
      assert.deepStrictEqual(made.count(), { refresh: 1, login: 1, total: 2, most: 1 })
    })
  )
})

describe("bad input", () => {
  it.scoped("unknown tenants by the thousand are typed, and leave nothing that is open", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (key) => new Unknown({ key }) })
      const all = yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, i) => `unknown-${i}`),
        (key) => Effect.flip(map.accessToken(key)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(all.map(({ _tag }) => _tag)), new Set(["Unknown"]))
      assert.strictEqual(lookups.length, 2000)
      assert.deepStrictEqual(yield* open(map), [])
    })
  )

  it.scoped("a lookup that interrupts itself is typed", () =>
    Effect.gen(function* () {
      const { map } = yield* tenants({ lookup: () => Effect.interrupt })
      const error = yield* Effect.flip(map.accessToken("a"))
      assert.strictEqual(error._tag, "NetworkFailure")
    })
  )

  it.scoped("a first caller who cannot be interrupted makes no lookup that cannot", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ before: (_, nth) => (nth === 1 ? Effect.never : Effect.void) })
      const caller = yield* Effect.fork(Effect.uninterruptible(map.accessToken("a")))
      yield* until(() => lookups.length === 1)
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* Fiber.join(caller)), "a-test-access-1")
    })
  )

  it.effect("law 31: the map that closes during a lookup says so to whoever waits for it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { lookups, map } = yield* Scope.extend(tenants({ before: () => Effect.never }), scope)
      const callers = yield* Effect.replicateEffect(Effect.fork(Effect.flip(map.accessToken("a"))), 10)
      yield* until(() => lookups.length === 1)
      yield* Scope.close(scope, Exit.void)
      for (const caller of callers) assert.strictEqual((yield* Fiber.join(caller))._tag, "Misconfigured")
    })
  )

  it.scoped("keys of one hash are told apart, whoever of them goes", () =>
    Effect.gen(function* () {
      class Key extends Data.Class<{ readonly name: string }> {
        [Hash.symbol]() {
          return 0
        }
      }
      const made = named("api", { lifetime: "1 day" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: ({ name }: Key) =>
          Effect.succeed({ provider: made.service, account: name, credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      const names = ["a", "b", "c", "d", "e"]
      const read = (name: string) => Effect.map(map.accessToken(new Key({ name })), value)
      const tokens = yield* Effect.forEach(names, read)
      assert.strictEqual(new Set(tokens).size, 5)
      yield* map.invalidate(new Key({ name: "c" }))
      assert.deepStrictEqual(
        (yield* map.statuses).map(([{ name }]) => name).sort(),
        names.filter((name) => name !== "c")
      )
      yield* TestClock.adjust("50 seconds")
      yield* read("d")
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(
        (yield* map.statuses).map(([{ name }]) => name),
        ["d"]
      )
      assert.deepStrictEqual(yield* Effect.forEach(names, read), tokens)
      assert.strictEqual(made.count().total, 5)
    })
  )

  it.scoped("law 20: two keys of one account share its tokens, and present no refresh token twice", () =>
    Effect.gen(function* () {
      const made = named("api", { rotation: "single-use" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (_: string) =>
          Effect.succeed({ provider: made.service, account: "one", credentials: Effect.succeed(user) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      for (let round = 0; round < 20; round++) {
        const both = yield* Effect.fork(
          Effect.all([map.session("a").refresh, map.session("b").refresh], { concurrency: 2 })
        )
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(both)
        if (round % 3 === 0) yield* map.invalidate(round % 2 === 0 ? "a" : "b")
        yield* TestClock.adjust("40 seconds")
      }
      assert.strictEqual(made.count().login, 1)
      assert.strictEqual(new Set(made.presented).size, made.presented.length)
      assert.isAtLeast(made.presented.length, 10)
    })
  )

  it.scoped("law 5: a wall clock that was set back keeps nobody for longer", () =>
    manually(function* (clock) {
      const { map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      yield* clock.setWall("30 days", -1)
      yield* clock.advance("30 minutes")
      assert.deepStrictEqual(yield* open(map), [])
    })
  )
})

describe("for what a session is closed, and for what not", () => {
  it.scoped("law 5: a reader by key is told by either clock that a token has ended", () =>
    manually(function* (clock) {
      const { map, of } = yield* tenants({ provider: { lifetime: "5 minutes" }, renewal: "on-use" })
      yield* map.accessToken("a")
      yield* clock.setWall("6 minutes")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-2")
      yield* clock.setWall("1 day", -1)
      yield* clock.advance("6 minutes")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-3")
      assert.strictEqual(of("a").count().total, 3)
    })
  )

  it.scoped("whoever asks for a status uses it, whoever asks for all of them does not", () =>
    Effect.gen(function* () {
      const { lookups, map } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "10 minutes" })
      yield* map.accessToken("a")
      yield* map.accessToken("b")
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("9 minutes")
        yield* map.session("a").status
        yield* map.statuses
      }
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.deepStrictEqual(lookups, ["a", "b"])
    })
  )

  it.scoped("law 11: to be closed is no way to more exchanges than a handful a minute", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ provider: { lifetime: "1 day" }, idleTimeToLive: "1 second" })
      for (let i = 0; i < 30; i++) {
        yield* Effect.flatMap(map.accessToken("a"), map.session("a").reject)
        yield* TestClock.adjust("2 seconds")
      }
      assert.isAtMost(of("a").count().total, 7)
    })
  )
})

describe("a map that closes", () => {
  it.effect("law 31: waits for all at once, and no longer than for one", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const options = { shutdownDeadline: "10 seconds", timeout: "1 hour" } as const
      const { map, of } = yield* Scope.extend(tenants(options), scope)
      for (const key of ["a", "b", "c"]) {
        of(key).always(() => Effect.never)
        yield* Effect.fork(Effect.either(map.accessToken(key)))
      }
      yield* settled
      const close = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("11 seconds")
      yield* settled
      assert.isTrue(Option.isSome(yield* Fiber.poll(close)))
    })
  )

  it.effect("needs no fiber for each session that rests, and none of them answers any more", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { map } = yield* Scope.extend(tenants(), scope)
      const keys = Array.from({ length: 200 }, (_, n) => `tenant-${n}`)
      yield* Effect.forEach(keys, map.accessToken)
      yield* settled
      const born = Effect.map(Effect.fork(Effect.void), (fiber) => fiber.id().id)
      const before = yield* born
      yield* Scope.close(scope, Exit.void)
      assert.isBelow((yield* born) - before, 20)
      const after = yield* Effect.forEach(keys, (key) => Effect.either(map.accessToken(key)))
      assert.isTrue(after.every(Either.isLeft))
    })
  )
})

describe("what a session of a map has", () => {
  it.scoped("an end, also when nothing but its status was asked for", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({ idleTimeToLive: "1 minute" })
      yield* map.session("a").status
      assert.deepStrictEqual(yield* open(map), ["a"])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* open(map), [])
      assert.strictEqual(of("a").count().total, 0)
    })
  )

  it.scoped("no renewal but by its users, with on-use, also when it is looked at whether it may go", () =>
    Effect.gen(function* () {
      const { map, of } = yield* tenants({
        provider: { lifetime: "12 minutes" },
        idleTimeToLive: "10 minutes",
        renewal: "on-use"
      })
      yield* map.accessToken("a")
      yield* TestClock.adjust("1 minute")
      yield* map.accessToken("a")
      // Stale after nine minutes and a half, and looked at after ten.
      yield* TestClock.adjust("9 minutes")
      assert.deepStrictEqual(yield* open(map), ["a"])
      assert.strictEqual(of("a").count().refresh, 0)
    })
  )

  it.scoped("its seed, for as long as the store keeps nothing", () =>
    Effect.gen(function* () {
      const made = named("a", { rotation: "single-use" })
      const map = yield* SessionMap.make({
        idleTimeToLive: "1 minute",
        lookup: (account: string) =>
          Effect.succeed({
            provider: made.service,
            account,
            seed: Token.make({ refreshToken: secret(`test-${account}`) })
          })
      }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
      yield* map.accessToken("x")
      yield* TestClock.adjust("6 minutes")
      yield* map.accessToken("x")
      yield* map.accessToken("y")
      assert.deepStrictEqual(made.presented, ["test-x", "test-refresh-1", "test-y"])
    })
  )

  it.scoped("law 18: what the store could not take until it was invalidated is saved as it closes", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.makeMemory
      let down = true
      const { map, of } = yield* tenants({
        provider: { lifetime: "1 day" },
        store: Effect.succeed({
          ...store,
          save: (key, entry) =>
            down ? new AuthError.StoreFailure({ operation: "save", problem: "down" }) : store.save(key, entry)
        })
      })
      yield* map.accessToken("a")
      assert.isFalse((yield* map.session("a").status).saved)
      down = false
      yield* map.invalidate("a")
      assert.strictEqual(value(yield* map.accessToken("a")), "a-test-access-1")
      assert.strictEqual(of("a").count().total, 1)
    })
  )
})
