import { it, layer as shared, type Vitest } from "@effect/vitest"
import type { Duration, Layer } from "effect"

/** What `it` can do before any layer is shared. */
const methods = { ...it }

/**
 * Tests over one layer, by the clock of the machine. The `layer` of @effect/vitest puts methods of its own on the one `it`
 * that all files of a process have; here the others are put back, or later files would lose their test clock.
 */
export const layer =
  <R, E>(self: Layer.Layer<R, E>, options: { readonly timeout?: Duration.DurationInput } = {}) =>
  (name: string, tests: (it: Vitest.MethodsNonLive<R, true>) => void): void =>
    shared(self, { ...options, excludeTestServices: true })(name, (changed) => {
      const own = Object.assign(changed.bind(undefined), changed)
      Object.assign(changed, methods)
      tests(own)
    })
