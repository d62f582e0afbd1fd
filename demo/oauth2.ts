/** The API of OAuth 2.0 in the demo. */
import { Layer, Redacted } from "effect"
import { OAuth2 } from "../src/index.js"
import * as OAuth2Sandbox from "../src/testing/OAuth2Sandbox.js"
import type { Api } from "./Api.js"
import { paged } from "./paged.js"
import { credentials, patience, user } from "./user.js"

const client = { clientId: "test-client", clientSecret: "test-secret" }

export const oauth2: Api = {
  name: "oauth2",
  sandbox: ({ lifetime }) => OAuth2Sandbox.make({ ...client, ...user, lifetime, pages: 25 }),
  layerSandbox: (baseUrl) =>
    OAuth2.layer({
      baseUrl,
      tokenEndpoint: `${baseUrl}/token`,
      revocationEndpoint: `${baseUrl}/revoke`,
      grant: "password",
      clientId: client.clientId,
      clientSecret: Redacted.make(client.clientSecret),
      patience
    }).pipe(Layer.provide(credentials)),
  isTokenRequest: (path) => path.endsWith("/token"),
  ...paged("/orders")
}
