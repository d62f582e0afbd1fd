import { assert, it } from "@effect/vitest"
import { Chunk, Exit, Option, Redacted } from "effect"
import { NetworkFailure } from "../../src/common/AuthError.js"

const failure = (outcome: "unknown" | "not-spent") =>
  new NetworkFailure({ provider: "test", reason: "timeout", outcome })

const pairs: Record<string, readonly [make: () => unknown, other: unknown]> = {
  "nothing and something": [() => Option.none(), Option.some(1)],
  "something and nothing": [() => Option.some(1), Option.none()],
  "nothing and something undefined": [() => Option.none(), Option.some(undefined)],
  "two of something": [() => Option.some({ a: 1 }), Option.some({ a: 2 })],
  "two secrets": [() => Redacted.make("test-a"), Redacted.make("test-b")],
  "two structures of secrets": [() => Redacted.make({ a: ["test-a"] }), Redacted.make({ a: ["test-b"] })],
  "two optional secrets": [() => Option.some(Redacted.make("test-a")), Option.some(Redacted.make("test-b"))],
  "two errors of one message": [() => failure("unknown"), failure("not-spent")]
}

for (const [name, [make, other]] of Object.entries(pairs)) {
  it(`assertions tell apart ${name}, wherever they are`, () => {
    const places: ReadonlyArray<(value: unknown) => unknown> = [
      (value) => value,
      (value) => [1, { value }],
      (value) => new Map([["key", value]]),
      (value) => Exit.succeed(Chunk.of(value))
    ]
    for (const within of places) {
      assert.deepStrictEqual(within(make()), within(make()))
      assert.notDeepEqual(within(make()), within(other))
      assert.deepInclude({ value: within(make()) }, { value: within(make()) })
      assert.notDeepInclude({ value: within(make()) }, { value: within(other) })
      assert.sameDeepMembers([within(make())], [within(make())])
      assert.notSameDeepMembers([within(make())], [within(other)])
    }
  })
}
