import {
  bearerTokenAuthenticationPolicy,
  createEmptyPipeline,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type HttpClient,
  type Pipeline
} from "@azure/core-rest-pipeline"
import { accessToken, apiUrl, expiryOf, type Make, type Peer, refresh, refreshToken, type World } from "./Peer.js"

const peerOf = (pipeline: Pipeline, world: World): Peer => {
  let tokens = { access_token: accessToken, refresh_token: refreshToken, expiresOnTimestamp: expiryOf(world) }
  let first = true
  pipeline.addPolicy(
    bearerTokenAuthenticationPolicy({
      scopes: "orders",
      credential: {
        getToken: async () => {
          if (!first || world.lifetime === "expired") {
            const fields = await refresh(world, tokens.refresh_token)
            tokens = { ...fields, expiresOnTimestamp: Date.now() + fields.expires_in * 1000 }
          }
          first = false
          return { token: tokens.access_token, expiresOnTimestamp: tokens.expiresOnTimestamp }
        }
      },
      challengeCallbacks: {
        authorizeRequestOnChallenge: async ({ getAccessToken, request, scopes }) => {
          const token = await getAccessToken(scopes, { claims: "{}" })
          if (token === null) return false
          request.headers.set("Authorization", `Bearer ${token.token}`)
          return true
        }
      }
    })
  )
  const challenge = createHttpHeaders({ "www-authenticate": 'Bearer error="invalid_token"' })
  const none = createHttpHeaders()
  const transport: HttpClient = {
    sendRequest: async (request) => {
      const authorization = request.headers.get("authorization")
      const { body, status } = await world.send({ url: request.url, authorization, body: "" })
      return { request, status, headers: status === 401 ? challenge : none, bodyAsText: body }
    }
  }
  return {
    request: async () => (await pipeline.sendRequest(transport, createPipelineRequest({ url: apiUrl }))).status
  }
}

/** The pipeline of the clients that are built on it, with retries, redirects, a log and a user agent. */
export const azure: Make = (world) => peerOf(createPipelineFromOptions({}), world)

/** The authorizing policy alone. */
export const azureBare: Make = (world) => peerOf(createEmptyPipeline(), world)
