import { connect, createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Option, Redacted, Schedule, Scope } from "effect"
import { createClient } from "redis"
import type { StoreFailure } from "../../src/common/AuthError.js"
import { type Service, TokenStore } from "../../src/store/TokenStore.js"
import * as Redis from "../../src/stores/Redis.js"
import * as TestRedis from "../support/redis.js"

const open = (url: string | Redacted.Redacted<string>): Effect.Effect<Service, never, Scope.Scope> =>
  Layer.build(Redis.layer({ url })).pipe(
    Effect.orDie,
    Effect.map((context) => Context.get(context, TokenStore))
  )

const entry = (generation: number) => ({ generation, revision: 0, contents: Redacted.make(`test-${generation}`) })

const stored = (store: Service, key = "a") =>
  Effect.map(
    store.load(key),
    Option.map(({ contents, generation }) => [generation, Redacted.value(contents)] as const)
  )

const some = (generation: number) => Option.some([generation, `test-${generation}`] as const)

const lease = (store: Service, owner = "o") => store.lease("a", owner, Duration.seconds(10))

/** Until it works again, which takes as long as the machine needs. */
const inTheEnd = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.retry(effect, Schedule.intersect(Schedule.spaced("50 millis"), Schedule.recurs(400)))

/** Every operation fails, typed, and soon: after 1.5 seconds, or however long a slow machine takes for that. */
const allFail = (store: Service) =>
  Effect.forEach(
    [store.load("a"), store.save("a", entry(1000)), lease(store), store.release("a", "o")],
    (attempt) =>
      Effect.filterOrDieMessage(
        Effect.flip(Effect.timeout(Effect.asVoid(attempt), "15 seconds")),
        (failure) => failure._tag === "StoreFailure",
        "it took too long"
      ),
    { concurrency: "unbounded" }
  )

const problems = (store: Service) => Effect.map(allFail(store), (all) => all.map(({ message }) => message).join())

/** What a call fails with that is not given up before anything is known. */
const failsWith = (attempt: Effect.Effect<unknown, StoreFailure>, text: string) =>
  inTheEnd(
    Effect.filterOrFail(
      Effect.flip(Effect.asVoid(attempt)),
      ({ problem }) => problem.includes(text),
      ({ problem }) => problem
    )
  )

const own = (server: TestRedis.Server) => Option.getOrThrow(server.own)

