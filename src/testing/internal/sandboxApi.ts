/**
 * The description of an API for the sandbox that runs it: its routes, its refusals, and the tools of their handlers.
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
 * The response of a handler.
 *
 * @since 0.1.0
 * @category testing
 */
export type Response = HttpServerResponse.HttpServerResponse

/**
 * A step of a handler. It fails with a response that refuses the request, or with `Malformed`.
 *
 * @since 0.1.0
 * @category testing
 */
export type Handled<A> = Effect.Effect<A, Response | SandboxBody.Malformed>

/**
 * A request, as its handler sees it.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Call {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly query: URLSearchParams
  /** The body. It is read once, however often this runs. */
  readonly body: Effect.Effect<SandboxBody.Body>
  /** Logs an error of the client. Only the first complaint about a request is logged. */
  readonly complain: SandboxLog.Note["complain"]
  /**
   * The `Token`, `Fields` or `Expiry` fault of this request. Handlers pass it to `Faults.applyToFields`; `Server.issue`
   * applies the claims.
   */
  readonly fault: Option.Option<Faults.Fault>
}

/**
 * A route of an API. A path of two endpoints, such as `/token` of OAuth 2.0, tells them apart by the body.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** The path below that of the base URL. */
  readonly path: string
  readonly endpoint: SandboxLog.Endpoint | ((body: SandboxBody.Body) => SandboxLog.Endpoint)
  readonly handle: (call: Call) => Handled<Response>
}

/**
 * The description of an API. Every request of the endpoint `"api"` is authorized first.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Api {
  /** The base URL, of a host in `.test`. */
  readonly baseUrl: string
  /** The routes besides `GET list.path` and `POST /echo`, which every sandbox has. */
  readonly routes: ReadonlyArray<Route>
  /** The path of a list with pages, and the name of one of its items. */
  readonly list: { readonly path: string; readonly item: string }
  /** Fails with an error response in the form of the API. The engine itself refuses with 400, 404 and 405. */
  readonly refuse: (status: number, message: string) => Effect.Effect<never, Response>
  /** Refuses a request of the endpoint `"api"` without a valid token. */
  readonly authorize: (call: Call) => Handled<unknown>
  /** Refuses a request, of any endpoint, without the headers that every request needs. Default: refuses none. */
  readonly admit?: ((call: Call) => Handled<unknown>) | undefined
  /** The statuses by which the API rejects a token. Default: 401 alone. */
  readonly rejections?: ReadonlyArray<number> | undefined
  /** Secrets, besides the password and the tokens, that no URL may contain. Default: none. */
  readonly secrets?: ReadonlyArray<string> | undefined
  /** Names of query parameters, besides the usual ones, that no URL may contain. Default: none. */
  readonly secretParams?: ReadonlyArray<string> | undefined
}

/**
 * The tools of handlers: the clock, the tokens and the user of the sandbox.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Server {
  /** The server's clock, in milliseconds since 1970. */
  readonly now: Effect.Effect<number>
  readonly mint: TokenMint.Service
  readonly username: string
  /** Tells whether these are the user's name and current password. */
  readonly isUser: (username: unknown, password: unknown) => Effect.Effect<boolean>
  /** Issues a token into the family of `parent`, with the lifetime of its kind and the claims of the fault. */
  readonly issue: (call: Call, kind: TokenMint.Kind, parent?: string) => Effect.Effect<TokenMint.Issued>
  /** Issues an access token and a refresh token of one family. */
  readonly issuePair: (
    call: Call,
    parent?: string
  ) => Effect.Effect<{ readonly access: TokenMint.Issued; readonly refresh: TokenMint.Issued }>
  /** Returns the verdict on the token of a request. Complains if there is none, or if it is of the other kind. */
  readonly verify: (call: Call, kind: TokenMint.Kind, token: string | undefined) => Effect.Effect<TokenMint.Verdict>
  /** Does the same for a single-use refresh token, and spends it. */
  readonly spend: (call: Call, token: string | undefined) => Effect.Effect<TokenMint.Verdict>
}

/**
 * Returns the token of `Authorization: Bearer …`, or `undefined`.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1
 * @since 0.1.0
 * @category testing
 */
export const bearer = (call: Call): string | undefined =>
  /^Bearer +(\S+)$/i.exec(call.request.headers.authorization ?? "")?.[1]

/**
 * Reads the fields of a request's body. Fails with `Malformed` if it does not have the shape.
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
 * Returns the routes of every sandbox: a list with pages, and `/echo`, which returns the JSON of the request.
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
