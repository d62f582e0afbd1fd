/**
 * What every token store must keep to, as checks that need no test runner: for whoever writes a store of their own.
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { laws } from "effect-auth/testing/StoreLaws"
 *
 * for (const { name, check } of laws()) it.live(name, () => Effect.provide(check, MyStore.layer))
 * ```
 *
 * Each check uses keys of its own, so that the suite can run against a server that others use, several times at once.
 * A check fails only for what it measured by its own clock: a slow machine makes it later, not wrong.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Law } from "./internal/storeLaw.js"
import { keeping } from "./internal/storeKeeping.js"
import { exclusive } from "./internal/storeLeases.js"
import { timely } from "./internal/storeTimes.js"

export { type Law, LawBroken } from "./internal/storeLaw.js"

/**
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /** How time passes: `Effect.sleep` (default) for the clock of the machine, `TestClock.adjust` under a test's own. */
  readonly wait?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  /** How long the leases last whose end is waited for (default 1 second). Ages are judged to the half of it. */
  readonly lease?: Duration.DurationInput | undefined
}

/**
 * The laws of the port. `wait` and `lease` are for those about time, of which the longest takes twice the lease.
 *
 * A lease whose holder is gone may be judged by whoever waits for it, from their first look on, so it is granted later
 * than after its duration; to twice its duration is lawful.
 *
 * @since 0.1.0
 * @category testing
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => [
  ...keeping,
  ...exclusive,
  ...timely(options.wait ?? Effect.sleep, Duration.decode(options.lease ?? "1 second"))
]
