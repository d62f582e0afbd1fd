/**
 * The service that every sandbox offers, and the engine that runs each from a description of its API.
 *
 * @since 0.1.0
 */
import type * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Faults from "../Faults.js"
import type * as SandboxApi from "./sandboxApi.js"
import { data } from "./sandboxApi.js"
import * as SandboxBody from "./sandboxBody.js"
import * as SandboxClient from "./sandboxClient.js"
import * as SandboxLog from "./sandboxLog.js"
import * as SandboxSocket from "./sandboxSocket.js"
import * as TokenMint from "./tokenMint.js"

/**
 * The options of every sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface SandboxOptions {
  /** The name of the user. Default: `"test-user@example.com"`. */
  readonly username?: string | undefined
  /** The password of the user. Default: `"test-password"`. */
  readonly password?: string | undefined
  /** The lifetime of access tokens. The default is the API's own. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** The lifetime of refresh tokens. Default: 30 days. */
  readonly refreshLifetime?: Duration.DurationInput | undefined
  /** The number of pages of the list. Default: 5. */
  readonly pages?: number | undefined
  /**
   * The server's clock minus ours, in milliseconds; it may be negative. It shows in `Date` and in every time that the
   * server sends. Default: 0.
   */
  readonly clockOffset?: number | undefined
}

/**
 * A running sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** The API. It fails with `Dropped` when a fault breaks the connection. */
  readonly app: HttpApp.Default<Faults.Dropped>
  /** The API for `HttpServer.serve`: a fault that breaks the connection destroys the socket. */
  readonly served: HttpApp.Default
  /** A client that reaches the API in memory, at any origin. */
  readonly client: HttpClient.HttpClient
  /** The base URL of the API in memory. A served API has the same path. */
  readonly baseUrl: string
  /** The faults of the requests to come. */
  readonly faults: Faults.Service<SandboxLog.Endpoint>
  /** Revokes all access tokens issued so far. */
  readonly revokeAccessTokens: Effect.Effect<void>
  /** Revokes all refresh tokens issued so far. */
  readonly revokeRefreshTokens: Effect.Effect<void>
  /** Sets the lifetime of access tokens that are issued from now on. */
  readonly setLifetime: (lifetime: Duration.DurationInput) => Effect.Effect<void>
  /** Sets the password of the user. */
  readonly setPassword: (password: string) => Effect.Effect<void>
  /** Issues a refresh token, for a session that starts without a login. */
  readonly mintRefreshToken: Effect.Effect<string>
  /** The requests that ended so far, in that order and without secrets. */
  readonly log: Effect.Effect<ReadonlyArray<SandboxLog.LogEntry>>
  /** The counts so far. */
  readonly report: Effect.Effect<SandboxLog.Report>
}

/**
 * The options of the engine: those of a sandbox, and those that its API decides.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Setup extends SandboxOptions, TokenMint.TokenOptions {
  /** The lifetime of access tokens. */
  readonly lifetime: Duration.DurationInput
}

const secretParams = ["token", "access_token", "refresh_token", "username", "password", "client_secret"]

