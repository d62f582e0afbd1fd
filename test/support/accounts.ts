import { HttpClient, HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { Effect, Either } from "effect"
import type * as OAuth2Sandbox from "../../src/testing/OAuth2Sandbox.js"

/** The header in which a request to the API says whose it is. */
export const whose = "x-tenant"

/**
 * Many accounts at a sandbox that knows one: what stands before it lets each in by a password of its own, and remembers
 * whose every token is.
 */
export const accounts = (sandbox: OAuth2Sandbox.Service) => {
  const owners = new Map<string, string>()
  /** What no one should see: a token in another's hands. */
  const crossed: Array<string> = []

  const parse = (text: string) => Either.getOrUndefined(Either.try(() => JSON.parse(text) as Record<string, unknown>))

  const tokenRequest = (request: HttpClientRequest.HttpClientRequest, form: URLSearchParams) =>
    Effect.gen(function* () {
      const owner = form.get("username") ?? owners.get(form.get("refresh_token") ?? "")
      if (owner === undefined) crossed.push("a refresh token of no one")
      if (form.has("username")) {
        if (form.get("password") !== passwordOf(owner ?? "")) crossed.push(`${owner} with another's password`)
        form.set("username", "test-user@example.com")
        form.set("password", "test-password")
      }
      const sent = HttpClientRequest.bodyUrlParams(request, form)
      const response = yield* sandbox.client.execute(sent)
      const text = yield* Effect.either(response.text)
      const body = Either.isLeft(text) ? broken() : text.right
      const fields = Either.isRight(text) ? parse(text.right) : undefined
      for (const token of [fields?.access_token, fields?.refresh_token]) {
        if (typeof token === "string" && owner !== undefined) owners.set(token, owner)
      }
      return HttpClientResponse.fromWeb(
        request,
        new Response(body, { status: response.status, headers: response.headers })
      )
    })

  const client = HttpClient.make((request, url) => {
    if (url.pathname === "/token" && request.body._tag === "Uint8Array") {
      return tokenRequest(request, new URLSearchParams(new TextDecoder().decode(request.body.body)))
    }
    const token = request.headers.authorization?.replace(/^Bearer /, "")
    const owner = request.headers[whose]
    if (owner !== undefined && owners.get(token ?? "") !== owner) crossed.push(`${owner} as ${owners.get(token ?? "")}`)
    return sandbox.client.execute(request)
  })

  return { client, crossed, owners }
}

export const passwordOf = (account: string) => `test-password-of-${account}`

/** A body that breaks off. */
const broken = () => new ReadableStream({ start: (controller) => controller.error(new Error("broken off")) })
