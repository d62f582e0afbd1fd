/**
 * A session: one signed-in relationship with an API. It owns the current token set and is the only writer of its record
 * in the store.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { AuthError, Misconfigured } from "../common/AuthError.js"
import { AuthProvider } from "../provider/AuthProvider.js"
import { Credentials } from "../provider/Credentials.js"
import * as Key from "../store/key.js"
import type { TokenStore } from "../store/TokenStore.js"
import type * as Token from "../token/Token.js"
import * as Decision from "./machine/decision.js"
import * as Status from "./machine/Status.js"
import * as State from "./machine/state.js"
import * as Tokens from "./machine/tokens.js"
import * as Callers from "./runtime/callers.js"
import * as Engine from "./runtime/engine.js"
import * as Lifecycle from "./runtime/lifecycle.js"

/**
 * A session with an API.
 *
 * `E` is the failure of finding the session: `never` for a session of its own, the failure of `lookup` for one of a
 * `SessionMap`. Once the layer has closed, a method that would need a flight fails with `Misconfigured`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service<E = never> {
  /**
   * Returns a valid access token. A fresh one is returned at once; a stale one too, while it is refreshed in the
   * background. Without a valid one, the caller waits for the flight under way, and for up to `patience` through its
   * transient failures.
   *
   * Fails with a transient error when patience ends (`NetworkFailure`, `MalformedResponse`, `StoreFailure`), and at
   * once with `SignedOut`, `TokenExpired`, `InvalidRefreshToken`, `InvalidCredentials` or `Misconfigured`.
   */
  readonly accessToken: Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Returns an access token newer than the one current at the call. Joins the flight under way, if there is one. Fails
   * as `accessToken` does.
   */
  readonly refresh: Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Reports that the API rejected a token, and returns the token to use instead. If that is the same token, another
   * attempt would not help. Refreshes if the token is still the current one, but not while rejections are in their cool-down (law 10);
   * if it is not, this is the same as `accessToken`. `retried` reports that the rejected request was a retry already; default: `false`. Fails as
   * `accessToken` does.
   */
  readonly reject: (
    token: Token.AccessToken,
    options?: { readonly retried?: boolean | undefined }
  ) => Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Logs in with the current credentials. Discards the current tokens and supersedes a refresh in progress; concurrent
   * calls share one login. Fails with `InvalidCredentials`, with `Misconfigured` without credentials, or with a
   * transient error.
   */
  readonly login: Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Adopts tokens obtained elsewhere, in place of the current ones, and saves them. Supersedes a flight under way.
   * Fails with `Misconfigured` if there is no token in the set, or one with characters that a header cannot carry.
   */
  readonly adopt: (tokens: Token.TokenSet) => Effect.Effect<void, AuthError | E>
  /**
   * Signs out. Discards the tokens at once, then waits until the store has the logout and the server has revoked the tokens,
   * where the API can. A failure of either is logged; saving is retried in the background.
   *
   * @see https://www.rfc-editor.org/rfc/rfc7009
   */
  readonly logout: Effect.Effect<void, E>
  /** Returns the status of the session. Makes no token request and does not read the store. */
  readonly status: Effect.Effect<Status.Status, E>
  /**
   * A stream of the current status and of each one that differs after a change, in order. The passing of time is not a
   * change. A slow reader misses all but the last 64 and delays no other caller (law 32). The stream ends with the
   * session.
   */
  readonly changes: Stream.Stream<Status.Status, E>
}

