import { OAuth2Client, OAuth2Fetch } from "@badgateway/oauth2-client"
import { accessToken, apiUrl, expiryOf, fetchOf, type Make, refreshToken, tokenUrl } from "./Peer.js"

export const badgateway: Make = (world) => {
  const fetch = fetchOf(world)
  const client = new OAuth2Client({ clientId: "bench", tokenEndpoint: tokenUrl, fetch })
  const wrapper = new OAuth2Fetch({
    client,
    scheduleRefresh: false,
    getStoredToken: () => ({ accessToken, refreshToken, expiresAt: expiryOf(world) }),
    getNewToken: () => null
  })
  const authorized = wrapper.mw()
  return {
    token: () => wrapper.getAccessToken(),
    request: async () => (await authorized(new Request(apiUrl), fetch)).status
  }
}
