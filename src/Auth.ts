/**
 * The wiring: one provider in, a signed-in client out.
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
 * What one layer provides.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = Session.Session | Renewal.Renewal | AuthHttpClient.AuthHttpClient

/**
 * How a session behaves, and who renews it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never, R = never> extends Omit<Session.Options, "key"> {
  /**
   * `"background"` renews before anyone has to wait, with a fiber that lives as long as the layer. `"on-use"` starts no
   * fiber, so that nothing keeps the process alive: a stale token is renewed when it is used. Default: `"background"`.
   */
  readonly renewal?: "background" | "on-use" | undefined
  /**
   * Where the token set rests. `TokenStore.at("alice")` is the place called `alice` in the `TokenStore` of the context;
   * sessions with the same provider, base URL and place share their tokens, in this process and in others. Default: in
   * memory, a store of this layer's own, so that a process that starts anew logs in anew.
   */
  readonly store?: Effect.Effect<TokenStore.Location, E, R> | undefined
}

/**
 * A layer of a session, its renewal and its authorized client, and what it still needs.
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
 * Builds session, renewal and authorized client in one scoped layer.
 *
 * Each call makes a session of its own, also when it is called twice with the same provider. An application of several
 * APIs wraps each in a service of its own, since all provide the same tags.
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
      const place = yield* store
      const key = Key.identity(protocol, yield* Valid.nonEmpty("store", place.key))
      const session = yield* Session.make({ ...sessionOptions, key }).pipe(
        Effect.provideService(AuthProvider.AuthProvider, protocol),
        Effect.provideService(TokenStore.TokenStore, place.store)
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
