/**
 * A token store that encrypts the entries of another one: AES-256-GCM, by WebCrypto.
 *
 * The inner store sees the key of an entry, its version, and a text without a secret in it (law 28). Key and version are
 * authenticated: the entry of another session, or an old entry under a newer version, is refused. One change cannot be
 * detected: that the inner store was set back to an old entry under its old version.
 *
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import * as Encrypted from "effect-auth/stores/Encrypted"
 * import * as File from "effect-auth/stores/File"
 *
 * const tokens = Encrypted.layerConfig().pipe(
 *   Layer.provide(File.layer({ directory: "/var/lib/app/tokens" })),
 *   Layer.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { Misconfigured, StoreFailure } from "../common/AuthError.js"
import * as ConfigFields from "../common/configFields.js"
import * as TokenStore from "../store/TokenStore.js"

/**
 * The keys of an encrypted store. Each is 32 random bytes in base64 or base64url, as `openssl rand -base64 32` makes them. An
 * entry names its key by the first eight bytes of a SHA-256, so keys need no names.
 *
 * To change the key:
 *
 * 1. Add the new key to `keysOld` of every process that shares the store.
 * 2. In one process after the other, put the new key in `key` and the previous one in `keysOld`.
 * 3. Remove the previous key when every entry was saved again.
 *
 * @see https://csrc.nist.gov/pubs/sp/800/38/d/final
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The key that encrypts new entries, and decrypts those that it encrypted. */
  readonly key: Redacted.Redacted<string>
  /** Further keys, which only decrypt. Default: none. */
  readonly keysOld?: ReadonlyArray<Redacted.Redacted<string>> | undefined
}

/** The version of the format of an encrypted entry: `effect-auth:encrypted:1:<key id>:<nonce>:<ciphertext and tag>`. */
const format = 1
const encryptedEntry = /^effect-auth:encrypted:(\d{1,9}):(?:([0-9a-f]{16}):([\w-]{16}):([\w-]+)$)?/

interface Key {
  readonly id: string
  readonly key: CryptoKey
}

const utf8 = new TextEncoder()
// A byte order mark is part of the text.
const fromUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const importKey = Effect.fnUntraced(function* (field: string, input: Redacted.Redacted<string>) {
  const refuse = (problem: string) => new Misconfigured({ field, problem })
  const text = Redacted.value(input)
    .trim()
    .replace(/={1,2}$/, "")
  const requirement = "must be 32 bytes in base64, as `openssl rand -base64 32` makes them"
  if (text === "") return yield* refuse("must not be empty")
  const bytes = new Uint8Array(
    yield* Either.mapLeft(Encoding.decodeBase64Url(text.replaceAll("+", "-").replaceAll("/", "_")), () =>
      refuse(`is not base64; it ${requirement}`)
    )
  )
  if (bytes.length !== 32) return yield* refuse(`is ${bytes.length} bytes long; it ${requirement}`)
  return yield* Effect.tryPromise({
    try: () => globalThis.crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]),
    catch: () => refuse("cannot be used because this platform has no WebCrypto with AES-256-GCM")
  }).pipe(
    Effect.zipWith(
      Effect.tryPromise({
        // Not the hash of the key alone, which another application might use as a secret.
        try: () =>
          globalThis.crypto.subtle.digest("SHA-256", new Uint8Array([...utf8.encode("effect-auth:"), ...bytes])),
        catch: () => refuse("cannot be used because this platform has no WebCrypto with SHA-256")
      }),
      (key, hash): Key => ({ id: Encoding.encodeHex(new Uint8Array(hash, 0, 8)), key })
    )
  )
})

/** Returns the parameters of the cipher. They bind the text to its key id, session and version. */
const cipherParams = (
  nonce: Uint8Array<ArrayBuffer>,
  id: string,
  key: string,
  { generation, revision }: TokenStore.Version
) => ({
  name: "AES-GCM",
  iv: nonce,
  additionalData: utf8.encode(JSON.stringify(["effect-auth:encrypted", format, id, key, generation, revision]))
})

const encrypt = Effect.fnUntraced(function* ({ id, key }: Key, sessionKey: string, entry: TokenStore.Entry) {
  const nonce = globalThis.crypto.getRandomValues(new Uint8Array(12))
  const sealed = yield* Effect.tryPromise({
    try: () =>
      globalThis.crypto.subtle.encrypt(
        cipherParams(nonce, id, sessionKey, entry),
        key,
        utf8.encode(Redacted.value(entry.contents))
      ),
    catch: () => new StoreFailure({ operation: "save", problem: "WebCrypto cannot encrypt the entry" })
  })
  const parts = [nonce, new Uint8Array(sealed)].map(Encoding.encodeBase64Url)
  return Redacted.make(["effect-auth:encrypted", format, id, ...parts].join(":"))
})