/** A relay in front of a server, of which each connection can be made to swallow all that comes. */
const relay = (port: number) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly sockets: Array<Socket>; deaf: boolean }>((resume) => {
      const state = { url: "", sockets: [] as Socket[], deaf: false }
      const server = createServer((socket) => {
        state.sockets.push(socket)
        let swallow = state.deaf
        socket.on("error", () => {})
        const upstream = connect(port, "127.0.0.1")
        upstream.on("error", () => socket.destroy())
        upstream.on("data", (chunk) => swallow || socket.write(chunk))
        upstream.on("close", () => socket.destroy())
        socket.on("data", (chunk) => swallow || upstream.write(chunk))
        socket.on("close", () => upstream.destroy())
        socket.on("swallow", () => {
          swallow = true
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        if (typeof address === "object" && address !== null) state.url = `redis://127.0.0.1:${address.port}`
        resume(Effect.succeed(Object.assign(state, { close: () => server.close() })))
      })
    }),
    (state) =>
      Effect.sync(() => {
        for (const socket of state.sockets) socket.destroy()
        ;(state as typeof state & { close(): void }).close()
      })
  )

const suite = TestRedis.missingOwn === undefined ? describe.concurrent : describe.skip

suite(`Redis that fails${TestRedis.missingOwn === undefined ? "" : ` (${TestRedis.missingOwn})`}`, () => {
  it.scopedLive("law 31: what was saved survives a crash of the server, and the connection comes back by itself", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately("--appendonly", "yes", "--appendfsync", "always")
      const [first, second] = [yield* open(server.url), yield* open(server.url)]
      assert.isTrue(yield* TestRedis.unhurried(first).save("a", entry(1)))
      assert.isTrue(yield* lease(TestRedis.unhurried(first)))
      yield* own(server).stop("SIGKILL")
      assert.match(yield* problems(first), /connection/)
      assert.match(yield* problems(second), /connection/)
      yield* own(server).start
      assert.deepStrictEqual(yield* inTheEnd(stored(first)), some(1))
      assert.deepStrictEqual(yield* inTheEnd(stored(second)), some(1))
      assert.isFalse(yield* lease(TestRedis.unhurried(second), "another"))
      assert.isTrue(yield* lease(TestRedis.unhurried(first)))
      assert.isFalse(yield* TestRedis.unhurried(second).save("a", entry(1)))
      assert.isTrue(yield* TestRedis.unhurried(second).save("a", entry(2)))
    })
  )

  it.scopedLive("calls under way when the server ends are answered or fail, and none is left waiting", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const store = yield* open(server.url)
      yield* TestRedis.unhurried(store).save("a", entry(1))
      const calls = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 200 }, () => Effect.exit(store.load("a"))),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.yieldNow()
      yield* own(server).stop("SIGKILL")
      const exits = yield* Effect.timeout(calls, "20 seconds")
      assert.strictEqual(exits.length, 200)
    })
  )

  it.scopedLive("a server that has lost everything keeps nothing, and takes what it is given", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const store = TestRedis.unhurried(yield* open(server.url))
      yield* store.save("a", entry(5))
      yield* lease(store)
      yield* server.command("FLUSHALL")
      assert.isTrue(Option.isNone(yield* stored(store)))
      assert.isTrue(yield* lease(store, "another"))
      assert.isTrue(yield* store.save("a", entry(2)))
      yield* server.command("SCRIPT", "FLUSH")
      assert.deepStrictEqual(yield* stored(store), some(2))
      yield* own(server).restart("SIGKILL")
      assert.isTrue(Option.isNone(yield* inTheEnd(stored(store))))
    })
  )

  it.scopedLive("law 27: a password that is missing or wrong is told, and never shown", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately("--requirepass", "test-right p%ss")
      const at = (credentials: string) => server.url.replace("redis://", `redis://${credentials}@`)
      const right = TestRedis.unhurried(yield* open(Redacted.make(at(`:${encodeURIComponent("test-right p%ss")}`))))
      assert.isTrue(yield* right.save("a", entry(1)))
      for (const [url, code] of [
        [server.url, "NOAUTH"],
        [at(":test-wrong"), "WRONGPASS"],
        [at("test-nobody:test-wrong"), "WRONGPASS"]
      ] as const) {
        const store = yield* open(url)
        for (const attempt of [store.load("a"), store.save("a", entry(9)), lease(store), store.release("a", "o")]) {
          const failure = yield* failsWith(attempt, code)
          for (const text of [failure.message, String(failure), JSON.stringify(failure), inspect(failure)]) {
            assert.notMatch(text, /test-(wrong|right|nobody)|127\.0\.0\.1/)
          }
        }
      }
      assert.deepStrictEqual(yield* stored(right), some(1))
    })
  )

  it.scopedLive("a replica is read, and a write to it is a typed failure", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const store = TestRedis.unhurried(yield* open(server.url))
      yield* store.save("a", entry(1))
      yield* lease(store)
      yield* server.command("REPLICAOF", "127.0.0.1", "1")
      assert.deepStrictEqual(yield* stored(store), some(1))
      for (const write of [store.save("a", entry(2)), lease(store), store.release("a", "o")]) {
        assert.include((yield* Effect.flip(Effect.asVoid(write))).problem, "READONLY")
      }
      yield* server.command("REPLICAOF", "NO", "ONE")
      assert.deepStrictEqual(yield* stored(store), some(1))
      assert.isTrue(yield* store.save("a", entry(2)))
    })
  )

  it.scopedLive("a server whose memory is full keeps what it has, and says so", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately("--maxmemory-policy", "noeviction")
      const store = TestRedis.unhurried(yield* open(server.url))
      yield* store.save("a", entry(1))
      yield* store.lease("b", "o", Duration.seconds(10))
      yield* server.command("SET", "fill", "x".repeat(2_000_000))
      yield* server.command("CONFIG", "SET", "maxmemory", "1mb")
      assert.include((yield* Effect.flip(store.save("a", entry(2)))).problem, "OOM")
      assert.include((yield* Effect.flip(lease(store))).problem, "OOM")
      assert.deepStrictEqual(yield* stored(store), some(1))
      yield* store.release("b", "o")
      yield* server.command("CONFIG", "SET", "maxmemory", "0")
      assert.isTrue(yield* store.lease("b", "another", Duration.seconds(10)))
      assert.isTrue(yield* store.save("a", entry(2)))
    })
  )

  it.scopedLive("a server that stands still is a typed failure, and is used again when it goes on", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const store = yield* open(server.url)
      yield* TestRedis.unhurried(store).save("a", entry(1))
      yield* own(server).pause
      assert.match(yield* problems(store), /did not respond in time|no connection/)
      // Also while the next connection waits for its first answer.
      assert.match(yield* problems(store), /did not respond in time|no connection/)
      yield* own(server).resume
      const found = yield* inTheEnd(stored(store))
      assert.isTrue(Option.isSome(found))
    })
  )

  it.scopedLive("a connection that has gone deaf is given up for another", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const through = yield* relay(Number(new URL(server.url).port))
      const store = yield* open(through.url)
      yield* TestRedis.unhurried(store).save("a", entry(1))
      through.deaf = true
      for (const socket of through.sockets) socket.emit("swallow")
      yield* problems(store)
      yield* problems(store)
      through.deaf = false
      assert.deepStrictEqual(yield* inTheEnd(stored(store)), some(1))
      yield* inTheEnd(
        Effect.suspend(() =>
          through.sockets.filter((socket) => !socket.destroyed).length === 1 ? Effect.void : Effect.fail("not one")
        )
      )
    })
  )

  it.scopedLive("what was given up while there was no connection is never carried out", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      yield* own(server).stop()
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => createClient({ url: server.url }).on("error", () => {})),
        (client) => Effect.sync(() => client.destroy())
      )
      client.connect().catch(() => {})
      // A client of the application queues what it cannot send.
      const theirs = yield* Redis.make(client)
      const ours = yield* open(server.url)
      for (const store of [theirs, ours]) {
        assert.isTrue(
          Option.isNone(yield* Effect.timeoutOption(Effect.option(lease(store)), "20 millis")) || store === ours
        )
        yield* Effect.flip(lease(store))
        yield* Effect.flip(store.save("a", entry(1)))
      }
      yield* own(server).start
      assert.isTrue(Option.isNone(yield* inTheEnd(stored(theirs))))
      assert.isTrue(Option.isNone(yield* inTheEnd(stored(ours))))
      assert.deepStrictEqual(yield* server.command("KEYS", "*"), [])
      assert.isTrue(yield* lease(TestRedis.unhurried(ours), "another"))
    })
  )

  it.scopedLive("law 31: the scope closes at once, be the server there, gone, or standing still", () =>
    Effect.gen(function* () {
      const server = yield* TestRedis.privately()
      const closes = Effect.fnUntraced(function* (before: Effect.Effect<unknown>) {
        const scope = yield* Scope.make()
        const store = yield* Scope.extend(open(server.url), scope)
        yield* Effect.exit(store.load("a"))
        yield* before
        const waiting = yield* Effect.fork(Effect.exit(store.load("a")))
        yield* Effect.yieldNow()
        assert.isTrue(Option.isSome(yield* Effect.timeoutOption(Scope.close(scope, Exit.void), "10 seconds")))
        yield* Effect.timeout(waiting, "20 seconds")
        assert.isTrue(Exit.isFailure(yield* Effect.exit(store.load("a"))))
      })
      yield* closes(Effect.void)
      yield* closes(own(server).pause)
      yield* closes(Effect.void)
      yield* own(server).resume
      yield* closes(own(server).stop("SIGKILL"))
      yield* closes(Effect.void)
      yield* own(server).start
      // Of all these clients none has come back, and the one that asks is alone.
      const alone = Effect.filterOrFail(
        server.command("CLIENT", "LIST"),
        (list) => String(list).trim().split("\n").length === 1
      )
      yield* inTheEnd(alone)
      yield* Effect.sleep("2500 millis")
      yield* alone
    })
  )
})

