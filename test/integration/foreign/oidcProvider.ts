import { createHash, generateKeyPairSync, randomBytes } from "node:crypto"
import { Cookies, HttpClient, HttpClientRequest } from "@effect/platform"
import { type Clock, Duration, Effect, Ref } from "effect"
import type { Adapter, AdapterPayload, ClientMetadata, Configuration, KoaContextWithOIDC } from "oidc-provider"
import { api, foreign, serve } from "./loopback.js"

const redirectUri = "https://client.test/callback"
const scope = "openid offline_access"

/** A client of the server, and how it says who it is. */
export interface Client {
  readonly clientId: string
  readonly clientSecret?: string
  readonly authentication: "client_secret_basic" | "client_secret_post" | "none"
}

export const clients = {
  // Both parts hold what must be form-urlencoded before Base64 (RFC 6749 §2.3.1).
  basic: {
    clientId: "test:basic client",
    clientSecret: "test-s:cr%t+/=",
    authentication: "client_secret_basic"
  },
  post: { clientId: "test-post", clientSecret: "test-s:cr%t+/=&?", authentication: "client_secret_post" },
  open: { clientId: "test-public", authentication: "none" }
} as const satisfies Record<string, Client>

const registration = ({ authentication, clientId, clientSecret }: Client): ClientMetadata => ({
  client_id: clientId,
  ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
  token_endpoint_auth_method: authentication,
  id_token_signed_response_alg: "ES256",
  redirect_uris: [redirectUri],
  response_types: ["code"],
  grant_types: [
    "authorization_code",
    "refresh_token",
    ...(clientSecret === undefined ? [] : ["client_credentials" as const])
  ]
})

interface Row {
  readonly payload: AdapterPayload
  readonly ends: number
}

/** What the server remembers, all of it: its own store forgets. What has a lifetime ends by the clock given. */
const makeShelf = (clock: Clock.Clock) => {
  const models = new Map<string, Map<string, Row>>()
  const rowsOf = (model: string) => {
    const rows = models.get(model) ?? new Map<string, Row>()
    models.set(model, rows)
    return rows
  }
  const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e9
  const adapter = (model: string): Adapter => {
    const rows = rowsOf(model)
    const read = (id: string) => {
      const row = rows.get(id)
      return row === undefined || row.ends <= now() ? undefined : row.payload
    }
    const search = (found: (payload: AdapterPayload) => boolean) =>
      Array.from(rows.keys(), read).find((payload) => payload !== undefined && found(payload))
    return {
      upsert: async (id, payload, expiresIn) => {
        rows.set(id, { payload, ends: expiresIn === undefined ? Number.POSITIVE_INFINITY : now() + expiresIn })
      },
      find: async (id) => read(id),
      findByUid: async (uid) => search((payload) => payload.uid === uid),
      findByUserCode: async (code) => search((payload) => payload.userCode === code),
      consume: async (id) => {
        const payload = read(id)
        if (payload !== undefined) payload.consumed = Math.floor(clock.unsafeCurrentTimeMillis() / 1000)
      },
      destroy: async (id) => void rows.delete(id),
      revokeByGrantId: async (grantId) => {
        for (const [id, { payload }] of rows) if (payload.grantId === grantId) rows.delete(id)
      }
    }
  }
  return { adapter, rowsOf }
}

/**
 * The library of the server. On Node 20 it warns, as it is loaded, that it wants a later one; the console is silenced for
 * just that moment. All else it might warn about is configured.
 */
const load = foreign(async () => {
  const { warn } = console
  console.warn = () => undefined
  try {
    return (await import("oidc-provider")).default
  } finally {
    console.warn = warn
  }
})

