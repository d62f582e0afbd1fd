/**
 * Authenticated encryption (AES-256-GCM by WebCrypto) around any token store.
 *
 * What the inner store sees of an entry is its key, its version and a text without a secret in it (law 28). Its key and its
 * version are part of what is authenticated: the entry of another session, or an old one under a newer number, is refused.
 * What this cannot do is to tell that the inner store was set back as a whole, to an old entry under its old number.
 *
 * ```ts
 * Encrypted.layerConfig().pipe(Layer.provide(File.layer({ directory: "/var/lib/app/tokens" })))
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
 * A key is 32 random bytes in base64 or base64url, as `openssl rand -base64 32` makes them. It is named by the first eight
 * bytes of a SHA-256 of it, so that nobody needs to invent names.
 *
 * To change the key: first put the new one in `keysOld` of every process that shares the store; then put it in `key`, and
 * the one before in `keysOld`, one process after the other; and leave out the one before when each entry was saved again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Encrypts what is saved, and decrypts what it encrypted. */
  readonly key: Redacted.Redacted<string>
  /** Decrypt only (default none). */
  readonly keysOld?: ReadonlyArray<Redacted.Redacted<string>> | undefined
}

/** The version of the format of an encrypted entry: `effect-auth:encrypted:1:<key id>:<nonce>:<ciphertext and tag>`. */
const format = 1
const shape = /^effect-auth:encrypted:(\d{1,9}):(?:([0-9a-f]{16}):([\w-]{16}):([\w-]+)$)?/

interface Key {
  readonly id: string
  readonly key: CryptoKey
}

const utf8 = new TextEncoder()
// A byte order mark belongs to the text, as everything else does.
const fromUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const importKey = Effect.fnUntraced(function* (field: string, input: Redacted.Redacted<string>) {
  const refuse = (problem: string) => new Misconfigured({ field, problem })
  const text = Redacted.value(input)
    .trim()
    .replace(/={1,2}$/, "")
  const wanted = "must be 32 bytes in base64, as `openssl rand -base64 32` makes them"
  if (text === "") return yield* refuse("must not be empty")
  const bytes = new Uint8Array(
    yield* Either.mapLeft(Encoding.decodeBase64Url(text.replaceAll("+", "-").replaceAll("/", "_")), () =>
      refuse(`is not base64; it ${wanted}`)
    )
  )
  if (bytes.length !== 32) return yield* refuse(`is ${bytes.length} bytes long; it ${wanted}`)
  return yield* Effect.tryPromise({
    try: () => globalThis.crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]),
    catch: () => refuse("cannot be used, as this platform has no WebCrypto with AES-256-GCM")
  }).pipe(
    Effect.zipWith(
      Effect.tryPromise({
        // Not the hash of the key alone, which might be used for something else somewhere else.
        try: () =>
          globalThis.crypto.subtle.digest("SHA-256", new Uint8Array([...utf8.encode("effect-auth:"), ...bytes])),
        catch: () => refuse("cannot be used, as this platform has no WebCrypto with SHA-256")
      }),
      (key, hash): Key => ({ id: Encoding.encodeHex(new Uint8Array(hash, 0, 8)), key })
    )
  )
})

/** The parameters of the cipher: what is bound to the text besides the key. */
const bound = (
  nonce: Uint8Array<ArrayBuffer>,
  id: string,
  key: string,
  { generation, revision }: TokenStore.Version
) => ({
  name: "AES-GCM",
  iv: nonce,
  additionalData: utf8.encode(JSON.stringify(["effect-auth:encrypted", format, id, key, generation, revision]))
})

const encrypt = Effect.fnUntraced(function* ({ id, key }: Key, place: string, entry: TokenStore.Entry) {
  const nonce = globalThis.crypto.getRandomValues(new Uint8Array(12))
  const sealed = yield* Effect.tryPromise({
    try: () =>
      globalThis.crypto.subtle.encrypt(
        bound(nonce, id, place, entry),
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

const changed = "its entry was changed, or belongs to another session or version; remove it by hand to start anew"

/** The bytes of a text, if it is what they are written as and not just something that reads the same. */
const bytesOf = (text: string) =>
  Encoding.decodeBase64Url(text).pipe(
    Either.filterOrLeft(
      (bytes) => Encoding.encodeBase64Url(bytes) === text,
      () => undefined
    ),
    Either.mapBoth({ onLeft: () => unreadable(changed), onRight: (bytes) => new Uint8Array(bytes) })
  )

const decrypt = Effect.fnUntraced(function* (keys: ReadonlyArray<Key>, place: string, kept: TokenStore.StoredEntry) {
  const found = shape.exec(Redacted.value(kept.contents))
  if (found === null) {
    return yield* unreadable(
      "its entry is not encrypted; remove it by hand to start anew, or read it with the store as it was before"
    )
  }
  const [, version, id, nonce, sealed] = found
  if (Number(version) > format) {
    return yield* unreadable(
      `its entry is encrypted in format ${version}, and this version of effect-auth reads ${format}; upgrade it`
    )
  }
  if (Number(version) !== format || id === undefined || nonce === undefined || sealed === undefined) {
    return yield* unreadable(changed)
  }
  const key = keys.find((key) => key.id === id)
  if (key === undefined) {
    return yield* unreadable(
      `its entry is encrypted with the key ${id}, and known are ${keys.map((key) => key.id).join(", ")}; add that key to the old ones`
    )
  }
  const iv = yield* bytesOf(nonce)
  const bytes = yield* bytesOf(sealed)
  const text = yield* Effect.tryPromise({
    try: () => globalThis.crypto.subtle.decrypt(bound(iv, id, place, kept), key.key, bytes),
    catch: () => unreadable(changed)
  })
  return { ...kept, contents: Redacted.make(fromUtf8.decode(text)) }
})

/**
 * The store of the context, with everything that it keeps encrypted. Fails with `Misconfigured` when a key is none.
 *
 * What cannot be decrypted (an unknown key, a changed entry, one that was never encrypted) is a `StoreFailure` that says
 * which, and stays as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<TokenStore.Service, Misconfigured, TokenStore.TokenStore> {
  const inner = yield* TokenStore.TokenStore
  const first = yield* importKey("key", options.key)
  const old = yield* Effect.forEach(options.keysOld ?? [], (key) => importKey("keysOld", key))
  const keys = [first, ...old]
  return {
    load: (key) =>
      Effect.flatMap(
        inner.load(key),
        Option.match({
          onNone: () => Effect.succeedNone,
          onSome: (kept) => Effect.asSome(decrypt(keys, key, kept))
        })
      ),
    save: (key, entry) =>
      Effect.flatMap(encrypt(first, key, entry), (contents) =>
        inner.save(key, { generation: entry.generation, revision: entry.revision, contents })
      ),
    lease: inner.lease,
    release: inner.release
  }
})

/**
 * Encrypts what the store of the context keeps.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<TokenStore.TokenStore, Misconfigured, TokenStore.TokenStore> =>
  Layer.effect(TokenStore.TokenStore, make(options))

/** Several secrets in one variable. */
const secrets = (text: Redacted.Redacted<string>) =>
  Redacted.value(text)
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => Redacted.make(part))

/**
 * Encrypts with the key in `EFFECT_AUTH_ENCRYPTION_KEY`. `EFFECT_AUTH_ENCRYPTION_KEYS_OLD`, if set, has the old ones with
 * commas between them. Fails with `Misconfigured`, which names the variable and never tells its value. Each call makes a
 * layer of its own: a constant one would be built once, and give two stores one inner store.
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
