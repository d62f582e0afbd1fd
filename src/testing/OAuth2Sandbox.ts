/**
 * A sandbox of an OAuth 2.0 authorization server, and of an API that accepts its tokens.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749
 * @since 0.1.0
 */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Faults from "./Faults.js"
import * as OAuth2Form from "./internal/oauth2Form.js"
import * as Sandbox from "./internal/sandbox.js"
import * as SandboxApi from "./internal/sandboxApi.js"
import * as SandboxRefresh from "./internal/sandboxRefresh.js"
import type * as TokenMint from "./internal/tokenMint.js"

export type { Authentication } from "./internal/oauth2Form.js"
export type { SandboxOptions, Service } from "./internal/sandbox.js"
export type { Endpoint, LogEntry, Report } from "./internal/sandboxLog.js"
export type { RotationOptions } from "./internal/sandboxRefresh.js"
export type { TokenOptions } from "./internal/tokenMint.js"

/**
 * The options of the sandbox. The default lifetime of access tokens is 1 hour, the default format is `"opaque"`, and
 * the default rotation is `"single-use"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options
  extends Sandbox.SandboxOptions,
    SandboxRefresh.RotationOptions,
    Pick<TokenMint.TokenOptions, "format"> {
  /** The id of the client. Default: `"test-client"`. */
  readonly clientId?: string | undefined
  /** The secret of the client; a public one has none. Default: `"test-secret:with %+/ chars"`, which needs encoding. */
  readonly clientSecret?: string | undefined
  /**
   * The only client authentication that is accepted; `"none"` makes the client a public one. Default:
   * `"client_secret_basic"`.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3
   */
  readonly authentication?: OAuth2Form.Authentication | undefined
  /**
   * Adds a refresh token to the response to `client_credentials`, as to that to `password`. Default: false.
   */
  readonly refreshTokens?: boolean | undefined
  /**
   * The status of error responses, except for malformed requests (400) and failed client authentication (401). Default:
   * 400.
   *
   * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
   */
  readonly errorStatus?: 400 | 401 | 403 | 200 | undefined
  /**
   * The form of `expires_in`. `"float"` is half a second less than the truth, and `"zero"` is wrong. Default:
   * `"number"`.
   */
  readonly expiresIn?: "number" | "string" | "float" | "null" | "zero" | "missing" | undefined
  /** The field of token responses with the lifetime of a new refresh token, in seconds. Default: `"none"`. */
  readonly refreshExpiresIn?: "refresh_expires_in" | "refresh_token_expires_in" | "none" | undefined
  /** The issuer in the metadata. Default: the origin of the request. */
  readonly issuer?: string | undefined
}

const realm = "oauth2.test"

const codes: Readonly<Record<number, string>> = { 400: "invalid_request", 404: "not_found", 405: "invalid_request" }

const expiresIn = (form: NonNullable<Options["expiresIn"]>, lifetime: Duration.Duration) => {
  const seconds = Duration.toSeconds(lifetime)
  switch (form) {
    case "number":
      return { expires_in: seconds }
    case "string":
      return { expires_in: String(seconds) }
    case "float":
      return { expires_in: seconds - 0.5 }
    case "null":
      return { expires_in: null }
    case "zero":
      return { expires_in: 0 }
    case "missing":
      return {}
  }
}

