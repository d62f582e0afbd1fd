import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Context, Effect, Layer, Redacted } from "effect"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Violet from "../../../src/providers/Violet.js"
import * as Session from "../../../src/session/Session.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"
import * as Token from "../../../src/token/Token.js"

export type Handler = (request: HttpClientRequest.HttpClientRequest, url: URL) => Response | Effect.Effect<Response>

export const origin = "https://violet.test"

/** Answers some paths by itself and leaves the others to a client. */
export const routes = (
  client: HttpClient.HttpClient,
  handlers: Readonly<Record<string, Handler>>
): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const handler = handlers[url.pathname]
    if (handler === undefined) return client.execute(request)
    const answer = handler(request, url)
    return Effect.map(Effect.isEffect(answer) ? answer : Effect.succeed(answer), (response) =>
      HttpClientResponse.fromWeb(request, response)
    )
  })

/** A signed-in application over a sandbox: everything its bare client sends is in `sent`. */
export const setup = Effect.fnUntraced(function* (
  options: {
    readonly sandbox?: VioletSandbox.Options
    readonly handlers?: Readonly<Record<string, Handler>>
    readonly beneath?: (client: HttpClient.HttpClient) => HttpClient.HttpClient
    readonly credentials?: Layer.Layer<Credentials.Credentials>
    readonly seeded?: boolean
  } = {}
) {
  const sandbox = yield* VioletSandbox.make(options.sandbox)
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const bare = HttpClient.tapRequest(routes(sandbox.client, options.handlers ?? {}), (request) =>
    Effect.sync(() => sent.push(request))
  )
  const seed =
    options.seeded === true ? Token.make({ refreshToken: Redacted.make(yield* sandbox.mintRefreshToken) }) : undefined
  const context = yield* Layer.build(
    Violet.layer({
      appId: 1234,
      appSecret: Redacted.make("test-app-secret"),
      baseUrl: sandbox.baseUrl,
      renewal: "on-use",
      seed
    }).pipe(
      Layer.provide([
        options.credentials ??
          Layer.orDie(
            Credentials.layer({
              username: Redacted.make("test-user@example.com"),
              password: Redacted.make("test-password")
            })
          ),
        Layer.succeed(HttpClient.HttpClient, (options.beneath ?? ((client) => client))(bare))
      ])
    )
  )
  return {
    sandbox,
    sent,
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** Requests of the API among those sent. */
export const calls = (sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>) =>
  sent.filter(({ url }) => !/\/(login|auth\/token)$/.test(new URL(url).pathname))

export const tokenOf = (request: HttpClientRequest.HttpClientRequest | undefined) => request?.headers["x-violet-token"]

export const merchants = HttpClientRequest.get("/merchants", { urlParams: { size: 1 } })

export const json = (body: unknown, init?: ResponseInit) => new Response(JSON.stringify(body), init)

/** A body in chunks of a KiB that counts what is read of it and whether it was let go. */
export const countedBody = (chunks: number) => {
  const seen = { pulled: 0, ended: false, cancelled: false }
  const stream = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (seen.pulled === chunks) {
          seen.ended = true
          controller.close()
        } else if (seen.pulled < chunks) {
          seen.pulled++
          controller.enqueue(new Uint8Array(1024))
        }
      },
      cancel: () => {
        seen.cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  return { seen, stream }
}
