import { inspect } from "node:util"
import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Context, Duration, Effect, Exit, Layer, Option, Redacted, Ref, TestClock } from "effect"
import type * as Auth from "../../src/Auth.js"
import { Misconfigured, NetworkFailure } from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import { Session } from "../../src/session/Session.js"
import * as VioletSandbox from "../../src/testing/VioletSandbox.js"

const secret = "s3cr3t-of-the-application"
const options: Violet.Options & Auth.Options = { appId: 1234, appSecret: Redacted.make(secret), renewal: "on-use" }
const variables: Record<string, string> = {
  VIOLET_APP_ID: "1234",
  VIOLET_APP_SECRET: secret,
  VIOLET_USERNAME: "test-user@example.com",
  VIOLET_PASSWORD: "test-password"
}

/** Whoever is asked for anything at start has not been configured wrongly enough. */
const unused = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make(() => Effect.dieMessage("a request was sent"))
)
const someone = Credentials.layer({ username: Redacted.make("user"), password: Redacted.make("password") })

const start = <A, E>(layer: Layer.Layer<A, E, Credentials.Credentials | HttpClient.HttpClient>) =>
  Effect.scoped(Effect.exit(Layer.build(Layer.provide(layer, Layer.merge(unused, someone)))))

/** The layer does not start, for one typed reason that names the field and holds no secret. */
const refuses = <A, E>(
  layer: Layer.Layer<A, E, Credentials.Credentials | HttpClient.HttpClient>,
  field: string,
  ...secrets: ReadonlyArray<string>
) =>
  Effect.gen(function* () {
    const exit = yield* start(layer)
    if (Exit.isSuccess(exit)) return assert.fail(`it started, though ${field} is wrong`)
    const failure = Cause.failureOption(exit.cause)
    const error = Option.getOrUndefined(failure)
    if (!(error instanceof Misconfigured)) return assert.fail(`not Misconfigured, but ${Cause.pretty(exit.cause)}`)
    assert.strictEqual(error.field, field)
    assert.include(error.message, field)
    const told = [
      error.message,
      Cause.pretty(exit.cause),
      inspect(exit, { depth: 9 }),
      JSON.stringify(exit),
      error.stack
    ]
    for (const each of [secret, ...secrets]) assert.notInclude(told.join("\n"), each)
  })

const starts = <A, E>(layer: Layer.Layer<A, E, Credentials.Credentials | HttpClient.HttpClient>) =>
  Effect.map(start(layer), (exit) => {
    if (Exit.isFailure(exit)) assert.fail(Cause.pretty(exit.cause))
  })

const violet = (more: object) => Violet.layer({ ...options, ...more })
const configured = (more: Record<string, string | undefined>) => {
  const entries = Object.entries({ ...variables, ...more }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const]
  )
  return Layer.provide(
    Layer.merge(Violet.layerConfig({ renewal: "on-use" }), Violet.layerCredentialsConfig()),
    Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries)))
  )
}

