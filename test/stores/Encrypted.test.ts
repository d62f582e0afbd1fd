import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Either, FastCheck, Layer, Option, Redacted, TestClock } from "effect"
import { Misconfigured, StoreFailure } from "../../src/common/AuthError.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Encrypted from "../../src/stores/Encrypted.js"
import { laws } from "../../src/testing/StoreLaws.js"
import { Secrets, shown } from "../support/secrets.js"

const key = (seed: number) => Redacted.make(Buffer.alloc(32, seed).toString("base64"))
const contents = '{"accessToken":"test-access-1","refreshToken":"test-refresh-1"}'

const entry = (generation: number, revision = 0, text = contents): TokenStore.Entry => ({
  generation,
  revision,
  contents: Redacted.make(text)
})

const over = (inner: TokenStore.Service, options: Encrypted.Options) =>
  Effect.provideService(Encrypted.make(options), TokenStore.TokenStore, inner)

/** A store with one entry, encrypted with the first key, and the text that the inner one keeps. */
const setup = Effect.fnUntraced(function* (options: Encrypted.Options = { key: key(1) }) {
  const inner = yield* TokenStore.makeMemory
  const store = yield* over(inner, options)
  assert.isTrue(yield* store.save("key", entry(1)))
  return { inner, store, text: yield* text(inner, "key") }
})

const text = (store: TokenStore.Service, at: string) =>
  Effect.map(store.load(at), (stored) => Redacted.value(Option.getOrThrow(stored).contents))

const secrets = new Secrets()
for (const secret of ["test-access-1", "test-refresh-1", contents]) secrets.add(secret)
for (let seed = 0; seed < 5; seed++) secrets.add(Redacted.value(key(seed)))

/** That nothing can be loaded, why, and that what is kept is still there. */
const refused = Effect.fnUntraced(function* (inner: TokenStore.Service, options: Encrypted.Options, at = "key") {
  const before = yield* text(inner, at)
  const store = yield* over(inner, options)
  const result = yield* Effect.either(store.load(at))
  if (Either.isRight(result)) return assert.fail("it was loaded")
  assert.instanceOf(result.left, StoreFailure)
  assert.strictEqual(result.left.operation, "load")
  for (const text of shown(result.left)) assert.isUndefined(secrets.findIn(text))
  assert.strictEqual(yield* text(inner, at), before)
  return result.left.problem
})

const misconfigured = <A, R>(effect: Effect.Effect<A, Misconfigured, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, Misconfigured)
    for (const text of shown(error)) assert.isUndefined(secrets.findIn(text))
    return error
  })

describe("law 19, law 20: the encrypted store", () => {
  for (const { check, name } of laws({ wait: TestClock.adjust })) {
    it.effect(name, () =>
      Effect.provide(check, Encrypted.layer({ key: key(1) }).pipe(Layer.provide(TokenStore.layerMemory)))
    )
  }

  it.effect("law 20: leases are those of the inner store, under the same key", () =>
    Effect.gen(function* () {
      const { inner, store } = yield* setup()
      assert.isTrue(yield* store.lease("key", "a", Duration.seconds(10)))
      assert.isFalse(yield* inner.lease("key", "b", Duration.seconds(10)))
      yield* store.release("key", "a")
      assert.isTrue(yield* inner.lease("key", "b", Duration.seconds(10)))
    })
  )
})

