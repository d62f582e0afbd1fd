/**
 * A sandbox of Freddy, the Aitronos AI API. Its login has two steps, its tokens are JWTs, and its responses and errors
 * come in several forms.
 *
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Faults from "./Faults.js"
import * as Sandbox from "./internal/sandbox.js"
import * as SandboxApi from "./internal/sandboxApi.js"
import * as SandboxRefresh from "./internal/sandboxRefresh.js"
import * as TokenMint from "./internal/tokenMint.js"

export type { SandboxOptions, Service as SandboxService } from "./internal/sandbox.js"
export type { Endpoint, LogEntry, Report } from "./internal/sandboxLog.js"
export type { RotationOptions } from "./internal/sandboxRefresh.js"
export type { TokenOptions } from "./internal/tokenMint.js"

/**
 * The options of the sandbox. The default lifetime of access tokens is 1 hour, and the default rotation is
 * `"optional"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.SandboxOptions, SandboxRefresh.RotationOptions {
  /** The code that is mailed at each login. Default: `"1234"`. */
  readonly code?: string | undefined
  /** The lifetime of a mailed code, which is single-use. Default: 5 minutes. */
  readonly codeLifetime?: Duration.DurationInput | undefined
  /** Serves the development login, which needs no code. Default: true. */
  readonly development?: boolean | undefined
  /**
   * The form of the response to a refresh. `"token"`: `token`, and `refresh_token` if there is a new one. `"rotated"`:
   * `token` and `refresh_token`, the new one or else the one that was sent. `"access_token"`: the same as
   * `access_token`, `refresh_token` and `token_type`. All of them have `device_id`. Default: `"token"`.
   */
  readonly responseForm?: "token" | "access_token" | "rotated" | undefined
  /** The form of an error: `detail` alone, or the newer `error` with `code` and `status`. Default: `"detail"`. */
  readonly errorForm?: "detail" | "envelope" | undefined
  /** The `device_id` of every token response. Default: `"device-123"`. */
  readonly deviceId?: string | null | undefined
}

/**
 * A running sandbox of Freddy, with the mailbox of its user. Both steps of a login are requests of `"login"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service extends Sandbox.Service {
  /** The code that was mailed last, or none. */
  readonly mailbox: Effect.Effect<Option.Option<string>>
  /** The number of codes that were mailed so far. */
  readonly codesMailed: Effect.Effect<number>
}

const codes: Readonly<Record<number, string>> = {
  400: "BAD_REQUEST",
  401: "AUTHENTICATION_REQUIRED",
  404: "NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  422: "VALIDATION_ERROR"
}

const camel = { access: "token", refresh: "refreshToken" }
const snake = { access: "access_token", refresh: "refresh_token" }

