/**
 * The failure of a connection that a fault broke.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The failure of a connection that a fault broke. The app of a sandbox fails with it, and so does the body of a
 * truncated response. `served` closes the socket then; the in-memory client makes it the cause of its error. Its `code`
 * is the one that Node's own error has.
 *
 * @since 0.1.0
 * @category testing
 */
export class Dropped extends Data.TaggedError("Dropped") {
  /** Always `"ECONNRESET"`. */
  readonly code = "ECONNRESET"
  /** Always the same text. */
  override readonly message = "the sandbox dropped the connection"
}
