import { GoTrueClient } from "@supabase/auth-js"
import { apiUrl, expiryOf, fetchOf, type Make, refreshToken, type World } from "./Peer.js"

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** The library reads the expiry of a token from the token itself. */
const jwt = (end: number) => `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: end, sub: "alice" })}.c2ln`

/** The endpoint accepts and returns JSON, with a user in it. */
const jsonFetchOf = (world: World): typeof globalThis.fetch => {
  const fetch = fetchOf(world)
  return async (input, init) => {
    if (!String(input).includes("/token?")) return fetch(input, init)
    const requested = JSON.parse(String(init?.body)) as { refresh_token: string }
    const { body, status } = await world.send({
      url: "https://api.test/token",
      authorization: undefined,
      body: new URLSearchParams(requested).toString()
    })
    const fields = JSON.parse(body) as Record<string, unknown>
    return new Response(JSON.stringify({ ...fields, user: { id: "alice" } }), { status })
  }
}

export const supabase: Make = async (world) => {
  const end = Math.floor(expiryOf(world) / 1000)
  const stored = new Map<string, string>()
  const expires_in = world.lifetime === "fresh" ? 3600 : -1
  const session = {
    access_token: jwt(end),
    refresh_token: refreshToken,
    expires_at: end,
    expires_in,
    token_type: "bearer",
    user: { id: "alice" }
  }
  stored.set("bench", JSON.stringify(session))
  const client = new GoTrueClient({
    url: "https://api.test",
    fetch: jsonFetchOf(world),
    storageKey: "bench",
    autoRefreshToken: false,
    detectSessionInUrl: false,
    storage: {
      getItem: (key) => stored.get(key) ?? null,
      setItem: (key, value) => void stored.set(key, value),
      removeItem: (key) => void stored.delete(key)
    }
  })
  await client.initialize()
  const token = async () => (await client.getSession()).data.session?.access_token ?? ""
  const fetch = fetchOf(world)
  return {
    token,
    // As the client that embeds it does.
    request: async () => {
      const headers = new Headers()
      headers.set("Authorization", `Bearer ${await token()}`)
      return (await fetch(apiUrl, { headers })).status
    }
  }
}
