/**
 * A provider without a server, for tests. It issues numbered tokens, unless its script says otherwise, and reports what
 * it was asked for. It reads the time from Effect's `Clock`, so that `TestClock` moves it.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import { InvalidRefreshToken, type Misconfigured } from "../common/AuthError.js"
import * as Valid from "../common/validate.js"
import * as AuthProvider from "../provider/AuthProvider.js"
import type { Rotation } from "../provider/Protocol.js"
import * as Token from "../token/Token.js"
import { honest, type Kind, late, type Step, type TokenRequest } from "./internal/testTokenRequest.js"

export { failure } from "./internal/testFailure.js"
export { fails, honest, late, lives, lost, only, type Paused, paused } from "./internal/testTokenRequest.js"
export type { Kind, Step, TokenRequest }

/**
 * The options of a provider. Lifetimes are not checked, because a test may want absurd ones.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /** The name of the API in errors and store keys. Default: `"test"`. */
  readonly name?: string | undefined
  /** The base of relative URLs: https, or http on loopback. Default: `"https://api.test/v1/"`. */
  readonly baseUrl?: string | URL | undefined
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /** The lifetime of access tokens. With `"unstated"` no response states it. Default: 5 minutes. */
  readonly lifetime?: Duration.DurationInput | "unstated" | undefined
  /** The lifetime of refresh tokens, as responses state it. Default: they do not state it. */
  readonly refreshLifetime?: Duration.DurationInput | undefined
  /** Puts refresh tokens into responses. Default: true. */
  readonly refreshable?: boolean | undefined
  /**
   * The rule for a refresh token that is used. `"none"`: it stays valid and no response replaces it. `"optional"`: each
   * response replaces it, and the old one stays valid. `"single-use"`: each response replaces it, and the old one is
   * refused with `InvalidRefreshToken`. Default: `"none"`.
   */
  readonly rotation?: Rotation | undefined
  /** The reuse window: for this long after its first use, a single-use refresh token may be used again. Default: none. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** The duration of each token request. Default: 0. */
  readonly latency?: Duration.DurationInput | undefined
}

/**
 * The requests that a provider got so far.
 *
 * Its tokens are plain text: they are not secret, and to the assertions of a test two `Redacted` values look the same.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Report {
  /** The kinds of the requests, in order. */
  readonly asked: ReadonlyArray<Kind | "revoke">
  /** The number of logins. */
  readonly logins: number
  /** The number of refreshes. */
  readonly refreshes: number
  /** The number of revocations. */
  readonly revocations: number
  /** The number of token requests: logins and refreshes. */
  readonly tokenRequests: number
  /** The most token requests that were under way at once. */
  readonly maxConcurrentTokenRequests: number
  /** The refresh tokens that were presented, in order. */
  readonly presented: ReadonlyArray<string>
  /** The number of those that were already spent, outside the reuse window. */
  readonly reuses: number
  /** The token sets that were revoked, in order; `undefined` stands for a token that a set did not have. */
  readonly revoked: ReadonlyArray<{ readonly access: string | undefined; readonly refresh: string | undefined }>
}

/**
 * A provider and its script. The script is a queue of steps, one for each token request. When it is empty, every
 * request does the step of `always`, which is `honest` at first.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /**
   * The provider itself, for `Auth.layer(Effect.succeed(provider.service))` or, as `AuthProvider`, for `Session.make`.
   */
  readonly service: AuthProvider.Service
  /** Queues steps for the next token requests, one each. */
  readonly next: (...steps: ReadonlyArray<Step>) => Effect.Effect<void>
  /** Sets the step of every token request that finds the queue empty. `honest` ends it. */
  readonly always: (step: Step) => Effect.Effect<void>
  /** Empties the queue, and sets `honest` for every token request. */
  readonly clear: Effect.Effect<void>
  /** Issues a token set, as a login would, without a token request: to pass to `adopt` or as a `seed`. */
  readonly issue: Effect.Effect<Token.TokenSet>
  /** The requests so far. */
  readonly report: Effect.Effect<Report>
}

/**
 * The tag of the test provider, for tests that script it or read its report.
 *
 * @since 0.1.0
 * @category testing
 */
export class TestProvider extends Context.Tag("effect-auth/testing/TestProvider")<TestProvider, Service>() {}

