/**
 * The connection that broke.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The connection broke. An app fails with it, as does the body of a truncated answer; `served` hangs up on it, and the
 * in-memory client makes it the cause of its error. It looks like Node's own error, hence the `code`.
 *
 * @since 0.1.0
 * @category testing
 */
export class Dropped extends Data.TaggedError("Dropped") {
  readonly code = "ECONNRESET"
  override readonly message = "the sandbox dropped the connection"
}
