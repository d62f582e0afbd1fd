/**
 * A map of sessions: one for each merchant, account or user of a backend. A session opens when its key is first used,
 * and closes when it was not used for a while.
 *
 * Each session has its own credentials, record in the store, token request, cool-down and renewal, so that one
 * account's slow or failing endpoint never delays another. One fiber renews them all.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AuthHttpClient from "../client/AuthHttpClient.js"
import { makeWith } from "../client/authorizedRequest.js"
import type { AuthError, Misconfigured } from "../common/AuthError.js"
import { longest } from "../common/duration.js"
import { provideOnly } from "../common/runtime.js"
import * as Valid from "../common/validate.js"
import type * as AuthProvider from "../provider/AuthProvider.js"
import type * as Credentials from "../provider/Credentials.js"
import * as Renewer from "../renewal/renewer.js"
import * as Decision from "../session/machine/decision.js"
import type * as Status from "../session/machine/Status.js"
import * as Tokens from "../session/machine/tokens.js"
import * as Callers from "../session/runtime/callers.js"
import * as Engine from "../session/runtime/engine.js"
import type * as Session from "../session/Session.js"
import * as Key from "../store/key.js"
import * as TokenStore from "../store/TokenStore.js"
import type * as Token from "../token/Token.js"
import * as Registry from "./registry.js"
import { scheduledBy } from "./tenant.js"

/**
 * The tenant of a key: whose session it is, and at which API.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tenant {
  /** The provider of the API. Make one for all tenants of the same API, outside of `lookup`. */
  readonly provider: AuthProvider.Service
  /**
   * The name of the account at that API, without a secret in it. Together with the provider's name, base URL and scopes
   * it is the key in the store: two tenants that agree in all of these share their tokens. Must not be empty.
   */
  readonly account: string
  /**
   * The name of the tenant in metrics, spans and logs. Each value adds metric series that last as long as the process,
   * so leave it out if there are thousands. Default: no name.
   */
  readonly label?: string | undefined
  /** Reads the credentials, again at each login. Default: none, as for a provider that signs in as itself. */
  readonly credentials?: Effect.Effect<Credentials.UserPassword, AuthError> | undefined
  /** The tokens to start from if the store has none. A set without a usable token is `Misconfigured`. Default: none. */
  readonly seed?: Token.TokenSet | undefined
}

/**
 * The options of a map, which its sessions share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<in K, out E = never, out R = never, out E2 = never, out R2 = never>
  extends Omit<Session.Options, "key" | "label" | "seed"> {
  /**
   * Finds the tenant of a key. It runs once when a session opens, however many callers wait, and for at most `timeout`.
   *
   * Its failure reaches those callers and is not remembered. A defect in it is a `Misconfigured` of the field `lookup`,
   * and a timeout is a `NetworkFailure` of the provider `lookup`.
   */
  readonly lookup: (key: K) => Effect.Effect<Tenant, E, R>
  /**
   * The time a session stays open after its last use. The next use opens it again from the store. A session stays open
   * longer during a token request or a cool-down, while its tokens could not be saved, and while its `changes` are
   * read. `Duration.infinity` closes none. Default: 15 minutes.
   */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /**
   * The mode of renewal. `"background"` renews the tokens of all open sessions before a caller has to wait; `"on-use"`
   * renews a stale token when it is used. Default: `"background"`.
   */
  readonly renewal?: "background" | "on-use" | undefined
  /**
   * The store of all token sets: `TokenStore.TokenStore` is the one in the context. `TokenStore.at` does not fit here,
   * because the keys in the store come from the tenants. Default: a store in memory, which lasts as long as the map and
   * also has the tokens of closed sessions.
   */
  readonly store?: Effect.Effect<TokenStore.Service, E2, R2> | undefined
}

