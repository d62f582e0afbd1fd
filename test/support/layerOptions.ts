import { inspect } from "node:util"
import { HttpClient } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Cause, ConfigProvider, Effect, Exit, Layer, Option, Redacted } from "effect"
import { Misconfigured } from "../../src/common/AuthError.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"

export const secret = "s3cr3t-of-the-application"

export const variables: Record<string, string> = {
  VIOLET_APP_ID: "1234",
  VIOLET_APP_SECRET: secret,
  VIOLET_USERNAME: "test-user@example.com",
  VIOLET_PASSWORD: "test-password"
}

/** The one who is asked for anything at start has not been configured wrongly enough. */
export const unused = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make(() => Effect.dieMessage("a request was sent"))
)

export const someone = Credentials.layer({ username: Redacted.make("user"), password: Redacted.make("password") })

export const start = <A, E>(layer: Layer.Layer<A, E, Credentials.Credentials | HttpClient.HttpClient>) =>
  Effect.scoped(Effect.exit(Layer.build(Layer.provide(layer, Layer.merge(unused, someone)))))

/** The layer does not start, for one typed reason that names the field and holds no secret. */
export const refuses = <A, E>(
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
    const reported = [
      error.message,
      Cause.pretty(exit.cause),
      inspect(exit, { depth: 9 }),
      JSON.stringify(exit),
      error.stack
    ]
    for (const each of [secret, ...secrets]) assert.notInclude(reported.join("\n"), each)
  })

export const configured = (more: Record<string, string | undefined>) => {
  const entries = Object.entries({ ...variables, ...more }).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const]
  )
  return Layer.provide(
    Layer.merge(Violet.layerConfig({ renewal: "on-use" }), Violet.layerCredentialsConfig()),
    Layer.setConfigProvider(ConfigProvider.fromMap(new Map(entries)))
  )
}
