import { type Context, Effect, Layer, Redacted, type Scope } from "effect"
import type * as AuthError from "../../src/common/AuthError.js"
import * as AuthProvider from "../../src/provider/AuthProvider.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Renewal from "../../src/renewal/Renewal.js"
import * as State from "../../src/session/machine/state.js"
import * as Engine from "../../src/session/runtime/engine.js"
import * as Session from "../../src/session/Session.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as TestProvider from "../../src/testing/TestProvider.js"

/** A provider of `TestProvider`, for tests that script it and look at it between two steps of their own. */
export interface Scripted {
  readonly service: AuthProvider.Service
  readonly next: (...steps: ReadonlyArray<TestProvider.Step>) => void
  readonly always: (step: TestProvider.Step | undefined) => void
  readonly count: () => {
    readonly refresh: number
    readonly login: number
    readonly total: number
    readonly most: number
  }
  readonly presented: ReadonlyArray<string>
  /** The access tokens of what was revoked. */
  readonly revoked: ReadonlyArray<string>
}

export const secret = Redacted.make

export const provider = (options: TestProvider.Options = {}): Scripted => {
  const { always, next, report, service } = Effect.runSync(TestProvider.make(options))
  const reported = () => Effect.runSync(report)
  return {
    service,
    next: (...steps) => Effect.runSync(next(...steps)),
    always: (step) => Effect.runSync(always(step ?? TestProvider.honest)),
    count: () => {
      const { tokenRequests, logins, maxConcurrentTokenRequests: maxConcurrentExchanges, refreshes } = reported()
      return { refresh: refreshes, login: logins, total: tokenRequests, most: maxConcurrentExchanges }
    },
    get presented() {
      return reported().presented
    },
    get revoked() {
      return reported().revoked.map(({ access }) => access ?? "none")
    }
  }
}

export const { fails } = TestProvider

/** The failures by their outcome, which is what the laws speak of. */
export const failure = {
  ...TestProvider.failure,
  unspent: TestProvider.failure.unreachable,
  unknown: TestProvider.failure.lost
}

/** A token request that says when it has been sent, and answers when it is told to. */
export const paused = Effect.map(TestProvider.paused, ({ step, ...rest }) => ({ ...rest, tokenRequest: step }))

export const user = { username: secret("test-user"), password: secret("test-password") }

export interface SessionOptions extends Session.Options {
  readonly credentials?: Effect.Effect<Credentials.UserPassword, AuthError.AuthError> | "none"
  readonly store?: TokenStore.Service
  readonly renewal?: boolean
  /** A renewal of the test's own. */
  readonly watchedBy?: Renewal.Service
}

/** A session of the scripted provider, in the scope of the test. */
export const session = (
  provider: Scripted,
  options: SessionOptions = {}
): Effect.Effect<Session.Service, AuthError.Misconfigured, Scope.Scope> =>
  Effect.gen(function* () {
    const { credentials, renewal, store, watchedBy, ...given } = options
    // No one moves the clock while a test ends.
    const rest: Session.Options = { shutdownDeadline: "0 seconds", ...given }
    const watcher = renewal ? yield* Renewal.make : watchedBy
    const context: Context.Context<Credentials.Credentials> = yield* Layer.build(
      credentials === "none" ? Credentials.layerNone : Credentials.layerEffect(credentials ?? Effect.succeed(user))
    )
    const session = yield* Session.make(rest).pipe(
      Effect.provide(context),
      Effect.provideService(AuthProvider.AuthProvider, provider.service),
      Effect.provideService(TokenStore.TokenStore, store ?? (yield* TokenStore.makeMemory))
    )
    if (watcher !== undefined) yield* watcher.watch(session)
    return session
  })

/** What runs a session of a scripted provider, over a store in memory, for tests of its parts. */
export const engine = Effect.gen(function* () {
  const config = yield* Engine.makeConfig({})
  const now = yield* Engine.now
  const credentials: Credentials.Service = { read: Effect.succeedNone }
  return new Engine.Engine(
    { config, provider: provider().service, credentials, key: "key", label: undefined },
    State.initial(undefined, now),
    now
  )
}).pipe(Effect.provide(TokenStore.layerMemory))

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
