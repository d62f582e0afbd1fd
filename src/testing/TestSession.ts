/**
 * A signed-in session without a server, for unit tests of code that depends on `Session` or `AuthHttpClient`. The
 * session is a real one with a `TestProvider`, and the API is an `HttpClient` that the test provides.
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
 * The services that `layer` provides.
 *
 * @since 0.1.0
 * @category testing
 */
export type Services = Auth.Services | TestProvider.TestProvider

/**
 * The options of the session and of its provider.
 *
 * Three defaults differ from those of `Auth.layer`, because a session would otherwise wait for a clock that no test
 * moves: those of `renewal`, `patience` and `shutdownDeadline`.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options
  extends TestProvider.Options,
    Pick<Auth.Options, "leeway" | "patience" | "renewal" | "shutdownDeadline" | "timeout"> {
  /**
   * The state of the session at first. `"expired"` has an expired access token and a valid refresh token. Default:
   * `"signed-in"`.
   */
  readonly state?: "signed-in" | "signed-out" | "expired" | undefined
  /** The first access token. Default: `test-access-1`. */
  readonly accessToken?: AccessToken | undefined
  /**
   * The failure of every token request, until the script of the provider says otherwise. A valid token is served all
   * the same, so use `state: "expired"` to see the failure in the first call. Default: token requests succeed.
   */
  readonly failure?: AuthError | undefined
  /** When tokens are renewed: in the background, or when a stale one is used. Default: `"on-use"`. */
  readonly renewal?: Auth.Options["renewal"]
  /**
   * The time for which a caller without a valid token waits out transient failures. Default: 0, so that they are
   * reported at once.
   */
  readonly patience?: Duration.DurationInput | undefined
  /** The time for which the closing layer waits for a token request under way. Default: 0. */
  readonly shutdownDeadline?: Duration.DurationInput | undefined
}

const user = { username: Redacted.make("test-user"), password: Redacted.make("test-password") }

/**
 * Provides a session in the state that the options say, its renewal and authorized client, and the `TestProvider`
 * behind them. It has sent no token request yet. Each call makes a session of its own.
 *
 * Fails with `Misconfigured`, which names the field, if the base URL, the access token or another option is not valid.
 *
 * @example
 * ```ts
 * import { HttpClient, HttpClientResponse } from "@effect/platform"
 * import { assert, it } from "@effect/vitest"
 * import { Effect, Layer, TestClock } from "effect"
 * import { AuthHttpClient } from "effect-auth"
 * import * as TestSession from "effect-auth/testing/TestSession"
 *
 * // The API: it responds with the header that it got.
 * const api = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response(request.headers.authorization)))
 * )
 * const layer = Layer.provide(TestSession.layer({ lifetime: "1 hour" }), Layer.succeed(HttpClient.HttpClient, api))
 *
 * it.effect("an expired token is renewed", () =>
 *   Effect.gen(function* () {
 *     const client = yield* AuthHttpClient.AuthHttpClient
 *     yield* TestClock.adjust("1 hour")
 *     const response = yield* client.get("/orders")
 *     assert.strictEqual(yield* response.text, "Bearer test-access-2")
 *   }).pipe(Effect.provide(layer))
 * )
 * ```
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
      }).pipe(Layer.tap((services) => initialize(Context.get(services, Session.Session), provider, options)))
    )
  ).pipe(Layer.provide(Credentials.layer(user)), Layer.provideMerge(TestProvider.layer(options)))

const initialize = Effect.fnUntraced(function* (
  session: Session.Service,
  provider: TestProvider.Service,
  { accessToken, failure, state }: Options
) {
  if (failure !== undefined) yield* provider.always(TestProvider.fails(failure))
  if (state === "signed-out") return yield* session.logout
  const issued = yield* provider.issue
  const tokens = { ...issued, accessToken: Option.orElse(Option.fromNullable(accessToken), () => issued.accessToken) }
  if (state !== "expired") return yield* session.adopt(tokens)
  // A session ignores a lifetime of 0. So this token has the shortest one, and was adopted that long ago.
  yield* earlier(Lifetime.shortest, session.adopt({ ...tokens, lifetime: Option.some(Lifetime.shortest) }))
})

/** Runs an effect with a clock that is `duration` behind. */
const earlier = <A, E, R>(duration: Duration.Duration, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
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
