import { Cookies, Headers, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, FiberId, Ref, Schedule, Schema, Scope, Stream } from "effect"
import type { AuthError } from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import { calls, countedBody, type Handler, json, merchants, origin, routes, setup } from "./harness.js"

type Errors = HttpClientError.HttpClientError | AuthError

type Client = HttpClient.HttpClient.With<Errors>

describe("AuthHttpClient", () => {
  describe("beside a plain client", () => {
    /** An API that needs no token, with a memory of its own. */
    const open = () => {
      const times = new Map<string, number>()
      const count = (path: string) => {
        const n = (times.get(path) ?? 0) + 1
        times.set(path, n)
        return n
      }
      const handlers: Record<string, Handler> = {
        "/v1/flaky": (_, url) =>
          json({ n: count(url.pathname) }, { status: (times.get(url.pathname) ?? 0) < 3 ? 503 : 200 }),
        "/v1/broken": (_, url) => json({ n: count(url.pathname) }, { status: 404 }),
        "/v1/cookie": ({ headers }, url) =>
          json({ cookie: headers.cookie ?? null }, { headers: { "set-cookie": `n=${count(url.pathname)}; Path=/` } }),
        "/v1/hop": () => new Response(null, { status: 302, headers: { location: "item?from=hop" } }),
        "/v1/item": ({ headers, method }, url) =>
          json({ id: 1, method, search: url.search, mine: headers["x-mine"] ?? null }),
        "/v1/text": () => new Response("not json"),
        "/v1/form": () => new Response("a=1&a=2", { headers: { "content-type": "application/x-www-form-urlencoded" } }),
        "/v1/stream": () => new Response("chunks"),
        "/v1/empty": () => new Response(null, { status: 204 })
      }
      return handlers
    }
    const at = (path: string) => `${origin}/v1/${path}`
    const Item = Schema.Struct({ id: Schema.Number, search: Schema.String })
    const brief = (error: Errors | { readonly _tag: string }) => ({
      tag: error._tag,
      reason: "reason" in error ? error.reason : undefined,
      status: error._tag === "ResponseError" && "response" in error ? error.response.status : undefined
    })
    const shown = Effect.fnUntraced(function* (answer: HttpClientResponse.HttpClientResponse) {
      return {
        status: answer.status,
        headers: Object.fromEntries(Object.entries(answer.headers)),
        cookies: Cookies.toRecord(answer.cookies),
        remoteAddress: answer.remoteAddress,
        text: yield* answer.text
      }
    })

    const uses: Record<string, (client: Client) => Effect.Effect<unknown, unknown, Scope.Scope>> = {
      retryTransient: (client) =>
        HttpClient.retryTransient(client, { times: 5 }).get(at("flaky")).pipe(Effect.flatMap(shown)),
      "retryTransient giving up": (client) =>
        HttpClient.retryTransient(client, { times: 1 }).get(at("flaky")).pipe(Effect.flatMap(shown)),
      "retryTransient with a schedule": (client) =>
        HttpClient.retryTransient(HttpClient.filterStatusOk(client), { schedule: Schedule.recurs(4) })
          .get(at("flaky"))
          .pipe(Effect.flatMap(shown)),
      withCookiesRef: (client) =>
        Effect.gen(function* () {
          const ref = yield* Ref.make(Cookies.empty)
          const withCookies = HttpClient.withCookiesRef(client, ref)
          const first = yield* Effect.flatMap(withCookies.get(at("cookie")), shown)
          const second = yield* Effect.flatMap(withCookies.get(at("cookie")), shown)
          return { first, second, stored: Cookies.toRecord(yield* Ref.get(ref)) }
        }),
      followRedirects: (client) => HttpClient.followRedirects(client).get(at("hop")).pipe(Effect.flatMap(shown)),
      "no followRedirects": (client) => client.get(at("hop")).pipe(Effect.flatMap(shown)),
      filterStatusOk: (client) => Effect.map(Effect.flip(HttpClient.filterStatusOk(client).get(at("broken"))), brief),
      filterStatus: (client) =>
        HttpClient.filterStatus(client, (status) => status === 404)
          .get(at("broken"))
          .pipe(Effect.flatMap(shown)),
      "HttpClientResponse.filterStatusOk": (client) =>
        client
          .get(at("broken"))
          .pipe(Effect.flatMap(HttpClientResponse.filterStatusOk), Effect.flip, Effect.map(brief)),
      "HttpClientResponse.matchStatus": (client) =>
        client
          .get(at("broken"))
          .pipe(
            Effect.map(
              HttpClientResponse.matchStatus({ "2xx": () => "ok", 404: () => "missing", orElse: () => "else" })
            )
          ),
      schemaBodyJson: (client) =>
        client.get(at("item?a=b")).pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Item))),
      "schemaBodyJson of something else": (client) =>
        client
          .get(at("broken"))
          .pipe(Effect.flatMap(HttpClientResponse.schemaBodyJson(Item)), Effect.flip, Effect.map(brief)),
      schemaJson: (client) =>
        client
          .get(at("item"))
          .pipe(
            Effect.flatMap(HttpClientResponse.schemaJson(Schema.Struct({ status: Schema.Literal(200), body: Item })))
          ),
      "json of a text": (client) =>
        client.get(at("text")).pipe(
          Effect.flatMap((answer) => answer.json),
          Effect.flip,
          Effect.map(brief)
        ),
      urlParamsBody: (client) => client.get(at("form")).pipe(Effect.flatMap((answer) => answer.urlParamsBody)),
      formData: (client) =>
        client.get(at("form")).pipe(
          Effect.flatMap((answer) => answer.formData),
          Effect.map((data) => data.getAll("a"))
        ),
      arrayBuffer: (client) =>
        client.get(at("stream")).pipe(
          Effect.flatMap((answer) => answer.arrayBuffer),
          Effect.map((buffer) => new TextDecoder().decode(buffer))
        ),
      stream: (client) =>
        Stream.unwrap(Effect.map(client.get(at("stream")), ({ stream }) => stream)).pipe(
          Stream.decodeText(),
          Stream.mkString,
          Stream.runCollect
        ),
      "HttpClientResponse.stream": (client) =>
        HttpClientResponse.stream(client.get(at("stream"))).pipe(
          Stream.decodeText(),
          Stream.mkString,
          Stream.runCollect
        ),
      "an empty body": (client) => client.get(at("empty")).pipe(Effect.flatMap(shown)),
      "an empty stream": (client) =>
        Stream.runDrain(HttpClientResponse.stream(client.get(at("empty")))).pipe(
          Effect.flip,
          Effect.map((error) => brief(error as Errors))
        ),
      mapRequest: (client) =>
        HttpClient.mapRequest(client, HttpClientRequest.setHeader("x-mine", "1"))
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      prependUrl: (client) =>
        HttpClient.mapRequest(client, HttpClientRequest.prependUrl(`${origin}/v1`))
          .get("/item", { urlParams: { a: 1 } })
          .pipe(Effect.flatMap(shown)),
      mapRequestEffect: (client) =>
        HttpClient.mapRequestEffect(client, (request) =>
          Effect.succeed(HttpClientRequest.appendUrlParam(request, "b", "2"))
        )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      mapRequestInput: (client) =>
        client
          .pipe(
            HttpClient.mapRequest(HttpClientRequest.setHeader("x-mine", "second")),
            HttpClient.mapRequestInput(HttpClientRequest.setHeader("x-mine", "first"))
          )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      "tap and tapError": (client) =>
        Effect.gen(function* () {
          const seen: Array<number | string> = []
          const tapped = client.pipe(
            HttpClient.tapRequest((request) => Effect.sync(() => seen.push(request.url))),
            HttpClient.tap((answer) => Effect.sync(() => seen.push(answer.status))),
            HttpClient.filterStatusOk,
            HttpClient.tapError((error) => Effect.sync(() => seen.push(error._tag)))
          )
          yield* Effect.exit(tapped.get(at("item")))
          yield* Effect.exit(tapped.get(at("broken")))
          return seen
        }),
      catchTag: (client) =>
        HttpClient.filterStatusOk(client)
          .pipe(HttpClient.catchTag("ResponseError", ({ response }) => Effect.succeed(response)))
          .get(at("broken"))
          .pipe(Effect.flatMap(shown)),
      transformResponse: (client) =>
        HttpClient.transformResponse(
          client,
          Effect.tap((answer) => answer.text)
        )
          .get(at("item"))
          .pipe(Effect.flatMap(shown)),
      "the request of an answer": (client) =>
        Effect.map(client.get(at("item"), { headers: { "x-mine": "1" } }), ({ request }) => ({
          method: request.method,
          url: request.url,
          mine: request.headers["x-mine"],
          authorized: Headers.has(request.headers, "x-violet-token")
        }))
    }
    for (const [name, use] of Object.entries(uses)) {
      it.scoped(`law 26: ${name} is as over a plain client`, () =>
        Effect.gen(function* () {
          const plain = routes(
            HttpClient.make(() => Effect.die("not an API")),
            open()
          )
          const { api } = yield* setup({ handlers: open() })
          const expected = yield* use(plain)
          assert.deepStrictEqual(yield* use(api), expected)
        })
      )
    }

    it.scoped("law 26: the span of a request is a child of the caller's, named and attributed as ever", () =>
      Effect.gen(function* () {
        const spans = Effect.fnUntraced(function* (
          make: (bare: HttpClient.HttpClient) => Effect.Effect<Client, never, Scope.Scope>
        ) {
          const seen: Array<unknown> = []
          const bare = HttpClient.make((request) =>
            Effect.gen(function* () {
              const span = yield* Effect.orDie(Effect.currentSpan)
              const { "http.request.header.x-violet-token": token, ...rest } = Object.fromEntries(span.attributes)
              seen.push({
                name: span.name,
                kind: span.kind,
                parent:
                  span.parent._tag === "Some" && span.parent.value._tag === "Span" ? span.parent.value.name : undefined,
                full: rest["url.full"],
                method: rest["http.request.method"],
                traced: request.headers.traceparent !== undefined || request.headers.b3 !== undefined
              })
              if (token !== undefined) assert.strictEqual(token, "<redacted>")
              return HttpClientResponse.fromWeb(request, json({}))
            })
          )
          const client = yield* make(bare)
          yield* Effect.withSpan(client.get(at("item")), "outer")
          yield* HttpClient.withSpanNameGenerator(client, ({ method }) => `mine ${method}`).get(at("item"))
          yield* HttpClient.withTracerPropagation(client, false).get(at("item"))
          return seen
        })
        const plain = yield* spans(Effect.succeed)
        const authorized = yield* spans((bare) =>
          Effect.map(Effect.orDie(setup({ beneath: (client) => routeTo(client, bare) })), ({ api }): Client => api)
        )
        assert.strictEqual(plain.length, 3)
        assert.deepStrictEqual(authorized, plain)
      })
    )

    /** The API's requests to one client, the tokens' to another. */
    const routeTo = (tokens: HttpClient.HttpClient, api: HttpClient.HttpClient): HttpClient.HttpClient =>
      HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
        Effect.flatMap((request) => (request.url.endsWith("/item") ? api : tokens).execute(request)),
        Effect.succeed
      )

    it.scoped("law 26: a transport error is retried as over a plain client, and an AuthError is not", () =>
      Effect.gen(function* () {
        const { api, sandbox, sent } = yield* setup()
        const retrying = HttpClient.retryTransient(api, { times: 3 })
        yield* sandbox.faults.inject("api", Faults.Drop({ when: "before" }), 2)
        assert.strictEqual((yield* retrying.execute(merchants)).status, 200)
        assert.strictEqual(calls(sent).length, 3)
        assert.strictEqual((yield* Effect.flip(retrying.get("//evil.test")))._tag, "UntrustedOrigin")
        yield* sandbox.faults.inject("api", Faults.Drop({ when: "after" }))
        const error = yield* Effect.flip(api.execute(merchants))
        assert.instanceOf(error, HttpClientError.RequestError)
        assert.strictEqual(error.reason, "Transport")
        assert.strictEqual(error.request.url, `${origin}/v1/merchants`)
        assert.isTrue(Headers.has(error.request.headers, "x-violet-token") === false)
      })
    )
  })

  describe("scopes and interruption", () => {
    /** A client that notes the signal of its last request and answers at once, or never. */
    const watching = (responses: boolean) => {
      const last: { signal?: AbortSignal } = {}
      const started = Deferred.unsafeMake<void>(FiberId.none)
      const handler = HttpClient.make((request, _, signal) => {
        last.signal = signal
        return Effect.zipRight(
          Deferred.succeed(started, undefined),
          responses ? Effect.sync(() => HttpClientResponse.fromWeb(request, json({}))) : Effect.never
        )
      })
      return { last, started, handler }
    }
    const apiOver = (last: HttpClient.HttpClient) =>
      setup({
        beneath: (client) =>
          HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
            Effect.flatMap((request) => (request.url.endsWith("/watched") ? last : client).execute(request)),
            Effect.succeed
          )
      })

    it.scoped("withScope under our client aborts the request when its scope closes", () =>
      Effect.gen(function* () {
        const { handler, last } = watching(true)
        const scope = yield* Scope.make()
        const bare = HttpClient.transformResponse(HttpClient.withScope(handler), Scope.extend(scope))
        const { api } = yield* apiOver(bare)
        yield* api.get("/watched")
        assert.isFalse(last.signal?.aborted)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(last.signal?.aborted)
      })
    )

    it.scoped("withScope over our client does not reach the request, as documented", () =>
      Effect.gen(function* () {
        const { handler, last } = watching(true)
        const { api } = yield* apiOver(handler)
        const answer = yield* Effect.scoped(HttpClient.withScope(api).get("/watched"))
        assert.isFalse(last.signal?.aborted)
        assert.deepStrictEqual(yield* answer.json, {})
      })
    )

    it.scoped("interrupting the caller aborts the request under", () =>
      Effect.gen(function* () {
        const { handler, last, started } = watching(false)
        const { api } = yield* apiOver(handler)
        const fiber = yield* Effect.fork(api.get("/watched"))
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(last.signal?.aborted)
      })
    )

    it.scoped("a stream that is abandoned cancels the body under", () =>
      Effect.gen(function* () {
        const { seen, stream } = countedBody(Number.POSITIVE_INFINITY)
        const { api } = yield* setup({ handlers: { "/v1/endless": () => new Response(stream) } })
        const answer = yield* api.get("/endless")
        yield* Stream.runDrain(Stream.take(answer.stream, 3))
        assert.isTrue(seen.cancelled)
        assert.isAtMost(seen.pulled, 5)
      })
    )
  })
})
