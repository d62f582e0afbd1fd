// A page in a browser: it asks for user name and password once, and stays signed in when it is loaded again.
import { FetchHttpClient, KeyValueStore } from "@effect/platform"
import { Console, Effect, Layer, Redacted } from "effect"
import { AuthHttpClient, Credentials, OAuth2, TokenStore } from "effect-auth"
import * as KeyValueTokens from "effect-auth/stores/KeyValueStore"

// BrowserKeyValueStore.layerLocalStorage of @effect/platform-browser is the same.
const tokens = KeyValueTokens.layer().pipe(Layer.provide(KeyValueStore.layerStorage(() => localStorage)))

const ask = (question: string) => Effect.sync(() => Redacted.make(prompt(question) ?? ""))

// Read at each login, and not before.
const credentials = Credentials.layerEffect(Effect.all({ username: ask("User name"), password: ask("Password") }))

const orders = OAuth2.layer({
  baseUrl: "https://orders.example",
  tokenEndpoint: "https://orders.example/token",
  grant: "password",
  clientId: "orders-page", // no clientSecret: everyone who loads the page could read it
  store: TokenStore.at("me")
}).pipe(Layer.provide([tokens, credentials, FetchHttpClient.layer]))

const program = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/orders?size=2")
  yield* Console.log(yield* response.text)
}).pipe(Effect.catchTag("InvalidCredentials", () => Console.log("User name or password is wrong")))

Effect.runFork(Effect.provide(program, orders))
