import { gaxios, OAuth2Client } from "google-auth-library"
import { accessToken, apiUrl, expiryOf, fetchOf, type Make, refreshToken, tokenUrl } from "./Peer.js"

export const google: Make = (world) => {
  const transporter = new gaxios.Gaxios({ fetchImplementation: fetchOf(world) })
  const client = new OAuth2Client({
    clientId: "bench",
    endpoints: { oauth2TokenUrl: tokenUrl },
    transporter,
    forceRefreshOnFailure: true
  })
  client.setCredentials({ access_token: accessToken, refresh_token: refreshToken, expiry_date: expiryOf(world) })
  return {
    token: async () => (await client.getAccessToken()).token ?? "",
    request: async () => (await client.request({ url: apiUrl, validateStatus: (status) => status === 200 })).status
  }
}
