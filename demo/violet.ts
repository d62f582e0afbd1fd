/** The API of Violet in the demo. */
import { Layer, Redacted } from "effect"
import { Violet } from "../src/index.js"
import * as VioletSandbox from "../src/testing/VioletSandbox.js"
import type { Api } from "./Api.js"
import { paged } from "./paged.js"
import { credentials, patience, user } from "./user.js"

const application = { appId: "1234", appSecret: "test-app-secret" }

export const violet: Api = {
  name: "violet",
  live: {
    variables: ["VIOLET_APP_ID", "VIOLET_APP_SECRET", "VIOLET_USERNAME", "VIOLET_PASSWORD"],
    layer: Layer.provide(Violet.layerConfig(), Violet.layerCredentialsConfig())
  },
  sandbox: ({ lifetime }) => VioletSandbox.make({ ...application, ...user, lifetime, pages: 25 }),
  layerSandbox: (baseUrl) =>
    Violet.layer({
      appId: Number(application.appId),
      appSecret: Redacted.make(application.appSecret),
      baseUrl,
      patience
    }).pipe(Layer.provide(credentials)),
  isTokenRequest: (path) => path.endsWith("/login") || path.endsWith("/auth/token"),
  ...paged("/merchants")
}
