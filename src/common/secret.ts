import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** Returns a value as it is sent: a redacted one without its wrapping. */
export const reveal = <A>(value: A | Redacted.Redacted<A>): A =>
  Redacted.isRedacted(value) ? Redacted.value(value) : value

const visibleAscii = /^[\x21-\x7e]+$/

/** Tells whether a secret can stand in a header: visible ASCII characters, at least one. */
export const isHeaderSafe: (secret: Redacted.Redacted<string>) => boolean = Schema.is(
  Schema.RedactedFromSelf(Schema.String.pipe(Schema.pattern(visibleAscii)))
)

/**
 * A token: a string that can stand in a header, redacted as soon as it is read. A parse error does not print it.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#appendix-A.12
 */
export const TokenFromString: Schema.Schema<Redacted.Redacted<string>, string> = Schema.Redacted(
  Schema.String.pipe(Schema.pattern(visibleAscii))
)