/**
 * The tag of a session. `Auth.layer` and the layers of the providers provide it.
 *
 * @example
 * ```ts
 * import { NodeHttpClient } from "@effect/platform-node"
 * import { Console, Effect, Layer, Option } from "effect"
 * import { Session, Violet } from "effect-auth"
 *
 * const violet = Violet.layerConfig().pipe(
 *   Layer.provide([Violet.layerCredentialsConfig(), NodeHttpClient.layerUndici])
 * )
 *
 * const program = Effect.gen(function* () {
 *   const session = yield* Session.Session
 *   // For code that takes a token rather than an `HttpClient`. It is `Redacted`, and valid now.
 *   const token = yield* session.accessToken
 *   const { expiresAt, state } = yield* session.status
 *   yield* Console.log(`${state} until ${Option.getOrElse(expiresAt, () => "an unknown end")}, with ${token}`)
 *   yield* session.logout
 * }).pipe(Effect.provide(violet))
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class Session extends Context.Tag("effect-auth/Session")<Session, Service>() {}

/**
 * The options of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The key under which the store has this session. Sessions with the same key share their tokens. Default: the
   * provider's name, base URL and scopes.
   */
  readonly key?: string | undefined
  /**
   * The name of the session in metrics, spans and logs. Only the label distinguishes sessions of one provider there.
   * Every value adds metric series that last as long as the process. Default: no name.
   */
  readonly label?: string | undefined
  /**
   * The time before its end from which a token counts as stale; at most a fifth of its lifetime (law 3). Default: 5
   * minutes.
   */
  readonly leeway?: Duration.DurationInput | undefined
  /** The longest time a caller without a valid token waits through transient failures. Default: 3 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /** The longest time one token request may take. Default: 10 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** The longest time closing the layer waits for a flight under way. Default: 10 seconds. */
  readonly shutdownDeadline?: Duration.DurationInput | undefined
  /**
   * The tokens to start from if the store is empty, such as a refresh token of an earlier process. A stored session
   * takes precedence, even after it has expired; `adopt` replaces both. A set without a usable token is
   * `Misconfigured`. Default: none.
   */
  readonly seed?: Token.TokenSet | undefined
}

/**
 * Makes a session that lives as long as its scope. Nothing is read or sent before its first use. Fails with
 * `Misconfigured`, which names the option.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<Service, Misconfigured, AuthProvider | Credentials | TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const provider = yield* AuthProvider
    const config = yield* Engine.makeConfig(options)
    if (options.seed !== undefined && !Tokens.isSendable(options.seed)) return yield* Callers.unsendable("seed")
    const now = yield* Engine.now
    const engine = new Engine.Engine(
      {
        config,
        provider,
        credentials: yield* Credentials,
        label: options.label,
        key: options.key ?? Key.identity(provider, "").trimEnd()
      },
      State.initial(options.seed, now),
      now
    )
    yield* Effect.addFinalizer(() => Lifecycle.close(engine))
    const use = Callers.use(engine)
    const session: Service = {
      // Law 1: no lock, no fiber, no store. Either clock may say that the token is no longer fresh (law 5).
      accessToken: Effect.clockWith((clock) => {
        const { freshToken, freshUntilMillis, freshUntilNanos } = engine
        return clock.unsafeCurrentTimeMillis() < freshUntilMillis && clock.unsafeCurrentTimeNanos() < freshUntilNanos
          ? freshToken
          : use
      }),
      refresh: Callers.obtain(engine, Decision.newer),
      reject: (token, options) => Callers.obtain(engine, Callers.afterRejection(token, options?.retried === true)),
      login: Callers.login(engine),
      adopt: (tokens) => Callers.adopt(engine, tokens),
      logout: Callers.logout(engine),
      status: Engine.status(engine),
      changes: Engine.changes(engine)
    }
    return Engine.register(session, engine)
  })

/**
 * Returns the health of a session, for a readiness probe. Obtains a token if there is none, and waits as long as any
 * other caller; frequent probes cause no more token requests (laws 6 and 9).
 *
 * @since 0.1.0
 * @category combinators
 */
export const health = <E>(session: Service<E>): Effect.Effect<Status.Health, E> =>
  Effect.zipRight(Effect.ignore(session.accessToken), Effect.map(session.status, Status.health))

/**
 * A layer of one session. Fails with `Misconfigured`, which names the option.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Session, Misconfigured, AuthProvider | Credentials | TokenStore> => Layer.scoped(Session, make(options))