describe("law 28: encryption at rest", () => {
  it.effect("what the inner store keeps has the version and no secret", () =>
    Effect.gen(function* () {
      const { inner, store, text } = yield* setup()
      assert.match(text, /^effect-auth:encrypted:1:[0-9a-f]{16}:[\w-]{16}:[\w-]+$/)
      assert.isUndefined(secrets.findIn(text))
      const stored = Option.getOrThrow(yield* inner.load("key"))
      assert.deepStrictEqual([stored.generation, stored.revision], [1, 0])
      for (const text of shown(store)) assert.isUndefined(secrets.findIn(text))
      for (const text of shown(yield* store.load("key"))) assert.isUndefined(secrets.findIn(text))
    })
  )

  it.effect.prop(
    "anything is loaded as it was saved, whatever the key",
    [
      FastCheck.string({ unit: "grapheme" }),
      FastCheck.string({ unit: "binary" }),
      FastCheck.maxSafeNat(),
      FastCheck.maxSafeNat(),
      FastCheck.uint8Array({ minLength: 32, maxLength: 32 })
    ],
    ([at, text, generation, revision, bytes]) =>
      Effect.gen(function* () {
        const inner = yield* TokenStore.makeMemory
        const options = { key: Redacted.make(Buffer.from(bytes).toString("base64")) }
        assert.isTrue(yield* (yield* over(inner, options)).save(at, entry(generation, revision, text)))
        const stored = Option.getOrThrow(yield* (yield* over(inner, options)).load(at))
        assert.strictEqual(Redacted.value(stored.contents), text)
        assert.deepStrictEqual([stored.generation, stored.revision], [generation, revision])
      })
  )

  it.effect("no nonce and no text comes twice", () =>
    Effect.gen(function* () {
      const { inner, store } = yield* setup()
      const nonces = new Set<string>()
      const sealed = new Set<string>()
      for (let revision = 1; revision <= 1000; revision++) {
        yield* store.save("key", entry(1, revision))
        const parts = (yield* text(inner, "key")).split(":")
        nonces.add(parts[4] ?? "")
        sealed.add(parts[5] ?? "")
      }
      assert.deepStrictEqual([nonces.size, sealed.size], [1000, 1000])
    })
  )

  it.effect("a key is changed: the old one decrypts, the new one encrypts", () =>
    Effect.gen(function* () {
      const { inner, text: before } = yield* setup()
      const rotated = yield* over(inner, { key: key(2), keysOld: [key(3), key(1)] })
      assert.strictEqual(yield* text(rotated, "key"), contents)
      assert.strictEqual(yield* text(inner, "key"), before)
      yield* rotated.save("key", entry(2))
      const onlyNew = yield* over(inner, { key: key(2) })
      assert.strictEqual(yield* text(onlyNew, "key"), contents)
      assert.match(
        yield* refused(inner, { key: key(1) }),
        /with the key [0-9a-f]{16}, and the known keys are [0-9a-f]{16}; add/
      )
    })
  )

  it.effect("an unknown key is told by its name", () =>
    Effect.gen(function* () {
      const { inner, text } = yield* setup()
      const problem = yield* refused(inner, { key: key(2), keysOld: [key(3)] })
      assert.include(problem, `with the key ${text.split(":")[3]}, and the known keys are `)
      assert.match(
        problem,
        /known keys are [0-9a-f]{16}, [0-9a-f]{16}; add that key to the old keys \(nothing was changed\)$/
      )
    })
  )

  it.effect("what is not encrypted is told, and neither read nor erased", () =>
    Effect.gen(function* () {
      for (const plain of [contents, "", "effect-auth:encrypted", "{}", "effect-auth:encrypted:x:"]) {
        const inner = yield* TokenStore.makeMemory
        yield* inner.save("key", entry(1, 0, plain))
        assert.match(yield* refused(inner, { key: key(1) }), /^the stored entry is not encrypted; /)
      }
    })
  )

  it.effect("a later format is told", () =>
    Effect.gen(function* () {
      for (const later of ["effect-auth:encrypted:2:anything", "effect-auth:encrypted:10:"]) {
        const inner = yield* TokenStore.makeMemory
        yield* inner.save("key", entry(1, 0, later))
        assert.match(
          yield* refused(inner, { key: key(1) }),
          /in format (2|10), and this version of .* reads 1; upgrade/
        )
      }
    })
  )

  it.effect("a text that was changed anywhere is refused", () =>
    Effect.gen(function* () {
      const { text } = yield* setup()
      for (let at = 0; at < text.length; at++) {
        for (const other of ["A", "1", ":", ""]) {
          if (text[at] === other) continue
          const inner = yield* TokenStore.makeMemory
          yield* inner.save("key", entry(1, 0, text.slice(0, at) + other + text.slice(at + 1)))
          yield* refused(inner, { key: key(1) })
        }
      }
    })
  )

  it.effect("each character of the alphabet but one is refused at the end, where some bits mean nothing", () =>
    Effect.gen(function* () {
      // Two bytes more than a multiple of three.
      for (const pad of ["", "x", "xx"]) {
        const { inner, store } = yield* setup()
        yield* store.save("key", entry(2, 0, contents + pad))
        const sealed = yield* text(inner, "key")
        for (const other of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
          if (sealed.endsWith(other)) continue
          const changed = yield* TokenStore.makeMemory
          yield* changed.save("key", entry(2, 0, sealed.slice(0, -1) + other))
          yield* refused(changed, { key: key(1) })
        }
      }
    })
  )

  it.effect("a text that was cut, lengthened, or put together from two is refused", () =>
    Effect.gen(function* () {
      const { inner, store, text: one } = yield* setup()
      yield* store.save("key", entry(1, 1))
      const two = yield* text(inner, "key")
      const [a, b] = [one.split(":"), two.split(":")]
      const mixed = [...a.slice(0, 4), b[4], a[5]].join(":")
      const cut = Array.from({ length: one.length - 1 }, (_, length) => one.slice(0, length + 1))
      for (const changed of [mixed, `${one}A`, `${one}AAAA`, `${one}=`, `${one}\n`, ` ${one}`, one + one, ...cut]) {
        const other = yield* TokenStore.makeMemory
        yield* other.save("key", entry(1, 0, changed))
        yield* refused(other, { key: key(1) })
      }
    })
  )

  it.effect("an entry of another session, generation or revision is refused", () =>
    Effect.gen(function* () {
      const { inner, text } = yield* setup()
      const places = [
        ["other", 1, 0],
        ["key ", 1, 0],
        ["key2", 2, 0],
        ["KEY", 1, 1],
        ["key", 2, 0]
      ] as const
      for (const [at, generation, revision] of places) {
        yield* inner.save(at, entry(generation, revision, text))
        assert.match(
          yield* refused(inner, { key: key(1) }, at),
          /^the stored entry was changed, or belongs to another session/
        )
      }
      const again = yield* setup()
      yield* again.inner.save("key", entry(1, 1, again.text))
      yield* refused(again.inner, { key: key(1) })
    })
  )

  it.effect.prop(
    "whatever else stands there is refused",
    [FastCheck.oneof(FastCheck.string({ unit: "binary" }), FastCheck.stringMatching(/^effect-auth:encrypted:1:.*$/))],
    ([text]) =>
      Effect.gen(function* () {
        const inner = yield* TokenStore.makeMemory
        yield* inner.save("key", entry(1, 0, text))
        yield* refused(inner, { key: key(1) })
      })
  )

  it.effect("failures of the inner store are passed on", () =>
    Effect.gen(function* () {
      const down = new StoreFailure({ operation: "save", problem: "the disk is full" })
      const inner = yield* TokenStore.makeMemory
      const store = yield* over({ ...inner, save: () => down, load: () => down }, { key: key(1) })
      assert.strictEqual(yield* Effect.flip(store.save("key", entry(1))), down)
      assert.strictEqual(yield* Effect.flip(store.load("key")), down)
    })
  )

  it.effect("without WebCrypto nothing is saved in the clear", () =>
    Effect.gen(function* () {
      const inner = yield* TokenStore.makeMemory
      const store = yield* over(inner, { key: key(1) })
      const subtle = Object.getOwnPropertyDescriptor(globalThis.crypto, "subtle")
      const failed = yield* Effect.acquireUseRelease(
        Effect.sync(() => Object.defineProperty(globalThis.crypto, "subtle", { value: undefined, configurable: true })),
        () => Effect.all([Effect.flip(store.save("key", entry(1))), misconfigured(over(inner, { key: key(1) }))]),
        () =>
          Effect.sync(() => {
            Reflect.deleteProperty(globalThis.crypto, "subtle")
            if (subtle !== undefined) Object.defineProperty(globalThis.crypto, "subtle", subtle)
          })
      )
      assert.strictEqual(failed[0].message, "the token store cannot save: WebCrypto cannot encrypt the entry")
      assert.match(failed[1].problem, /no WebCrypto/)
      assert.isTrue(Option.isNone(yield* inner.load("key")))
      assert.isTrue(yield* store.save("key", entry(1)))
    })
  )
})

