/** The parts of the demo that differ between the APIs. */
import type { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import type { Duration, Effect, Layer, ParseResult } from "effect"
import type { Auth, AuthError } from "../src/index.js"
import type * as Sandbox from "../src/testing/internal/sandbox.js"

export interface Page {
  /** The number of the page, if the response states it. */
  readonly number: number | undefined
  readonly items: number
  readonly last: boolean
}

type Signed = Layer.Layer<Auth.Services, AuthError.Misconfigured, HttpClient.HttpClient>

export interface Api {
  readonly name: string
  /** The real API, if one with pages is known. It replaces the sandbox if any of the variables is set. */
  readonly live?: { readonly variables: ReadonlyArray<string>; readonly layer: Signed } | undefined
  readonly sandbox: (options: { readonly lifetime: Duration.DurationInput }) => Effect.Effect<Sandbox.Service>
  readonly layerSandbox: (baseUrl: string) => Signed
  /** Tells whether a request is a token request. */
  readonly isTokenRequest: (path: string) => boolean
  readonly page: (number: number) => HttpClientRequest.HttpClientRequest
  readonly readPage: (
    response: HttpClientResponse.HttpClientResponse
  ) => Effect.Effect<Page, HttpClientError.ResponseError | ParseResult.ParseError>
}
