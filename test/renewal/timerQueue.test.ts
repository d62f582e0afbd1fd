import { assert, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { Agenda } from "../../src/renewal/timerQueue.js"

const steps = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({ put: FastCheck.nat(20), at: FastCheck.integer({ min: 0, max: 50 }) }),
    FastCheck.record({ remove: FastCheck.nat(20) })
  ),
  { maxLength: 200 }
)

it.prop("an agenda has each item once, and the earliest on top, whatever was put and removed", { steps }, (given) => {
  const agenda = new Agenda<number>()
  const model = new Map<number, number>()
  for (const step of given.steps) {
    if ("put" in step) {
      model.set(step.put, step.at)
      const isFirst = agenda.put(step.put, step.at)
      assert.strictEqual(isFirst, agenda.first === step.put)
    } else {
      model.delete(step.remove)
      agenda.remove(step.remove)
    }
    assert.deepStrictEqual(new Set(agenda.all()), new Set(model.keys()))
    assert.strictEqual(agenda.all().length, model.size)
    assert.strictEqual(agenda.at, Math.min(Number.POSITIVE_INFINITY, ...model.values()))
    assert.strictEqual(agenda.first === undefined ? agenda.at : model.get(agenda.first), agenda.at)
  }
})
