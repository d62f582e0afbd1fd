import type { SentRequest, Server, ServerResponse } from "../Server.js"

/** The surroundings of a peer: its server, its transport and its first token. */
export interface World {
  readonly server: Server
  /** Sends a request to the server. */
  readonly send: (sent: SentRequest) => Promise<ServerResponse>
  /** The address of the same server on loopback, for a peer with a transport of its own. */
  readonly address: string
  /** Whether the first token is valid for an hour, or has expired. */
  readonly lifetime: "fresh" | "expired"
}

/** A library that does the same work, used as its documentation recommends. */
export interface Peer {
  /** Returns a valid access token. */
  readonly token?: () => Promise<string>
  /** Sends an authorized request, and returns the status that the caller gets in the end. */
  readonly request?: () => Promise<number>
}

export type Make = (world: World) => Peer | Promise<Peer>

export const apiUrl = "https://api.test/orders"
export const tokenUrl = "https://api.test/token"

export const accessToken = "test-access-alice.0"
export const refreshToken = "test-refresh-alice.0"

/** Returns when the first token expires, in milliseconds since 1970. */
export const expiryOf = ({ lifetime }: World): number => Date.now() + (lifetime === "fresh" ? 3_600_000 : -1000)

/** The fields of a token response. */
export interface TokenFields {
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}

/** Sends a refresh request, for peers that leave that to the application. */
export const refresh = async ({ send }: World, token: string): Promise<TokenFields> => {
  const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }).toString()
  const response = await send({ url: tokenUrl, authorization: undefined, body })
  if (response.status !== 200) throw new Error(`refused: ${response.body}`)
  return JSON.parse(response.body) as TokenFields
}

/** Returns a `fetch` that sends by `send`, for peers that accept one. */
export const fetchOf =
  ({ send }: World): typeof globalThis.fetch =>
  async (input, init) => {
    const request = input instanceof Request ? input : undefined
    const headers = request?.headers ?? (init?.headers instanceof Headers ? init.headers : new Headers(init?.headers))
    const given = init?.body ?? ""
    const body = request === undefined || request.body === null ? String(given) : await request.text()
    const url = request?.url ?? String(input)
    const response = await send({ url, authorization: headers.get("authorization") ?? undefined, body })
    return new Response(response.body, { status: response.status, headers: { "content-type": "application/json" } })
  }
