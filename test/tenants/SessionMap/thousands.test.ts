import { Command, FileSystem, HttpClient } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import {
  type Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Logger,
  LogLevel,
  Metric,
  Redacted,
  Schema,
  Scope,
  Tracer
} from "effect"
import { StoreFailure } from "../../../src/common/AuthError.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as TokenStore from "../../../src/store/TokenStore.js"
import * as File from "../../../src/stores/File.js"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as OAuth2Sandbox from "../../../src/testing/OAuth2Sandbox.js"
import * as Token from "../../../src/token/Token.js"
import { accounts, passwordOf, whose } from "../../support/accounts.js"
import { bundle } from "../../support/bundle.js"
import { value } from "../../support/harness.js"
import { manually } from "../../support/ManualClock.js"

/** Numbers in [0, 1) that are the same each time. */
const dice = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  const one = <A>(all: readonly [A, ...ReadonlyArray<A>]): A => all[below(all.length)] ?? all[0]
  return { next, below, one }
}

/** What the metrics say of a provider, by kind; or without one. */
const measured = (name: string, provider: string) =>
  Effect.map(Metric.snapshot, (pairs) => {
    const totals = new Map<string, number>()
    for (const { metricKey, metricState } of pairs) {
      const labels = new Map(metricKey.tags.map(({ key, value }) => [key, value]))
      if (metricKey.name !== name || labels.get("provider") !== provider) continue
      const kind = labels.get("kind") ?? ""
      const amount = "count" in metricState ? metricState.count : "value" in metricState ? metricState.value : 0
      totals.set(kind, (totals.get(kind) ?? 0) + Number(amount))
    }
    return totals
  })

/** Counts the spans by name, and keeps none. */
const counting = Effect.map(Effect.tracer, ({ context, span }) => {
  const spans = new Map<string, number>()
  const tracer = Tracer.make({
    context,
    span: (name, ...rest) => {
      spans.set(name, (spans.get(name) ?? 0) + 1)
      return span(name, ...rest)
    }
  })
  return { spans, tracer }
})

const quiet = Logger.withMinimumLogLevel(LogLevel.None)

/** What goes wrong, one after the other, at random. */
const faults = (roll: ReturnType<typeof dice>) =>
  roll.one<() => Faults.Fault>([
    () => Faults.Drop({ when: "before" }),
    () => Faults.Drop({ when: "after" }),
    () => Faults.Status({ status: 500 }),
    () => Faults.Status({ status: 503, retryAfter: "7" }),
    () => Faults.Status({ status: 429, retryAfter: String(1 + roll.below(20)) }),
    () => Faults.Delay({ duration: "4 seconds", when: "after" }),
    () => Faults.Delay({ duration: "1 minute", when: roll.one(["before", "after"]) }),
    () => Faults.Body({ kind: roll.one(["broken", "truncated", "html", "empty", "array", "null"]) }),
    () => Faults.Token({ kind: roll.one(["missing", "null", "empty", "control"]) })
  ])()

/** A server that spends refresh tokens, the accounts at it, and the provider that is its client. */
const world = (name: string, lifetime: Duration.DurationInput) =>
  Effect.gen(function* () {
    const sandbox = yield* OAuth2Sandbox.make({ lifetime, rotation: "single-use" })
    const known = accounts(sandbox)
    const provider = yield* OAuth2.make({
      name,
      baseUrl: sandbox.baseUrl,
      tokenEndpoint: `${sandbox.baseUrl}/token`,
      revocationEndpoint: `${sandbox.baseUrl}/revoke`,
      grant: "password",
      clientId: "test-client",
      clientSecret: Redacted.make("test-secret:with %+/ chars")
    }).pipe(Effect.provideService(HttpClient.HttpClient, known.client))
    return { ...known, provider, sandbox }
  })

const credentialsOf = (account: string) =>
  Effect.succeed({ username: Redacted.make(account), password: Redacted.make(passwordOf(account)) })

