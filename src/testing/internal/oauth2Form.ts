/**
 * How clients of OAuth 2.0 ask: the form of a request, and who it says that it comes from.
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
 * The parameters of a request to an authorization server. Those that are unknown do not count.
 *
 * @since 0.1.0
 * @category testing
 */
export type Form = { readonly [Name in (typeof parameters)[number]]?: string | undefined }

/**
 * Says what is wrong with a request, which the sandbox then complains of.
 *
 * @since 0.1.0
 * @category testing
 */
export const malformed = (complaint: string): SandboxBody.Malformed => new SandboxBody.Malformed({ complaint })

/**
 * Reads the parameters from a body ([RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)): form-encoded,
 * none of them twice; one without a value counts as left out.
 *
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
 * How a client authenticates; a public one does not.
 *
 * @since 0.1.0
 * @category testing
 */
export type Authentication = "client_secret_basic" | "client_secret_post" | "none"

/**
 * Who a client says that it is, and in which ways it proves it.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Claim {
  readonly ways: ReadonlyArray<Authentication>
  readonly id: string | undefined
  readonly secret: string | undefined
}

/**
 * What a request claims about its client ([RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
 *
 * @since 0.1.0
 * @category testing
 */
export const claim = (authorization: string | undefined, { client_id, client_secret }: Form): Claim => {
  if (authorization === undefined) {
    return { ways: [client_secret === undefined ? "none" : "client_secret_post"], id: client_id, secret: client_secret }
  }
  const [id, secret] = credentials(/^Basic +(\S+)$/i.exec(authorization)?.[1] ?? "")
  return {
    ways: client_secret === undefined ? ["client_secret_basic"] : ["client_secret_basic", "client_secret_post"],
    // A body may repeat the name, and not give another.
    id: client_id === undefined || client_id === id ? id : undefined,
    secret
  }
}

/** Both parts are form-encoded before the pair is put into Base64. */
const credentials = (base64: string): ReadonlyArray<string> =>
  Either.getOrElse(
    Encoding.decodeBase64String(base64).pipe(
      Either.map((pair) => pair.split(":")),
      Either.filterOrLeft(
        (parts) => parts.length === 2,
        () => "no pair"
      ),
      Either.flatMap((parts) => Either.all(parts.map((part) => Encoding.decodeUriComponent(part.replaceAll("+", " ")))))
    ),
    () => []
  )
