import { AuthorizationCode } from "simple-oauth2"
import { accessToken, expiryOf, type Make, refreshToken } from "./Peer.js"

/** The application has to ask whether a token has expired. */
export const simpleOAuth2: Make = (world) => {
  const client = new AuthorizationCode({
    client: { id: "bench", secret: "test-secret" },
    auth: { tokenHost: world.address, tokenPath: "/token" }
  })
  let token = client.createToken({
    access_token: accessToken,
    refresh_token: refreshToken,
    expires_at: new Date(expiryOf(world)).toISOString()
  })
  return {
    token: async () => {
      if (token.expired(300)) token = await token.refresh()
      return String(token.token.access_token)
    }
  }
}
