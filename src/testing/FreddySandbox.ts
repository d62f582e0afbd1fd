/**
 * A sandbox of Freddy, the Aitronos AI API: a log in of two steps, JWTs, answers and errors in several forms.
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

/**
 * How the sandbox is set up. Access tokens live for an hour by default, and the rotation is `"optional"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.Options, SandboxRefresh.Options {
  /** The code that is mailed at each log in. Default `"1234"`. */
  readonly code?: string | undefined
  /** How long a mailed code is good, once. Default 5 minutes. */
  readonly codeLifetime?: Duration.DurationInput | undefined
  /** Whether there is the development log in, which asks for no code. Default true. */
  readonly development?: boolean | undefined
  /**
   * The form of a refresh's answer. `"token"` (default): `token`, and `refresh_token` if it is a new one. `"rotated"`:
   * `token` and `refresh_token`, the new one or the one in use. `"access_token"`: the same as `access_token`,
   * `refresh_token` and `token_type`. All of them carry `device_id`.
   */
  readonly answerForm?: "token" | "access_token" | "rotated" | undefined
  /** The form of an error: `detail` alone, or the newer one of an `error` with `code` and `status`. Default `"detail"`. */
  readonly errorForm?: "detail" | "envelope" | undefined
  /** The `device_id` of every answer with tokens. Default `"device-123"`. */
  readonly deviceId?: string | null | undefined
}

/**
 * A running sandbox of Freddy, with the mailbox of its user. Both steps of a log in are requests of `"login"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service extends Sandbox.Service {
  /** The code mailed last. */
  readonly mailbox: Effect.Effect<Option.Option<string>>
  /** How many codes were mailed. */
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
 * Makes a sandbox with its own key, mailbox, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Service> = Effect.fnUntraced(function* (options = {}) {
  const code = options.code ?? "1234"
  const codeLifetime = Duration.toMillis(options.codeLifetime ?? "5 minutes")
  const device_id = options.deviceId === undefined ? "device-123" : options.deviceId
  const form = options.answerForm ?? "token"
  const codesMailed = yield* Ref.make(0)
  /** The ends of the codes that are still to be used, by their `email_key`. */
  const awaited = yield* Ref.make(HashMap.empty<string, number>())
  const exchange = yield* SandboxRefresh.make(options.rotation ?? "optional")

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

    const answer = (
      call: SandboxApi.Call,
      names: { readonly access: string; readonly refresh: string },
      tokens: { readonly access: string; readonly refresh: string | undefined },
      rest: object = {}
    ) => {
      const fields = { ...rest, [names.access]: tokens.access, [names.refresh]: tokens.refresh, device_id }
      return HttpServerResponse.unsafeJson(Faults.spoil(call.fault, names, fields))
    }

    /** Issues the tokens of a new log in. */
    const welcome = Effect.fnUntraced(function* (call: SandboxApi.Call, names: typeof camel, newer = false) {
      const { access, refresh } = yield* server.issuePair(call)
      const rest = newer ? { token_type: "bearer", expires_in: Duration.toSeconds(access.lifetime) } : {}
      return answer(call, names, { access: access.token, refresh: refresh.token }, rest)
    })

    /** Takes the code that belongs to a key; answers why not, if so. */
    const redeem = (key: string, presented: string) =>
      Effect.flatMap(server.now, (now) =>
        Ref.modify(awaited, (keys): readonly [string | undefined, HashMap.HashMap<string, number>] => {
          const end = Option.getOrUndefined(HashMap.get(keys, key))
          if (end === undefined || presented !== code) return ["Invalid verification code", keys]
          return [end <= now ? "Verification code has expired" : undefined, HashMap.remove(keys, key)]
        })
      )

    return {
      baseUrl: "https://freddy.test",
      list: { path: "/v1/threads", item: "Thread" },
      refuse,
      authorize: Effect.fnUntraced(function* (call) {
        const verdict = yield* server.judge(call, "access", SandboxApi.bearer(call))
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
            const end = (yield* server.now) + codeLifetime
            yield* Ref.update(awaited, HashMap.set(email_key, end))
            yield* Ref.update(codesMailed, (n) => n + 1)
            const answer = {
              success: true,
              email_key,
              email: server.username,
              requires_verification: true,
              next_step: "email_verification",
              message: "A verification code was sent to your e-mail address"
            }
            return HttpServerResponse.unsafeJson(
              Faults.spoil(call.fault, { access: "email_key", refresh: "email" }, answer)
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
            return yield* welcome(call, camel)
          })
        },
        {
          method: "POST",
          path: "/v1/auth/dev-login",
          endpoint: "login",
          handle: Effect.fnUntraced(function* (call) {
            if (options.development === false) return yield* refuse(404, "Not found")
            yield* identify(call)
            return yield* welcome(call, snake, true)
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
            const granted = yield* Effect.catchAll(exchange(server, call, refresh_token), (verdict) =>
              refuse(401, verdict === "expired" ? "Refresh token has expired" : "Invalid refresh token")
            )
            const next = Option.getOrUndefined(granted.refresh)?.token
            const tokens = { access: granted.access.token, refresh: form === "token" ? next : (next ?? refresh_token) }
            return form === "access_token"
              ? answer(call, snake, tokens, { token_type: "bearer" })
              : answer(call, { ...snake, access: "token" }, tokens)
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
