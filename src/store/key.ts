import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import type * as AuthProvider from "../provider/AuthProvider.js"

const utf8 = /* @__PURE__ */ new TextEncoder()

/** Everything that makes a session what it is: two that differ in any of these never share a token, a flight or a record. */
export const identity = (
  { baseUrl, name, scope }: Pick<AuthProvider.Service, "name" | "baseUrl" | "scope">,
  account: string
): string => {
  const scopes = scope === undefined || scope.length === 0 ? "" : ` [${[...new Set(scope)].sort().join(" ")}]`
  // An account that looks like scopes is none: no two identities are the same text.
  const none = scopes === "" && account.startsWith("[") ? " []" : ""
  return `${name} ${baseUrl.href}${scopes}${none} ${account}`
}

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
