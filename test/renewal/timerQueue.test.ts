import { assert, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { TimerQueue } from "../../src/renewal/timerQueue.js"

const steps = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({ set: FastCheck.nat(20), due: FastCheck.integer({ min: 0, max: 50 }) }),
    FastCheck.record({ remove: FastCheck.nat(20) })
  ),
  { maxLength: 200 }
)

it.prop("a queue has each item once, and the earliest first, whatever was set and removed", { steps }, (given) => {
  const queue = new TimerQueue<number>()
  const model = new Map<number, number>()
  for (const step of given.steps) {
    if ("set" in step) {
      model.set(step.set, step.due)
      const isFirst = queue.set(step.set, step.due)
      assert.strictEqual(isFirst, queue.first === step.set)
    } else {
      model.delete(step.remove)
      queue.remove(step.remove)
    }
    assert.deepStrictEqual(new Set(queue.all()), new Set(model.keys()))
    assert.strictEqual(queue.all().length, model.size)
    assert.strictEqual(queue.firstDue, Math.min(Number.POSITIVE_INFINITY, ...model.values()))
    assert.strictEqual(queue.first === undefined ? queue.firstDue : model.get(queue.first), queue.firstDue)
  }
})