/**
 * A map of sessions by key. `E` is the failure of `lookup`.
 *
 * A key without an open session opens one when it is used, also to read its `status`; that may fail as `lookup` does. Keys
 * are compared as Effect compares values: strings, numbers and `Data` by value, plain objects by identity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service<in out K, in out E = never> {
  /**
   * Returns a valid access token of a key: the same as `session(key).accessToken`, with less overhead. Fails as that
   * does, and as `lookup` does.
   */
  readonly accessToken: (key: K) => Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Returns the session of a key as a handle. The handle holds no resources and is valid for as long as the map: each
   * use of it finds or opens the session of its key.
   */
  readonly session: (key: K) => Session.Service<AuthError | E>
  /**
   * Returns the authorized client of a key. It holds no resources either.
   *
   * A request carries a token of the tenant for which it was built (law 23). If the key gets another tenant before the
   * request was sent, the request is built again for that tenant.
   */
  readonly client: (key: K) => AuthHttpClient.Service<E>
  /**
   * Closes the session of a key whose tenant is gone or has changed. Waits for its token request under way, for
   * at most `shutdownDeadline`, and saves what is unsaved. Its callers, and the next use, look the key up again. The session
   * closes even if this is interrupted. Does nothing for a key without an open session.
   */
  readonly invalidate: (key: K) => Effect.Effect<void>
  /**
   * Returns the keys of the open sessions with the status of each. Opens no session, and does not count as a use of
   * one.
   */
  readonly statuses: Effect.Effect<ReadonlyArray<readonly [key: K, status: Status.Status]>>
}

