import { createServer, type RequestListener } from "node:http"
import { Data, Effect, type Scope } from "effect"

/** A promise or a socket of a foreign server went wrong: no test expects it. */
export class ForeignFailure extends Data.TaggedError("ForeignFailure")<{ readonly cause: unknown }> {}

/** A promise of another process's library. */
export const foreign = <A>(promise: () => Promise<A>): Effect.Effect<A> =>
  Effect.orDie(Effect.tryPromise({ try: promise, catch: (cause) => new ForeignFailure({ cause }) }))

/** A server on a free port of the loopback, which answers as soon as it is told how: who answers may need the port. */
export const serve: Effect.Effect<
  { readonly origin: string; readonly answer: (listener: RequestListener) => void },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => createServer()),
    (server) =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        // Clients keep spare connections open, and closing would wait for them.
        server.closeAllConnections()
      })
  )
  yield* Effect.async<void>((resume) => {
    server.once("error", (cause) => resume(Effect.die(new ForeignFailure({ cause }))))
    server.listen(0, "127.0.0.1", () => resume(Effect.void))
  })
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { origin: `http://127.0.0.1:${port}`, answer: (listener) => void server.on("request", listener) }
})

/** The bearer token of a request, if it has one. */
export const bearer = (authorization: string | undefined): string | undefined =>
  /^Bearer (\S+)$/.exec(authorization ?? "")?.[1]

/**
 * A small API: who presents a token that is good gets an answer, who presents another a challenge
 * ([RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3)).
 */
export const api = Effect.fnUntraced(function* (isGood: (token: string) => Promise<boolean>) {
  const { answer, origin } = yield* serve
  const log = { accepted: 0, rejected: 0, tokens: new Set<string>() }
  answer((request, response) => {
    const token = bearer(request.headers.authorization)
    const judged = token === undefined ? Promise.resolve(false) : isGood(token)
    judged.then(
      (good) => {
        log[good ? "accepted" : "rejected"]++
        if (good && token !== undefined) log.tokens.add(token)
        const challenge = token === undefined ? "Bearer" : 'Bearer error="invalid_token"'
        response
          .writeHead(good ? 200 : 401, {
            "content-type": "application/json",
            ...(good ? {} : { "www-authenticate": challenge })
          })
          .end(JSON.stringify({ path: request.url }))
      },
      (cause) => response.destroy(new ForeignFailure({ cause }))
    )
  })
  return { baseUrl: `${origin}/v1`, log }
})
