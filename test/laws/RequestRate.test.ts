import { assert, it } from "@effect/vitest"
import { Option } from "effect"
import { provider, session } from "../support/harness.js"
import { manually } from "../support/ManualClock.js"

it.scoped("law 11: a token of unknown end that is rejected every two seconds costs a handful of token requests", () =>
  manually(function* (clock) {
    const p = provider({ lifetime: "unstated" })
    const s = yield* session(p)
    let t = yield* s.accessToken
    for (let i = 0; i < 60; i++) {
      yield* clock.advance("1 second")
      t = yield* s.reject(t)
    }
    assert.isAtMost(p.count().total, 10)
  })
)

for (const renewal of [true, false]) {
  for (const lifetime of [0, 1, 50, 999]) {
    it.scoped(`law 11: a lifetime of ${lifetime} ms is nonsense and causes no storm (fiber: ${renewal})`, () =>
      manually(function* (clock) {
        const p = provider({ lifetime })
        const s = yield* session(p, { renewal })
        for (let i = 0; i < 600; i++) {
          yield* s.accessToken
          yield* clock.advance("100 millis")
        }
        assert.strictEqual(p.count().total, 1)
        assert.isTrue(Option.isNone((yield* s.status).expiresAt))
      })
    )
  }
}
