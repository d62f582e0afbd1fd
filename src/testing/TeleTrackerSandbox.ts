/**
 * A sandbox of the TeleTracker API: opaque tokens, refresh tokens of a single use, refusals that say 200.
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

/**
 * How the sandbox is set up. Access tokens live for an hour by default.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.Options, Pick<TokenMint.Options, "reuseWindow"> {
  /** The integer that `account_id` must be. Default none; then any integer will do, and none as well. */
  readonly accountId?: number | undefined
  /** The status by which the API rejects a token. Default 401. */
  readonly rejectionStatus?: 401 | 403 | undefined
  /** The status of a refused log in or refresh; the body says `success: false` in any case. Default 200. */
  readonly failureStatus?: 200 | 401 | 403 | undefined
  /** Whether answers carry `tokenLifetime`. Default true. */
  readonly stateLifetime?: boolean | undefined
}

/**
 * A running sandbox of TeleTracker.
 *
 * @since 0.1.0
 * @category testing
 */
export type Service = Sandbox.Service

const types = ["json", "form", "multipart"] as const

const stamp = (millis: number) => `${DateTime.formatIso(DateTime.unsafeMake(millis)).slice(0, 19)}+00:00`

// JSON must say it as a number; the fields of a form are text.
const account = (value: unknown, type: SandboxBody.Type) => {
  if (value === undefined) return Effect.succeed(undefined)
  const fits = type === "json" ? Number.isInteger(value) : typeof value === "string" && /^\d+$/.test(value)
  return fits ? Effect.succeed(Number(value)) : new SandboxBody.Malformed({ complaint: "account_id is no integer" })
}

/**
 * Makes a sandbox with its own log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (options: Options = {}): Effect.Effect<Service> =>
  Effect.flatMap(TokenMint.uuid, (guid) =>
    Sandbox.make({ ...options, format: "opaque", lifetime: options.lifetime ?? "1 hour" }, (server) => {
      const failureStatus = options.failureStatus ?? 200
      const rejectionStatus = options.rejectionStatus ?? 401

      const refuse = (status: number, message: string) =>
        Effect.fail(HttpServerResponse.unsafeJson({ success: false, message }, { status }))

      const grant = Effect.fnUntraced(function* (call: SandboxApi.Call, parent?: string) {
        const { access, refresh } = yield* server.issuePair(call, parent)
        const answer = {
          success: true,
          guid,
          token: access.token,
          tokenExpiration: stamp(access.endsAt),
          ...(options.stateLifetime === false ? {} : { tokenLifetime: Duration.toSeconds(access.lifetime) }),
          refreshToken: refresh.token,
          refreshTokenExpiration: stamp(refresh.endsAt)
        }
        return HttpServerResponse.unsafeJson(
          Faults.spoil(call.fault, { access: "token", refresh: "refreshToken" }, answer)
        )
      })

      return {
        baseUrl: "https://teletracker.test",
        list: { path: "/calls", item: "Call" },
        rejections: [rejectionStatus],
        refuse,
        authorize: Effect.fnUntraced(function* (call) {
          const verdict = yield* server.judge(call, "access", SandboxApi.bearer(call))
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
              return yield* grant(call)
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
              return yield* grant(call, refresh_token)
            })
          }
        ]
      }
    })
  )
