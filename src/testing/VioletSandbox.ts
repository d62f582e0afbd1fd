/**
 * A sandbox of the Violet API. It checks the protocol strictly, and produces faults on demand.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Faults from "./Faults.js"
import * as Sandbox from "./internal/sandbox.js"
import * as SandboxApi from "./internal/sandboxApi.js"
import type * as TokenMint from "./internal/tokenMint.js"

export type { SandboxOptions, Service } from "./internal/sandbox.js"
export type { Endpoint, LogEntry, Report } from "./internal/sandboxLog.js"
export type { TokenOptions } from "./internal/tokenMint.js"

/**
 * The options of the sandbox. The default lifetime of access tokens is 5 minutes.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.SandboxOptions, Pick<TokenMint.TokenOptions, "iat"> {
  /** The expected value of `X-Violet-App-Id`. Default: `"1234"`. */
  readonly appId?: string | undefined
  /** The expected value of `X-Violet-App-Secret`. Default: `"test-app-secret"`. */
  readonly appSecret?: string | undefined
  /** Adds `expires_at`, in ISO 8601, to token responses. Default: false. */
  readonly expiresAt?: boolean | undefined
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

const codes: Readonly<Record<number, number>> = { 400: 1, 403: 3, 404: 4, 405: 5 }

/**
 * Makes a sandbox of Violet with its own tokens, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (options: Options = {}): Effect.Effect<Sandbox.Service> =>
  Sandbox.make({ ...options, lifetime: options.lifetime ?? "5 minutes" }, (server) => {
    const appId = options.appId ?? "1234"
    const appSecret = options.appSecret ?? "test-app-secret"

    const refuse = (status: number, message: string, error_code = codes[status]) =>
      Effect.flatMap(server.now, (timestamp) =>
        Effect.fail(HttpServerResponse.unsafeJson({ status, message, error_code, timestamp }, { status }))
      )

    const authorize = Effect.fnUntraced(function* (call: SandboxApi.Call, kind: TokenMint.Kind) {
      const token = call.request.headers["x-violet-token"]
      const verdict = yield* server.verify(call, kind, token)
      if (verdict === "expired") return yield* refuse(401, "Token has expired", 11)
      if (verdict !== "valid") return yield* refuse(401, "Invalid token", 10)
      return token
    })

    const tokenResponse = (call: SandboxApi.Call, { expiresAt, token }: TokenMint.Issued, rest: object) => {
      const expiry =
        options.expiresAt === true ? { expires_at: DateTime.formatIso(DateTime.unsafeMake(expiresAt)) } : {}
      const names = { access: "token", refresh: "refresh_token" }
      return HttpServerResponse.unsafeJson(Faults.applyToFields(call.fault, names, { ...rest, token, ...expiry }))
    }

    return {
      baseUrl: "https://violet.test/v1",
      list: { path: "/merchants", item: "Merchant" },
      secrets: [appSecret],
      secretParams: ["app_secret", "x-violet-token"],
      refuse,
      admit: Effect.fnUntraced(function* ({ complain, request }) {
        const id = request.headers["x-violet-app-id"]
        const secret = request.headers["x-violet-app-secret"]
        if (id === undefined || secret === undefined) yield* complain("an app header is missing")
        if (id !== appId || secret !== appSecret) return yield* refuse(403, "Invalid app credentials")
      }),
      authorize: (call) => authorize(call, "access"),
      routes: [
        {
          method: "POST",
          path: "/login",
          endpoint: "login",
          handle: Effect.fnUntraced(function* (call) {
            const body = yield* SandboxApi.fields(call, { types: ["json"], required: ["username", "password"] })
            if (!(yield* server.isUser(body.username, body.password))) {
              return yield* refuse(401, "Invalid username or password", 2)
            }
            const { access, refresh } = yield* server.issuePair(call)
            return tokenResponse(call, access, { ...user, email: server.username, refresh_token: refresh.token })
          })
        },
        {
          method: "GET",
          path: "/auth/token",
          endpoint: "refresh",
          handle: Effect.fnUntraced(function* (call) {
            const token = yield* authorize(call, "refresh")
            return tokenResponse(call, yield* server.issue(call, "access", token), {})
          })
        }
      ]
    }
  })