/**
 * Makes a sandbox of OAuth 2.0 with its own tokens, log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Sandbox.Service> = Effect.fnUntraced(function* (options = {}) {
  const clientId = options.clientId ?? "test-client"
  const clientSecret = options.clientSecret ?? "test-secret:with %+/ chars"
  const authentication = options.authentication ?? "client_secret_basic"
  const refreshTokens = yield* SandboxRefresh.make(options.rotation ?? "single-use")
  const setup = { ...options, format: options.format ?? "opaque", lifetime: options.lifetime ?? "1 hour" }

  return yield* Sandbox.make(setup, (server) => {
    const fail = (status: number, error: string | undefined, error_description: string, challenge?: string) =>
      Effect.fail(
        HttpServerResponse.unsafeJson(
          { error, error_description },
          { status, headers: challenge === undefined ? {} : { "www-authenticate": challenge } }
        )
      )
    const refuse = (status: number, message: string) => fail(status, codes[status], message)
    const deny = (error: string, description: string) => fail(options.errorStatus ?? 400, error, description)

    const authenticate = Effect.fnUntraced(function* (call: SandboxApi.Call, form: OAuth2Form.Form) {
      const { id, methods, secret } = OAuth2Form.claim(call.request.headers.authorization, form)
      if (methods.length > 1) yield* call.complain("the client authenticates in two ways")
      const accepted = methods.length === 1 && methods[0] === authentication
      if (!accepted || id !== clientId || (authentication !== "none" && secret !== clientSecret)) {
        return yield* fail(401, "invalid_client", "Client authentication failed", `Basic realm="${realm}"`)
      }
    })

    /** Reads the parameters of a request and authenticates its client. */
    const parametersOf = Effect.fnUntraced(function* (call: SandboxApi.Call) {
      const form = yield* Effect.flatMap(call.body, OAuth2Form.read)
      yield* authenticate(call, form)
      return form
    })

    const tokenResponse = (
      call: SandboxApi.Call,
      form: OAuth2Form.Form,
      access: TokenMint.Issued,
      refresh?: TokenMint.Issued
    ) => {
      const name = options.refreshExpiresIn ?? "none"
      const fields = {
        access_token: access.token,
        token_type: "Bearer",
        ...expiresIn(options.expiresIn ?? "number", access.lifetime),
        refresh_token: refresh?.token,
        ...(refresh === undefined || name === "none" ? {} : { [name]: Duration.toSeconds(refresh.lifetime) }),
        scope: form.scope ?? "read"
      }
      return HttpServerResponse.unsafeJson(
        Faults.applyToFields(call.fault, { access: "access_token", refresh: "refresh_token" }, fields),
        { headers: { "cache-control": "no-store" } }
      )
    }

    const issuePair = (call: SandboxApi.Call, form: OAuth2Form.Form) =>
      Effect.map(server.issuePair(call), ({ access, refresh }) => tokenResponse(call, form, access, refresh))

    const grants: Readonly<
      Record<string, (call: SandboxApi.Call, form: OAuth2Form.Form) => SandboxApi.Handled<SandboxApi.Response>>
    > = {
      password: Effect.fnUntraced(function* (call, form) {
        const { password, username } = form
        if (username === undefined || password === undefined)
          return yield* OAuth2Form.malformed("no username or no password")
        if (!(yield* server.isUser(username, password))) {
          return yield* deny("invalid_grant", "Invalid username or password")
        }
        return yield* issuePair(call, form)
      }),
      client_credentials: Effect.fnUntraced(function* (call, form) {
        if (authentication === "none") {
          return yield* deny("unauthorized_client", "The grant is for confidential clients")
        }
        return options.refreshTokens === true
          ? yield* issuePair(call, form)
          : tokenResponse(call, form, yield* server.issue(call, "access"))
      }),
      refresh_token: Effect.fnUntraced(function* (call, form) {
        const { access, refresh } = yield* Effect.catchAll(refreshTokens(server, call, form.refresh_token), (verdict) =>
          deny("invalid_grant", `The refresh token is ${verdict}`)
        )
        return tokenResponse(call, form, access, Option.getOrUndefined(refresh))
      })
    }

    const metadata = ({ request }: SandboxApi.Call) => {
      // In memory the URL is complete. Over a socket it is a path, and the host is in its header.
      const { origin } = new URL(request.originalUrl, `http://${request.headers.host}`)
      return Effect.succeed(
        HttpServerResponse.unsafeJson({
          issuer: options.issuer ?? origin,
          token_endpoint: `${origin}/token`,
          revocation_endpoint: `${origin}/revoke`,
          response_types_supported: [],
          grant_types_supported: Object.keys(grants),
          token_endpoint_auth_methods_supported: [authentication],
          revocation_endpoint_auth_methods_supported: [authentication]
        })
      )
    }

    return {
      baseUrl: "https://oauth2.test",
      list: { path: "/orders", item: "Order" },
      secrets: [clientSecret],
      refuse,
      authorize: Effect.fnUntraced(function* (call) {
        const token = SandboxApi.bearer(call)
        const verdict = yield* server.verify(call, "access", token)
        if (token === undefined) return yield* fail(401, "invalid_token", "No access token", `Bearer realm="${realm}"`)
        if (verdict !== "valid") {
          return yield* fail(401, "invalid_token", `The access token is ${verdict}`, 'Bearer error="invalid_token"')
        }
      }),
      routes: [
        {
          method: "POST",
          path: "/token",
          endpoint: ({ value }) =>
            Predicate.hasProperty(value, "grant_type") && value.grant_type === "refresh_token" ? "refresh" : "login",
          handle: Effect.fnUntraced(function* (call) {
            const form = yield* parametersOf(call)
            if (form.grant_type === undefined) return yield* OAuth2Form.malformed("no grant_type")
            const grant = Object.hasOwn(grants, form.grant_type) ? grants[form.grant_type] : undefined
            return yield* grant?.(call, form) ?? deny("unsupported_grant_type", "Unknown grant type")
          })
        },
        {
          method: "POST",
          path: "/revoke",
          endpoint: "revoke",
          handle: Effect.fnUntraced(function* (call) {
            const { token } = yield* parametersOf(call)
            if (token === undefined) return yield* OAuth2Form.malformed("no token")
            const isAccess = (yield* server.mint.verify("refresh", token)) === "other-kind"
            yield* isAccess ? server.mint.revokeToken(token) : server.mint.revokeFamily(token)
            return HttpServerResponse.empty({ status: 200 })
          })
        },
        ...["oauth-authorization-server", "openid-configuration"].map(
          (name): SandboxApi.Route => ({
            method: "GET",
            path: `/.well-known/${name}`,
            endpoint: "metadata",
            handle: metadata
          })
        ),
        {
          method: "GET",
          path: "/admin",
          endpoint: "api",
          handle: () => fail(403, "insufficient_scope", "Not for this token", 'Bearer error="insufficient_scope"')
        }
      ]
    }
  })
})
