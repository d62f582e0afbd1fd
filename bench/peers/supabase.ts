import { GoTrueClient } from "@supabase/auth-js"
import { apiUrl, endOf, fetchOf, type Make, refreshToken, type World } from "./Peer.js"

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** It reads the end of a token in the token itself. */
const jwt = (end: number) => `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: end, sub: "alice" })}.c2ln`

/** Its endpoint takes and answers JSON, with a user in it. */
const spoken = (world: World): typeof globalThis.fetch => {
  const fetch = fetchOf(world)
  return async (input, init) => {
    if (!String(input).includes("/token?")) return fetch(input, init)
    const asked = JSON.parse(String(init?.body)) as { refresh_token: string }
    const { body, status } = await world.send({
      url: "https://api.test/token",
      authorization: undefined,
      body: new URLSearchParams(asked).toString()
    })
    const answer = JSON.parse(body) as Record<string, unknown>
    return new Response(JSON.stringify({ ...answer, user: { id: "alice" } }), { status })
  }
}

export const supabase: Make = async (world) => {
  const end = Math.floor(endOf(world) / 1000)
  const kept = new Map<string, string>()
  const expires_in = world.lifetime === "fresh" ? 3600 : -1
  const session = {
    access_token: jwt(end),
    refresh_token: refreshToken,
    expires_at: end,
    expires_in,
    token_type: "bearer",
    user: { id: "alice" }
  }
  kept.set("bench", JSON.stringify(session))
  const client = new GoTrueClient({
    url: "https://api.test",
    fetch: spoken(world),
    storageKey: "bench",
    autoRefreshToken: false,
    detectSessionInUrl: false,
    storage: {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => void kept.set(key, value),
      removeItem: (key) => void kept.delete(key)
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
