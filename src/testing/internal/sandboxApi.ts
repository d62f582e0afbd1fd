/**
 * What describes one provider's API to the sandbox that runs it: routes, refusals, and what their handlers build upon.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Faults from "../Faults.js"
import * as SandboxBody from "./sandboxBody.js"
import type * as SandboxLog from "./sandboxLog.js"
import type * as TokenMint from "./tokenMint.js"

/**
 * What a handler answers.
 *
 * @since 0.1.0
 * @category testing
 */
export type Answer = HttpServerResponse.HttpServerResponse

/**
 * An effect that a refusal may end, or a body that is not as it should be.
 *
 * @since 0.1.0
 * @category testing
 */
export type Handled<A> = Effect.Effect<A, Answer | SandboxBody.Malformed>

/**
 * One request, as its handler sees it.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Call {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly query: URLSearchParams
  /** The body, read once. */
  readonly body: Effect.Effect<SandboxBody.Body>
  /** The client misbehaved; only the first complaint about a request is kept. */
  readonly complain: SandboxLog.Note["complain"]
  /** A `Token`, `Fields` or `Expiry` for this request: give it to `Faults.spoil`; `Server.issue` sees to the claims. */
  readonly fault: Option.Option<Faults.Fault>
}

/**
 * One route of an API. A path that serves two endpoints, like OAuth 2.0's `/token`, tells them apart by the body.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** Follows the path of the base URL. */
  readonly path: string
  readonly endpoint: SandboxLog.Endpoint | ((body: SandboxBody.Body) => SandboxLog.Endpoint)
  readonly handle: (call: Call) => Handled<Answer>
}

/**
 * An API, described. Every request of the endpoint `"api"` is authorized first.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Api {
  /** Of a host in `.test`. */
  readonly baseUrl: string
  /** The routes besides `GET list.path` and `POST /echo`, which every sandbox has. */
  readonly routes: ReadonlyArray<Route>
  /** The path of a list with pages, and the word for one of its items. */
  readonly list: { readonly path: string; readonly item: string }
  /** The API's form of an error; the engine itself refuses with 400, 404 and 405. */
  readonly refuse: (status: number, message: string) => Effect.Effect<never, Answer>
  /** Refuses a request of the endpoint `"api"` that bears no valid token. */
  readonly authorize: (call: Call) => Handled<unknown>
  /** Refuses any request that lacks what all of them need. */
  readonly admit?: ((call: Call) => Handled<unknown>) | undefined
  /** The statuses by which the API says that a token is no good. Default 401 alone. */
  readonly rejections?: ReadonlyArray<number> | undefined
  /** Secrets besides the password and the tokens, none of which may show in a URL. */
  readonly secrets?: ReadonlyArray<string> | undefined
  /** Names of parameters that no URL may have, besides the usual ones. */
  readonly secretParams?: ReadonlyArray<string> | undefined
}

/**
 * What handlers build upon.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Server {
  /** The server's clock, in milliseconds since 1970. */
  readonly now: Effect.Effect<number>
  readonly mint: TokenMint.Service
  readonly username: string
  /** Whether these are the user's name and password of the moment. */
  readonly isUser: (username: unknown, password: unknown) => Effect.Effect<boolean>
  /** Issues a token of the lifetime of its kind, with the claims that a fault asks for, into the family of its parent. */
  readonly issue: (call: Call, kind: TokenMint.Kind, parent?: string) => Effect.Effect<TokenMint.Issued>
  /** Issues an access token and a refresh token of one family. */
  readonly issuePair: (
    call: Call,
    parent?: string
  ) => Effect.Effect<{ readonly access: TokenMint.Issued; readonly refresh: TokenMint.Issued }>
  /** Judges the token of a request, complaining if it has none or one of the other kind. */
  readonly judge: (call: Call, kind: TokenMint.Kind, token: string | undefined) => Effect.Effect<TokenMint.Verdict>
  /** Judges the single-use refresh token of a request in the same way, and spends it. */
  readonly spend: (call: Call, token: string | undefined) => Effect.Effect<TokenMint.Verdict>
}

/**
 * The token of `Authorization: Bearer …` (RFC 6750, section 2.1).
 *
 * @since 0.1.0
 * @category testing
 */
export const bearer = (call: Call): string | undefined =>
  /^Bearer +(\S+)$/i.exec(call.request.headers.authorization ?? "")?.[1]

/**
 * The fields of a request's body.
 *
 * @since 0.1.0
 * @category testing
 */
export const fields = <Required extends string, Optional extends string = never>(
  call: Call,
  shape: SandboxBody.Shape<Required, Optional>
): Effect.Effect<SandboxBody.Fields<Required, Optional>, SandboxBody.Malformed> =>
  Effect.flatMap(call.body, (body) => SandboxBody.fields(body, shape))

/**
 * The routes that every sandbox has: a list with pages, and `/echo`, which answers the JSON that it gets.
 *
 * @since 0.1.0
 * @category testing
 */
export const data = ({ list, refuse }: Pick<Api, "list" | "refuse">, pages: number): ReadonlyArray<Route> => [
  {
    method: "GET",
    path: list.path,
    endpoint: "api",
    handle: ({ query }) => {
      const page = Number(query.get("page") ?? "1")
      const size = Number(query.get("size") ?? "20")
      if (!(Number.isInteger(page) && page >= 1 && Number.isInteger(size) && size >= 1 && size <= 100)) {
        return refuse(400, "Invalid page")
      }
      const content = Array.from({ length: page > pages ? 0 : size }, (_, index) => {
        const id = (page - 1) * size + index + 1
        return { id, name: `${list.item} ${id}` }
      })
      return Effect.succeed(
        HttpServerResponse.unsafeJson({ content, page, size, total_pages: pages, last: page >= pages })
      )
    }
  },
  {
    method: "POST",
    path: "/echo",
    endpoint: "api",
    handle: ({ body }) =>
      Effect.flatMap(body, ({ type, value }) =>
        type === "json"
          ? Effect.succeed(HttpServerResponse.unsafeJson(value))
          : new SandboxBody.Malformed({ complaint: "the body is not application/json" })
      )
  }
]