describe("a thousand tenants under random faults", () => {
  for (const seed of [1]) {
    it.scoped(`law 33: each keeps its own tokens, and what is counted adds up (seed ${seed})`, () =>
      Effect.flatMap(counting, ({ spans, tracer }) =>
        manually(function* (clock) {
          const name = `tenants-${seed}`
          const { crossed, client, owners, provider, sandbox } = yield* world(name, "15 minutes")
          const keys = Array.from({ length: 1000 }, (_, i) => `tenant-${i}`)
          const seeds = new Map<string, string>()
          for (const key of keys.slice(0, 300)) {
            const token = yield* sandbox.mintRefreshToken
            seeds.set(key, token)
            owners.set(token, key)
          }
          const roll = dice(seed)
          const map = yield* SessionMap.make({
            idleTimeToLive: "2 minutes",
            lookup: (key: string) =>
              Effect.as(roll.next() < 0.1 ? Effect.sleep("1 second") : Effect.void, {
                provider,
                account: key,
                credentials: credentialsOf(key),
                seed: seeds.has(key) ? Token.make({ refreshToken: Redacted.make(seeds.get(key) ?? "") }) : undefined
              })
          }).pipe(Effect.provideService(HttpClient.HttpClient, client))

          const done = { reads: 0, failed: 0, open: 0 }
          const own = (key: string, token: Token.AccessToken) => {
            done.reads++
            if (owners.get(value(token)) !== key) crossed.push(`${key} got a token of ${owners.get(value(token))}`)
          }
          const use = (key: string): Effect.Effect<unknown, unknown> => {
            const session = map.session(key)
            const mine = <E>(token: Effect.Effect<Token.AccessToken, E>) =>
              Effect.map(token, (token) => own(key, token))
            const call = Effect.suspend(() => map.client(key).get("/orders?size=1", { headers: { [whose]: key } }))
            return roll.one([
              mine(map.accessToken(key)),
              mine(map.accessToken(key)),
              Effect.timeout(mine(map.accessToken(key)), "100 millis"),
              Effect.zipRight(call, call),
              Effect.zipRight(call, Effect.fork(map.invalidate(key))),
              mine(Effect.flatMap(map.accessToken(key), (token) => session.reject(token))),
              mine(session.refresh),
              mine(session.login),
              Effect.zipRight(session.logout, mine(session.login)),
              map.invalidate(key)
            ])
          }
          const weather = Effect.suspend(() => {
            const times = 1 + roll.below(30)
            const endpoint = roll.one(["refresh", "refresh", "login", "login", "api", "revoke"] as const)
            return roll.next() < 0.3
              ? sandbox.faults.clear
              : roll.next() < 0.1
                ? sandbox.revokeAccessTokens
                : sandbox.faults.inject(endpoint, faults(roll), times)
          })
          // All at once, and then about one in twenty at a time, for longer than a session stays that no one uses.
          yield* sandbox.faults.inject("login", Faults.Delay({ duration: "1 second" }), 400)
          for (let round = 0; round < 24; round++) {
            const some = round === 0 ? keys : keys.filter(() => roll.next() < 0.04)
            yield* Effect.forEach(some, (key) =>
              Effect.fork(Effect.tapError(use(key), () => Effect.sync(() => done.failed++)))
            )
            yield* weather
            yield* clock.advance("15 seconds")
            done.open = Math.max(done.open, (yield* map.statuses).length)
          }
          // The last cool-downs end, and with them whatever was under way.
          yield* sandbox.faults.clear
          yield* clock.advance("3 minutes")

          const all = yield* Effect.fork(
            Effect.forEach(
              keys,
              (key) =>
                Effect.catchTag(map.accessToken(key), "SignedOut", () => map.session(key).login).pipe(
                  Effect.map((token) => own(key, token)),
                  Effect.either
                ),
              { concurrency: "unbounded" }
            )
          )
          yield* clock.advance("30 seconds")
          assert.deepStrictEqual(Array.from(yield* Fiber.join(all)).filter(Either.isLeft), [])
          assert.deepStrictEqual(crossed, [])

          // The one who is kept for nothing but its use goes.
          yield* clock.advance("4 minutes")
          assert.deepStrictEqual(yield* map.statuses, [])

          const report = yield* sandbox.report
          const revocations = (yield* sandbox.log).filter(({ endpoint }) => endpoint === "revoke").length
          const tokenRequests = yield* measured("effect_auth_token_requests", name)
          const durations = yield* measured("effect_auth_token_request_duration_seconds", name)
          const seen = (tokenRequests.get("login") ?? 0) + (tokenRequests.get("refresh") ?? 0)
          assert.strictEqual(seen, report.tokenRequests)
          assert.strictEqual((spans.get("auth.login") ?? 0) + (spans.get("auth.refresh") ?? 0), report.tokenRequests)
          assert.strictEqual(tokenRequests.get("revoke") ?? 0, revocations)
          assert.strictEqual(spans.get("auth.revoke") ?? 0, revocations)
          assert.deepStrictEqual(durations, tokenRequests)
          assert.strictEqual((yield* measured("effect_auth_waiting", name)).get(""), 0)
          const { complaints, reuses } = report
          assert.deepStrictEqual({ complaints, reuses }, { complaints: 0, reuses: 0 })
          // It was no idle day.
          assert.isAbove(report.maxConcurrentTokenRequests, 300)
          assert.isAbove(report.tokenRequests, 1200)
          assert.isAbove(done.open, 500)
          assert.isAbove(done.failed, 10)
        }).pipe(Effect.withTracer(tracer), quiet)
      )
    )
  }
})