/**
 * Makes a sandbox of Freddy with its own tokens, mailbox, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Service> = Effect.fnUntraced(function* (options = {}) {
  const code = options.code ?? "1234"
  const codeLifetime = Duration.toMillis(options.codeLifetime ?? "5 minutes")
  const device_id = options.deviceId === undefined ? "device-123" : options.deviceId
  const responseForm = options.responseForm ?? "token"
  const codesMailed = yield* Ref.make(0)
  /** When each mailed code that was not used yet expires, by its `email_key`. */
  const unused = yield* Ref.make(HashMap.empty<string, number>())
  const refresh = yield* SandboxRefresh.make(options.rotation ?? "optional")

  const sandbox = yield* Sandbox.make({ ...options, lifetime: options.lifetime ?? "1 hour" }, (server) => {
    const refuse = Effect.fnUntraced(function* (status: number, message: string) {
      const error = { code: codes[status], message, status, trace_id: yield* TokenMint.uuid }
      const body = options.errorForm === "envelope" ? { success: false, error } : { detail: message }
      return yield* Effect.fail(HttpServerResponse.unsafeJson(body, { status }))
    })

    const identify = Effect.fnUntraced(function* (call: SandboxApi.Call) {
      const required = ["email_or_username", "password"] as const
      const { email_or_username, password } = yield* SandboxApi.fields(call, { types: ["json"], required })
      if (!(yield* server.isUser(email_or_username, password))) return yield* refuse(401, "Invalid credentials")
    })

    const tokenResponse = (
      call: SandboxApi.Call,
      names: { readonly access: string; readonly refresh: string },
      tokens: { readonly access: string; readonly refresh: string | undefined },
      rest: object = {}
    ) => {
      const fields = { ...rest, [names.access]: tokens.access, [names.refresh]: tokens.refresh, device_id }
      return HttpServerResponse.unsafeJson(Faults.applyToFields(call.fault, names, fields))
    }

    /** Issues the tokens of a new login. */
    const loggedIn = Effect.fnUntraced(function* (call: SandboxApi.Call, names: typeof camel, newer = false) {
      const { access, refresh } = yield* server.issuePair(call)
      const rest = newer ? { token_type: "bearer", expires_in: Duration.toSeconds(access.lifetime) } : {}
      return tokenResponse(call, names, { access: access.token, refresh: refresh.token }, rest)
    })

    /** Uses up the code of a key. Returns the reason if it is refused. */
    const redeem = (key: string, presented: string) =>
      Effect.flatMap(server.now, (now) =>
        Ref.modify(unused, (keys): readonly [string | undefined, HashMap.HashMap<string, number>] => {
          const expiresAt = Option.getOrUndefined(HashMap.get(keys, key))
          if (expiresAt === undefined || presented !== code) return ["Invalid verification code", keys]
          return [expiresAt <= now ? "Verification code has expired" : undefined, HashMap.remove(keys, key)]
        })
      )

    return {
      baseUrl: "https://freddy.test",
      list: { path: "/v1/threads", item: "Thread" },
      refuse,
      authorize: Effect.fnUntraced(function* (call) {
        const verdict = yield* server.verify(call, "access", SandboxApi.bearer(call))
        if (verdict === "expired") return yield* refuse(401, "Token has expired")
        if (verdict !== "valid") return yield* refuse(401, "Invalid token")
      }),
      routes: [
        {
          method: "POST",
          path: "/v1/auth/login",
          endpoint: "login",
          handle: Effect.fnUntraced(function* (call) {
            yield* identify(call)
            const email_key = yield* TokenMint.uuid
            const expiresAt = (yield* server.now) + codeLifetime
            yield* Ref.update(unused, HashMap.set(email_key, expiresAt))
            yield* Ref.update(codesMailed, (n) => n + 1)
            const fields = {
              success: true,
              email_key,
              email: server.username,
              requires_verification: true,
              next_step: "email_verification",
              message: "A verification code was sent to your e-mail address"
            }
            return HttpServerResponse.unsafeJson(
              Faults.applyToFields(call.fault, { access: "email_key", refresh: "email" }, fields)
            )
          })
        },
        {
          method: "POST",
          path: "/v1/auth/verify",
          endpoint: "login",
          handle: Effect.fnUntraced(function* (call) {
            const required = ["email_key", "verification_code"] as const
            const { email_key, verification_code } = yield* SandboxApi.fields(call, { types: ["json"], required })
            const refusal = yield* redeem(email_key, verification_code)
            if (refusal !== undefined) return yield* refuse(401, refusal)
            return yield* loggedIn(call, camel)
          })
        },
        {
          method: "POST",
          path: "/v1/auth/dev-login",
          endpoint: "login",
          handle: Effect.fnUntraced(function* (call) {
            if (options.development === false) return yield* refuse(404, "Not found")
            yield* identify(call)
            return yield* loggedIn(call, snake, true)
          })
        },
        {
          method: "POST",
          path: "/v1/auth/refresh",
          endpoint: "refresh",
          handle: Effect.fnUntraced(function* (call) {
            const shape = { types: ["json"], required: ["refresh_token"] } as const
            const { refresh_token } = yield* SandboxApi.fields(call, shape)
            if (!/^\S+$/.test(refresh_token)) {
              yield* call.complain("the refresh token is empty or holds white space")
              return yield* refuse(422, "refresh_token must not be empty or contain whitespace")
            }
            const issued = yield* Effect.catchAll(refresh(server, call, refresh_token), (verdict) =>
              refuse(401, verdict === "expired" ? "Refresh token has expired" : "Invalid refresh token")
            )
            const next = Option.getOrUndefined(issued.refresh)?.token
            const tokens = {
              access: issued.access.token,
              refresh: responseForm === "token" ? next : (next ?? refresh_token)
            }
            return responseForm === "access_token"
              ? tokenResponse(call, snake, tokens, { token_type: "bearer" })
              : tokenResponse(call, { ...snake, access: "token" }, tokens)
          })
        }
      ]
    }
  })

  const mailed = Ref.get(codesMailed)
  return {
    ...sandbox,
    mailbox: Effect.map(mailed, (count) => (count === 0 ? Option.none() : Option.some(code))),
    codesMailed: mailed
  }
})