describe("options of a layer", () => {
  it.effect("what is right starts, and sends nothing", () =>
    Effect.gen(function* () {
      yield* starts(violet({}))
      yield* starts(violet({ environment: "sandbox" }))
      yield* starts(violet({ renewal: "background" }))
      yield* starts(violet({ leeway: undefined, patience: undefined, timeout: undefined, renewal: undefined }))
      yield* starts(configured({}))
      yield* starts(configured({ VIOLET_APP_ID: " 1234\n", VIOLET_BASE_URL: "https://violet.test/v1" }))
    })
  )

  for (const appId of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1234", null, undefined]) {
    it.effect(`appId ${inspect(appId)}`, () => refuses(violet({ appId }), "appId"))
  }

  const badSecrets = [
    "",
    " ",
    "two words",
    "with-a-line-break\n",
    "b\u00f6yond-ascii",
    "nul-\u0000-byte",
    "tab\tbed-secret"
  ]
  for (const bad of badSecrets) {
    it.effect(`appSecret ${JSON.stringify(bad)}`, () =>
      refuses(violet({ appSecret: Redacted.make(bad) }), "appSecret", ...(bad.trim().length > 3 ? [bad.trim()] : []))
    )
  }
  for (const bad of [undefined, null, "a plain string", 7]) {
    it.effect(`appSecret that is not redacted: ${inspect(bad)}`, () =>
      refuses(violet({ appSecret: bad }), "appSecret", "a plain string")
    )
  }

  const badUrls = [
    "",
    "/v1",
    "violet.test/v1",
    "//violet.test/v1",
    "http://violet.test/v1",
    "http://10.0.0.1/v1",
    "http://localhost.violet.test/",
    "http://127.0.0.1.violet.test/",
    "http://[::2]/",
    "ftp://violet.test/",
    "file:///v1",
    "javascript:alert(1)",
    "https://user@violet.test/",
    "https://user:pass-in-the-url@violet.test/",
    "http://:pass-in-the-url@localhost/",
    "https://violet.test/?key=pass-in-the-url",
    "https://violet.test/#pass-in-the-url"
  ]
  for (const baseUrl of badUrls) {
    it.effect(`baseUrl ${JSON.stringify(baseUrl)}`, () =>
      Effect.gen(function* () {
        yield* refuses(violet({ baseUrl }), "baseUrl", "pass-in-the-url")
        yield* refuses(configured({ VIOLET_BASE_URL: baseUrl }), "VIOLET_BASE_URL", "pass-in-the-url")
      })
    )
  }

  const goodUrls = [
    "https://violet.test",
    "https://violet.test:8443/a/b",
    "http://localhost:8080/v1",
    "http://127.0.0.1:8080",
    "http://127.1/",
    "http://[::1]:8080/v1/",
    "HTTP://LOCALHOST/",
    new URL("https://violet.test/v1")
  ]
  for (const baseUrl of goodUrls) {
    it.effect(`baseUrl ${baseUrl} is fine, and is not changed`, () =>
      Effect.gen(function* () {
        const before = String(baseUrl)
        yield* starts(violet({ baseUrl }))
        assert.strictEqual(String(baseUrl), before)
      })
    )
  }

  it.effect("an address contradicts an environment", () =>
    refuses(violet({ baseUrl: "https://violet.test", environment: "sandbox" }), "baseUrl")
  )

  for (const environment of ["production", "", "toString", null]) {
    it.effect(`environment ${inspect(environment)}`, () => {
      const layer = Effect.exit(Layer.build(Layer.provide(violet({ environment }), Layer.merge(unused, someone))))
      return Effect.map(Effect.scoped(layer), (exit) => {
        // There is no telling what null is for; it may well be taken for nothing.
        if (environment === null && Exit.isSuccess(exit)) return
        assert.isTrue(Exit.isFailure(exit))
        const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
        assert.instanceOf(error, Misconfigured)
      })
    })
  }

  const notDurations = [
    -1,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    -1n,
    "-1 second",
    " -5 minutes",
    "soon",
    "",
    "5",
    "5 parsecs",
    [-1, 0],
    [0, -5],
    [Number.NaN, 0],
    {},
    true
  ]
  for (const field of ["leeway", "patience", "timeout", "shutdownDeadline"]) {
    for (const input of notDurations) {
      it.effect(`${field} ${inspect(input)}`, () => refuses(violet({ [field]: input }), field))
    }
    for (const input of [1, 1n, "1 second", [1, 0], Duration.minutes(1), "30 days", Duration.days(36_500)]) {
      it.effect(`${field} ${inspect(input)} is fine`, () => starts(violet({ [field]: input })))
    }
    for (const input of [Number.POSITIVE_INFINITY, Duration.infinity]) {
      it.effect(`${field} may be infinite: ${inspect(input)}`, () => starts(violet({ [field]: input })))
    }
  }

  for (const field of ["leeway", "patience", "shutdownDeadline"]) {
    it.effect(`${field} may be zero`, () => starts(violet({ [field]: 0 })))
  }

  it.effect("no exchange fits into a timeout of nothing", () =>
    Effect.gen(function* () {
      for (const timeout of [0, "0 seconds", 0n, Duration.zero]) yield* refuses(violet({ timeout }), "timeout")
    })
  )

  for (const renewal of ["never", "", "Background", true, null]) {
    it.effect(`renewal ${inspect(renewal)}`, () => refuses(violet({ renewal }), "renewal"))
  }
})

describe("variables of the environment", () => {
  for (const appId of [
    undefined,
    "",
    " ",
    "-5",
    "1.5",
    "1e3",
    "0",
    "0x10",
    "12a",
    "99999999999999999999",
    "Infinity"
  ]) {
    it.effect(`VIOLET_APP_ID ${inspect(appId)}`, () => refuses(configured({ VIOLET_APP_ID: appId }), "VIOLET_APP_ID"))
  }
  for (const appSecret of [undefined, "", "two words", "cut-in\n-two"]) {
    it.effect(`VIOLET_APP_SECRET ${inspect(appSecret)}`, () =>
      refuses(configured({ VIOLET_APP_SECRET: appSecret }), "VIOLET_APP_SECRET", "two words", "cut-in")
    )
  }
  for (const name of ["VIOLET_USERNAME", "VIOLET_PASSWORD"]) {
    for (const value of [undefined, ""]) {
      it.effect(`${name} ${inspect(value)}`, () => refuses(configured({ [name]: value }), name, "test-password"))
    }
  }

  it.effect("a config that cannot be read is named, not shown", () =>
    Effect.gen(function* () {
      const broken = ConfigProvider.fromMap(new Map(Object.entries(variables))).pipe(
        ConfigProvider.mapInputPath((name) => (name === "VIOLET_APP_SECRET" ? "NOWHERE" : name))
      )
      yield* refuses(Layer.provide(Violet.layerConfig(), Layer.setConfigProvider(broken)), "NOWHERE")
      const nested = ConfigProvider.nested(ConfigProvider.fromMap(new Map()), "SHOP")
      yield* refuses(
        Layer.provide(Violet.layerCredentialsConfig(), Layer.setConfigProvider(nested)),
        "SHOP_VIOLET_USERNAME"
      )
    })
  )
})

class Vault extends Context.Tag("effect-auth/test/common/validate.test/Vault")<Vault, string>() {}

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

  it.effect("a config is looked at when the layer starts, and read anew each time", () =>
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

  it.scoped("a password that changed is picked up at the next log in, whichever way it is read", () =>
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

  it.scoped("a password that was wiped while it was in use is a typed failure, and nobody waits for ever", () =>
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
