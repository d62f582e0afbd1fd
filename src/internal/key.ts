import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"

const utf8 = new TextEncoder()

/** The SHA-256 of a text, in hexadecimal. */
export const sha256 = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", utf8.encode(text))),
    (digest) => Encoding.encodeHex(new Uint8Array(digest))
  )

/**
 * A key as something that can be read, and its own for each key: UTF-8 has no half of a character, and some servers have
 * no NUL.
 */
export const readable = (key: string): string => JSON.stringify(key).slice(1, -1)