const Counted = { heap: Schema.Number, keys: Schema.Number, credentials: Schema.Number }

/** What test/tenants/SessionMap/crowd.ts tells. */
const Crowd = Schema.Struct({
  before: Schema.Struct({ ...Counted, metrics: Schema.Number }),
  peak: Schema.Struct({ ...Counted, open: Schema.Number }),
  after: Schema.Struct({ ...Counted, metrics: Schema.Number, open: Schema.Number })
})

/** How a story of tenants that come and go is told: by which clock, over which store, with what going wrong. */
interface Story {
  readonly seed: number
  readonly store: TokenStore.Service
  readonly steps: number
  /** Whether the store fails now and then. */
  readonly fails: boolean
  /** How long an answer may take, how long a session stays unused, and the time between two steps. */
  readonly times: { readonly response: number; readonly idle: number; readonly step: () => number }
  readonly pass: (millis: number) => Effect.Effect<void>
}

const goAndComeBack = ({ fails, pass, seed, steps, store, times }: Story) =>
  Effect.gen(function* () {
    const roll = dice(seed)
    const { client, crossed, owners, provider, sandbox } = yield* world(`evicted-${seed}`, "1 hour")
    let down = false
    /** How often a session ended while the store was down: what it had obtained may be lost with it. */
    let excused = 0
    const failing = new StoreFailure({ operation: "save", problem: "down" })
    const faulty: TokenStore.Service = {
      ...store,
      load: (key) => Effect.suspend(() => (down ? failing : store.load(key))),
      save: (key, entry) => Effect.suspend(() => (down ? failing : store.save(key, entry)))
    }
    const accountOf = (key: string) => key.replace(/'$/, "")
    const born = Effect.gen(function* () {
      const scope = yield* Scope.make()
      const map = yield* SessionMap.make({
        idleTimeToLive: times.idle,
        patience: 0,
        store: Effect.succeed(faulty),
        lookup: (key: string) =>
          Effect.succeed({ provider, account: accountOf(key), credentials: credentialsOf(accountOf(key)) })
      }).pipe(Effect.provideService(HttpClient.HttpClient, client), Scope.extend(scope))
      return { map, scope }
    })
    let life = yield* born
    // The first two stand for one account.
    const keys = ["a", "a'", "b", "c"] as const
    const read = (key: string, map: SessionMap.Service<string>) =>
      Effect.map(map.accessToken(key), (token) => {
        if (owners.get(value(token)) !== accountOf(key)) crossed.push(`${key}: ${owners.get(value(token))}`)
      })
    for (let step = 0; step < steps; step++) {
      const key = roll.one(keys)
      const { map, scope } = life
      const what = roll.below(12)
      if (what < 3) yield* Effect.fork(Effect.either(read(key, map)))
      else if (what < 7) yield* Effect.fork(Effect.either(map.session(key).refresh))
      else if (what < 9) {
        if (down) excused++
        yield* Effect.fork(map.invalidate(key))
      } else if (what === 9) yield* pass(times.idle * 2)
      else if (what === 10 && fails) down = !down
      else if (what === 11) {
        if (down) excused += keys.length
        const close = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* pass(times.response * 2)
        yield* Fiber.join(close)
        life = yield* born
      }
      if (roll.next() < 0.3) {
        yield* sandbox.faults.inject(
          "refresh",
          Faults.Delay({ duration: times.response, when: roll.one(["before", "after"]) })
        )
      }
      yield* pass(times.step())
    }
    down = false
    yield* pass(times.idle * 4)
    for (const key of keys) yield* read(key, life.map)
    const close = yield* Effect.fork(Scope.close(life.scope, Exit.void))
    yield* pass(times.response * 2)
    yield* Fiber.join(close)
    assert.deepStrictEqual(crossed, [])
    const report = yield* sandbox.report
    assert.deepStrictEqual([report.reuses, report.complaints], [0, 0])
    assert.isAtMost(report.logins, 3 + excused)
    return report
  })

describe("tenants that come and go at random", () => {
  it.scoped("laws 21 and 33: nothing is lost and no refresh token is spent twice, over a store in memory", () =>
    manually(function* (clock) {
      let refreshes = 0
      for (let seed = 1; seed <= 12; seed++) {
        const store = yield* TokenStore.makeMemory
        const roll = dice(-seed)
        const times = { response: 3000, idle: 60_000, step: () => roll.below(4000) }
        const story = { seed, store, steps: 120, fails: seed > 6, times, pass: clock.advance }
        refreshes += (yield* goAndComeBack(story)).refreshes
      }
      assert.isAbove(refreshes, 100)
    }).pipe(quiet)
  )

  it.scopedLive("laws 21 and 33: and over a store in files", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const times = { response: 20, idle: 40, step: () => 5 }
      // In real time: on a loaded machine a story has fewer refreshes, so that more of them are played.
      let refreshes = 0
      for (let seed = 99; refreshes <= 10 && seed < 109; seed++) {
        const store = yield* File.make({ directory: `${yield* fs.makeTempDirectoryScoped()}/tokens` })
        const story = { seed, store, steps: 120, fails: false, times, pass: (millis: number) => Effect.sleep(millis) }
        refreshes += (yield* goAndComeBack(story)).refreshes
      }
      assert.isAbove(refreshes, 10)
    }).pipe(Effect.provide(NodeContext.layer), quiet)
  )
})

it.scopedLive("law 33: ten thousand tenants used once leave the memory of those in use, and nothing else behind", () =>
  Effect.gen(function* () {
    const folder = yield* bundle(["test/tenants/SessionMap/crowd.ts"])
    const output = yield* Command.string(
      Command.make(process.execPath, "--expose-gc", `${folder}/crowd.mjs`).pipe(Command.env({ NODE_OPTIONS: "" }))
    )
    const { after, before, peak } = yield* Schema.decode(Schema.parseJson(Crowd))(output)
    const grown = ({ heap }: { readonly heap: number }) => heap - before.heap
    assert.strictEqual(peak.open, 10_100)
    assert.isAbove(grown(peak), 10_000_000)
    // Of the keys and of what lookups made, whatever may hold them: maps, queue, fibers.
    assert.strictEqual(after.open, 100)
    assert.isAtMost(Math.max(after.keys, after.credentials), 120)
    assert.isBelow(grown(after), grown(peak) / 8)
    assert.strictEqual(after.metrics, before.metrics)
  }).pipe(Effect.provide(NodeContext.layer))
)
