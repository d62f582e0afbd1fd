import type { HttpClient } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { YieldWrap } from "effect/Utils"
import { type ManualClock, manually } from "../../support/ManualClock.js"

type Steps = Generator<YieldWrap<Effect.Effect<unknown, unknown, HttpClient.HttpClient | Scope.Scope>>, void, never>

/** A test over real sockets. What it opened is closed while it can still send. */
const over = (name: string, test: Effect.Effect<void, unknown, HttpClient.HttpClient | Scope.Scope>) =>
  it.scopedLive(name, () => Effect.provide(Effect.scoped(test), NodeHttpClient.layerUndici))

/** A test over real sockets and in real time. */
export const live = (name: string, body: () => Steps) =>
  over(
    name,
    Effect.suspend(() => Effect.gen(body))
  )

/** A test over real sockets, by a clock of its own that tells both the client and the server the time. */
export const byClock = (name: string, body: (clock: ManualClock) => Steps) => over(name, manually(body))
