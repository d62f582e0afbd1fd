/**
 * The laws that every token store has to keep, as checks that need no test runner. They are for the author of a store.
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { TokenStore } from "effect-auth"
 * import { laws } from "effect-auth/testing/StoreLaws"
 *
 * // In place of `TokenStore.layerMemory`: the layer of your store.
 * for (const { name, check } of laws()) it.live(name, () => Effect.provide(check, TokenStore.layerMemory))
 * ```
 *
 * Each check uses its own keys. So the laws can run against a server that others use, and several times at once. A
 * check fails only for what it measured by its own clock: a slow machine makes it later, not wrong.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Law } from "./internal/storeLaw.js"
import { leaseLaws } from "./internal/storeLeases.js"
import { timeLaws } from "./internal/storeTimes.js"
import { versionLaws } from "./internal/storeVersions.js"

export { type Law, LawBroken } from "./internal/storeLaw.js"

/**
 * The options of the laws about time.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /**
   * Lets time pass during a check. `TestClock.adjust` is for a store that uses Effect's `Clock`, under a test's own
   * clock. Default: `Effect.sleep`.
   */
  readonly wait?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  /**
   * The duration of the leases whose end a check waits for. The longest check takes twice as long. Ages are checked to
   * half of it. Default: 1 second.
   */
  readonly lease?: Duration.DurationInput | undefined
}

/**
 * Returns the laws.
 *
 * A store may time a lease from the moment when another owner first asks for it. So a lease whose owner is gone may end
 * later than after its duration, but at most after twice as long.
 *
 * @since 0.1.0
 * @category testing
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => [
  ...versionLaws,
  ...leaseLaws,
  ...timeLaws(options.wait ?? Effect.sleep, Duration.decode(options.lease ?? "1 second"))
]
