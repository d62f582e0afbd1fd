/**
 * A provider without a server, for tests: it answers numbered tokens, does what the script says instead, and tells what
 * it was asked. Time is the clock's, so that `TestClock` moves it.
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
import { type Exchange, honest, type Kind, late, type Step } from "./internal/testTokenRequest.js"

export { failure } from "./internal/testFailure.js"
export { fails, type Held, held, honest, late, lives, lost, only } from "./internal/testTokenRequest.js"
export type { Exchange, Kind, Step }

/**
 * How the provider answers. Lifetimes may be nonsense, for that is worth a test.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /** Names the API in errors and store keys. Default: `"test"`. */
  readonly name?: string | undefined
  /** What relative URLs are resolved against: https, or http on loopback. Default: `"https://api.test/v1/"`. */
  readonly baseUrl?: string | URL | undefined
  /** Further addresses whose origins the token may be sent to. Default: none. */
  readonly origins?: ReadonlyArray<string | URL> | undefined
  /** How long access tokens live; `"unstated"` leaves it out of the answers. Default: 5 minutes. */
  readonly lifetime?: Duration.DurationInput | "unstated" | undefined
  /** How long refresh tokens live, as the answers say. Default: they say nothing. */
  readonly refreshLifetime?: Duration.DurationInput | undefined
  /** Whether answers carry refresh tokens at all. Default: true. */
  readonly refreshable?: boolean | undefined
  /**
   * What becomes of a refresh token that is used: it stays and no answer replaces it (`"none"`, the default), each answer
   * brings another and the old one stays good (`"optional"`), or it is spent and refused from then on (`"single-use"`).
   */
  readonly rotation?: Rotation | undefined
  /** How long after its first use a spent refresh token is forgiven. Default: not at all. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** How long each exchange takes. Default: no time at all. */
  readonly latency?: Duration.DurationInput | undefined
}

/**
 * What a provider was asked so far.
 *
 * Tokens are told bare, as two `Redacted` values look the same to the assertions of a test: none of them is a secret.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Report {
  /** What was asked for, in order. */
  readonly asked: ReadonlyArray<Kind | "revoke">
  readonly logins: number
  readonly refreshes: number
  readonly revocations: number
  /** Log ins and refreshes. */
  readonly exchanges: number
  /** The most exchanges under way at once. */
  readonly maxConcurrentExchanges: number
  /** The refresh tokens that were presented, in order. */
  readonly presented: ReadonlyArray<string>
  /** How many of them were spent before, and not forgiven. */
  readonly reuses: number
  /** The tokens of the sets that were revoked, in order; `undefined` where a set held none. */
  readonly revoked: ReadonlyArray<{ readonly access: string | undefined; readonly refresh: string | undefined }>
}

/**
 * A provider and its script.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** The provider itself, for `Auth.layer(Effect.succeed(provider.service))` or, as `AuthProvider`, for `Session.make`. */
  readonly service: AuthProvider.Service
  /** Queues what the next exchanges do instead of answering, one each. They come before what `always` says. */
  readonly next: (...steps: ReadonlyArray<Step>) => Effect.Effect<void>
  /** Says what every exchange does instead of answering, until told otherwise; `honest` ends it. */
  readonly always: (step: Step) => Effect.Effect<void>
  /** Forgets the script. */
  readonly clear: Effect.Effect<void>
  /** A token set as a log in would be answered, without one being asked for: to adopt, or to start from. */
  readonly issue: Effect.Effect<Token.TokenSet>
  /** What the provider was asked so far. */
  readonly report: Effect.Effect<Report>
}

/**
 * @since 0.1.0
 * @category testing
 */
export class TestProvider extends Context.Tag("effect-auth/testing/TestProvider")<TestProvider, Service>() {}

/**
 * Makes a provider that answers `test-access-1` and `test-refresh-1`, then `test-access-2`, and so on. Refresh tokens that
 * it never issued are good until they are spent. It logs in with any credentials, but not without.
 *
 * Fails with `Misconfigured`, which names the field.
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
  const standing = yield* Ref.make<Step>(honest)
  const counts = { issued: 0, underWay: 0, most: 0, reuses: 0 }
  const asked: Array<Kind | "revoke"> = []
  const presented: Array<string> = []
  const revoked: Array<Report["revoked"][number]> = []
  /** Since when a refresh token is spent, in milliseconds since 1970. */
  const spent = new Map<string, number>()

  const grant = (kind: Kind): Effect.Effect<Token.TokenSet> =>
    Effect.sync(() => {
      const nth = ++counts.issued
      const replaced = refreshable && (kind === "login" || rotation !== "none")
      return Token.make({
        accessToken: Redacted.make(`test-access-${nth}`),
        lifetime: lifetime === "unstated" ? undefined : lifetime,
        refreshToken: replaced ? Redacted.make(`test-refresh-${nth}`) : undefined,
        refreshLifetime: replaced ? refreshLifetime : undefined
      })
    })

  const refuse = (reason: InvalidRefreshToken["reason"]) => new InvalidRefreshToken({ provider: name, reason })

  const judge = (token: string): Exchange =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const since = spent.get(token)
      if (since !== undefined && !(reuseWindow !== undefined && now - since <= Duration.toMillis(reuseWindow))) {
        counts.reuses++
        return refuse("reused")
      }
      if (rotation === "single-use" && since === undefined) spent.set(token, now)
      return grant("refresh")
    })

  const step = Effect.flatMap(
    Ref.modify(queue, ([first, ...rest]) => [first, rest]),
    (first) => (first === undefined ? Ref.get(standing) : Effect.succeed(first))
  )

  const exchange = (kind: Kind, answer: Exchange): Exchange =>
    Effect.acquireUseRelease(
      Effect.map(step, (step) => {
        asked.push(kind)
        counts.most = Math.max(counts.most, ++counts.underWay)
        return step
      }),
      (step) =>
        Effect.suspend(() => (latency === undefined ? step(answer, kind) : late(latency)(step(answer, kind), kind))),
      () => Effect.sync(() => counts.underWay--)
    )

  const asking = (kind: Kind) => asked.filter((one) => one === kind).length

  return {
    service: {
      name,
      baseUrl,
      origins: [baseUrl, ...origins].map(({ origin }) => origin),
      redactedHeaders: ["authorization"],
      rotation,
      reuseWindow,
      login: Option.map(() => exchange("login", grant("login"))),
      refresh: ({ refreshToken }) =>
        Option.match(refreshToken, {
          onNone: () => refuse("invalid"),
          onSome: (token) =>
            Effect.suspend(() => {
              presented.push(Redacted.value(token))
              return exchange("refresh", judge(Redacted.value(token)))
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
    next: (...steps) => Ref.update(queue, (waiting) => [...waiting, ...steps]),
    always: (step) => Ref.set(standing, step),
    clear: Effect.zipRight(Ref.set(queue, []), Ref.set(standing, honest)),
    issue: grant("login"),
    report: Effect.sync(() => ({
      asked: [...asked],
      logins: asking("login"),
      refreshes: asking("refresh"),
      revocations: revoked.length,
      exchanges: asked.length - revoked.length,
      maxConcurrentExchanges: counts.most,
      presented: [...presented],
      reuses: counts.reuses,
      revoked: [...revoked]
    }))
  }
})

/**
 * A provider for tests, within reach of the test.
 *
 * @since 0.1.0
 * @category testing
 */
export const layer = (options: Options = {}): Layer.Layer<TestProvider, Misconfigured> =>
  Layer.effect(TestProvider, make(options))
