import type { Answered, Sent, Server } from "../Server.js"

/** What a peer is made over. */
export interface World {
  readonly server: Server
  /** What becomes of a request: at once, or after a while. */
  readonly send: (sent: Sent) => Promise<Answered>
  /** The same server on loopback, for what brings its own transport. */
  readonly address: string
  /** Whether the token at hand is good for an hour, or has ended. */
  readonly lifetime: "fresh" | "ended"
}

/** A library that does the same work, as its documentation says it is done best. */
export interface Peer {
  /** Answers a valid access token. */
  readonly token?: () => Promise<string>
  /** Sends an authorized request, and answers the status that the caller sees in the end. */
  readonly request?: () => Promise<number>
}

export type Make = (world: World) => Peer | Promise<Peer>

export const apiUrl = "https://api.test/orders"
export const tokenUrl = "https://api.test/token"

export const accessToken = "test-access-alice.0"
export const refreshToken = "test-refresh-alice.0"

/** When the token at hand ends, in milliseconds since 1970. */
export const endOf = ({ lifetime }: World): number => Date.now() + (lifetime === "fresh" ? 3_600_000 : -1000)

export interface Answer {
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}

/** The exchange, for peers that leave it to the application. */
export const exchange = async ({ send }: World, token: string): Promise<Answer> => {
  const body = new URLSearchParams({ grant_type: "refresh_token", refresh_token: token }).toString()
  const answered = await send({ url: tokenUrl, authorization: undefined, body })
  if (answered.status !== 200) throw new Error(`refused: ${answered.body}`)
  return JSON.parse(answered.body) as Answer
}

/** A `fetch` over the world, for peers that take one. */
export const fetchOf =
  ({ send }: World): typeof globalThis.fetch =>
  async (input, init) => {
    const request = input instanceof Request ? input : undefined
    const headers = request?.headers ?? (init?.headers instanceof Headers ? init.headers : new Headers(init?.headers))
    const given = init?.body ?? ""
    const body = request === undefined || request.body === null ? String(given) : await request.text()
    const url = request?.url ?? String(input)
    const answered = await send({ url, authorization: headers.get("authorization") ?? undefined, body })
    return new Response(answered.body, { status: answered.status, headers: { "content-type": "application/json" } })
  }
