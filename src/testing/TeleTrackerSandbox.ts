/**
 * A sandbox of the TeleTracker API. Its tokens are opaque, its refresh tokens single-use, and it refuses with status
 * 200.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Faults from "./Faults.js"
import * as Sandbox from "./internal/sandbox.js"
import * as SandboxApi from "./internal/sandboxApi.js"
import * as SandboxBody from "./internal/sandboxBody.js"
import * as TokenMint from "./internal/tokenMint.js"

export type { SandboxOptions, Service } from "./internal/sandbox.js"
export type { Endpoint, LogEntry, Report } from "./internal/sandboxLog.js"
export type { TokenOptions } from "./internal/tokenMint.js"

/**
 * The options of the sandbox. The default lifetime of access tokens is 1 hour.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.SandboxOptions, Pick<TokenMint.TokenOptions, "reuseWindow"> {
  /** The expected `account_id`, an integer. Default: any integer, or none. */
  readonly accountId?: number | undefined
  /** The status by which the API rejects an access token. Default: 401. */
  readonly rejectionStatus?: 401 | 403 | undefined
  /** The status of a refused login or refresh. The body has `success: false` in any case. Default: 200. */
  readonly failureStatus?: 200 | 401 | 403 | undefined
  /** Adds `tokenLifetime` to token responses. Default: true. */
  readonly stateLifetime?: boolean | undefined
}

const types = ["json", "form", "multipart"] as const

const stamp = (millis: number) => `${DateTime.formatIso(DateTime.unsafeMake(millis)).slice(0, 19)}+00:00`

// In JSON it must be a number; the fields of a form are text.
const account = (value: unknown, type: SandboxBody.Type) => {
  if (value === undefined) return Effect.succeed(undefined)
  const isValid = type === "json" ? Number.isInteger(value) : typeof value === "string" && /^\d+$/.test(value)
  return isValid
    ? Effect.succeed(Number(value))
    : new SandboxBody.Malformed({ complaint: "account_id is not an integer" })
}

/**
 * Makes a sandbox of TeleTracker with its own tokens, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (options: Options = {}): Effect.Effect<Sandbox.Service> =>
  Effect.flatMap(TokenMint.uuid, (guid) =>
    Sandbox.make({ ...options, format: "opaque", lifetime: options.lifetime ?? "1 hour" }, (server) => {
      const failureStatus = options.failureStatus ?? 200
      const rejectionStatus = options.rejectionStatus ?? 401

      const refuse = (status: number, message: string) =>
        Effect.fail(HttpServerResponse.unsafeJson({ success: false, message }, { status }))

      const tokenResponse = Effect.fnUntraced(function* (call: SandboxApi.Call, parent?: string) {
        const { access, refresh } = yield* server.issuePair(call, parent)
        const fields = {
          success: true,
          guid,
          token: access.token,
          tokenExpiration: stamp(access.expiresAt),
          ...(options.stateLifetime === false ? {} : { tokenLifetime: Duration.toSeconds(access.lifetime) }),
          refreshToken: refresh.token,
          refreshTokenExpiration: stamp(refresh.expiresAt)
        }
        return HttpServerResponse.unsafeJson(
          Faults.applyToFields(call.fault, { access: "token", refresh: "refreshToken" }, fields)
        )
      })

      return {
        baseUrl: "https://teletracker.test",
        list: { path: "/calls", item: "Call" },
        rejections: [rejectionStatus],
        refuse,
        authorize: Effect.fnUntraced(function* (call) {
          const verdict = yield* server.verify(call, "access", SandboxApi.bearer(call))
          if (verdict === "expired") return yield* refuse(rejectionStatus, "Token has expired")
          if (verdict !== "valid") return yield* refuse(rejectionStatus, "Invalid token")
        }),
        routes: [
          {
            method: "POST",
            path: "/auth/login",
            endpoint: "login",
            handle: Effect.fnUntraced(function* (call) {
              const required = ["username", "password"] as const
              const body = yield* SandboxApi.fields(call, { types, required, optional: ["account_id"] })
              const accountId = yield* account(body.account_id, (yield* call.body).type)
              if (!(yield* server.isUser(body.username, body.password))) {
                return yield* refuse(failureStatus, "Invalid username or password")
              }
              if (options.accountId !== undefined && accountId !== options.accountId) {
                return yield* refuse(failureStatus, "Unknown account")
              }
              return yield* tokenResponse(call)
            })
          },
          {
            method: "POST",
            path: "/auth/refresh",
            endpoint: "refresh",
            handle: Effect.fnUntraced(function* (call) {
              const { refresh_token } = yield* SandboxApi.fields(call, { types, required: ["refresh_token"] })
              const verdict = yield* server.spend(call, refresh_token)
              if (verdict === "expired") return yield* refuse(failureStatus, "Refresh token has expired")
              if (verdict !== "valid") return yield* refuse(failureStatus, "Invalid refresh token")
              return yield* tokenResponse(call, refresh_token)
            })
          }
        ]
      }
    })
  )
