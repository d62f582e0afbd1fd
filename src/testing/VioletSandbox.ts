/**
 * A sandbox of the Violet API: strict about the protocol, obliging about faults.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Faults from "./Faults.js"
import type * as Sandbox from "./Sandbox.js"
import * as SandboxClient from "./SandboxClient.js"
import * as SandboxLog from "./SandboxLog.js"
import * as TokenMint from "./TokenMint.js"

/**
 * How the sandbox is set up.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends TokenMint.Options {
  /** Expected in `X-Violet-App-Id`. Default `"1234"`. */
  readonly appId?: string | undefined
  /** Expected in `X-Violet-App-Secret`. Default `"test-app-secret"`. */
  readonly appSecret?: string | undefined
  /** Default `"test-user@example.com"`. */
  readonly username?: string | undefined
  /** Default `"test-password"`. */
  readonly password?: string | undefined
  /** How long access tokens live. Default 5 minutes. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** How long refresh tokens live. Default 30 days. */
  readonly refreshLifetime?: Duration.DurationInput | undefined
  /** Whether answers also carry `expires_at`, in ISO 8601. Default false. */
  readonly expiresAt?: boolean | undefined
  /** The number of pages of `/merchants`. Default 5. */
  readonly pages?: number | undefined
  /** The server's clock minus ours, in `iat`, `exp`, `timestamp` and `Date`. May be negative milliseconds. Default 0. */
  readonly clockOffset?: number | undefined
}

/**
 * A running sandbox of Violet.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service extends Sandbox.Service {
  /** Changes the password that logging in needs. */
  readonly setPassword: (password: string) => Effect.Effect<void>
  /** A refresh token for a session that begins without a log in. */
  readonly mintRefreshToken: Effect.Effect<string>
}

const routes: Readonly<Record<string, { readonly endpoint: SandboxLog.Endpoint; readonly method: string }>> = {
  "/v1/login": { endpoint: "login", method: "POST" },
  "/v1/auth/token": { endpoint: "refresh", method: "GET" },
  "/v1/merchants": { endpoint: "api", method: "GET" },
  "/v1/echo": { endpoint: "api", method: "POST" }
}

const user = {
  id: 10_000,
  first_name: "Test",
  last_name: null,
  email: "test-user@example.com",
  type: "DEVELOPER",
  verified: true,
  status: "ACTIVE",
  date_created: "2016-11-01T22:17:39+0000",
  roles: [{ name: "ROLE_DEVELOPER", permissions: null }],
  tos_accepted: true,
  payment_configured: false,
  merchant_id: null,
  store_url: null
}

const secretParams = ["token", "access_token", "refresh_token", "username", "password", "app_secret", "x-violet-token"]

