/** What a contender sends, whatever its transport: enough to be judged by. */
export interface Sent {
  readonly url: string
  readonly authorization: string | undefined
  readonly body: string
}

export interface Answered {
  readonly status: number
  readonly body: string
}

/** A token endpoint and an API in one, without a network. Nothing in it is remembered but the tokens in force. */
export interface Server {
  readonly token: (body: string) => Answered
  readonly api: (authorization: string | undefined) => Answered
  /** Both, by the path of the URL, `/token` or anything else. */
  readonly handle: (sent: Sent) => Answered
  /** Makes the access tokens in force worthless. */
  readonly revoke: () => void
  /** How many requests its token endpoint has answered, also those it refused. */
  exchanges: number
}

const form = (body: string, name: string) => new URLSearchParams(body).get(name)

/**
 * Makes a server whose tokens live for so many seconds. Its refresh tokens say whose they are and how often they were
 * rotated, `test-refresh-alice.3`; with `strict`, each is good for one use, and the access token is checked.
 */
export const make = (lifetime: number, strict = false): Server => {
  const uses = new Map<string, number>()
  const alive = new Set<string>()
  const refused: Answered = { status: 400, body: JSON.stringify({ error: "invalid_grant" }) }
  const served: Answered = { status: 200, body: "{}" }
  const rejected: Answered = { status: 401, body: JSON.stringify({ error: "invalid_token" }) }
  const server: Server = {
    exchanges: 0,
    token: (body) => {
      server.exchanges++
      const [account = "", use = "0"] = (form(body, "refresh_token") ?? "test-refresh-login.0").split(".")
      const count = Number(use)
      if (strict && count !== (uses.get(account) ?? 0)) return refused
      if (strict) uses.set(account, count + 1)
      const access_token = `${account.replace("refresh", "access")}.${count + 1}`
      if (strict) alive.add(`Bearer ${access_token}`)
      const refresh_token = `${account}.${count + 1}`
      return {
        status: 200,
        body: JSON.stringify({ access_token, refresh_token, expires_in: lifetime, token_type: "bearer" })
      }
    },
    api: (authorization) => (strict && !alive.has(authorization ?? "") ? rejected : served),
    handle: ({ authorization, body, url }) => (url.endsWith("/token") ? server.token(body) : server.api(authorization)),
    revoke: () => alive.clear()
  }
  return server
}
