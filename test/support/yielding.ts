import { Scheduler } from "effect"

/** Lets a fiber give way between any two of its operations, which live code does once in 2048. */
export const yielding = (seed: number, rate: number): Scheduler.Scheduler => {
  let random = 7919 * (seed + 1)
  const inner = new Scheduler.MixedScheduler(2048)
  return {
    shouldYield: () => {
      random = (random * 16_807) % 2_147_483_647
      return random < rate * 2_147_483_647 ? 0 : false
    },
    scheduleTask: (task, priority, fiber) => inner.scheduleTask(task, priority, fiber)
  }
}