/**
 * Makes a sandbox of an API, with its own tokens, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (setup: Setup, define: (server: SandboxApi.Server) => SandboxApi.Api) => Effect.Effect<Service> =
  Effect.fnUntraced(function* (setup, define) {
    const now = Effect.map(Clock.currentTimeMillis, (millis) => millis + (setup.clockOffset ?? 0))
    const username = setup.username ?? "test-user@example.com"
    const password = yield* Ref.make(setup.password ?? "test-password")
    const lifetime = yield* Ref.make(Duration.decode(setup.lifetime))
    const refreshLifetime = Duration.decode(setup.refreshLifetime ?? "30 days")
    const faults = yield* Faults.make<SandboxLog.Endpoint>()
    const mint = yield* TokenMint.make(now, setup)

    const issue: SandboxApi.Server["issue"] = (call, kind, parent) =>
      kind === "refresh"
        ? mint.issue(kind, refreshLifetime, { parent })
        : Effect.flatMap(Ref.get(lifetime), (_) => mint.issue(kind, _, { parent, claims: Faults.claims(call.fault) }))

    const present = Effect.fnUntraced(function* (
      call: SandboxApi.Call,
      kind: TokenMint.Kind,
      token: string | undefined,
      verify: (token: string) => Effect.Effect<TokenMint.Verdict>
    ) {
      if (token === undefined) yield* call.complain(`no ${kind} token`)
      const verdict = token === undefined ? "unknown" : yield* verify(token)
      if (verdict === "other-kind") {
        yield* call.complain(kind === "access" ? "refresh token used as access token" : "access token used to refresh")
      }
      return verdict
    })

    const api = define({
      now,
      mint,
      username,
      isUser: (name, secret) => Effect.map(Ref.get(password), (_) => name === username && secret === _),
      issue,
      issuePair: Effect.fnUntraced(function* (call, parent) {
        const access = yield* issue(call, "access", parent)
        return { access, refresh: yield* issue(call, "refresh", access.token) }
      }),
      verify: (call, kind, token) => present(call, kind, token, (_) => mint.verify(kind, _)),
      spend: (call, token) => present(call, "refresh", token, mint.spend)
    })
    const log = yield* SandboxLog.make(api.rejections ?? [401])
    const base = new URL(api.baseUrl).pathname.replace(/\/$/, "")
    const routes = [...api.routes, ...data(api, setup.pages ?? 5)]
    const forbidden = [...secretParams, ...(api.secretParams ?? [])]

    const leaks = Effect.fnUntraced(function* (url: string, query: URLSearchParams) {
      const secrets = [...(api.secrets ?? []), yield* Ref.get(password)].map(encodeURIComponent)
      return (
        forbidden.some((name) => query.has(name)) ||
        secrets.some((secret) => url.includes(secret)) ||
        (yield* mint.appearsIn(url))
      )
    })

    const app: HttpApp.Default<Faults.Dropped> = Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const [path = "", search = ""] = request.url.split("?", 2)
      const query = new URLSearchParams(search)
      const body = yield* Effect.cached(SandboxBody.read(request))
      const leaked = yield* leaks(request.url, query)
      const atPath = routes.filter((route) => `${base}${route.path}` === path)
      const route = atPath.find(({ method }) => method === request.method)
      const name = (route ?? atPath[0])?.endpoint ?? "unknown"
      const endpoint = typeof name === "string" ? name : name(yield* body)

      const process = Effect.fnUntraced(
        function* (note: SandboxLog.Note, fault: Option.Option<Faults.Fault>) {
          yield* note.processed
          if (leaked) yield* note.complain("a secret in the URL")
          if (atPath.length === 0) return yield* api.refuse(404, "Not found")
          if (route === undefined) {
            yield* note.complain(`the method is not ${atPath.map(({ method }) => method).join(" or ")}`)
            return yield* api.refuse(405, "Method not allowed")
          }
          const call: SandboxApi.Call = { request, query, body, complain: note.complain, fault }
          if (api.admit !== undefined) yield* api.admit(call)
          if (endpoint === "api") yield* api.authorize(call)
          return yield* route.handle(call)
        },
        (effect, note) =>
          Effect.catchIf(
            effect,
            (refusal) => refusal instanceof SandboxBody.Malformed,
            ({ complaint }) => Effect.zipRight(note.complain(complaint), api.refuse(400, "Malformed request"))
          ),
        Effect.merge
      )

      const call = {
        endpoint,
        method: request.method,
        path: atPath.length === 0 && leaked ? "(hidden)" : path
      } as const
      const response = yield* log.record(call, (note) =>
        endpoint === "unknown"
          ? process(note, Option.none())
          : Faults.handle(faults, endpoint, (fault) => process(note, fault))
      )
      return HttpServerResponse.setHeader(response, "date", SandboxClient.httpDate(yield* now))
    })

    return {
      app,
      served: SandboxSocket.served(app),
      client: SandboxClient.make(app),
      baseUrl: api.baseUrl,
      faults,
      revokeAccessTokens: mint.revoke("access"),
      revokeRefreshTokens: mint.revoke("refresh"),
      setLifetime: (_) => Ref.set(lifetime, Duration.decode(_)),
      setPassword: (_) => Ref.set(password, _),
      mintRefreshToken: Effect.map(mint.issue("refresh", refreshLifetime), (_) => _.token),
      log: log.entries,
      report: Effect.zipWith(
        log.counts,
        mint.counts,
        (counts, tokenCounts) => new SandboxLog.Report({ ...counts, ...tokenCounts })
      )
    }
  })
