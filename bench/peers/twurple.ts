import { RefreshingAuthProvider } from "@twurple/auth"
import { accessToken, expiryOf, type Make, refreshToken } from "./Peer.js"

/** An environment variable of the library moves its endpoint to loopback. */
export const twurple: Make = (world) => {
  process.env.TWURPLE_MOCK_API_PORT = new URL(world.address).port
  const provider = new RefreshingAuthProvider({ clientId: "bench", clientSecret: "test-secret" })
  const expiresIn = 3600
  provider.addUser("alice", {
    accessToken,
    refreshToken,
    expiresIn,
    obtainmentTimestamp: expiryOf(world) - expiresIn * 1000,
    scope: []
  })
  return { token: async () => (await provider.getAccessTokenForUser("alice"))?.accessToken ?? "" }
}
