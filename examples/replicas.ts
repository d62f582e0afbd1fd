// Replicas of one service that share one session in Postgres. Start it as often as you like, on as many machines.
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Config, Console, Effect, Layer, Schedule } from "effect"
import { AuthHttpClient, TeleTracker, TokenStore } from "effect-auth"
import * as Encrypted from "effect-auth/stores/Encrypted"
import * as Sql from "effect-auth/stores/Sql"

// DATABASE_URL, and EFFECT_AUTH_ENCRYPTION_KEY as `openssl rand -base64 32` makes it.
const tokens = Encrypted.layerConfig().pipe(
  Layer.provide(Sql.layer({ migrate: true })),
  Layer.provide(PgClient.layerConfig({ url: Config.redacted("DATABASE_URL") }))
)

// TELETRACKER_USERNAME, TELETRACKER_PASSWORD, and TELETRACKER_BASE_URL if it is not the live API.
const teletracker = TeleTracker.layerConfig({ store: TokenStore.at("service") }).pipe(
  Layer.provide([TeleTracker.layerCredentialsConfig(), NodeHttpClient.layerUndici, tokens])
)

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const calls = Effect.flatMap(client.get("/calls"), ({ status }) => Console.log(`calls: ${status}`))
  yield* Effect.repeat(calls, Schedule.spaced("1 second").pipe(Schedule.upTo("5 seconds")))
})

NodeRuntime.runMain(Effect.provide(program, teletracker))