/**
 * Makes a provider that issues `test-access-1` and `test-refresh-1`, then `test-access-2`, and so on. It logs in with
 * any credentials, but not without. A refresh token that it never issued is valid until it is spent.
 *
 * Fails with `Misconfigured`, which names the field, if `name` is empty or an address is not valid.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (options?: Options) => Effect.Effect<Service, Misconfigured> = Effect.fnUntraced(function* (
  options: Options = {}
) {
  const name = yield* Valid.nonEmpty("name", options.name ?? "test")
  const baseUrl = yield* Valid.baseUrl("baseUrl", options.baseUrl ?? "https://api.test/v1/")
  const origins = yield* Effect.forEach(options.origins ?? [], (origin) => Valid.baseUrl("origins", origin))
  const { latency, lifetime = "5 minutes", refreshLifetime, refreshable = true, rotation = "none" } = options
  const reuseWindow = options.reuseWindow === undefined ? undefined : Duration.decode(options.reuseWindow)

  const queue = yield* Ref.make<ReadonlyArray<Step>>([])
  const fallback = yield* Ref.make<Step>(honest)
  const counts = { issued: 0, inProgress: 0, maxInProgress: 0, reuses: 0 }
  const asked: Array<Kind | "revoke"> = []
  const presented: Array<string> = []
  const revoked: Array<Report["revoked"][number]> = []
  /** When each refresh token was spent, in milliseconds since 1970. */
  const spent = new Map<string, number>()

  const issue = (kind: Kind): Effect.Effect<Token.TokenSet> =>
    Effect.sync(() => {
      const nth = ++counts.issued
      const withRefreshToken = refreshable && (kind === "login" || rotation !== "none")
      return Token.make({
        accessToken: Redacted.make(`test-access-${nth}`),
        lifetime: lifetime === "unstated" ? undefined : lifetime,
        refreshToken: withRefreshToken ? Redacted.make(`test-refresh-${nth}`) : undefined,
        refreshLifetime: withRefreshToken ? refreshLifetime : undefined
      })
    })

  const refuse = (reason: InvalidRefreshToken["reason"]) => new InvalidRefreshToken({ provider: name, reason })

  const issueFor = (refreshToken: string): TokenRequest =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const since = spent.get(refreshToken)
      if (since !== undefined && !(reuseWindow !== undefined && now - since <= Duration.toMillis(reuseWindow))) {
        counts.reuses++
        return refuse("reused")
      }
      if (rotation === "single-use" && since === undefined) spent.set(refreshToken, now)
      return issue("refresh")
    })

  const nextStep = Effect.flatMap(
    Ref.modify(queue, ([first, ...rest]) => [first, rest]),
    (first) => (first === undefined ? Ref.get(fallback) : Effect.succeed(first))
  )

  const scripted = (kind: Kind, request: TokenRequest): TokenRequest =>
    Effect.acquireUseRelease(
      Effect.map(nextStep, (step) => {
        asked.push(kind)
        counts.maxInProgress = Math.max(counts.maxInProgress, ++counts.inProgress)
        return step
      }),
      (step) =>
        Effect.suspend(() => (latency === undefined ? step(request, kind) : late(latency)(step(request, kind), kind))),
      () => Effect.sync(() => counts.inProgress--)
    )

  const count = (kind: Kind) => asked.filter((one) => one === kind).length

  return {
    service: {
      name,
      baseUrl,
      origins: [baseUrl, ...origins].map(({ origin }) => origin),
      redactedHeaders: ["authorization"],
      rotation,
      reuseWindow,
      login: Option.map(() => scripted("login", issue("login"))),
      refresh: ({ refreshToken }) =>
        Option.match(refreshToken, {
          onNone: () => refuse("invalid"),
          onSome: (token) =>
            Effect.suspend(() => {
              presented.push(Redacted.value(token))
              return scripted("refresh", issueFor(Redacted.value(token)))
            })
        }),
      revoke: Option.some(({ accessToken, refreshToken }) =>
        Effect.sync(() => {
          asked.push("revoke")
          revoked.push({
            access: Option.getOrUndefined(Option.map(accessToken, Redacted.value)),
            refresh: Option.getOrUndefined(Option.map(refreshToken, Redacted.value))
          })
        })
      ),
      authorize: (request, token) => HttpClientRequest.bearerToken(request, token),
      rejects: AuthProvider.rejectsWith([401])
    },
    next: (...steps) => Ref.update(queue, (queued) => [...queued, ...steps]),
    always: (step) => Ref.set(fallback, step),
    clear: Effect.zipRight(Ref.set(queue, []), Ref.set(fallback, honest)),
    issue: issue("login"),
    report: Effect.sync(() => ({
      asked: [...asked],
      logins: count("login"),
      refreshes: count("refresh"),
      revocations: revoked.length,
      tokenRequests: asked.length - revoked.length,
      maxConcurrentTokenRequests: counts.maxInProgress,
      presented: [...presented],
      reuses: counts.reuses,
      revoked: [...revoked]
    }))
  }
})

/**
 * Provides a `TestProvider`, so that a test can script it.
 *
 * Fails with `Misconfigured`, as `make` does.
 *
 * @since 0.1.0
 * @category testing
 */
export const layer = (options: Options = {}): Layer.Layer<TestProvider, Misconfigured> =>
  Layer.effect(TestProvider, make(options))
