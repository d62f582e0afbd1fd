import { accessToken, apiUrl, endOf, exchange, fetchOf, type Make, refreshToken, type World } from "./Peer.js"

/**
 * What the documentation of Violet tells a client to do, as a class: refresh when the token ends within five minutes;
 * after a 401, refresh once and send once more.
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
    this.expiresAt = endOf(world)
  }

  async refresh(): Promise<string> {
    const answer = await exchange(this.world, this.refreshWith)
    this.access = answer.access_token
    this.refreshWith = answer.refresh_token
    this.expiresAt = Date.now() + answer.expires_in * 1000
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
