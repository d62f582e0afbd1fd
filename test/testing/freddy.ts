import type { HttpClient } from "@effect/platform"
import { Effect } from "effect"
import { plain, user } from "./client.js"

/** What the user of the sandbox logs in with. */
export const person = { email_or_username: user.username, password: user.password }

/** A plain client of Freddy, as simple as the protocol allows. */
export const freddy = (client: HttpClient.HttpClient, baseUrl: string) => {
  const api = plain(client, baseUrl)
  const withToken = (token: string) => ({ authorization: `Bearer ${token}` })
  const ask = api.post("/v1/auth/login", person)
  const verify = (email_key: string, verification_code = "1234") =>
    api.post("/v1/auth/verify", { email_key, verification_code })
  return {
    ...api,
    ask,
    verify,
    login: Effect.flatMap(ask, ({ body }) => verify(body.email_key)),
    devLogin: api.post("/v1/auth/dev-login", person),
    refresh: (refresh_token: string) => api.post("/v1/auth/refresh", { refresh_token }),
    threads: (token: string, query = "") => api.get(`/v1/threads${query}`, withToken(token)),
    echo: (token: string, body: unknown) => api.post("/echo", body, withToken(token)),
    withToken
  }
}
