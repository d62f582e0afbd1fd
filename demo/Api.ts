/** What the demo needs to know of one API; the rest of this folder is the same for all of them. */
import type { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import type { Duration, Effect, Layer, ParseResult } from "effect"
import type { Auth, AuthError } from "../src/index.js"
import type * as Sandbox from "../src/testing/internal/sandbox.js"

export interface Page {
  /** Which page the API says this is, if it says so. */
  readonly number: number | undefined
  readonly items: number
  readonly last: boolean
}

type Signed = Layer.Layer<Auth.Services, AuthError.Misconfigured, HttpClient.HttpClient>

export interface Api {
  readonly name: string
  /** How to talk to the true API, where one is known to have pages; with any of the variables set, there is no sandbox. */
  readonly live?: { readonly variables: ReadonlyArray<string>; readonly layer: Signed } | undefined
  readonly sandbox: (options: { readonly lifetime: Duration.DurationInput }) => Effect.Effect<Sandbox.Service>
  readonly layerSandbox: (baseUrl: string) => Signed
  /** Whether a request goes to the token endpoint. */
  readonly isExchange: (path: string) => boolean
  readonly page: (number: number) => HttpClientRequest.HttpClientRequest
  readonly readPage: (
    response: HttpClientResponse.HttpClientResponse
  ) => Effect.Effect<Page, HttpClientError.ResponseError | ParseResult.ParseError>
}