describe.concurrent("no Redis there", () => {
  it.scopedLive("the layer is built at once, and calls are typed failures that tell why", () =>
    Effect.gen(function* () {
      const store = yield* Effect.timeout(open("redis://:test-password@127.0.0.1:1"), "10 seconds")
      yield* allFail(store)
      const failure = yield* failsWith(store.load("a"), "ECONNREFUSED")
      assert.strictEqual(failure.problem, "no connection to the server: the connection failed (ECONNREFUSED)")
    })
  )

  it.scopedLive("once it is known that the server is gone, calls fail without waiting", () =>
    Effect.gen(function* () {
      const store = yield* open("redis://127.0.0.1:1")
      yield* allFail(store)
      // A hundred that waited would take two minutes and a half.
      const all = Effect.forEach(Array.from({ length: 100 }), () => Effect.flip(store.load("a")))
      yield* Effect.timeout(all, "40 seconds")
    })
  )

  it.scopedLive("a connection that is made after the scope has closed is closed", () =>
    Effect.gen(function* () {
      const sockets: Array<Socket> = []
      const server = yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>((resume) => {
          const server = createServer((socket) => sockets.push(socket.on("error", () => {}).resume()))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      yield* Effect.scoped(open(`redis://127.0.0.1:${port}`))
      yield* inTheEnd(
        Effect.suspend(() =>
          sockets.length === 1 && sockets.every(({ readableEnded, destroyed }) => readableEnded || destroyed)
            ? Effect.void
            : Effect.fail("open")
        )
      )
    })
  )
})
