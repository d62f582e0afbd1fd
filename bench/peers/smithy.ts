import { doesIdentityRequireRefresh, isIdentityExpired, memoizeIdentityProvider } from "@smithy/core"
import { accessToken, expiryOf, type Make, refresh, refreshToken } from "./Peer.js"

export const smithy: Make = (world) => {
  let tokens = { access_token: accessToken, refresh_token: refreshToken }
  let first = world.lifetime === "fresh"
  const identity = memoizeIdentityProvider(
    async () => {
      if (first) {
        first = false
        return { token: tokens.access_token, expiration: new Date(expiryOf(world)) }
      }
      const fields = await refresh(world, tokens.refresh_token)
      tokens = fields
      return { token: fields.access_token, expiration: new Date(Date.now() + fields.expires_in * 1000) }
    },
    isIdentityExpired,
    doesIdentityRequireRefresh
  )
  return { token: async () => (await identity?.({}))?.token ?? "" }
}
