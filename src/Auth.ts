/**
 * Builds a session, its renewal and its authorized client from one provider.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AuthHttpClient from "./client/AuthHttpClient.js"
import type { Misconfigured } from "./common/AuthError.js"
import * as Valid from "./common/validate.js"
import * as AuthProvider from "./provider/AuthProvider.js"
import type { Credentials } from "./provider/Credentials.js"
import * as Renewal from "./renewal/Renewal.js"
import * as Session from "./session/Session.js"
import * as Key from "./store/key.js"
import * as TokenStore from "./store/TokenStore.js"

/**
 * The services that one layer provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = Session.Session | Renewal.Renewal | AuthHttpClient.AuthHttpClient

/**
 * The options of a session and of its renewal.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never, R = never> extends Omit<Session.Options, "key"> {
  /**
   * The mode of renewal. `"background"` renews tokens before a caller has to wait, with a fiber that lives as long as
   * the layer. `"on-use"` renews a stale token when it is used, and starts no fiber that would keep the process alive.
   * Default: `"background"`.
   */
  readonly renewal?: "background" | "on-use" | undefined
  /**
   * The location of the token set in a store. `TokenStore.at("alice")` is the key `alice` in the `TokenStore` of the
   * context. Sessions with the same provider name, base URL, scopes and key share their tokens, in this process and in
   * others. Default: a store in memory for this layer alone, so that each start of the process logs in again.
   */
  readonly store?: Effect.Effect<TokenStore.Location, E, R> | undefined
}

/**
 * A layer of a session, its renewal and its authorized client. It needs `Credentials`, an `HttpClient` and what its
 * provider and store need (`R`). It fails with `Misconfigured`, or as its provider and store do (`E`).
 *
 * @since 0.1.0
 * @category models
 */
export type AuthLayer<E = never, R = never> = Layer.Layer<
  Services,
  E | Misconfigured,
  Exclude<R, Scope.Scope> | Credentials | HttpClient.HttpClient
>

/**
 * Makes a layer of a session, its renewal and its authorized client.
 *
 * Each call makes its own session, even if it is called twice with the same provider. All such layers provide the same
 * tags: an application of several APIs wraps each in a service of its own.
 *
 * Fails with `Misconfigured`, which names the option, and as `provider` and `options.store` do.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R, E2 = never, R2 = never>(
  provider: Effect.Effect<AuthProvider.Service, E, R>,
  options: Options<E2, R2> = {}
): AuthLayer<E | E2, R | R2> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const { renewal: mode = "background", store = inMemory, ...sessionOptions } = options
      yield* Valid.oneOf("renewal", mode, ["background", "on-use"])
      const protocol = yield* provider
      const renewal: Renewal.Service = mode === "background" ? yield* Renewal.make : { watch: () => Effect.void }
      const location = yield* store
      const key = Key.identity(protocol, yield* Valid.nonEmpty("store", location.key))
      const session = yield* Session.make({ ...sessionOptions, key }).pipe(
        Effect.provideService(AuthProvider.AuthProvider, protocol),
        Effect.provideService(TokenStore.TokenStore, location.store)
      )
      yield* renewal.watch(session)
      const client = yield* AuthHttpClient.make.pipe(
        Effect.provideService(AuthProvider.AuthProvider, protocol),
        Effect.provideService(Session.Session, session)
      )
      return Context.make(Session.Session, session).pipe(
        Context.add(Renewal.Renewal, renewal),
        Context.add(AuthHttpClient.AuthHttpClient, client)
      )
    })
  )

const inMemory: Effect.Effect<TokenStore.Location> = Effect.map(TokenStore.makeMemory, (store) => ({
  store,
  key: "own"
}))
