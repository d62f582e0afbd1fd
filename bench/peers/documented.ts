import { accessToken, apiUrl, expiryOf, fetchOf, type Make, refresh, refreshToken, type World } from "./Peer.js"

/**
 * The client that the documentation of Violet describes: it refreshes if the token expires within five minutes; after a
 * 401 it refreshes once and sends once more.
 */
class TokenManager {
  readonly world: World
  readonly fetch: typeof globalThis.fetch
  access = accessToken
  refreshWith = refreshToken
  expiresAt: number

  constructor(world: World) {
    this.world = world
    this.fetch = fetchOf(world)
    this.expiresAt = expiryOf(world)
  }

  async refresh(): Promise<string> {
    const fields = await refresh(this.world, this.refreshWith)
    this.access = fields.access_token
    this.refreshWith = fields.refresh_token
    this.expiresAt = Date.now() + fields.expires_in * 1000
    return this.access
  }

  async token(): Promise<string> {
    return this.expiresAt - Date.now() < 300_000 ? this.refresh() : this.access
  }

  async request(): Promise<number> {
    const send = (token: string) => this.fetch(apiUrl, { headers: { authorization: `Bearer ${token}` } })
    const { status } = await send(await this.token())
    return status === 401 ? (await send(await this.refresh())).status : status
  }
}

export const documented: Make = (world) => {
  const manager = new TokenManager(world)
  return { token: () => manager.token(), request: () => manager.request() }
}
