/**
 * A sandbox of an OAuth 2.0 authorization server ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749)) and of an API that
 * takes its tokens.
 *
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

/**
 * How the sandbox is set up. Access tokens live for an hour by default, they are opaque, and the rotation is
 * `"single-use"`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Sandbox.Options, SandboxRefresh.Options, Pick<TokenMint.Options, "format"> {
  /** Default `"test-client"`. */
  readonly clientId?: string | undefined
  /** Default `"test-secret:with %+/ chars"`, which has to be encoded with care. A public client has none. */
  readonly clientSecret?: string | undefined
  /**
   * The one way to authenticate that is accepted (section 2.3); `"none"` makes the client a public one. Default
   * `"client_secret_basic"`.
   */
  readonly authentication?: OAuth2Form.Authentication | undefined
  /** Whether the grant `client_credentials` answers a refresh token, as `password` always does. Default false. */
  readonly refreshTokens?: boolean | undefined
  /**
   * The status of the errors of section 5.2, but for requests that are malformed (400) and clients that are unknown
   * (401). Default 400.
   */
  readonly errorStatus?: 400 | 401 | 403 | 200 | undefined
  /** How the lifetime is told: `"float"` is half a second less, `"zero"` is a lie. Default `"number"`. */
  readonly expiresIn?: "number" | "string" | "float" | "null" | "zero" | "missing" | undefined
  /** The name under which answers tell how long a new refresh token lives, in seconds. Default `"none"`. */
  readonly refreshExpiresIn?: "refresh_expires_in" | "refresh_token_expires_in" | "none" | undefined
  /** The issuer that the metadata name. Default the origin by which the request came. */
  readonly issuer?: string | undefined
}

/**
 * A running sandbox of OAuth 2.0.
 *
 * @since 0.1.0
 * @category testing
 */
export type Service = Sandbox.Service

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
 * Makes a sandbox with its own log and faults.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Service> = Effect.fnUntraced(function* (options = {}) {
  const clientId = options.clientId ?? "test-client"
  const clientSecret = options.clientSecret ?? "test-secret:with %+/ chars"
  const authentication = options.authentication ?? "client_secret_basic"
  const exchange = yield* SandboxRefresh.make(options.rotation ?? "single-use")
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
      const { id, secret, ways } = OAuth2Form.claim(call.request.headers.authorization, form)
      if (ways.length > 1) yield* call.complain("the client authenticates in two ways")
      const accepted = ways.length === 1 && ways[0] === authentication
      if (!accepted || id !== clientId || (authentication !== "none" && secret !== clientSecret)) {
        return yield* fail(401, "invalid_client", "Client authentication failed", `Basic realm="${realm}"`)
      }
    })

    /** The parameters of a request, whose client is known. */
    const parametersOf = Effect.fnUntraced(function* (call: SandboxApi.Call) {
      const form = yield* Effect.flatMap(call.body, OAuth2Form.read)
      yield* authenticate(call, form)
      return form
    })

    const answer = (
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
        Faults.spoil(call.fault, { access: "access_token", refresh: "refresh_token" }, fields),
        { headers: { "cache-control": "no-store" } }
      )
    }

    const grantPair = (call: SandboxApi.Call, form: OAuth2Form.Form) =>
      Effect.map(server.issuePair(call), ({ access, refresh }) => answer(call, form, access, refresh))

    const grants: Readonly<
      Record<string, (call: SandboxApi.Call, form: OAuth2Form.Form) => SandboxApi.Handled<SandboxApi.Answer>>
    > = {
      password: Effect.fnUntraced(function* (call, form) {
        const { password, username } = form
        if (username === undefined || password === undefined)
          return yield* OAuth2Form.malformed("no username or no password")
        if (!(yield* server.isUser(username, password))) {
          return yield* deny("invalid_grant", "Invalid username or password")
        }
        return yield* grantPair(call, form)
      }),
      client_credentials: Effect.fnUntraced(function* (call, form) {
        if (authentication === "none") {
          return yield* deny("unauthorized_client", "The grant is for confidential clients")
        }
        return options.refreshTokens === true
          ? yield* grantPair(call, form)
          : answer(call, form, yield* server.issue(call, "access"))
      }),
      refresh_token: Effect.fnUntraced(function* (call, form) {
        const { access, refresh } = yield* Effect.catchAll(exchange(server, call, form.refresh_token), (verdict) =>
          deny("invalid_grant", `The refresh token is ${verdict}`)
        )
        return answer(call, form, access, Option.getOrUndefined(refresh))
      })
    }

    const metadata = ({ request }: SandboxApi.Call) => {
      // In memory the URL is whole; over a socket it is a path, and the host stands in its header.
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
        const verdict = yield* server.judge(call, "access", token)
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
            const isAccess = (yield* server.mint.judge("refresh", token)) === "other-kind"
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
