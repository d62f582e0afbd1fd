/**
 * A signed-in session without a server, for unit tests of what depends on `Session` or `AuthHttpClient`. The session is a
 * real one, over a `TestProvider`; the API is whatever `HttpClient` the test provides.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Auth from "../Auth.js"
import type { AuthError } from "../common/AuthError.js"
import * as Credentials from "../provider/Credentials.js"
import * as Session from "../session/Session.js"
import * as Lifetime from "../token/lifetime.js"
import type { AccessToken } from "../token/Token.js"
import * as TestProvider from "./TestProvider.js"

/**
 * What one layer provides.
 *
 * @since 0.1.0
 * @category testing
 */
export type Services = Auth.Services | TestProvider.TestProvider

/**
 * How the session begins, and how it and its provider behave.
 *
 * Where the defaults are not those of `Auth.layer`, a session would else wait for a clock that no one moves.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options
  extends TestProvider.Options,
    Pick<Auth.Options, "leeway" | "patience" | "renewal" | "shutdownDeadline" | "timeout"> {
  /**
   * Signed in (the default); signed out, until someone logs in; or with an access token that has ended, and a refresh
   * token that is good.
   */
  readonly state?: "signed-in" | "signed-out" | "expired" | undefined
  /** The access token to begin with. Default: `test-access-1`. */
  readonly accessToken?: AccessToken | undefined
  /**
   * What every exchange fails with, until the script of the provider says otherwise. A valid token is served all the same:
   * `state: "expired"` shows the failure to the first caller. Default: exchanges succeed.
   */
  readonly failure?: AuthError | undefined
  /** Who renews. Default: `"on-use"`. */
  readonly renewal?: Auth.Options["renewal"]
  /** How long a caller without a valid token waits out transient failures. Default: 0, so that it is told at once. */
  readonly patience?: Duration.DurationInput | undefined
  /** How long the closing layer waits for an exchange under way. Default: 0. */
  readonly shutdownDeadline?: Duration.DurationInput | undefined
}

const user = { username: Redacted.make("test-user"), password: Redacted.make("test-password") }

/**
 * A session that has begun as the options say, its renewal and authorized client, and the provider behind them. Nothing
 * was asked of the provider yet. Each call makes a session of its own.
 *
 * Fails with `Misconfigured` on a base URL, an access token or another option that is none.
 *
 * @since 0.1.0
 * @category testing
 */
export const layer = (options: Options = {}): Layer.Layer<Services, AuthError, HttpClient.HttpClient> =>
  Layer.unwrapEffect(
    Effect.map(TestProvider.TestProvider, (provider) =>
      Auth.layer(Effect.succeed(provider.service), {
        leeway: options.leeway,
        patience: options.patience ?? Duration.zero,
        renewal: options.renewal ?? "on-use",
        shutdownDeadline: options.shutdownDeadline ?? Duration.zero,
        timeout: options.timeout
      }).pipe(Layer.tap((services) => begin(Context.get(services, Session.Session), provider, options)))
    )
  ).pipe(Layer.provide(Credentials.layer(user)), Layer.provideMerge(TestProvider.layer(options)))

const begin = Effect.fnUntraced(function* (
  session: Session.Service,
  provider: TestProvider.Service,
  { accessToken, failure, state }: Options
) {
  if (failure !== undefined) yield* provider.always(TestProvider.fails(failure))
  if (state === "signed-out") return yield* session.logout
  const issued = yield* provider.issue
  const tokens = { ...issued, accessToken: Option.orElse(Option.fromNullable(accessToken), () => issued.accessToken) }
  if (state !== "expired") return yield* session.adopt(tokens)
  // No session believes in a lifetime of nothing: this token has lived for as long as it could.
  yield* before(Lifetime.shortest, session.adopt({ ...tokens, lifetime: Option.some(Lifetime.shortest) }))
})

/** Runs an effect as if it were so much earlier. */
const before = <A, E, R>(duration: Duration.Duration, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    const millis = Duration.toMillis(duration)
    const nanos = Option.getOrThrow(Duration.toNanos(duration))
    return Effect.withClock(effect, {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - millis),
      currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now - nanos),
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() - millis,
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() - nanos,
      sleep: (duration) => clock.sleep(duration)
    })
  })
