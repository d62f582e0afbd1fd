import { type Context, Deferred, Duration, Effect, Layer, Option, Redacted, type Scope } from "effect"
import * as AuthError from "../../src/AuthError.js"
import * as AuthProvider from "../../src/AuthProvider.js"
import * as Credentials from "../../src/Credentials.js"
import * as Renewal from "../../src/Renewal.js"
import * as Session from "../../src/Session.js"
import * as Token from "../../src/Token.js"
import * as TokenStore from "../../src/TokenStore.js"

type Exchange = Effect.Effect<Token.TokenSet, AuthError.AuthError>

/** A provider that answers a numbered token to each exchange, unless the test says otherwise. */
export interface Scripted {
  readonly service: AuthProvider.Service
  /** What the next exchanges do instead, one each. */
  readonly next: (...exchanges: ReadonlyArray<(honest: Exchange) => Exchange>) => void
  /** What all exchanges do instead, until told otherwise. */
  readonly always: (exchange: ((honest: Exchange) => Exchange) | undefined) => void
  readonly count: () => {
    readonly refresh: number
    readonly login: number
    readonly total: number
    readonly most: number
  }
  /** The refresh tokens that were presented, in order. */
  readonly presented: ReadonlyArray<string>
  readonly revoked: ReadonlyArray<string>
  lifetime: Duration.DurationInput | undefined
}

export interface ProviderOptions {
  readonly lifetime?: Duration.DurationInput | undefined
  readonly endless?: boolean
  readonly refreshLifetime?: Duration.DurationInput
  readonly rotation?: AuthProvider.Service["rotation"]
  readonly reuseWindow?: Duration.Duration
  readonly withoutRefreshToken?: boolean
}

export const secret = Redacted.make

export const provider = (options: ProviderOptions = {}): Scripted => {
  const rotation = options.rotation ?? "none"
  const script: Array<(honest: Exchange) => Exchange> = []
  let standing: ((honest: Exchange) => Exchange) | undefined
  const counts = { refresh: 0, login: 0, now: 0, most: 0, token: 0 }
  const presented: Array<string> = []
  const revoked: Array<string> = []
  const answer = (kind: "refresh" | "login"): Exchange =>
    Effect.sync(() => {
      const n = ++counts.token
      return Token.make({
        accessToken: secret(`test-access-${n}`),
        lifetime: scripted.lifetime,
        refreshToken: options.withoutRefreshToken
          ? undefined
          : rotation !== "none" || kind === "login"
            ? secret(`test-refresh-${n}`)
            : undefined,
        refreshLifetime: options.refreshLifetime
      })
    })
  const run = (kind: "refresh" | "login"): Exchange =>
    Effect.suspend(() => {
      counts[kind]++
      counts.most = Math.max(counts.most, ++counts.now)
      const change = script.shift() ?? standing
      return change === undefined ? answer(kind) : change(answer(kind))
    }).pipe(Effect.ensuring(Effect.sync(() => counts.now--)))
  const scripted: Scripted = {
    service: {
      name: "scripted",
      baseUrl: new URL("https://api.test/v1/"),
      origins: ["https://api.test"],
      redactedHeaders: ["authorization"],
      rotation,
      reuseWindow: options.reuseWindow,
      login: (credentials) => Option.map(credentials, () => run("login")),
      refresh: (tokens) =>
        Effect.suspend(() => {
          presented.push(Redacted.value(Option.getOrThrow(tokens.refreshToken)))
          return run("refresh")
        }),
      revoke: Option.some((tokens) =>
        Effect.sync(() => {
          revoked.push(Option.match(tokens.accessToken, { onNone: () => "none", onSome: Redacted.value }))
        })
      ),
      authorize: (request) => request,
      rejects: AuthProvider.rejectsWith([401])
    },
    next: (...exchanges) => void script.push(...exchanges),
    always: (exchange) => {
      standing = exchange
    },
    count: () => ({
      refresh: counts.refresh,
      login: counts.login,
      total: counts.refresh + counts.login,
      most: counts.most
    }),
    presented,
    revoked,
    lifetime: options.endless ? undefined : (options.lifetime ?? "5 minutes")
  }
  return scripted
}

