// Signs in to Freddy with the code that it mails, asked for on the terminal, and prints a page of threads.
import { Terminal } from "@effect/platform"
import { NodeHttpClient, NodeRuntime, NodeTerminal } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted } from "effect"
import { AuthHttpClient, Freddy } from "effect-auth"

const freddy = Freddy.layerConfig({
  code: ({ email }) =>
    Effect.gen(function* () {
      const terminal = yield* Terminal.Terminal
      yield* terminal.display(`The code that Freddy mailed to ${email}: `)
      return Redacted.make(yield* terminal.readLine)
    })
})

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/v1/threads")
  yield* Console.log(`\n${yield* response.text}`)
})

// FREDDY_USERNAME, FREDDY_PASSWORD, and FREDDY_BASE_URL if it is not the live API.
const layer = freddy.pipe(
  Layer.provide([Freddy.layerCredentialsConfig(), NodeHttpClient.layerUndici, NodeTerminal.layer])
)

NodeRuntime.runMain(Effect.provide(program, layer))