const signingKey = { ...generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" }) }

const formEncoded = (text: string) => new URLSearchParams({ "": text }).toString().slice(1)

/** A form with a client's identity on it, as RFC 6749 §2.3.1 says, put together without the library under test. */
const form = (url: string, client: Client, fields: Record<string, string>) => {
  const { authentication, clientId, clientSecret = "" } = client
  const basic = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString("base64")
  const identity = {
    client_secret_basic: {},
    client_secret_post: { client_id: clientId, client_secret: clientSecret },
    none: { client_id: clientId }
  }[authentication]
  return HttpClientRequest.post(url).pipe(
    HttpClientRequest.setHeaders(authentication === "client_secret_basic" ? { authorization: `Basic ${basic}` } : {}),
    HttpClientRequest.bodyUrlParams({ ...fields, ...identity })
  )
}

/** What the tests read of an answer of a token endpoint. */
export interface TokenResponse {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are inspected field by field
  readonly body: any
}

const query = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString()

/**
 * oidc-provider on the loopback, with refresh tokens that are single-use and a grant that dies when one is used
 * twice, and an API that asks it about each token it is shown.
 *
 * Lifetimes end by the clock of the one who starts it, so that a test's own clock moves server and client alike.
 */
export const make = Effect.fnUntraced(function* (options: { readonly lifetime?: Duration.DurationInput } = {}) {
  const lifetime = Duration.toSeconds(options.lifetime ?? "5 minutes")
  const { answer, origin: issuer } = yield* serve
  const shelf = makeShelf(yield* Effect.clock)
  const Provider = yield* load
  const day = 86_400

  const configuration: Configuration = {
    adapter: shelf.adapter,
    clients: Object.values(clients).map(registration),
    clientAuthMethods: ["client_secret_basic", "client_secret_post", "none"],
    cookies: { keys: ["test-cookie-key"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: async (_, client, token) => token.clientId === client.clientId }
    },
    findAccount: async (_, sub) => ({ accountId: sub, claims: async () => ({ sub }) }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    issueRefreshToken: async () => true,
    jwks: { keys: [{ ...signingKey, kid: "test-key", use: "sig", alg: "ES256" }] },
    renderError: async (ctx, out) => {
      ctx.body = out
    },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: lifetime,
      AuthorizationCode: 60,
      ClientCredentials: lifetime,
      Grant: 14 * day,
      IdToken: 3600,
      Interaction: 3600,
      RefreshToken: 14 * day,
      Session: 14 * day
    }
  }
  const provider = new Provider(issuer, configuration)

  const seen = {
    granted: { authorization_code: 0, client_credentials: 0, refresh_token: 0 } as Record<string, number>,
    refused: [] as Array<string>,
    reused: 0,
    revoked: [] as Array<string>,
    defects: [] as Array<unknown>
  }
  provider.on("grant.success", ({ oidc }) => {
    const grant = String(oidc.params?.grant_type)
    seen.granted[grant] = (seen.granted[grant] ?? 0) + 1
  })
  provider.on("grant.error", (_: KoaContextWithOIDC, { error, error_detail }) => {
    seen.refused.push(error)
    if (error_detail === "refresh token already used") seen.reused++
  })
  provider.on("grant.revoked", (_, grantId) => void seen.revoked.push(grantId))
  provider.on("server_error", (_, error) => void seen.defects.push(error))

  /** The user who signs in and consents at once. */
  const interact = async (...[request, response]: Parameters<ReturnType<typeof provider.callback>>) => {
    const { params } = await provider.interactionDetails(request, response)
    const grant = new provider.Grant({ accountId: "test-account", clientId: String(params.client_id) })
    grant.addOIDCScope(scope)
    const consent = { grantId: await grant.save() }
    await provider.interactionFinished(request, response, { login: { accountId: "test-account" }, consent })
  }
  const respond = provider.callback()
  answer((request, response) => {
    if (!request.url?.startsWith("/interaction/")) return void respond(request, response)
    interact(request, response).catch((error) => {
      seen.defects.push(error)
      response.destroy()
    })
  })

  const isGood = async (token: string) =>
    (await provider.AccessToken.find(token)) !== undefined ||
    (await provider.ClientCredentials.find(token)) !== undefined
  const { baseUrl, log } = yield* api(isGood)

  const tokenEndpoint = `${issuer}/token`

  /** One request to the token endpoint, over plain HTTP. */
  const request = Effect.fnUntraced(function* (client: Client, fields: Record<string, string>) {
    const bare = yield* HttpClient.HttpClient
    const response = yield* Effect.orDie(bare.execute(form(tokenEndpoint, client, fields)))
    const answer: TokenResponse = { status: response.status, body: yield* Effect.orDie(response.json) }
    return answer
  })

  /** The code flow with PKCE (RFC 7636), as a browser goes through it. */
  const signIn = Effect.fnUntraced(function* (client: Client) {
    const jar = yield* Ref.make(Cookies.empty)
    const browser = HttpClient.withCookiesRef(yield* HttpClient.HttpClient, jar)
    const verifier = randomBytes(32).toString("base64url")
    const follow = (url: string): Effect.Effect<URLSearchParams> =>
      Effect.flatMap(Effect.orDie(browser.get(url)), ({ headers, status }) => {
        const next = new URL(headers.location ?? "", url)
        if (headers.location === undefined) return Effect.dieMessage(`no redirect from ${url}: ${status}`)
        return next.href.startsWith(redirectUri) ? Effect.succeed(next.searchParams) : follow(next.href)
      })
    const parameters = yield* follow(
      `${issuer}/auth?${query({
        client_id: client.clientId,
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
        prompt: "consent",
        redirect_uri: redirectUri,
        response_type: "code",
        scope
      })}`
    )
    const { body, status } = yield* request(client, {
      grant_type: "authorization_code",
      code: parameters.get("code") ?? "",
      code_verifier: verifier,
      redirect_uri: redirectUri
    })
    if (status !== 200) return yield* Effect.dieMessage(`no tokens: ${status} ${JSON.stringify(body)}`)
    const accessToken: string = body.access_token
    const refreshToken: string = body.refresh_token
    const { grantId = "" } = (yield* foreign(() => provider.RefreshToken.find(refreshToken))) ?? {}
    return { accessToken, refreshToken, grantId, expiresIn: Number(body.expires_in) }
  })

  return {
    issuer,
    tokenEndpoint,
    revocationEndpoint: `${issuer}/token/revocation`,
    baseUrl,
    log,
    seen,
    request,
    refresh: (client: Client, refreshToken: string) =>
      request(client, { grant_type: "refresh_token", refresh_token: refreshToken }),
    signIn,
    /** Whether a grant is still in force. */
    isAlive: (grantId: string) =>
      Effect.map(
        foreign(() => provider.Grant.find(grantId)),
        (grant) => grant !== undefined
      ),
    /** What the API would answer to a token. */
    check: (accessToken: string) =>
      Effect.map(
        foreign(() => isGood(accessToken)),
        (good) => (good ? 200 : 401)
      ),
    /** The refresh tokens that were not used yet. */
    refreshTokens: () =>
      Array.from(shelf.rowsOf("RefreshToken")).flatMap(([id, { payload }]) => (payload.consumed ? [] : [id])),
    /** Forgets every access token, as a server does whose keys were changed: each is refused from now on. */
    forgetAccessTokens: Effect.sync(() => shelf.rowsOf("AccessToken").clear())
  }
})

export type OidcProvider = Effect.Effect.Success<ReturnType<typeof make>>
