/**
 * The request body and the client authentication of an OAuth 2.0 request, as an authorization server reads them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Predicate from "effect/Predicate"
import * as SandboxBody from "./sandboxBody.js"

const parameters = [
  "grant_type",
  "username",
  "password",
  "refresh_token",
  "scope",
  "client_id",
  "client_secret",
  "token",
  "token_type_hint"
] as const

/**
 * The parameters of a request to an authorization server. Unknown ones are ignored.
 *
 * @since 0.1.0
 * @category testing
 */
export type Form = { readonly [Name in (typeof parameters)[number]]?: string | undefined }

/**
 * Makes the failure of a malformed request. The sandbox logs it as a complaint.
 *
 * @since 0.1.0
 * @category testing
 */
export const malformed = (complaint: string): SandboxBody.Malformed => new SandboxBody.Malformed({ complaint })

/**
 * Reads the parameters from a form-encoded body. A parameter without a value counts as left out. Fails with `Malformed`
 * if the body is not a form or repeats a parameter.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.2
 * @since 0.1.0
 * @category testing
 */
export const read = ({ type, value }: SandboxBody.Body): Effect.Effect<Form, SandboxBody.Malformed> => {
  if (type !== "form" || !Predicate.isRecord(value)) {
    return malformed("the body is not application/x-www-form-urlencoded")
  }
  const twice = parameters.find((name) => Array.isArray(value[name]))
  if (twice !== undefined) return malformed(`${twice} is given more than once`)
  return Effect.succeed(Object.fromEntries(Object.entries(value).filter(([, text]) => text !== "")))
}

/**
 * A method of client authentication. `"none"` is that of a public client.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3
 * @since 0.1.0
 * @category testing
 */
export type Authentication = "client_secret_basic" | "client_secret_post" | "none"

/**
 * The identity that a request claims for its client, and the methods it authenticates with.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Claim {
  /** More than one is an error of the client. */
  readonly methods: ReadonlyArray<Authentication>
  readonly id: string | undefined
  readonly secret: string | undefined
}

/**
 * Reads the client's identity from the `Authorization` header or from the form.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
 * @since 0.1.0
 * @category testing
 */
export const claim = (authorization: string | undefined, { client_id, client_secret }: Form): Claim => {
  if (authorization === undefined) {
    return {
      methods: [client_secret === undefined ? "none" : "client_secret_post"],
      id: client_id,
      secret: client_secret
    }
  }
  const [id, secret] = credentials(/^Basic +(\S+)$/i.exec(authorization)?.[1] ?? "")
  return {
    methods: client_secret === undefined ? ["client_secret_basic"] : ["client_secret_basic", "client_secret_post"],
    // The body may repeat the id, but not name another.
    id: client_id === undefined || client_id === id ? id : undefined,
    secret
  }
}

/** The id and the secret of Basic authentication: each part is form-encoded before the pair is put into Base64. */
const credentials = (base64: string): ReadonlyArray<string> =>
  Either.getOrElse(
    Encoding.decodeBase64String(base64).pipe(
      Either.map((pair) => pair.split(":")),
      Either.filterOrLeft(
        (parts) => parts.length === 2,
        () => "not a pair"
      ),
      Either.flatMap((parts) => Either.all(parts.map((part) => Encoding.decodeUriComponent(part.replaceAll("+", " ")))))
    ),
    () => []
  )
