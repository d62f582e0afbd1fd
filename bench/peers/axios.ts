import axios, { AxiosError, type AxiosResponse } from "axios"
import { createAuthRefresh } from "axios-auth-refresh"
import { accessToken, apiUrl, type Make, refresh, refreshToken } from "./Peer.js"

/** The interceptor does not know when a token expires. It refreshes after a 401. */
export const axiosAuthRefresh: Make = (world) => {
  let tokens = { access_token: accessToken, refresh_token: refreshToken }
  const instance = axios.create({
    adapter: async (config) => {
      const authorization = config.headers.get("authorization")
      const { body, status } = await world.send({
        url: config.url ?? "",
        authorization: typeof authorization === "string" ? authorization : undefined,
        body: ""
      })
      const response: AxiosResponse = { data: body, status, statusText: "", headers: {}, config }
      if (status < 400) return response
      throw new AxiosError("rejected", AxiosError.ERR_BAD_REQUEST, config, undefined, response)
    }
  })
  instance.interceptors.request.use((config) => {
    config.headers.set("authorization", `Bearer ${tokens.access_token}`)
    return config
  })
  // Its types are those of the other module format.
  createAuthRefresh(instance as never, async () => {
    tokens = await refresh(world, tokens.refresh_token)
  })
  return { request: async () => (await instance.get(apiUrl)).status }
}
