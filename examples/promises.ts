// An application of Promises that moves to this library step by step. The signatures of its functions stay the same.
import { HttpClientResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { AuthHttpClient, Session, Violet } from "effect-auth"

const violet = Violet.layerConfig({ renewal: "on-use" }).pipe(
  Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici])
)

// One runtime for the whole process: it holds the one session.
const runtime = ManagedRuntime.make(violet)

const Page = Schema.Struct({ content: Schema.Array(Schema.Struct({ name: Schema.String })) })

/** Used to add headers, check the status, refresh and retry. */
const getMerchants = (page: number) =>
  Effect.gen(function* () {
    const client = yield* AuthHttpClient.AuthHttpClient
    const response = yield* client.get("/merchants", { urlParams: { page, size: 20 } })
    return (yield* HttpClientResponse.schemaBodyJson(Page)(response)).content
  }).pipe((merchants) => runtime.runPromise(merchants))

/** For code that still needs the bare token, such as another client library. The only place that unwraps it. */
const getToken = () =>
  runtime.runPromise(Effect.flatMap(Session.Session, (session) => Effect.map(session.accessToken, Redacted.value)))

const merchants = await getMerchants(1)
const token = await getToken()
process.stdout.write(`${merchants.map(({ name }) => name).join("\n")}\na token of ${token.split(".").length} parts\n`)
await runtime.dispose()
