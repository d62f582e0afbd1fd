import * as Redacted from "effect/Redacted"

/** What goes on the wire in place of a value that may be a secret. */
export const bare = <A>(value: A | Redacted.Redacted<A>): A =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value
