import diagnostics from "node:diagnostics_channel"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, type Scope } from "effect"
import { createClient, createClientPool, ErrorReply } from "redis"
import type { StoreFailure } from "../../src/common/AuthError.js"
import { type Service, TokenStore } from "../../src/store/TokenStore.js"
import * as Redis from "../../src/stores/Redis.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { layer } from "../support/layered.js"
import * as TestRedis from "../support/redis.js"

let count = 0
const unique = () => `test-${process.pid}-${Math.random().toString(36).slice(2)}-${++count}`

const open = (url: string, options: Redis.Options = {}): Effect.Effect<Service, never, Scope.Scope> =>
  Layer.build(Redis.layer({ url, ...options })).pipe(
    Effect.orDie,
    Effect.map((context) => TestRedis.unhurried(Context.get(context, TokenStore)))
  )

const client = <A extends { connect(): unknown; on(event: "error", f: () => void): unknown; destroy(): unknown }>(
  make: () => A
) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const made = make()
      made.on("error", () => {})
      await made.connect()
      return made
    }),
    (made) => Effect.sync(() => made.destroy())
  )

class Server extends Context.Tag("effect-auth/test/stores/Redis.test/Server")<Server, TestRedis.Server>() {}

const entry = (generation: number, contents = `test-contents-${generation}`, revision = 0) => ({
  generation,
  revision,
  contents: Redacted.make(contents)
})

const stored = (store: Service, key: string) =>
  Effect.map(
    store.load(key),
    Option.map(({ contents, generation }) => ({ generation, contents: Redacted.value(contents) }))
  )

const suite = TestRedis.missing === undefined ? describe : describe.skip