/**
 * Makes an empty map. Its sessions live as long as its scope. Closing the scope waits for token requests under way, for
 * at most `shutdownDeadline`. Fails with `Misconfigured`, which names the option, and as `options.store` does.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Effect, Redacted } from "effect"
 * import { SessionMap, Violet } from "effect-auth"
 *
 * const passwords: Record<string, string> = { acme: "test-password-1", globex: "test-password-2" }
 *
 * const program = Effect.gen(function* () {
 *   // One provider for all merchants: it holds the application's own identity at Violet.
 *   const provider = yield* Violet.make({ appId: 1234, appSecret: Redacted.make("test-app-secret") })
 *   const merchants = yield* SessionMap.make({
 *     lookup: (merchant: string) => {
 *       const password = passwords[merchant]
 *       return password === undefined
 *         ? Effect.fail("unknown merchant" as const)
 *         : Effect.succeed({
 *             provider,
 *             account: merchant,
 *             credentials: Effect.succeed({ username: Redacted.make(merchant), password: Redacted.make(password) })
 *           })
 *     }
 *   })
 *   const response = yield* merchants.client("acme").get("/merchants")
 *   return yield* response.json
 * }).pipe(Effect.scoped, Effect.provide(NodeHttpClient.layerUndici))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K, E = never, R = never, E2 = never, R2 = never>(
  options: Options<K, E, R, E2, R2>
): Effect.Effect<Service<K, E>, Misconfigured | E2, R | R2 | HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function* () {
    const mode = yield* Valid.oneOf("renewal", options.renewal ?? "background", ["background", "on-use"])
    const ttl = yield* Valid.positive("idleTimeToLive", options.idleTimeToLive ?? "15 minutes")
    const idleTimeToLive = Duration.lessThan(ttl, longest) ? Duration.toMillis(ttl) : Infinity
    const store: Effect.Effect<TokenStore.Service, E2, R2> = options.store ?? TokenStore.makeMemory
    const bare = yield* HttpClient.HttpClient
    const context = yield* Effect.context<R>()
    const background = mode === "background"
    const renewer: Renewer.Renewer =
      background || idleTimeToLive < Infinity ? yield* Renewer.make : { schedule: () => Effect.void }
    const config = yield* Effect.provideServiceEffect(
      Engine.makeConfig(options, scheduledBy(renewer)),
      TokenStore.TokenStore,
      store
    )
    const lookup = (key: K) => provideOnly(Effect.flatMap(options.lookup(key), sessionParts), context)
    const registry = yield* Registry.make<K, E>({ config, lookup, idleTimeToLive, background, renewer })
    const { accessToken, openSessions, find, invalidate, logout, use } = registry

    // A session that opened after the token was read does not know yet whether that token is the current one (law 10).
    const reject = (
      engine: Engine.Engine,
      token: Token.AccessToken,
      options?: { readonly retried?: boolean | undefined }
    ) => {
      const { current, loaded } = engine.snapshot.state
      const rejected = Effect.suspend(() =>
        Callers.obtain(engine, Callers.afterRejection(token, options?.retried === true))
      )
      return current !== undefined || loaded
        ? rejected
        : Effect.zipRight(Effect.ignore(Callers.obtain(engine, Callers.anyToken)), rejected)
    }

    const session = (key: K): Session.Service<AuthError | E> => ({
      accessToken: accessToken(key),
      refresh: use(key, (engine) => Callers.obtain(engine, Decision.newer)),
      reject: (token, options) => use(key, (engine) => reject(engine, token, options)),
      login: use(key, Callers.login),
      adopt: (tokens) => use(key, (engine) => Callers.adopt(engine, tokens)),
      logout: logout(key),
      status: use(key, Engine.status),
      changes: Stream.unwrap(Effect.map(find(key), Engine.changes))
    })

    return {
      // Not the function itself, to which `Effect.forEach(keys, …)` would pass an index as well.
      accessToken: (key) => accessToken(key),
      session,
      client: (key) => {
        const handle = session(key)
        // Law 23: a request that was built for one account carries the tokens of that account only, even if the key has
        // another one by now.
        const account = Effect.map(find(key), (engine) => ({
          provider: engine.provider,
          session: {
            ...handle,
            accessToken: accessToken(key, engine),
            reject: ((token, options) =>
              use(key, (current) =>
                Registry.isSameAccount(current, engine) ? reject(current, token, options) : Effect.succeed(token)
              )) satisfies typeof handle.reject
          }
        }))
        const client = makeWith<AuthError | E>(account, bare)
        return HttpClient.retry(client, { while: (error) => error === Registry.tenantChanged })
      },
      invalidate,
      statuses: Effect.flatMap(openSessions, (all) =>
        Effect.forEach(all, ([key, engine]) => Effect.map(Engine.status(engine), (status) => [key, status] as const))
      )
    }
  })

/** Makes the parts of a tenant's session. Fails with `Misconfigured` for the first field that is wrong. */
const sessionParts = Effect.fnUntraced(function* ({ account, credentials, label, provider, seed }: Tenant) {
  yield* Valid.nonEmpty("account", account)
  if (seed !== undefined && !Tokens.isSendable(seed)) return yield* Callers.unsendable("seed")
  const read = credentials === undefined ? noCredentials : { read: Effect.asSome(credentials) }
  return { provider, credentials: read, key: Key.identity(provider, account), label, seed }
})

/** One service for all tenants without credentials, because there may be very many of them. */
const noCredentials: Credentials.Service = { read: Effect.succeedNone }

/**
 * Makes a layer of a map, under a tag of the application. Two maps need two tags. Fails as `make` does.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Redacted } from "effect"
 * import { SessionMap, Violet } from "effect-auth"
 *
 * class Merchants extends Context.Tag("app/Merchants")<Merchants, SessionMap.Service<string>>() {}
 *
 * const merchants = Layer.unwrapEffect(
 *   Effect.gen(function* () {
 *     const provider = yield* Violet.make({ appId: 1234, appSecret: Redacted.make("test-app-secret") })
 *     // The sessions start from what the store has, or from `adopt`.
 *     return SessionMap.layer(Merchants, { lookup: (merchant) => Effect.succeed({ provider, account: merchant }) })
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <I, K, E = never, R = never, E2 = never, R2 = never>(
  tag: Context.Tag<I, Service<K, E>>,
  options: Options<K, E, R, E2, R2>
): Layer.Layer<I, Misconfigured | E2, Exclude<R | R2, Scope.Scope> | HttpClient.HttpClient> =>
  Layer.scoped(tag, make(options))