describe("law 28: the keys", () => {
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index * 3))

  it.effect("a key is the same in base64 and base64url, padded or not, with white space around it", () =>
    Effect.gen(function* () {
      const { inner } = yield* setup({ key: Redacted.make(bytes.toString("base64")) })
      for (const form of [
        bytes.toString("base64url"),
        bytes.toString("base64").replace("=", ""),
        `${bytes.toString("base64url")}=`,
        ` ${bytes.toString("base64")}\n`
      ]) {
        assert.strictEqual(yield* text(yield* over(inner, { key: Redacted.make(form) }), "key"), contents)
      }
    })
  )

  const bad: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["empty", "", /^must not be empty$/],
    ["blank", " \n", /^must not be empty$/],
    ["31 bytes long", bytes.subarray(1).toString("base64"), /^is 31 bytes long; it must be 32 bytes in base64/],
    ["33 bytes long", Buffer.alloc(33).toString("base64"), /^is 33 bytes long/],
    ["hexadecimal", bytes.toString("hex"), /^is 48 bytes long/],
    ["no base64", "test key that is no base64 at all! 123456789", /^is not base64; it must be 32 bytes/]
  ]
  for (const [what, value, problem] of bad) {
    it.effect(`one that is ${what} is Misconfigured`, () =>
      Effect.gen(function* () {
        const inner = yield* TokenStore.makeMemory
        const first = yield* misconfigured(over(inner, { key: Redacted.make(value) }))
        assert.strictEqual(first.field, "key")
        assert.match(first.problem, problem)
        const old = yield* misconfigured(over(inner, { key: key(1), keysOld: [key(2), Redacted.make(value)] }))
        assert.strictEqual(old.field, "keysOld")
        assert.match(old.problem, problem)
        if (value.trim() !== "") for (const text of shown([first, old])) assert.notInclude(text, value)
      })
    )
  }

  const configured = (variables: Record<string, string>, inner: TokenStore.Service) =>
    TokenStore.TokenStore.pipe(
      Effect.provide(
        Encrypted.layerConfig().pipe(
          Layer.provide(Layer.succeed(TokenStore.TokenStore, inner)),
          Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))))
        )
      )
    )
  const [current, old] = ["EFFECT_AUTH_ENCRYPTION_KEY", "EFFECT_AUTH_ENCRYPTION_KEYS_OLD"]
  const value = (seed: number) => Redacted.value(key(seed))

  it.effect("they come from variables", () =>
    Effect.gen(function* () {
      const { inner } = yield* setup()
      assert.strictEqual(yield* text(yield* configured({ [current]: value(1) }, inner), "key"), contents)
      for (const list of [value(1), `${value(3)},${value(1)}`, `${value(1)}, ${value(3)},\n`]) {
        const store = yield* configured({ [current]: value(2), [old]: list }, inner)
        assert.strictEqual(yield* text(store, "key"), contents)
      }
      yield* configured({ [current]: value(1), [old]: "" }, inner)
    })
  )

  it.effect("what is wrong is told by the variable, without its value", () =>
    Effect.gen(function* () {
      const inner = yield* TokenStore.makeMemory
      const wrong = (variables: Record<string, string>) =>
        Effect.map(misconfigured(configured(variables, inner)), (error) => {
          for (const text of shown(error)) assert.notInclude(text, "test-short")
          return error.message
        })
      assert.strictEqual(yield* wrong({}), `${current}: is not set`)
      assert.strictEqual(yield* wrong({ [current]: "" }), `${current}: must not be empty`)
      assert.match(yield* wrong({ [current]: "test-short" }), new RegExp(`^${current}: is .*; it must be 32 bytes`))
      assert.match(
        yield* wrong({ [current]: value(1), [old]: `${value(2)},test-short` }),
        new RegExp(`^${old}: is .*; it must be 32 bytes`)
      )
    })
  )
})
