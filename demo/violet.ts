/** Everything in the demo that is Violet's own. */
import { HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Credentials, Violet } from "../src/index.js"
import * as VioletSandbox from "../src/testing/VioletSandbox.js"
import type { Api } from "./Api.js"

/** The sandbox's own application and user, which its process knows by the same constants. */
const application = { appId: "1234", appSecret: "test-app-secret" }
const user = { username: "test-user@example.com", password: "test-password" }

const Merchants = Schema.Struct({
  content: Schema.Array(Schema.Struct({ id: Schema.Number })),
  page: Schema.optional(Schema.Number),
  last: Schema.optional(Schema.Boolean)
})

export const violet: Api = {
  name: "violet",
  variables: ["VIOLET_APP_ID", "VIOLET_APP_SECRET", "VIOLET_USERNAME", "VIOLET_PASSWORD"],
  layerConfig: Layer.provide(Violet.layerConfig(), Violet.layerCredentialsConfig()),
  sandbox: ({ lifetime }) => VioletSandbox.make({ ...application, ...user, lifetime, pages: 25 }),
  layerSandbox: (baseUrl) =>
    Violet.layer({
      appId: Number(application.appId),
      appSecret: Redacted.make(application.appSecret),
      baseUrl,
      renewal: "background",
      // Shorter than usual: the demo is to show what callers do once it has run out.
      patience: "1 second"
    }).pipe(
      Layer.provide(
        Credentials.layer({ username: Redacted.make(user.username), password: Redacted.make(user.password) })
      )
    ),
  isExchange: (path) => path.endsWith("/login") || path.endsWith("/auth/token"),
  page: (number) => HttpClientRequest.get("/merchants", { urlParams: { page: number } }),
  readPage: (response) =>
    Effect.map(HttpClientResponse.schemaBodyJson(Merchants)(response), ({ content, last, page }) => ({
      number: page,
      items: content.length,
      last: last ?? content.length === 0
    }))
}
