import { join } from "node:path"
import { Command, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import { Effect, Encoding, Exit, Option, Ref, Scope, Stream } from "effect"
import { bundle } from "../testing/bundle.js"
import { serve } from "../testing/serve.js"

const scope = Effect.runSync(Scope.make())
let folder = ""

beforeAll(() =>
  Effect.runPromise(
    Effect.map(
      Scope.extend(bundle(["http-api", "http-api-server"].map((name) => `examples/${name}.ts`)), scope),
      (made) => {
        folder = made
      }
    )
  )
)

afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

const program = (example: string, env: Record<string, string>) =>
  Command.env(Command.make(process.execPath, join(folder, `${example}.mjs`)), env)

/** Runs an example to its end, and answers what it printed. */
const run = (example: string, env: Record<string, string>) =>
  Effect.provide(Command.string(program(example, env)), NodeContext.layer)

/** Starts an example that serves, and answers the address that it prints. It ends with the scope. */
const start = (example: string, env: Record<string, string>) =>
  Effect.gen(function* () {
    const child = yield* Command.start(program(example, env))
    const printed = yield* child.stdout.pipe(
      Stream.decodeText(),
      Stream.scan("", (all, more) => all + more),
      Stream.filterMap((all) => Option.fromNullable(/Listening on (http:[^\s"]+)/.exec(all)?.[1])),
      Stream.runHead
    )
    return Option.getOrThrow(printed)
  }).pipe(Effect.provide(NodeContext.layer))

/**
 * An authorization server for the shop's client and for the shop's server, and a warehouse that knows the latter. The
 * first token of each is as good as revoked.
 */
const issuer = Effect.map(Ref.make<ReadonlyArray<string>>([]), (seen) => {
  const issued = new Map<string, number>()
  const basic = (id: string) => `Basic ${Encoding.encodeBase64(`${id}:test-secret`)}`
  const answer = ({ headers, url }: HttpServerRequest.HttpServerRequest, body: string) => {
    if (url === "/token") {
      const id = ["shop-client", "shop-server"].find((id) => headers.authorization === basic(id))
      if (id === undefined) return HttpServerResponse.unsafeJson({ error: "invalid_client" }, { status: 401 })
      const number = (issued.get(id) ?? 0) + 1
      issued.set(id, number)
      return HttpServerResponse.unsafeJson({ access_token: `test-${id}-${number}`, expires_in: 600 })
    }
    if (url === "/introspect" && headers.authorization === basic("shop-server")) {
      return HttpServerResponse.unsafeJson(
        body === "token=test-shop-client-2" ? { active: true, sub: "Ada" } : { active: false }
      )
    }
    return headers.authorization === "Bearer test-shop-server-2"
      ? HttpServerResponse.unsafeJson(12)
      : HttpServerResponse.empty({ status: 401 })
  }
  const served = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = request.method === "POST" ? yield* Effect.orDie(request.text) : ""
    const answered = answer(request, body)
    const bearer = /^Bearer (.*)/.exec(request.headers.authorization ?? "")?.[1] ?? /token=.*/.exec(body)?.[0] ?? ""
    yield* Ref.update(seen, (all) => [...all, `${request.url} ${bearer} ${answered.status}`])
    return answered
  })
  return { seen: Ref.get(seen), served, baseUrl: "https://shop.test" }
})

it.scopedLive("the example of an HttpApi and that of a server: each token is renewed, and none is passed on", () =>
  Effect.gen(function* () {
    const api = yield* issuer
    const url = yield* serve(api)
    const shop = yield* start("http-api-server", {
      PORT: "0",
      SHOP_SECRET: "test-secret",
      INTROSPECTION_ENDPOINT: `${url}/introspect`,
      TOKEN_ENDPOINT: `${url}/token`,
      WAREHOUSE_URL: url
    })
    const env = { SHOP_URL: shop, SHOP_TOKEN_ENDPOINT: `${url}/token`, SHOP_SECRET: "test-secret" }
    assert.strictEqual(yield* run("http-api", env), "order 1: a chair for Ada, 12 in stock\norder 2: there is none\n")
    assert.deepStrictEqual(yield* api.seen, [
      "/token  200",
      "/introspect token=test-shop-client-1 200",
      "/token  200",
      "/introspect token=test-shop-client-2 200",
      "/token  200",
      "/stock/chair test-shop-server-1 401",
      "/token  200",
      "/stock/chair test-shop-server-2 200",
      "/introspect token=test-shop-client-2 200"
    ])
  })
)