/**
 * Makes a sandbox with its own key, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Service> = Effect.fnUntraced(function* (options = {}) {
  const appId = options.appId ?? "1234"
  const appSecret = options.appSecret ?? "test-app-secret"
  const username = options.username ?? "test-user@example.com"
  const refreshLifetime = Duration.decode(options.refreshLifetime ?? "30 days")
  const pages = options.pages ?? 5
  const now = Effect.map(Clock.currentTimeMillis, (millis) => millis + (options.clockOffset ?? 0))
  const lifetime = yield* Ref.make(Duration.decode(options.lifetime ?? "5 minutes"))
  const password = yield* Ref.make(options.password ?? "test-password")
  const faults = yield* Faults.make<SandboxLog.Endpoint>()
  const log = yield* SandboxLog.make
  const mint = yield* TokenMint.make(now, options)

  const refuse = (status: number, message: string, error_code: number) =>
    Effect.map(now, (timestamp) =>
      HttpServerResponse.unsafeJson({ status, message, error_code, timestamp }, { status })
    )

  // The access token part of a token answer, with the faults that concern it.
  const grant = Effect.fnUntraced(function* (fault: Option.Option<Faults.Fault>) {
    const odd = Option.getOrUndefined(fault)
    const claims = odd?._tag === "Expiry" ? odd.claims : undefined
    const issued = yield* mint.issue("access", yield* Ref.get(lifetime), claims)
    const expiry =
      options.expiresAt === true ? { expires_at: DateTime.formatIso(DateTime.unsafeMake(issued.endsAt)) } : {}
    if (odd?._tag !== "Token") return { token: issued.token, ...expiry }
    return odd.kind === "missing" ? expiry : { token: odd.kind === "null" ? null : 1234, ...expiry }
  })
  const mintRefreshToken = Effect.map(mint.issue("refresh", refreshLifetime), (_) => _.token)

  const readJson = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
    const typed = (request.headers["content-type"] ?? "").startsWith("application/json")
    return typed ? yield* Effect.option(request.json) : Option.none()
  })

  const login = Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest,
    note: SandboxLog.Note,
    fault: Option.Option<Faults.Fault>
  ) {
    const body = Option.getOrUndefined(yield* readJson(request))
    const exact =
      Predicate.hasProperty(body, "username") &&
      Predicate.hasProperty(body, "password") &&
      typeof body.username === "string" &&
      typeof body.password === "string" &&
      Object.keys(body).length === 2
    if (!exact) {
      yield* note.complain("the body is not application/json with username and password alone")
      return yield* refuse(400, "Malformed request", 1)
    }
    if (body.username !== username || body.password !== (yield* Ref.get(password))) {
      return yield* refuse(401, "Invalid username or password", 2)
    }
    const granted = yield* grant(fault)
    return HttpServerResponse.unsafeJson({
      ...user,
      email: username,
      ...granted,
      refresh_token: yield* mintRefreshToken
    })
  })

  // Answers what is wrong with the token of a request, if anything.
  const checkToken = Effect.fnUntraced(function* (
    kind: TokenMint.Kind,
    request: HttpServerRequest.HttpServerRequest,
    note: SandboxLog.Note
  ) {
    const token = request.headers["x-violet-token"]
    if (token === undefined) yield* note.complain("X-Violet-Token is missing")
    const verdict = token === undefined ? "unknown" : yield* mint.judge(kind, token)
    if (verdict === "other-kind") {
      yield* note.complain(kind === "access" ? "refresh token used as access token" : "access token used to refresh")
    }
    if (verdict === "valid") return Option.none()
    return Option.some(
      yield* verdict === "expired" ? refuse(401, "Token has expired", 11) : refuse(401, "Invalid token", 10)
    )
  })

  const merchants = (query: URLSearchParams) => {
    const page = Number(query.get("page") ?? "1")
    const size = Number(query.get("size") ?? "20")
    if (!(Number.isInteger(page) && page >= 1 && Number.isInteger(size) && size >= 1 && size <= 100)) {
      return refuse(400, "Invalid page", 1)
    }
    const content = Array.from({ length: page > pages ? 0 : size }, (_, index) => {
      const id = (page - 1) * size + index + 1
      return { id, name: `Merchant ${id}` }
    })
    return Effect.succeed(
      HttpServerResponse.unsafeJson({ content, page, size, total_pages: pages, last: page >= pages })
    )
  }

  const app: HttpApp.Default<Faults.Dropped> = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const [path = "", search = ""] = request.url.split("?", 2)
    const query = new URLSearchParams(search)
    const secrets = [appSecret, yield* Ref.get(password)].map(encodeURIComponent)
    const leaked =
      secretParams.some((name) => query.has(name)) ||
      secrets.some((secret) => request.url.includes(secret)) ||
      (yield* mint.appearsIn(request.url))
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    const endpoint = route?.endpoint ?? "unknown"
    const call = { endpoint, method: request.method, path: route === undefined && leaked ? "(hidden)" : path } as const

    const process = Effect.fnUntraced(function* (note: SandboxLog.Note, fault: Option.Option<Faults.Fault>) {
      yield* note.processed
      if (leaked) yield* note.complain("a secret in the URL")
      if (route === undefined) return yield* refuse(404, "Not found", 4)
      if (request.method !== route.method) {
        yield* note.complain(`the method is not ${route.method}`)
        return yield* refuse(405, "Method not allowed", 5)
      }
      const id = request.headers["x-violet-app-id"]
      const secret = request.headers["x-violet-app-secret"]
      if (id === undefined || secret === undefined) yield* note.complain("an app header is missing")
      if (id !== appId || secret !== appSecret) return yield* refuse(403, "Invalid app credentials", 3)
      if (endpoint === "login") return yield* login(request, note, fault)
      const refusal = yield* checkToken(endpoint === "refresh" ? "refresh" : "access", request, note)
      if (Option.isSome(refusal)) return refusal.value
      if (endpoint === "refresh") return HttpServerResponse.unsafeJson(yield* grant(fault))
      if (path === "/v1/merchants") return yield* merchants(query)
      const body = yield* readJson(request)
      if (Option.isSome(body)) return HttpServerResponse.unsafeJson(body.value)
      yield* note.complain("the body is not application/json")
      return yield* refuse(400, "Malformed request", 1)
    })

    const answer = yield* log.record(call, (note) =>
      endpoint === "unknown"
        ? process(note, Option.none())
        : Faults.handle(faults, endpoint, (fault) => process(note, fault))
    )
    return HttpServerResponse.setHeader(answer, "date", SandboxClient.httpDate(yield* now))
  })

  return {
    app,
    served: Faults.served(app),
    client: SandboxClient.make(app),
    baseUrl: "https://violet.test/v1",
    faults,
    revokeAccessTokens: mint.revoke("access"),
    revokeRefreshTokens: mint.revoke("refresh"),
    setLifetime: (_) => Ref.set(lifetime, Duration.decode(_)),
    setPassword: (_) => Ref.set(password, _),
    mintRefreshToken,
    log: log.entries,
    report: log.report
  }
})
