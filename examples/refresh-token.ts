// Starts from a stored refresh token, without a password, and prints each change of the session.
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Stream } from "effect"
import { Credentials, Session, Token, Violet } from "effect-auth"

const violet = Layer.unwrapEffect(
  Effect.map(Config.redacted("VIOLET_REFRESH_TOKEN"), (refreshToken) =>
    Violet.layerConfig({ seed: Token.make({ refreshToken }) })
  )
).pipe(Layer.provide([Credentials.layerNone, NodeHttpClient.layerUndici]))

const program = Effect.gen(function* () {
  const session = yield* Session.Session
  yield* session.changes.pipe(
    Stream.runForEach(({ state, token }) => Console.log(`${state}, token ${token}`)),
    Effect.fork
  )
  yield* session.accessToken
  yield* session.logout
})

NodeRuntime.runMain(Effect.provide(program, violet))
