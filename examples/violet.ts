// Signs in to Violet and prints a page of merchants: the whole of an application that stays signed in.
import { HttpClientResponse } from "@effect/platform"
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { AuthHttpClient, Violet } from "effect-auth"

const Page = Schema.Struct({ content: Schema.Array(Schema.Struct({ name: Schema.String })) })

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const page = yield* client
    .get("/merchants?page=1&size=20")
    .pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Page)))
  yield* Console.log(page.content.map(({ name }) => name).join("\n"))
})

// VIOLET_APP_ID, VIOLET_APP_SECRET, VIOLET_USERNAME, VIOLET_PASSWORD, and VIOLET_BASE_URL if it is not the live API.
const violet = Violet.layerConfig().pipe(Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici]))

NodeRuntime.runMain(Effect.provide(program, violet))
