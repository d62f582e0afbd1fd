import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Option, Scope } from "effect"
import * as TokenStore from "../../../src/store/TokenStore.js"
import { paused, provider, session } from "../../support/harness.js"
import { flush, manually } from "../../support/ManualClock.js"

describe("two sessions over one store in memory", () => {
  for (const deadline of ["0 seconds", "1 second"] as const) {
    it.scoped(`law 20: one that hangs and closes after ${deadline} gives its lease back`, () =>
      manually(function* (clock) {
        const store = yield* TokenStore.makeMemory
        const a = provider({ rotation: "single-use" })
        const b = provider({ rotation: "single-use" })
        a.always((yield* paused).tokenRequest)
        const scope = yield* Scope.make()
        const sa = yield* Scope.extend(session(a, { store, key: "key", shutdownDeadline: deadline }), scope)
        const sb = yield* session(b, { store, key: "key", patience: "1 hour" })
        const asking = yield* Effect.fork(sa.accessToken)
        yield* flush
        const other = yield* Effect.fork(sb.accessToken)
        yield* flush
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        yield* clock.advance("3 seconds")
        assert.isNotNull(closing.unsafePoll())
        assert.isNotNull(asking.unsafePoll())
        const exit = other.unsafePoll()
        assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
        assert.isTrue(yield* store.lease("key", "third", Duration.seconds(1)))
      })
    )
  }
})

describe("a lease in memory whose holder cannot be interrupted", () => {
  it.scoped("law 20: it is given back when the token request is given up", () =>
    manually(function* (clock) {
      const store = yield* TokenStore.makeMemory
      const a = provider({ rotation: "single-use" })
      const stuck = { ...a.service, login: () => Option.some(Effect.uninterruptible(Effect.never)) }
      const sa = yield* session({ ...a, service: stuck }, { store, key: "key" })
      const sb = yield* session(provider({ rotation: "single-use" }), { store, key: "key", patience: "1 hour" })
      yield* Effect.fork(Effect.either(sa.accessToken))
      yield* flush
      const other = yield* Effect.fork(sb.accessToken)
      yield* clock.advance("12 seconds")
      const exit = other.unsafePoll()
      assert.isTrue(exit !== null && Exit.isSuccess(exit), String(exit))
    })
  )
})
