import { doesIdentityRequireRefresh, isIdentityExpired, memoizeIdentityProvider } from "@smithy/core"
import { accessToken, endOf, exchange, type Make, refreshToken } from "./Peer.js"

export const smithy: Make = (world) => {
  let tokens = { access_token: accessToken, refresh_token: refreshToken }
  let first = world.lifetime === "fresh"
  const identity = memoizeIdentityProvider(
    async () => {
      if (first) {
        first = false
        return { token: tokens.access_token, expiration: new Date(endOf(world)) }
      }
      const answer = await exchange(world, tokens.refresh_token)
      tokens = answer
      return { token: answer.access_token, expiration: new Date(Date.now() + answer.expires_in * 1000) }
    },
    isIdentityExpired,
    doesIdentityRequireRefresh
  )
  return { token: async () => (await identity?.({}))?.token ?? "" }
}
