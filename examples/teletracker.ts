// Signs in to TeleTracker once and stores its tokens in a folder. The next start continues the same session.
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { AuthHttpClient, TeleTracker, TokenStore } from "effect-auth"
import * as File from "effect-auth/stores/File"

// EFFECT_AUTH_DIRECTORY, TELETRACKER_USERNAME, TELETRACKER_PASSWORD; and TELETRACKER_BASE_URL if it is not the live API.
const teletracker = TeleTracker.layerConfig({ store: TokenStore.at("service") }).pipe(
  Layer.provide([
    TeleTracker.layerCredentialsConfig(),
    NodeHttpClient.layerUndici,
    Layer.provide(File.layerConfig(), NodeContext.layer)
  ])
)

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/calls")
  yield* Console.log(`calls: ${response.status}`)
})

NodeRuntime.runMain(Effect.provide(program, teletracker))
