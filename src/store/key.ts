import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"

const utf8 = /* @__PURE__ */ new TextEncoder()

/** The identity of a session. Two sessions that differ in any part of it never share a token, a flight or a record. */
export const identity = (
  {
    baseUrl,
    name,
    scope
  }: { readonly name: string; readonly baseUrl: URL; readonly scope?: ReadonlyArray<string> | undefined },
  account: string
): string => {
  const scopes = scope === undefined || scope.length === 0 ? "" : ` [${[...new Set(scope)].sort().join(" ")}]`
  // An account that looks like scopes is preceded by empty ones, so that no two identities are the same text.
  const none = scopes === "" && account.startsWith("[") ? " []" : ""
  return `${name} ${baseUrl.href}${scopes}${none} ${account}`
}

/** Returns the SHA-256 of a text, in hexadecimal. */
export const sha256 = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", utf8.encode(text))),
    (digest) => Encoding.encodeHex(new Uint8Array(digest))
  )

/** An injective, printable encoding of a key (JSON escapes): lone surrogates cannot be encoded as UTF-8, and some servers reject NUL. */
export const printable = (key: string): string => JSON.stringify(key).slice(1, -1)
