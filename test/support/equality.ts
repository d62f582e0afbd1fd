import { chai } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

/**
 * What `assert.deepStrictEqual` and its kin do not see by themselves: a `None` beside a `Some`, what is under a
 * `Redacted`, and the fields of an error that its message does not name. `null` leaves the question to chai.
 */
const comparator = (left: unknown, right: unknown): boolean | null => {
  if (Option.isOption(left) && Option.isOption(right)) return left._tag === right._tag ? null : false
  if (Redacted.isRedacted(left) && Redacted.isRedacted(right)) return same(Redacted.value(left), Redacted.value(right))
  if (left instanceof Error && right instanceof Error) return same({ ...left }, { ...right }) ? null : false
  return null
}
const same = (left: unknown, right: unknown): boolean => chai.util.eql(left, right, { comparator })

chai.config.deepEqual = same
