/** Ten thousand tenants used once, in a process of its own that may ask for the garbage collector: Tenants.test.ts. */
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { Data, Effect, Exit, Fiber, Metric, Scope } from "effect"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import * as Token from "../../../src/token/Token.js"
import { provider, secret } from "../../support/harness.js"
import { flush, make } from "../../support/ManualClock.js"

class Key extends Data.Class<{ readonly shop: string }> {}

/** What is to go with a tenant: its key, which every place that knows it holds, and what it was made of. */
const stored = { keys: 0, credentials: 0 }
const registry = new FinalizationRegistry<keyof typeof stored>((what) => stored[what]--)
const watched = <A extends object>(what: keyof typeof stored, made: A): A => {
  stored[what]++
  registry.register(made, what)
  return made
}
const key = (shop: string) => watched("keys", new Key({ shop }))

/** Collects what can be collected, and answers what is left. */
const heap = Effect.gen(function* () {
  for (let i = 0; i < 5; i++) {
    yield* Effect.sync(() => globalThis.gc?.())
    yield* flush
  }
  return process.memoryUsage().heapUsed
})

const program = (clock: ReturnType<typeof make>) =>
  Effect.gen(function* () {
    const made = provider({ lifetime: "1 hour" })
    const scope = yield* Scope.make()
    const map = yield* SessionMap.make({
      idleTimeToLive: "10 minutes",
      lookup: ({ shop }: Key) =>
        shop.startsWith("unknown")
          ? Effect.fail("unknown" as const)
          : Effect.sync(() => ({
              provider: made.service,
              account: shop,
              // Most bring their tokens along, as ten thousand token requests take their time.
              seed: shop.startsWith("guest")
                ? Token.make({ accessToken: secret(`test-${shop}`), lifetime: "1 hour", refreshToken: secret(shop) })
                : undefined,
              credentials: watched(
                "credentials",
                Effect.map(Effect.void, () => ({ username: secret(shop), password: secret("test-password") }))
              )
            })),
      // It is not the memory of this process in which they rest.
      store: Effect.succeed({
        load: () => Effect.succeedNone,
        save: () => Effect.succeed(true),
        lease: () => Effect.succeed(true),
        release: () => Effect.void
      })
    }).pipe(
      Effect.provideService(
        HttpClient.HttpClient,
        HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response())))
      ),
      Scope.extend(scope)
    )
    const loyal = Array.from({ length: 100 }, (_, i) => key(`loyal-${i}`))
    const once = (name: string, size: number) =>
      Effect.suspend(() =>
        Effect.forEach(
          Array.from({ length: size }, (_, i) => key(`${name}-${i}`)),
          (one, i) =>
            Effect.zipRight(
              Effect.either(map.accessToken(one)),
              // Some are asked to go.
              name === "passing" && i % 3 === 0 ? map.invalidate(one) : Effect.void
            ),
          { concurrency: 50, discard: true }
        )
      )
    const pass = Effect.gen(function* () {
      for (let i = 0; i < 4; i++) {
        yield* clock.advance("5 minutes")
        yield* Effect.forEach(loyal, map.accessToken, { discard: true })
      }
    })
    const metrics = Effect.map(Metric.snapshot, (all) => Array.from(all).length)

    // What is made but once is there before anything is measured.
    yield* once("early", 500)
    yield* once("guest-early", 500)
    yield* once("unknown-early", 500)
    yield* pass
    const before = { heap: yield* heap, metrics: yield* metrics, ...stored }
    yield* once("unknown", 2000)
    yield* once("guest", 10_000)
    const peak = { heap: yield* heap, ...stored, open: (yield* map.statuses).length }
    yield* once("passing", 1000)
    yield* pass
    const after = { heap: yield* heap, metrics: yield* metrics, ...stored, open: (yield* map.statuses).length }
    const close = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* clock.advance("1 minute")
    yield* Fiber.join(close)
    yield* Effect.sync(() => console.log(JSON.stringify({ before, peak, after })))
  })

const clock = make()
Effect.runPromise(Effect.withClock(program(clock), clock.clock))
