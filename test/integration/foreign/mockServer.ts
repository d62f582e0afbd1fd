import { createPublicKey } from "node:crypto"
import { Effect } from "effect"
import Jwt from "jsonwebtoken"
import { type MutableResponse, OAuth2Issuer, OAuth2Service, type TokenRequestIncomingMessage } from "oauth2-mock-server"
import { api, foreign, serve } from "./loopback.js"

/** A request that reached the token endpoint. */
export interface TokenRequest {
  readonly fields: Readonly<Record<string, unknown>>
  readonly authorization: string | undefined
}

/**
 * oauth2-mock-server on the loopback, and an API that verifies the tokens with the server's public key.
 *
 * The server answers everyone who asks; it is for the shape of its answers that it is asked. `change` may alter each.
 */
export const make = Effect.gen(function* () {
  const { answer, origin: issuer } = yield* serve
  const service = new OAuth2Service(new OAuth2Issuer())
  service.issuer.url = issuer
  yield* foreign(() => service.issuer.keys.generate("ES256"))

  const requests: Array<TokenRequest> = []
  let change: (response: MutableResponse) => void = () => undefined
  service.on("beforeResponse", (response: MutableResponse, { body, headers }: TokenRequestIncomingMessage) => {
    requests.push({ fields: { ...body }, authorization: headers.authorization })
    change(response)
  })
  answer(service.requestHandler)

  const [jwk = {}] = service.issuer.keys.toJSON()
  const key = createPublicKey({ key: { ...jwk }, format: "jwk" })
  const { baseUrl, log } = yield* api(
    (token) => new Promise((resolve) => Jwt.verify(token, key, { issuer }, (error) => resolve(error === null)))
  )
  return {
    issuer,
    tokenEndpoint: `${issuer}/token`,
    baseUrl,
    log,
    requests,
    change: (how: (response: MutableResponse) => void) => {
      change = how
    }
  }
})