const unreadable = (problem: string) =>
  new StoreFailure({ operation: "load", problem: `${problem} (nothing was changed)` })

const changed =
  "the stored entry was changed, or belongs to another session or version; to start over, remove it by hand"

/** Decodes a base64url text. Fails for another spelling of the same bytes, which this module never writes. */
const decodeExact = (text: string) =>
  Encoding.decodeBase64Url(text).pipe(
    Either.filterOrLeft(
      (bytes) => Encoding.encodeBase64Url(bytes) === text,
      () => undefined
    ),
    Either.mapBoth({ onLeft: () => unreadable(changed), onRight: (bytes) => new Uint8Array(bytes) })
  )

const decrypt = Effect.fnUntraced(function* (
  keys: ReadonlyArray<Key>,
  sessionKey: string,
  stored: TokenStore.StoredEntry
) {
  const found = encryptedEntry.exec(Redacted.value(stored.contents))
  if (found === null) {
    return yield* unreadable(
      "the stored entry is not encrypted; to start over, remove it by hand, or read it with the store without Encrypted"
    )
  }
  const [, version, id, nonce, sealed] = found
  if (Number(version) > format) {
    return yield* unreadable(
      `the stored entry is encrypted in format ${version}, and this version of effect-auth reads ${format}; upgrade it`
    )
  }
  if (Number(version) !== format || id === undefined || nonce === undefined || sealed === undefined) {
    return yield* unreadable(changed)
  }
  const key = keys.find((key) => key.id === id)
  if (key === undefined) {
    return yield* unreadable(
      `the stored entry is encrypted with the key ${id}, and the known keys are ${keys.map((key) => key.id).join(", ")}; add that key to the old keys`
    )
  }
  const iv = yield* decodeExact(nonce)
  const bytes = yield* decodeExact(sealed)
  const text = yield* Effect.tryPromise({
    try: () => globalThis.crypto.subtle.decrypt(cipherParams(iv, id, sessionKey, stored), key.key, bytes),
    catch: () => unreadable(changed)
  })
  return { ...stored, contents: Redacted.make(fromUtf8.decode(text)) }
})

/**
 * Makes a store that encrypts the entries of the store of the context. Fails with `Misconfigured` if a key is not 32 bytes in
 * base64, or if the platform has no WebCrypto.
 *
 * An entry that cannot be decrypted is a `StoreFailure` that says why (an unknown key, a changed entry, one that was never
 * encrypted), and is left as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<TokenStore.Service, Misconfigured, TokenStore.TokenStore> {
  const inner = yield* TokenStore.TokenStore
  const current = yield* importKey("key", options.key)
  const old = yield* Effect.forEach(options.keysOld ?? [], (key) => importKey("keysOld", key))
  const keys = [current, ...old]
  return {
    load: (key) =>
      Effect.flatMap(
        inner.load(key),
        Option.match({
          onNone: () => Effect.succeedNone,
          onSome: (stored) => Effect.asSome(decrypt(keys, key, stored))
        })
      ),
    save: (key, entry) =>
      Effect.flatMap(encrypt(current, key, entry), (contents) =>
        inner.save(key, { generation: entry.generation, revision: entry.revision, contents })
      ),
    lease: inner.lease,
    release: inner.release
  }
})

/**
 * Provides a store that encrypts the entries of the store of the context. Fails as {@link make} does.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore.TokenStore, Misconfigured, TokenStore.TokenStore> =>
  Layer.effect(TokenStore.TokenStore, make(options))

/** Splits a variable that has several secrets. */
const secrets = (text: Redacted.Redacted<string>) =>
  Redacted.value(text)
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => Redacted.make(part))

/**
 * Provides an encrypting store with the key from the variable `EFFECT_AUTH_ENCRYPTION_KEY`, and the old keys from
 * `EFFECT_AUTH_ENCRYPTION_KEYS_OLD` if it is set, separated by commas. Fails with `Misconfigured`, which names the variable and
 * not its value.
 *
 * Each call makes another layer: a constant one would be built once, and give two stores the same inner store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (): Layer.Layer<TokenStore.TokenStore, Misconfigured, TokenStore.TokenStore> =>
  Layer.effect(
    TokenStore.TokenStore,
    ConfigFields.make(
      "EFFECT_AUTH_ENCRYPTION",
      { key: ConfigFields.secret, keysOld: ConfigFields.optional(ConfigFields.secret) },
      ({ key, keysOld }) => make({ key, keysOld: keysOld && secrets(keysOld) })
    )
  )
