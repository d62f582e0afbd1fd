/**
 * One session for each key: for each merchant, account or user of a backend. They come when they are first used, go when
 * nobody uses them, and are found as fast as in a `Map`.
 *
 * Each has its own credentials, record in the store, exchange, cool-down and renewal, so that one account's slow or
 * failing endpoint never delays another. One fiber renews them all.
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
 * Who stands behind a key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tenant {
  /** The API. Make one provider for all tenants that have the same, outside of `lookup`. */
  readonly provider: AuthProvider.Service
  /**
   * Whose tokens they are at that API: a name without a secret in it. Together with the provider's name, its base URL and
   * its scopes it says where they rest in the store; two keys that agree in all of these share their tokens.
   */
  readonly account: string
  /**
   * Names the tenant in metrics, spans and logs. Each value adds metrics that stay as long as the process, so leave it out
   * for thousands. Default: no name.
   */
  readonly label?: string | undefined
  /** Read anew at each log in. Default: nothing to log in with. */
  readonly credentials?: Effect.Effect<Credentials.UserPassword, AuthError> | undefined
  /** Tokens to start from if the store keeps nothing. */
  readonly seed?: Token.TokenSet | undefined
}

/**
 * How the sessions of a map come, behave and go.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<in K, out E = never, out R = never, out E2 = never, out R2 = never>
  extends Omit<Session.Options, "key" | "label" | "seed"> {
  /**
   * Finds out who stands behind a key. It runs once when a session is opened, however many callers wait, for as long as
   * `timeout` at most. Its failure reaches those callers, and is not remembered; a defect is a `Misconfigured` of the field
   * `lookup`, and too long a time a `NetworkFailure` of the provider `lookup`.
   */
  readonly lookup: (key: K) => Effect.Effect<Tenant, E, R>
  /**
   * How long after its last use a session is let go, to be loaded again from the store when it is used next. It stays for
   * as long as something is known of it that the store does not keep: an exchange under way, a set that could not be
   * saved, a cool-down. `Duration.infinity` keeps all alive. Default: 15 minutes.
   */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /**
   * `"background"` renews the tokens of all open sessions, also of those that nobody uses just now; `"on-use"` renews a
   * stale token when it is used. Default: `"background"`.
   */
  readonly renewal?: "background" | "on-use" | undefined
  /**
   * Where the token sets rest: `TokenStore.TokenStore`, say, which is the store of the context (not `TokenStore.at`: the
   * places in it are named by the tenants). Default: in memory, where
   * what rests stays as long as the map, also while its session is not open.
   */
  readonly store?: Effect.Effect<TokenStore.Service, E2, R2> | undefined
}

/**
 * Sessions by key. Whatever is asked of a key that has no session yet, its `status` too, opens one, and may fail as
 * `lookup` does. Keys are compared as Effect compares values: text, numbers and `Data` by what they are, plain objects by
 * identity.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service<in out K, in out E = never> {
  /** The valid token of a key: `session(key).accessToken`, without anything in between. */
  readonly accessToken: (key: K) => Effect.Effect<Token.AccessToken, AuthError | E>
  /** A handle of a key's session. It holds nothing, and stays good when the session goes and comes again. */
  readonly session: (key: K) => Session.Service<AuthError | E>
  /**
   * The authorized client of a key. It holds nothing either. A request goes to the API that the key stood for when it was
   * made out, with a token of that API; if the key has moved to another before anything was sent, it is made out anew.
   */
  readonly client: (key: K) => AuthHttpClient.Service<E>
  /**
   * Closes the session of a key, when its tenant is gone or changed: what is under way is waited for, what is not saved is
   * saved. Its callers, and the next use, look the key up anew. Goes on when it is interrupted; does nothing for a key
   * that has no session.
   */
  readonly invalidate: (key: K) => Effect.Effect<void>
  /** The keys of the sessions that are open, and how those are. Counts as no use. */
  readonly statuses: Effect.Effect<ReadonlyArray<readonly [key: K, status: Status.Status]>>
}

/**
 * Makes an empty map. Its sessions live as long as its scope, which waits for what is under way, and for no longer than
 * `shutdownDeadline`. Fails with `Misconfigured`, which names the option.
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
    const { accessToken, entries, find, invalidate, logout, use } = registry

    // A session that was loaded after the token was read cannot say yet whether that token is the current one (law 10).
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
        // Law 23: a request that was made for one API carries its tokens and no others, even if the key has another
        // account by now.
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
      statuses: Effect.flatMap(entries, (all) =>
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
 * A map that lives as long as the layer, under a tag of the application's own:
 * `class Merchants extends Context.Tag("app/Merchants")<Merchants, SessionMap.Service<string>>() {}`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <I, K, E = never, R = never, E2 = never, R2 = never>(
  tag: Context.Tag<I, Service<K, E>>,
  options: Options<K, E, R, E2, R2>
): Layer.Layer<I, Misconfigured | E2, Exclude<R | R2, Scope.Scope> | HttpClient.HttpClient> =>
  Layer.scoped(tag, make(options))
