import { RefreshingAuthProvider } from "@twurple/auth"
import { accessToken, endOf, type Make, refreshToken } from "./Peer.js"

/** Its endpoint is moved to loopback by an environment variable of its own. */
export const twurple: Make = (world) => {
  process.env.TWURPLE_MOCK_API_PORT = new URL(world.address).port
  const provider = new RefreshingAuthProvider({ clientId: "bench", clientSecret: "test-secret" })
  const expiresIn = 3600
  provider.addUser("alice", {
    accessToken,
    refreshToken,
    expiresIn,
    obtainmentTimestamp: endOf(world) - expiresIn * 1000,
    scope: []
  })
  return { token: async () => (await provider.getAccessTokenForUser("alice"))?.accessToken ?? "" }
}
