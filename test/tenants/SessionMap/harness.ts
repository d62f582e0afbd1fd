import { HttpClient, HttpClientResponse } from "@effect/platform"
import { Data, Effect, Option } from "effect"
import * as SessionMap from "../../../src/tenants/SessionMap.js"
import type * as Token from "../../../src/token/Token.js"
import { provider, type Scripted, secret, user, value } from "../../support/harness.js"

export const bare = HttpClient.make((request) =>
  Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers.authorization ?? "none")))
)

/** A provider whose tokens name it, and which puts them on requests. */
export const named = (name: string, options: Parameters<typeof provider>[0] = {}): Scripted => {
  const made = provider(options)
  const mark = <A extends Token.TokenSet>(tokens: A) => ({
    ...tokens,
    accessToken: Option.map(tokens.accessToken, (token) => secret(`${name}-${value(token)}`))
  })
  const { service } = made
  return {
    ...made,
    // Read again each time: to spread it reads it once.
    get presented() {
      return made.presented
    },
    get revoked() {
      return made.revoked
    },
    service: {
      ...service,
      name,
      login: (credentials) => Option.map(service.login(credentials), Effect.map(mark)),
      refresh: (tokens) => Effect.map(service.refresh(tokens), mark),
      authorize: (request, token) =>
        ({ ...request, headers: { ...request.headers, authorization: value(token) } }) as never
    }
  }
}

export class Unknown extends Data.TaggedError("Unknown")<{ readonly key: string }> {}

/** A map of tenants, each with a provider of its own, made when it is looked up first. */
export const tenants = Effect.fnUntraced(function* (
  options: Partial<SessionMap.Options<string, Unknown>> & {
    readonly provider?: Parameters<typeof provider>[0]
    /** What happens in a lookup before it answers, the n-th of all. */
    readonly before?: (key: string, nth: number) => Effect.Effect<void, Unknown>
  } = {}
) {
  const providers = new Map<string, Scripted>()
  const lookups: Array<string> = []
  const of = (key: string) => {
    const made = providers.get(key) ?? named(key, options.provider)
    providers.set(key, made)
    return made
  }
  const map = yield* SessionMap.make<string, Unknown>({
    shutdownDeadline: 0,
    lookup: (key) =>
      Effect.suspend(() => {
        lookups.push(key)
        return Effect.as(options.before?.(key, lookups.length) ?? Effect.void, {
          provider: of(key).service,
          account: "account",
          credentials: Effect.succeed(user)
        })
      }),
    ...options
  }).pipe(Effect.provideService(HttpClient.HttpClient, bare))
  return { map, of, lookups }
})

export const open = (map: SessionMap.Service<string, Unknown>) =>
  Effect.map(map.statuses, (all) => all.map(([key]) => key).sort())

/** Lets whatever can run without the clock run. */
export const flush = Effect.repeatN(Effect.yieldNow(), 50)
