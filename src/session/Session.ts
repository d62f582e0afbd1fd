/**
 * One signed-in relationship with an API. It owns the current token set, and is the only writer of the store.
 *
 * This is what it looks like to those who use it. How it runs is in `internal/engine` (the state and its guard),
 * `internal/pilot` (flights) and `internal/calls` (callers); the rules are pure functions, in `Question` and `Flight`.
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
import type * as Moment from "../common/Moment.js"
import { AuthProvider } from "../provider/AuthProvider.js"
import { Credentials } from "../provider/Credentials.js"
import * as Key from "../store/key.js"
import type { TokenStore } from "../store/TokenStore.js"
import * as Token from "../token/Token.js"
import * as Question from "./machine/decision.js"
import * as Status from "./machine/Status.js"
import * as SessionState from "./machine/state.js"
import * as Calls from "./runtime/callers.js"
import * as Engine from "./runtime/engine.js"
import * as Pilot from "./runtime/flightRunner.js"
import * as Setting from "./runtime/setting.js"
import * as Watching from "./runtime/watching.js"

/**
 * A session with an API. `E` is what may go wrong before there is one, as with a `SessionMap`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service<E = never> {
  /**
   * A token that is valid now. A fresh one is answered at once; a stale one too, while it is renewed behind the caller's
   * back; without a valid one, the caller waits for the one exchange under way, whose failure it waits out for as long
   * as its `patience` lasts.
   */
  readonly accessToken: Effect.Effect<Token.AccessToken, AuthError | E>
  /** A token newer than the one current at the call. */
  readonly refresh: Effect.Effect<Token.AccessToken, AuthError | E>
  /**
   * Reports that the API rejected a token, and answers the token to try instead. If that is the same token, trying again
   * would not help. `retried` says that the request had been tried again already.
   */
  readonly reject: (
    token: Token.AccessToken,
    options?: { readonly retried?: boolean | undefined }
  ) => Effect.Effect<Token.AccessToken, AuthError | E>
  /** Logs in anew: forgets the old token set, and wins over an exchange under way. */
  readonly login: Effect.Effect<Token.AccessToken, AuthError | E>
  /** Takes over tokens obtained elsewhere, in place of what the session holds. Fails with `Misconfigured` on a set without a token. */
  readonly adopt: (tokens: Token.TokenSet) => Effect.Effect<void, AuthError | E>
  /** Signs out: locally at once and always, at the server where the API allows it. */
  readonly logout: Effect.Effect<void, E>
  /** What the session looks like from outside. */
  readonly status: Effect.Effect<Status.Status, E>
  /**
   * The current status, then each that differs after something happened, in order; that time passed is no event. A slow
   * reader misses the oldest ones and delays nobody. Ends with the session.
   */
  readonly changes: Stream.Stream<Status.Status, E>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Session extends Context.Tag("effect-auth/Session")<Session, Service>() {}

/**
 * What a renewal fiber needs of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Renewable {
  /** In how many milliseconds from now the session wants to be renewed; `undefined` while there is nothing to renew. */
  readonly renewalDelay: (now: Moment.Moment) => number | undefined
  /** Starts the exchange if it is due, and waits for nothing. */
  readonly renew: Effect.Effect<void>
}

/**
 * How a session behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Under which key the store keeps this session. Default: the provider's name, base URL and scopes. */
  readonly key?: string | undefined
  /**
   * Names the session in metrics, spans and logs, which tell sessions of one provider apart by nothing else. Each value
   * adds metrics that stay as long as the process. Default: no name.
   */
  readonly label?: string | undefined
  /** How long before its end a token counts as stale; at most a fifth of its lifetime. Default: 5 minutes. */
  readonly leeway?: Duration.DurationInput | undefined
  /** How long a caller without a valid token waits out transient failures. Default: 3 seconds. */
  readonly patience?: Duration.DurationInput | undefined
  /** How long one exchange may take. Default: 10 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
  /** How long the closing layer waits for an exchange under way. Default: 10 seconds. */
  readonly shutdownDeadline?: Duration.DurationInput | undefined
  /**
   * Tokens to start from if the store keeps nothing: a refresh token of an earlier life, say. What the store keeps comes
   * before it, also when that has ended; `adopt` takes the place of both.
   */
  readonly seed?: Token.TokenSet | undefined
  /** Told after each change of state but those within a flight; the renewal fiber listens here. It must not wait for anything. */
  readonly onChange?: ((session: Renewable) => Effect.Effect<void>) | undefined
}

/**
 * Makes a session that lives as long as its scope. Nothing is read or sent before its first use.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<Service, Misconfigured, AuthProvider | Credentials | TokenStore | Scope.Scope> =>
  Effect.gen(function* () {
    const provider = yield* AuthProvider
    const { onChange } = options
    const setting = yield* Setting.make(options, onChange && (() => onChange(renewable)))
    if (options.seed !== undefined && !Token.isSendable(options.seed)) return yield* Calls.unsendable("seed")
    const now = yield* Engine.reading
    const engine = new Engine.Engine(
      {
        setting,
        provider,
        credentials: yield* Credentials,
        label: options.label,
        key: options.key ?? Key.identity(provider, "").trimEnd()
      },
      SessionState.starting(options.seed, now),
      now
    )
    const renewable: Renewable = { renewalDelay: (now) => Pilot.renewalDelay(engine, now), renew: Pilot.renew(engine) }
    yield* Effect.addFinalizer(() => Pilot.close(engine))
    const slow = Calls.use(engine)
    return {
      // Law 1: no lock, no fiber, no store. Either clock may say that the token is no longer fresh (law 5).
      accessToken: Effect.clockWith((clock) => {
        const { exit, freshMillis, freshNanos } = engine
        return clock.unsafeCurrentTimeMillis() < freshMillis && clock.unsafeCurrentTimeNanos() < freshNanos
          ? exit
          : slow
      }),
      refresh: Calls.obtain(engine, Question.newer),
      reject: (token, options) => Calls.obtain(engine, Calls.rejecting(token, options?.retried === true)),
      login: Calls.login(engine),
      adopt: (tokens) => Calls.adopt(engine, tokens),
      logout: Calls.logout(engine),
      status: Engine.status(engine),
      changes: Watching.changes(engine)
    }
  })

/**
 * The health of a session, for a readiness probe: asks for a token if there is none, which costs no more exchanges however
 * often it is asked (laws 6 and 9), and waits no longer than any other caller.
 *
 * @since 0.1.0
 * @category combinators
 */
export const health = <E>(session: Service<E>): Effect.Effect<Status.Health, E> =>
  Effect.zipRight(Effect.ignore(session.accessToken), Effect.map(session.status, Status.health))

/**
 * A session that lives as long as the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Session, Misconfigured, AuthProvider | Credentials | TokenStore> => Layer.scoped(Session, make(options))
