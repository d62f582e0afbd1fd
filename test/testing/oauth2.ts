import type { HttpClient } from "@effect/platform"
import { Encoding } from "effect"
import { plain, user } from "./client.js"

/** The secret that the sandbox knows by default. */
export const secret = "test-secret:with %+/ chars"

/** The pair of section 2.3.1, as the parts are given. */
export const basicOf = (...parts: ReadonlyArray<string>) => ({
  authorization: `Basic ${Encoding.encodeBase64(parts.join(":"))}`
})

/** The client that the sandbox knows by default, with the encoding written out. */
export const basic = basicOf("test-client", "test-secret%3Awith+%25%2B%2F+chars")

export type Fields = Record<string, string>

/** A plain client of OAuth 2.0, as simple as the protocol allows; the headers are those by which it authenticates. */
export const oauth2 = (client: HttpClient.HttpClient, baseUrl: string, headers: Fields = basic) => {
  const api = plain(client, baseUrl)
  const withToken = (token: string) => ({ authorization: `Bearer ${token}` })
  const token = (fields: Fields, as = headers) => api.postForm("/token", fields, as)
  return {
    ...api,
    token,
    login: token({ grant_type: "password", ...user }),
    own: token({ grant_type: "client_credentials" }),
    refresh: (refresh_token: string) => token({ grant_type: "refresh_token", refresh_token }),
    revoke: (token: string, fields: Fields = {}, as = headers) => api.postForm("/revoke", { token, ...fields }, as),
    orders: (token: string, query = "") => api.get(`/orders${query}`, withToken(token)),
    admin: (token: string) => api.get("/admin", withToken(token)),
    echo: (token: string, body: unknown) => api.post("/echo", body, withToken(token)),
    wellKnown: (name: string) => api.get(`/.well-known/${name}`)
  }
}
