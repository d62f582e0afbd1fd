// Reads every page of a list, for longer than any token lives: each request carries a token that is valid at that moment.
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Chunk, Console, Effect, Layer, Option, Schedule, Schema, Stream } from "effect"
import { AuthError, AuthHttpClient, Violet } from "effect-auth"

const Merchant = Schema.Struct({ id: Schema.Number, name: Schema.String })
const Page = Schema.Struct({ content: Schema.Array(Merchant), last: Schema.Boolean })

const merchants = Stream.unwrap(
  Effect.map(AuthHttpClient.AuthHttpClient, (client) => {
    // Each page is retried by itself. A stream that is retried as a whole starts again with its first page.
    const patient = client.pipe(
      HttpClient.filterStatusOk,
      HttpClient.retryTransient({
        while: (error) => AuthError.isAuthError(error) && AuthError.isTransient(error),
        schedule: Schedule.exponential("200 millis"),
        times: 8
      })
    )
    return Stream.paginateChunkEffect(1, (page) =>
      patient.get("/merchants", { urlParams: { page, size: 20 } }).pipe(
        Effect.flatMap(HttpClientResponse.schemaBodyJson(Page)),
        Effect.map(({ content, last }) => [
          Chunk.unsafeFromArray(content),
          last ? Option.none() : Option.some(page + 1)
        ])
      )
    )
  })
)

const program = merchants.pipe(
  Stream.mapEffect(({ name }) => Console.log(name)),
  Stream.runDrain
)

// VIOLET_APP_ID, VIOLET_APP_SECRET, VIOLET_USERNAME, VIOLET_PASSWORD, and VIOLET_BASE_URL if it is not the live API.
const violet = Violet.layerConfig({ renewal: "on-use" }).pipe(
  Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici])
)

NodeRuntime.runMain(Effect.provide(program, violet))
