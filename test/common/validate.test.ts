import { inspect } from "node:util"
import type { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Option, Redacted } from "effect"
import type * as Auth from "../../src/Auth.js"
import { Misconfigured } from "../../src/common/AuthError.js"
import type * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import { configured, refuses, secret, someone, start, unused } from "../support/layerOptions.js"

const options: Violet.Options & Auth.Options = { appId: 1234, appSecret: Redacted.make(secret), renewal: "on-use" }

const starts = <A, E>(layer: Layer.Layer<A, E, Credentials.Credentials | HttpClient.HttpClient>) =>
  Effect.map(start(layer), (exit) => {
    if (Exit.isFailure(exit)) assert.fail(Cause.pretty(exit.cause))
  })

const violet = (more: object) => Violet.layer({ ...options, ...more })

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

  it.effect("no token request fits into a timeout of nothing", () =>
    Effect.gen(function* () {
      for (const timeout of [0, "0 seconds", 0n, Duration.zero]) yield* refuses(violet({ timeout }), "timeout")
    })
  )

  for (const renewal of ["never", "", "Background", true, null]) {
    it.effect(`renewal ${inspect(renewal)}`, () => refuses(violet({ renewal }), "renewal"))
  }
})
