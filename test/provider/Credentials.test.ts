import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Exit, Layer, Option, Redacted, Ref, TestClock } from "effect"
import { Misconfigured, NetworkFailure } from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import { Session } from "../../src/session/Session.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"
import { refuses } from "../support/layerOptions.js"

class Vault extends Context.Tag("effect-auth/test/provider/Credentials.test/Vault")<Vault, string>() {}

/** A provider that looks at the map each time; `fromMap` copies it. */
const changing = (map: Map<string, string>) =>
  ConfigProvider.make({
    load: (config) => ConfigProvider.fromMap(map).load(config),
    flattened: ConfigProvider.fromMap(map).flattened
  })

const user = { username: Redacted.make("user"), password: Redacted.make("password") }

const reading = <E>(layer: Layer.Layer<Credentials.Credentials, E>) =>
  Effect.flatMap(Credentials.Credentials, ({ read }) => read).pipe(Effect.provide(layer))

describe("credentials", () => {
  it.effect("values are what is read; an empty one does not start", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(Credentials.layer(user)), Option.some(user))
      const empty = Redacted.make("")
      yield* refuses(Credentials.layer({ ...user, username: empty }), "username", "password")
      const exit = yield* Effect.exit(reading(Credentials.layer({ ...user, password: empty })))
      assert.deepStrictEqual(exit, Exit.fail(new Misconfigured({ field: "password", problem: "must not be empty" })))
    })
  )

  it.effect("none is nothing to log in with", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(Credentials.layerNone), Option.none())
    })
  )

  it.effect("an effect is run at each reading, in the context of its layer", () =>
    Effect.gen(function* () {
      const count = yield* Ref.make(0)
      const read = Effect.map(
        Effect.zip(
          Ref.updateAndGet(count, (n) => n + 1),
          Vault
        ),
        ([n, name]) => ({ ...user, password: Redacted.make(`${name}-${n}`) })
      )
      const layer = Layer.provide(Credentials.layerEffect(read), Layer.succeed(Vault, "vault"))
      const credentials = yield* Effect.provide(Credentials.Credentials, layer)
      assert.strictEqual(yield* Ref.get(count), 0)
      for (const expected of ["vault-1", "vault-2"]) {
        const { password } = Option.getOrThrow(yield* credentials.read)
        assert.strictEqual(Redacted.value(password), expected)
      }
    })
  )

  it.effect("an effect that fails, or reads an empty password, fails typed at the reading", () =>
    Effect.gen(function* () {
      const failure = new NetworkFailure({ provider: "vault", reason: "timeout", outcome: "not-spent" })
      const tagOf = (read: Effect.Effect<Credentials.UserPassword, NetworkFailure>) =>
        Effect.flip(reading(Credentials.layerEffect(read)))
      assert.strictEqual(yield* tagOf(Effect.fail(failure)), failure)
      const error = yield* tagOf(Effect.succeed({ ...user, password: Redacted.make("") }))
      assert.deepStrictEqual(error, new Misconfigured({ field: "password", problem: "must not be empty" }))
    })
  )

  it.effect("a config is looked at when the layer starts, and read again each time", () =>
    Effect.gen(function* () {
      const map = new Map([
        ["USER_NAME", "user"],
        ["USER_SECRET", "one"]
      ])
      const layer = Layer.provide(
        Credentials.layerConfig({ username: "USER_NAME", password: "USER_SECRET" }),
        Layer.setConfigProvider(changing(map))
      )
      const credentials = yield* Effect.provide(Credentials.Credentials, layer)
      const password = Effect.map(credentials.read, (found) => Redacted.value(Option.getOrThrow(found).password))
      assert.strictEqual(yield* password, "one")
      map.set("USER_SECRET", "two")
      assert.strictEqual(yield* password, "two")
      map.delete("USER_SECRET")
      const gone = yield* Effect.flip(password)
      assert.deepStrictEqual(gone, new Misconfigured({ field: "USER_SECRET", problem: "is not set" }))
      map.set("USER_SECRET", "")
      const empty = yield* Effect.flip(password)
      assert.deepStrictEqual(empty, new Misconfigured({ field: "USER_SECRET", problem: "must not be empty" }))
    })
  )

  it.scoped("a password that changed is picked up at the next login, whichever way it is read", () =>
    Effect.gen(function* () {
      const variables = new Map([
        ["VIOLET_USERNAME", "test-user@example.com"],
        ["VIOLET_PASSWORD", "test-password"]
      ])
      const vault = Effect.sync(() => ({
        username: Redacted.make("test-user@example.com"),
        password: Redacted.make(variables.get("VIOLET_PASSWORD") ?? "")
      }))
      const config = Layer.setConfigProvider(changing(variables))
      const ways = [Credentials.layerEffect(vault), Layer.provide(Violet.layerCredentialsConfig(), config)]
      for (const layer of ways) {
        variables.set("VIOLET_PASSWORD", "test-password")
        const sandbox = yield* VioletSandbox.make()
        const built = yield* Layer.build(
          Violet.layer({
            appId: 1234,
            appSecret: Redacted.make("test-app-secret"),
            baseUrl: sandbox.baseUrl,
            renewal: "on-use"
          }).pipe(Layer.provide(layer), Layer.provide(Layer.succeed(HttpClient.HttpClient, sandbox.client)))
        )
        const session = yield* Effect.provide(Session, built)
        yield* session.login
        yield* sandbox.setPassword("changed")
        assert.strictEqual((yield* Effect.flip(session.login))._tag, "InvalidCredentials")
        variables.set("VIOLET_PASSWORD", "changed")
        yield* session.login
        assert.strictEqual((yield* sandbox.report).logins, 3)
      }
    })
  )

  it.scoped("a password that was wiped while it was in use is a typed failure, and no one waits for ever", () =>
    Effect.gen(function* () {
      const sandbox = yield* VioletSandbox.make()
      const password = Redacted.make("test-password")
      const built = yield* Layer.build(
        Violet.layer({
          appId: 1234,
          appSecret: Redacted.make("test-app-secret"),
          baseUrl: sandbox.baseUrl,
          renewal: "on-use"
        }).pipe(
          Layer.provide(Credentials.layer({ username: Redacted.make("test-user@example.com"), password })),
          Layer.provide(Layer.succeed(HttpClient.HttpClient, sandbox.client))
        )
      )
      const session = yield* Effect.provide(Session, built)
      Redacted.unsafeWipe(password)
      const caller = yield* Effect.fork(Effect.flip(session.accessToken))
      yield* TestClock.adjust("1 minute")
      const ended = yield* caller.poll
      assert.isTrue(Option.isSome(ended) && Exit.isSuccess(ended.value))
    })
  )
})