suite(`Redis${TestRedis.missing === undefined ? "" : ` (${TestRedis.missing})`}`, () => {
  layer(Layer.scoped(Server, Effect.map(TestRedis.server, Option.getOrThrow)))("on one server", (it) => {
    const prefixed = Effect.map(Server, ({ command, url }) => {
      const prefix = unique()
      return { command, url, prefix, name: (key: string) => `${prefix}:{${key}}` }
    })

    describe.concurrent("the laws of the port, each call over another of three clients", () => {
      // A client of the layer's own, one with the older protocol that hands out bytes, and a pool.
      const store = Layer.scoped(
        TokenStore,
        Effect.gen(function* () {
          const { prefix, url } = yield* prefixed
          const stores = [
            yield* open(url, { prefix }),
            yield* Redis.make(
              yield* client(() =>
                createClient({ url, RESP: 2, commandOptions: { typeMapping: { 36: Buffer, 58: String } } })
              ),
              { prefix }
            ),
            yield* Redis.make(yield* client(() => createClientPool({ url })), { prefix })
          ]
          let turn = 0
          const next = () => TestRedis.unhurried(stores[turn++ % stores.length] as Service)
          return {
            load: (key) => next().load(key),
            save: (key, entry) => next().save(key, entry),
            lease: (key, owner, duration) => next().lease(key, owner, duration),
            release: (key, owner) => next().release(key, owner)
          }
        })
      )
      for (const { check, name } of laws({ lease: "500 millis" })) {
        it.effect(name, () => Effect.provide(check, store))
      }
    })

    it.scoped("an entry is one hash, named by prefix and key, and does not expire", () =>
      Effect.gen(function* () {
        const { command, name, prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        assert.isTrue(yield* store.save("a", entry(3, "test-contents", 7)))
        const hash = yield* command("HGETALL", name("a"))
        assert.deepInclude(hash, { generation: "3", revision: "7", contents: "test-contents" })
        assert.strictEqual(Object.keys(hash as object).length, 4)
        assert.strictEqual(yield* command("PTTL", name("a")), -1)
        assert.isTrue(yield* store.lease("a", "test-owner", Duration.seconds(10)))
        const left = Number(yield* command("PTTL", `${name("a")}:lease`))
        assert.isTrue(left > 0 && left <= 10_000)
        yield* store.release("a", "test-owner")
        assert.strictEqual(yield* command("EXISTS", `${name("a")}:lease`), 0)
      })
    )

    it.scoped("the prefix is effect-auth unless told otherwise, and keeps applications apart", () =>
      Effect.gen(function* () {
        const { command, name, prefix, url } = yield* prefixed
        const [own, other] = [yield* open(url, { prefix }), yield* open(url)]
        const key = unique()
        yield* own.save(key, entry(1))
        assert.isTrue(Option.isNone(yield* other.load(key)))
        yield* other.save(key, entry(1))
        assert.strictEqual(yield* command("EXISTS", name(key), `effect-auth:{${key}}`), 2)
        yield* command("DEL", `effect-auth:{${key}}`)
      })
    )

    it.scoped("keys with braces, of the names of every object, and without a form in UTF-8 do not meet", () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        // biome-ignore format: one key a line would be a page.
        const keys = ["", "{", "}", "{}", "}{", "a}b", "a}c", "{a}", "a}:lease", "a", "a:lease", "__proto__", "constructor", "\ud800", "\ud801", "\ufffd", "\\ud800", "\0", "\\u0000", '"', '\\"']
        for (const [index, key] of keys.entries()) {
          assert.isTrue(yield* store.save(key, entry(index + 1)), key)
          assert.isTrue(yield* store.lease(key, `owner ${index}`, Duration.seconds(10)), key)
        }
        for (const [index, key] of keys.entries()) {
          assert.deepStrictEqual(
            yield* stored(store, key),
            Option.some({ generation: index + 1, contents: `test-contents-${index + 1}` })
          )
          assert.isFalse(yield* store.lease(key, "another", Duration.seconds(10)), key)
        }
      })
    )

    it.scoped("what is no entry of this library is a typed failure, and is left as it is", () =>
      Effect.gen(function* () {
        const { command, name, prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        const sound = { generation: "1", revision: "0", saved_at: "1", contents: "test-contents" }
        const damaged: ReadonlyArray<Record<string, string>> = [
          ...Object.keys(sound).map((field) => {
            const { [field as keyof typeof sound]: _, ...rest } = sound
            return rest
          }),
          ...["", "x", "-1", "1.5", "1e3", " 1", "0x1", "nan", "inf", "9007199254740992", "1\n"].flatMap((value) =>
            ["generation", "revision", "saved_at"].map((field) => ({ ...sound, [field]: value }))
          ),
          { other: "1" },
          { __proto__x: "1", constructor: "1" }
        ]
        for (const [index, fields] of damaged.entries()) {
          const key = `damaged ${index}`
          yield* command("HSET", name(key), ...Object.entries(fields).flat())
          for (const [operation, attempt] of [
            ["load", Effect.asVoid(store.load(key))],
            ["save", Effect.asVoid(store.save(key, entry(9)))]
          ] as const) {
            const failure = yield* Effect.flip(attempt)
            assert.strictEqual(failure.operation, operation)
            assert.include(failure.problem, name(key))
            assert.notInclude(failure.message, "test-contents")
          }
          assert.deepEqual({ ...((yield* command("HGETALL", name(key))) as object) }, fields)
        }
        yield* command("HSET", name("sound"), ...Object.entries(sound).flat())
        assert.deepStrictEqual(yield* stored(store, "sound"), Option.some({ generation: 1, contents: "test-contents" }))
      })
    )

    it.scoped("a key that another process uses for something else is a typed failure, and is left as it is", () =>
      Effect.gen(function* () {
        const { command, name, prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        yield* command("SET", name("a"), "theirs")
        yield* command("RPUSH", `${name("a")}:lease`, "theirs")
        const failures: ReadonlyArray<StoreFailure> = [
          yield* Effect.flip(store.load("a")),
          yield* Effect.flip(store.save("a", entry(1))),
          yield* Effect.flip(store.lease("a", "o", Duration.seconds(1))),
          yield* Effect.flip(store.release("a", "o"))
        ]
        assert.deepStrictEqual(
          failures.map(({ operation }) => operation),
          ["load", "save", "lease", "lease"]
        )
        assert.isTrue(failures.every(({ problem }) => problem.includes("is not in the format of this library")))
        assert.strictEqual(yield* command("GET", name("a")), "theirs")
        assert.deepStrictEqual(yield* command("LRANGE", `${name("a")}:lease`, "0", "-1"), ["theirs"])
      })
    )

    it.scoped("a save that the clock of the server went back behind has the age of zero", () =>
      Effect.gen(function* () {
        const { command, name, prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        yield* store.save("a", entry(1))
        yield* command("HSET", name("a"), "saved_at", "9007199254740991")
        assert.strictEqual(Duration.toMillis(Option.getOrThrow(yield* store.load("a")).age), 0)
      })
    )

    it.scoped("law 20: processes whose clocks are an hour apart agree on ages and leases", () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* prefixed
        const late = yield* Redis.make(yield* client(() => createClient({ url })), { prefix })
        const early = yield* Redis.make(yield* client(() => createClient({ url })), { prefix })
        const clock = TestRedis.unhurriedClock(yield* Effect.clock)
        const shifted = (millis: number) =>
          Effect.withClock({
            ...clock,
            unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
            unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + BigInt(millis) * 1_000_000n,
            currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
            currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + BigInt(millis) * 1_000_000n)
          })
        const [asLate, asEarly] = [shifted(-3_600_000), shifted(3_600_000)]
        yield* asEarly(early.save("a", entry(1)))
        const age = Duration.toMillis(Option.getOrThrow(yield* asLate(late.load("a"))).age)
        assert.isTrue(age >= 0 && age < 60_000, `${age}`)
        yield* asLate(late.save("a", entry(2)))
        const other = Duration.toMillis(Option.getOrThrow(yield* asEarly(early.load("a"))).age)
        assert.isTrue(other >= 0 && other < 60_000, `${other}`)
        assert.isTrue(yield* asLate(late.lease("a", "late", Duration.minutes(1))))
        assert.isFalse(yield* asEarly(early.lease("a", "early", Duration.minutes(1))))
        yield* asLate(late.release("a", "late"))
        assert.isTrue(yield* asEarly(early.lease("a", "early", Duration.minutes(1))))
        assert.isFalse(yield* asLate(late.lease("a", "late", Duration.minutes(1))))
      })
    )

    it.scoped("law 20: of 8 owners with a connection each, never two are in the lease", () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* prefixed
        let inside = 0
        let most = 0
        let entered = 0
        const owner = (name: string) =>
          Effect.gen(function* () {
            const store = yield* open(url, { prefix })
            for (let round = 0; round < 5; round++) {
              while (!(yield* store.lease("a", name, Duration.minutes(1)))) yield* Effect.sleep("2 millis")
              most = Math.max(most, ++inside)
              const before = Option.match(yield* store.load("a"), {
                onNone: () => 0,
                onSome: ({ generation }) => generation
              })
              assert.isTrue(yield* store.save("a", entry(before + 1)))
              entered++
              inside--
              yield* store.release("a", name)
            }
          })
        yield* Effect.all(
          Array.from({ length: 8 }, (_, index) => owner(`owner ${index}`)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(most, 1)
        assert.strictEqual(entered, 40)
        assert.strictEqual(Option.getOrThrow(yield* stored(yield* open(url, { prefix }), "a")).generation, 40)
      })
    )

    it.scoped("law 27: what traces the commands of the client does not see the contents", () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        let seen = ""
        const see = (message: unknown) => {
          seen += `${JSON.stringify(message)}\n`
        }
        yield* Effect.acquireRelease(
          Effect.sync(() => diagnostics.subscribe("tracing:node-redis:command:start", see)),
          () => Effect.sync(() => diagnostics.unsubscribe("tracing:node-redis:command:start", see))
        )
        yield* store.save("a", entry(1, "test-secret-contents"))
        assert.include(seen, `${prefix}:{a}`)
        assert.notInclude(seen, "test-secret-contents")
        assert.deepStrictEqual(
          Option.map(yield* stored(store, "a"), ({ contents }) => contents),
          Option.some("test-secret-contents")
        )
      })
    )

    it.scoped("a client of the application that is closed is a typed failure", () =>
      Effect.gen(function* () {
        const { url } = yield* prefixed
        const closed = createClient({ url })
        const store = yield* Redis.make(closed)
        assert.strictEqual((yield* Effect.flip(store.load("a"))).problem, "the client is closed")
      })
    )

    it.scoped("a call that is interrupted leaves the connection as it is", () =>
      Effect.gen(function* () {
        const { prefix, url } = yield* prefixed
        const store = yield* open(url, { prefix })
        yield* store.save("a", entry(1))
        const patient = yield* Effect.fork(store.load("a"))
        const others = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.fork(store.load("a")))
        yield* Effect.yieldNow()
        yield* Fiber.interruptAll(others)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(patient)))
        assert.isTrue(yield* store.save("a", entry(2)))
      })
    )
  })
})

