import type { HttpClient } from "@effect/platform"
import Jwt from "jsonwebtoken"
import { plain } from "./client.js"

/** The app headers every request of Violet carries. */
export const appHeaders = { "x-violet-app-id": "1234", "x-violet-app-secret": "test-app-secret" }

/** A plain client of Violet, as simple as the protocol allows. */
export const violet = (client: HttpClient.HttpClient, baseUrl: string) => {
  const api = plain(client, baseUrl, appHeaders)
  const withToken = (token: string) => ({ ...appHeaders, "x-violet-token": token })
  return {
    ...api,
    login: api.post("/login", { username: "test-user@example.com", password: "test-password" }),
    refresh: (token: string) => api.get("/auth/token", withToken(token)),
    merchants: (token: string, query = "") => api.get(`/merchants${query}`, withToken(token)),
    echo: (token: string, body: unknown) => api.post("/echo", body, withToken(token)),
    withToken
  }
}

/** The claims of a JWT. */
export const claims = (token: string) => Jwt.decode(token, { json: true }) ?? {}
