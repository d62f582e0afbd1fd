/** A request of a contender, whatever its transport. It has all that the server looks at. */
export interface SentRequest {
  readonly url: string
  readonly authorization: string | undefined
  readonly body: string
}

/** A response of the server. */
export interface ServerResponse {
  readonly status: number
  readonly body: string
}

/** A token endpoint and an API in one, without a network. Its only state is the valid tokens. */
export interface Server {
  /** Handles a token request. */
  readonly token: (body: string) => ServerResponse
  /** Handles a request of the API. */
  readonly api: (authorization: string | undefined) => ServerResponse
  /** Handles a request by its path: `/token` is the token endpoint, any other the API. */
  readonly handle: (sent: SentRequest) => ServerResponse
  /** Revokes all access tokens. */
  readonly revoke: () => void
  /** How many token requests it got, refused ones included. */
  tokenRequests: number
}

const form = (body: string, name: string) => new URLSearchParams(body).get(name)

/**
 * Makes a server. `lifetime` is that of access tokens, in seconds. A refresh token has its account and the count of its
 * rotations in it: `test-refresh-alice.3`. With `strict`, refresh tokens are single-use and access tokens are checked.
 */
export const make = (lifetime: number, strict = false): Server => {
  const uses = new Map<string, number>()
  const valid = new Set<string>()
  const refused: ServerResponse = { status: 400, body: JSON.stringify({ error: "invalid_grant" }) }
  const served: ServerResponse = { status: 200, body: "{}" }
  const rejected: ServerResponse = { status: 401, body: JSON.stringify({ error: "invalid_token" }) }
  const server: Server = {
    tokenRequests: 0,
    token: (body) => {
      server.tokenRequests++
      const [account = "", use = "0"] = (form(body, "refresh_token") ?? "test-refresh-login.0").split(".")
      const count = Number(use)
      if (strict && count !== (uses.get(account) ?? 0)) return refused
      if (strict) uses.set(account, count + 1)
      const access_token = `${account.replace("refresh", "access")}.${count + 1}`
      if (strict) valid.add(`Bearer ${access_token}`)
      const refresh_token = `${account}.${count + 1}`
      return {
        status: 200,
        body: JSON.stringify({ access_token, refresh_token, expires_in: lifetime, token_type: "bearer" })
      }
    },
    api: (authorization) => (strict && !valid.has(authorization ?? "") ? rejected : served),
    handle: ({ authorization, body, url }) => (url.endsWith("/token") ? server.token(body) : server.api(authorization)),
    revoke: () => valid.clear()
  }
  return server
}