/** Failures as a provider would tell them. */
export const failure = {
  refused: new AuthError.InvalidRefreshToken({ provider: "scripted", reason: "revoked" }),
  credentials: new AuthError.InvalidCredentials({ provider: "scripted", status: 401 }),
  unspent: new AuthError.NetworkFailure({ provider: "scripted", reason: "unreachable", outcome: "not-spent" }),
  unknown: new AuthError.NetworkFailure({ provider: "scripted", reason: "interrupted", outcome: "unknown" }),
  malformed: new AuthError.MalformedResponse({ provider: "scripted", problem: "a page", outcome: "unknown" }),
  misconfigured: new AuthError.Misconfigured({ field: "appSecret", problem: "is refused" }),
  busy: (retryAfter: Duration.DurationInput) =>
    new AuthError.NetworkFailure({
      provider: "scripted",
      reason: "rate-limited",
      outcome: "not-spent",
      status: 429,
      retryAfter: Duration.decode(retryAfter)
    })
}

export const fails = (error: AuthError.AuthError) => (): Exchange => Effect.fail(error)

/** An exchange that says when it has been sent, and answers when it is told to. */
export const held = Effect.gen(function* () {
  const sent = yield* Deferred.make<void>()
  const answer = yield* Deferred.make<void>()
  return {
    sent: Deferred.await(sent),
    answer: Deferred.succeed(answer, void 0),
    exchange: (honest: Exchange): Exchange =>
      Effect.zipRight(Deferred.succeed(sent, void 0), Effect.zipRight(Deferred.await(answer), honest))
  }
})

export const user = { username: secret("test-user"), password: secret("test-password") }

export interface SessionOptions extends Session.Options {
  readonly credentials?: Effect.Effect<Credentials.UserPassword, AuthError.AuthError> | "none"
  readonly store?: TokenStore.Service
  readonly renewal?: boolean
}

/** A session of the scripted provider, in the scope of the test. */
export const session = (
  provider: Scripted,
  options: SessionOptions = {}
): Effect.Effect<Session.Service, AuthError.Misconfigured, Scope.Scope> =>
  Effect.gen(function* () {
    const { credentials, renewal, store, ...given } = options
    // Nobody moves the clock while a test ends.
    const rest: Session.Options = { shutdownDeadline: "0 seconds", ...given }
    const watcher = renewal ? yield* Renewal.make : undefined
    const context: Context.Context<Credentials.Credentials> = yield* Layer.build(
      credentials === "none" ? Credentials.layerNone : Credentials.layerEffect(credentials ?? Effect.succeed(user))
    )
    return yield* Session.make(watcher === undefined ? rest : { ...rest, onChange: watcher.watch }).pipe(
      Effect.provide(context),
      Effect.provideService(AuthProvider.AuthProvider, provider.service),
      Effect.provideService(TokenStore.TokenStore, store ?? (yield* TokenStore.makeMemory))
    )
  })

export const value = Redacted.value<string>

/** Runs an effect many times at once, and answers what became of each. */
export const herd = <A, E>(size: number, effect: Effect.Effect<A, E>) =>
  Effect.forEach(Array.from({ length: size }), () => Effect.either(effect), { concurrency: "unbounded" })

/** Waits until a condition holds, letting other fibers run. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.zipRight(Effect.yieldNow(), until(condition))))

/** A store that can be told to fail, to hang or to die, and counts what is asked of it. */
export const watchedStore = Effect.gen(function* () {
  const inner = yield* TokenStore.makeMemory
  const state = { loads: 0, saves: 0, save: undefined as Effect.Effect<boolean, AuthError.StoreFailure> | undefined }
  const watched = {
    inner,
    state,
    /** As if this process had stopped: nothing that it asks for happens any more. */
    dead: false
  }
  const alive = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => (watched.dead ? Effect.never : effect))
  const service: TokenStore.Service = {
    load: (key) =>
      Effect.zipRight(
        Effect.sync(() => state.loads++),
        alive(inner.load(key))
      ),
    save: (key, entry) =>
      Effect.suspend(() => {
        state.saves++
        return state.save ?? alive(inner.save(key, entry))
      }),
    lease: (key, owner, duration) => alive(inner.lease(key, owner, duration)),
    release: (key, owner) => alive(inner.release(key, owner))
  }
  return Object.assign(watched, { service })
})