describe("without a server", () => {
  const scripted = (outcome: () => Promise<unknown>) =>
    Redis.make({ withCommandOptions: () => ({ eval: outcome }) }).pipe(Effect.orDie)

  it.effect("what the server answers is told by its code, never by its text", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [message: string, problem: string]> = [
        ["LOADING Redis is loading the dataset in memory", "it is loading its data (LOADING)"],
        ["NOAUTH Authentication required.", "it asks for a password (NOAUTH)"],
        ["BUSY Redis is busy running a script.", "it is busy with a script that does not end (BUSY)"],
        ["NOPERM this user has no permissions", "the user may not run this script on this key (NOPERM)"],
        ["-OOM command not allowed script: test-secret", "its memory is full (OOM)"],
        [
          "ERR Error running script (call to f_0): @user_script:1: -READONLY You can't write against a replica.",
          "it is a replica, and read-only (READONLY)"
        ],
        ["ERR unknown command, with args beginning with: 'test-secret'", "it refuses the command (ERR)"],
        ["test-secret", "it refuses the command (ERR)"]
      ]
      for (const [message, problem] of cases) {
        const store = yield* scripted(() => Promise.reject(new ErrorReply(message)))
        assert.strictEqual((yield* Effect.flip(store.load("a"))).problem, problem)
      }
    })
  )

  it.effect("what the connection fails with is told by its code, never by its text", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [error: unknown, problem: string]> = [
        [Object.assign(new Error("test-secret"), { code: "ECONNRESET" }), "the connection failed (ECONNRESET)"],
        [Object.assign(new Error("test-secret"), { code: "test secret" }), "the connection was lost"],
        [new Error("test-secret"), "the connection was lost"],
        [undefined, "the connection was lost"]
      ]
      for (const [error, problem] of cases) {
        const store = yield* scripted(() => Promise.reject(error))
        assert.strictEqual((yield* Effect.flip(store.save("a", entry(1)))).problem, problem)
      }
    })
  )

  it.effect("an answer that no script of ours gives is a typed failure", () =>
    Effect.gen(function* () {
      for (const reply of [undefined, 1, "test", [], ["1", "0", "test"], ["x", "0", "test", 0], ["1", "0", 1, 0]]) {
        const store = yield* scripted(() => Promise.resolve(reply))
        assert.strictEqual((yield* Effect.flip(store.load("a"))).operation, "load")
      }
    })
  )

  it.effect("wrong options are told by their name, without the password", () =>
    Effect.gen(function* () {
      const urls = ["", " ", "test-secret", "http://u:test-secret@h", "redis://u:test-secret@h:x", "redis://:%ff@h/x"]
      for (const url of [...urls, ...urls.map((url) => Redacted.make(url)), "redis://h/test-secret"]) {
        const wrong = yield* Effect.flip(Effect.scoped(Layer.build(Redis.layer({ url }))))
        assert.strictEqual(wrong.field, "url")
        assert.notInclude(wrong.message, "test-secret")
      }
      const empty = yield* Effect.flip(Effect.scoped(Layer.build(Redis.layer({ url: "redis://h", prefix: " " }))))
      assert.strictEqual(empty.field, "prefix")
    })
  )

  it.effect("layerConfig names its variable", () =>
    Effect.gen(function* () {
      const build = (url?: string) =>
        Effect.scoped(Layer.build(Redis.layerConfig())).pipe(
          Effect.withConfigProvider(
            ConfigProvider.fromMap(new Map(url === undefined ? [] : [["EFFECT_AUTH_REDIS_URL", url]]))
          )
        )
      assert.strictEqual((yield* Effect.flip(build())).message, "EFFECT_AUTH_REDIS_URL: is not set")
      assert.strictEqual((yield* Effect.flip(build("ftp://x"))).field, "EFFECT_AUTH_REDIS_URL")
      yield* build("redis://127.0.0.1:1")
    })
  )
})
