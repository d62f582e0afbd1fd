import { HttpClient } from "@effect/platform"
import { Context, Effect, Layer } from "effect"
import { type Auth, AuthHttpClient, Credentials, OAuth2, Session, Violet } from "../../../src/index.js"
import type * as Sandbox from "../../../src/testing/internal/sandbox.js"
import * as OAuth2Sandbox from "../../../src/testing/OAuth2Sandbox.js"
import { secret } from "../../support/harness.js"
import * as oauth2 from "../../testing/oauth2.js"

/** The layer of an application that is signed in to a sandbox of Violet, in memory. */
export const violet = (sandbox: Sandbox.Service, options: Auth.Options & { readonly username?: string } = {}) =>
  Violet.layer({
    appId: 1234,
    appSecret: secret("test-app-secret"),
    baseUrl: sandbox.baseUrl,
    renewal: "on-use",
    ...options
  }).pipe(
    Layer.provide(
      Credentials.layer({
        username: secret(options.username ?? "test-user@example.com"),
        password: secret("test-password")
      })
    ),
    Layer.provide(Layer.succeed(HttpClient.HttpClient, sandbox.client))
  )

/** The layer of a service that is signed in by OAuth 2.0, as itself, to what is behind a client. */
export const orders = (client: HttpClient.HttpClient, options: Auth.Options = {}) =>
  OAuth2.layer({
    name: "orders",
    baseUrl: "https://oauth2.test",
    tokenEndpoint: "https://oauth2.test/token",
    grant: "client_credentials",
    clientId: "test-client",
    clientSecret: secret(oauth2.secret),
    renewal: "on-use",
    ...options
  }).pipe(Layer.provide(Credentials.layerNone), Layer.provide(Layer.succeed(HttpClient.HttpClient, client)))

/** A sandbox of OAuth 2.0 in memory, with a service that is signed in to it. */
export const ordersSandbox = Effect.fnUntraced(function* (
  options: OAuth2Sandbox.Options & Pick<Auth.Options, "patience"> = {}
) {
  const sandbox = yield* OAuth2Sandbox.make(options)
  const context = yield* Layer.build(orders(sandbox.client, options))
  return {
    sandbox,
    session: Context.get(context, Session.Session),
    client: Context.get(context, AuthHttpClient.AuthHttpClient)
  }
})
