import type { HttpClient } from "@effect/platform"
import { plain, user } from "./client.js"

/** A plain client of TeleTracker, as simple as the protocol allows. */
export const teletracker = (client: HttpClient.HttpClient, baseUrl: string) => {
  const api = plain(client, baseUrl)
  const withToken = (token: string) => ({ authorization: `Bearer ${token}` })
  return {
    ...api,
    login: api.post("/auth/login", user),
    refresh: (token: string) => api.post("/auth/refresh", { refresh_token: token }),
    calls: (token: string, query = "") => api.get(`/calls${query}`, withToken(token)),
    echo: (token: string, body: unknown) => api.post("/echo", body, withToken(token)),
    withToken
  }
}
