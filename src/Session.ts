/**
 * One signed-in relationship with an API. It owns the current token set, and is the only writer of the store.
 *
 * The concurrency of the core is in this file, but for the lock between processes, in `internal/section`. The rules are elsewhere, as pure functions: `SessionState` answers
 * callers, `Flight` says what an exchange does next.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SynchronizedRef from "effect/SynchronizedRef"
import { type AuthError, isTransient, Misconfigured } from "./AuthError.js"
import { AuthProvider } from "./AuthProvider.js"
import { Credentials } from "./Credentials.js"
import * as Flight from "./Flight.js"
import * as Courier from "./internal/courier.js"
import * as Held from "./internal/held.js"
import { duration, positive } from "./internal/options.js"
import type { Event, Landed } from "./internal/order.js"
import * as Resting from "./internal/resting.js"
import * as Section from "./internal/section.js"
import * as SignIn from "./internal/signIn.js"
import * as Moment from "./Moment.js"
import * as RenewalPolicy from "./RenewalPolicy.js"
import * as SessionState from "./SessionState.js"
import * as Status from "./Status.js"
import * as Token from "./Token.js"
import { TokenStore } from "./TokenStore.js"

/**
 * A session with an API.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * A token that is valid now. A fresh one is answered at once; a stale one too, while it is renewed behind the caller's
   * back; without a valid one, the caller waits for the one exchange under way, whose failure it waits out for as long
   * as its `patience` lasts.
   */
  readonly accessToken: Effect.Effect<Token.AccessToken, AuthError>
  /** A token newer than the one current at the call. */
  readonly refresh: Effect.Effect<Token.AccessToken, AuthError>
  /**
   * Reports that the API rejected a token, and answers the token to try instead. If that is the same token, trying again
   * would not help. `retried` says that the request had been tried again already.
   */
  readonly reject: (
    token: Token.AccessToken,
    options?: { readonly retried?: boolean | undefined }
  ) => Effect.Effect<Token.AccessToken, AuthError>
  /** Logs in anew: forgets the old token set, and wins over an exchange under way. */
  readonly login: Effect.Effect<Token.AccessToken, AuthError>
  /** Takes over tokens obtained elsewhere, in place of what the session holds. Fails with `Misconfigured` on a set without a token. */
  readonly adopt: (tokens: Token.TokenSet) => Effect.Effect<void, AuthError>
  /** Signs out: locally at once and always, at the server where the API allows it. */
  readonly logout: Effect.Effect<void>
  /** What the session looks like from outside. */
  readonly status: Effect.Effect<Status.Status>
  /**
   * The current status, then each that differs after something happened, in order; that time passed is no event. A slow
   * reader misses the oldest ones and delays nobody. Ends with the session.
   */
  readonly changes: Stream.Stream<Status.Status>
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
  /** In how many milliseconds the session wants to be renewed; `undefined` while there is nothing to renew. */
  readonly renewalDelay: Effect.Effect<number | undefined>
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
  /** Under which key the store keeps this session. Default: the provider's name and base URL. */
  readonly key?: string | undefined
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
  /** Told after each change of state; the renewal fiber listens here. It must not wait for anything. */
  readonly onChange?: ((session: Renewable) => Effect.Effect<void>) | undefined
}

/** How long callers wait for a token set to be saved before it is served from memory alone (law 18). */
const storeTimeout = Duration.seconds(2)

const reading: Effect.Effect<SessionState.Now> = Effect.zipWith(Moment.now, Random.next, (now, random) => ({
  ...now,
  random
}))

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
    const leeway = yield* duration("leeway", options.leeway ?? "5 minutes")
    const patience = SessionState.nanos(yield* duration("patience", options.patience ?? "3 seconds"))
    const shutdownDeadline = yield* duration("shutdownDeadline", options.shutdownDeadline ?? "10 seconds")
    const rules: SessionState.Rules = { provider, leeway }
    const courier = Courier.make({
      provider,
      credentials: yield* Credentials,
      store: yield* TokenStore,
      key: options.key ?? `${provider.name} ${provider.baseUrl.href}`,
      timeout: yield* positive("timeout", options.timeout ?? "10 seconds"),
      storeTimeout
    })
    const section = Section.make(courier)
    const scope = yield* Effect.scope
    if (options.seed !== undefined && !Token.isSendable(options.seed)) return yield* unsendable("seed")
    const context = yield* Effect.context<never>()
    const ref = yield* SynchronizedRef.make(SessionState.starting(options.seed, yield* reading))
    const owned = new Set<Fiber.RuntimeFiber<void>>()
    let snapshot = Held.snapshot(undefined, leeway)
    let watchers: PubSub.PubSub<Status.Status> | undefined
    let saving = false
    let closed = false

    const look = <A>(f: (state: SessionState.State, now: SessionState.Now) => A): Effect.Effect<A> =>
      Effect.zipWith(SynchronizedRef.get(ref), reading, f)

    /**
     * Every change of state goes through here; the snapshot is written nowhere else. It never waits for anyone.
     *
     * What changes nothing is answered without the lock: it is not a fair one, and readers in a tight loop would keep a
     * flight from ever landing.
     */
    const transition = <A>(
      f: (state: SessionState.State, now: SessionState.Now) => readonly [A, SessionState.State]
    ): Effect.Effect<A> =>
      look((state, now) => {
        const [answer, next] = f(state, now)
        return next === state ? Effect.succeed(answer) : change(f)
      }).pipe(Effect.flatten, Effect.uninterruptible)

    const change = <A>(
      f: (state: SessionState.State, now: SessionState.Now) => readonly [A, SessionState.State]
    ): Effect.Effect<A> =>
      SynchronizedRef.modifyEffect(ref, (state) =>
        Effect.flatMap(reading, (now) => {
          const result = f(state, now)
          const next = result[1]
          snapshot = Held.snapshot(next.held, leeway)
          return watchers === undefined
            ? Effect.succeed(result)
            : Effect.as(PubSub.publish(watchers, Status.make(rules, next, now)), result)
        })
      ).pipe(Effect.tap(() => told))

    // Whoever listens can neither fail a caller nor a flight (law 32).
    const told = Effect.suspend(() => options.onChange?.(renewable) ?? Effect.void).pipe(
      Effect.catchAllCause(() => Effect.void)
    )

    /** Forks a daemon of the session: no caller can interrupt it, and the closing scope waits for it (laws 7 and 8). */
    const own = (effect: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
      Effect.uninterruptible(effect).pipe(
        Effect.mapInputContext((_: Context.Context<never>) => context),
        Effect.forkDaemon,
        Effect.tap((fiber) => {
          owned.add(fiber)
          fiber.addObserver(() => owned.delete(fiber))
        })
      )

    /** Carries a flight to its landing. It runs uninterruptibly, but for the time it waits for someone else. */
    const fly = (landing: SessionState.Landing): Effect.Effect<void> => {
      const advance = (event: Event) => transition((state, now) => Flight.step(rules, state, landing, event, now))
      const landed = Effect.gen(function* () {
        let command = yield* advance({ _tag: "Started" })
        while (command._tag !== "Land") {
          command = yield* advance(
            yield* command._tag === "Lock"
              ? section.enter(landing, command.known, isWanted(landing))
              : courier.carryOut(command)
          )
        }
        return command.result
      })
      return landed.pipe(
        Effect.catchAllDefect(() => transition((state, now) => Flight.crash(rules, state, landing, now))),
        Effect.flatMap((result) => land(landing, result)),
        Effect.zipRight(section.leave(landing)),
        Effect.zipRight(saveAgain)
      )
    }

    const isWanted = (landing: SessionState.Landing) =>
      Effect.map(SynchronizedRef.get(ref), ({ flight }) => !closed && flight?.landing === landing)

    const land = (landing: SessionState.Landing, result: Landed): Effect.Effect<unknown> => {
      switch (result._tag) {
        case "Token":
          return Deferred.succeed(landing, Option.some(result.token))
        case "AskAgain":
          return Deferred.succeed(landing, Option.none())
        case "Failure":
          return Deferred.fail(landing, result.failure)
      }
    }

    const launch = (flight: SessionState.Flight | undefined) =>
      flight === undefined ? Effect.void : Effect.asVoid(own(fly(flight.landing)))

    /** The callers of a flight in whose place something else came ask again. */
    const supersede = (flight: SessionState.Flight | undefined) =>
      flight === undefined ? Effect.void : land(flight.landing, { _tag: "AskAgain" })

    /** Law 18: what the store could not keep is saved in the background until it is, or until there is something newer. */
    const saveAgain: Effect.Effect<void> = Effect.gen(function* () {
      if (saving || closed || (yield* SynchronizedRef.get(ref)).saved) return
      saving = true
      yield* Effect.flatMap(saveNow, (saved) => (saved ? Effect.void : Effect.fail("unsaved" as const))).pipe(
        Effect.retry(RenewalPolicy.saving),
        Effect.ignore,
        Effect.ensuring(Effect.sync(() => (saving = false))),
        // A set that came in the meantime may be unsaved as well.
        Effect.zipRight(saveAgain),
        Effect.interruptible,
        Effect.forkIn(scope)
      )
    })

    const saveNow: Effect.Effect<boolean> = Effect.gen(function* () {
      const state = yield* SynchronizedRef.get(ref)
      if (state.saved) return true
      // A flight that is saving what it obtained takes the place of what is unsaved.
      if (state.flight?.pending !== undefined || state.flight?.amending !== undefined) return false
      const record = Resting.record(state, yield* Moment.now)
      const result = yield* courier.save(record)
      const kept = result === "older" ? yield* courier.load : Either.right(Option.none())
      return yield* transition((now) =>
        Either.isLeft(kept) ? [false, now] : Resting.saved(now, record, result, kept.right)
      )
    })

    /** The second try is for a store that turned out to keep a newer generation than this session knew of. */
    const saveTwice = Effect.flatMap(saveNow, (saved) => (saved ? Effect.succeed(saved) : saveNow))

    const whileOpen = <A>(effect: Effect.Effect<A, AuthError>): Effect.Effect<A, AuthError> =>
      Effect.suspend(() =>
        closed ? new Misconfigured({ field: provider.name, problem: "the layer of this session has closed" }) : effect
      )

    /** Asks until there is a token, a lasting failure, or no patience left (law 9). */
    const obtain = (
      question: (
        state: SessionState.State,
        now: SessionState.Now
      ) => readonly [SessionState.Question, SessionState.State],
      deadline?: bigint
    ): Effect.Effect<Token.AccessToken, AuthError> =>
      whileOpen(
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            transition((state, now) => {
              const [asked, next] = question(state, now)
              const ask = { ...asked, deadline: deadline ?? now.nanos + patience }
              const [answer, after] = SessionState.ask(rules, next, ask, now, Deferred.unsafeMake(FiberId.none))
              return [{ answer, ask }, after]
            }),
            ({ answer, ask }) => {
              const again = Effect.suspend(() => obtain((state) => [ask, state], ask.deadline))
              return follow(answer, restore, {
                waited: again,
                superseded: again,
                failed: (failure) => (isTransient(failure) ? again : Effect.fail(failure))
              })
            }
          )
        )
      )

    /** Does what a caller was answered. Claiming a flight and forking it cannot be torn apart; waiting can. */
    const follow = (
      answer: SessionState.Answer,
      restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
      then: {
        readonly waited: Effect.Effect<Token.AccessToken, AuthError>
        readonly superseded: Effect.Effect<Token.AccessToken, AuthError>
        readonly failed: (failure: AuthError) => Effect.Effect<Token.AccessToken, AuthError>
      }
    ): Effect.Effect<Token.AccessToken, AuthError> => {
      switch (answer._tag) {
        case "Serve":
          return Effect.as(launch(answer.launch), answer.token)
        case "Join":
          return Effect.zipRight(
            launch(answer.launch),
            restore(
              Effect.matchEffect(Deferred.await(answer.flight.landing), {
                onSuccess: Option.match({ onNone: () => then.superseded, onSome: Effect.succeed }),
                onFailure: then.failed
              })
            )
          )
        case "Wait":
          return restore(Effect.zipRight(Effect.sleep(answer.millis), then.waited))
        case "Fail":
          return Effect.fail(answer.failure)
      }
    }

    /** Credentials are read first: a log in that cannot be tried leaves what is under way alone. */
    const loginBy = (deadline?: bigint): Effect.Effect<Token.AccessToken, AuthError> =>
      whileOpen(
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const { answer, until } = yield* transition((state, now) => {
              const until = deadline ?? now.nanos + patience
              return [{ answer: SignIn.beforeLogin(state, until, now), until }, state]
            })
            const then = {
              waited: Effect.suspend(() => loginBy(until)),
              superseded: Effect.suspend(() => obtain(any)),
              failed: Effect.fail
            }
            if (answer !== undefined) return yield* follow(answer, restore, then)
            const read = yield* restore(courier.carryOut({ _tag: "ReadCredentials" }))
            if (read._tag === "CredentialsFailed") return yield* read.failure
            if (read._tag !== "CredentialsRead" || !read.enough) return yield* Courier.nothingToLogInWith
            const { claim, old } = yield* transition((state, now) => {
              const landing = Deferred.unsafeMake<Option.Option<Token.AccessToken>, AuthError>(FiberId.none)
              const [claim, next] = SignIn.login(state, read.credentials, now, landing)
              return [{ claim, old: next === state ? undefined : state.flight }, next]
            })
            yield* supersede(old)
            return yield* follow(claim, restore, then)
          })
        )
      )

    const adopt = (tokens: Token.TokenSet): Effect.Effect<void, AuthError> =>
      whileOpen(
        !Token.isSendable(tokens)
          ? unsendable("tokens")
          : Effect.uninterruptibleMask((restore) =>
              Effect.flatMap(
                transition((state) => {
                  const [flight, next] = SignIn.adopt(state, tokens, Deferred.unsafeMake(FiberId.none))
                  return [{ flight, old: state.flight }, next]
                }),
                ({ flight, old }) =>
                  Effect.all([supersede(old), launch(flight), restore(Deferred.await(flight.landing))], {
                    discard: true
                  })
              )
            )
      )

    const logout: Effect.Effect<void> = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const old = yield* transition((state) => [state, SignIn.logout(state)])
        yield* supersede(old.flight)
        const keep = Effect.zipRight(saveTwice, saveAgain)
        const rest = yield* own(
          Effect.flatMap(courier.load, (found) => {
            const revoke = Option.match(Resting.newest(old, found), {
              onNone: () => Effect.void,
              onSome: courier.revoke
            })
            return Effect.zipRight(keep, revoke)
          })
        )
        yield* restore(Fiber.await(rest))
      })
    )

    const changes = Stream.unwrapScoped(
      // Subscribing and reading the current status are one step, so that none is missed and none comes twice.
      SynchronizedRef.modifyEffect(ref, (state) =>
        Effect.gen(function* () {
          watchers ??= yield* PubSub.sliding<Status.Status>(64)
          const later = yield* PubSub.subscribe(watchers)
          const first = Status.make(rules, state, yield* reading)
          return [Stream.concat(Stream.make(first), Stream.fromQueue(later)), state] as const
        })
      )
    ).pipe(Stream.changesWith(Status.equivalence))

    const renewable: Renewable = {
      renewalDelay: look((state, now) => (closed ? undefined : SessionState.renewalDelay(rules, state, now))),
      renew: Effect.uninterruptible(
        Effect.flatMap(
          transition((state, now) => SessionState.renew(rules, state, now, Deferred.unsafeMake(FiberId.none))),
          launch
        )
      )
    }

    /** Laws 8 and 31: what is under way is waited for, what is not saved is saved, and neither for ever. */
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        closed = true
        yield* told
        const landed: Effect.Effect<void> = Effect.suspend(() =>
          owned.size === 0 ? Effect.void : Effect.zipRight(Fiber.awaitAll(owned), landed)
        )
        yield* Effect.timeoutOption(Effect.interruptible(landed), shutdownDeadline)
        yield* Fiber.interruptAll(owned)
        // In a fiber of its own, as the one that closes may have been interrupted itself.
        yield* Effect.flatMap(own(Effect.asVoid(saveTwice)), Fiber.await)
        if (watchers !== undefined) yield* PubSub.shutdown(watchers)
      })
    )

    const slow = obtain(any)
    return {
      // Law 1: no lock, no fiber, no store. Either clock may say that the token is no longer fresh (law 5).
      accessToken: Effect.clockWith((clock) =>
        clock.unsafeCurrentTimeMillis() < snapshot.freshMillis && clock.unsafeCurrentTimeNanos() < snapshot.freshNanos
          ? snapshot.exit
          : slow
      ),
      refresh: obtain(SessionState.newer),
      reject: (token, options) =>
        obtain((state, now) => SessionState.reject(state, token, options?.retried === true, now)),
      login: loginBy(),
      adopt,
      logout,
      status: look((state, now) => Status.make(rules, state, now)),
      changes
    }
  })

const unsendable = (field: string) =>
  new Misconfigured({ field, problem: "must hold a token, and none with characters that cannot stand in a header" })

const any = (state: SessionState.State) => [SessionState.anyToken, state] as const

/**
 * A session that lives as long as the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Session, Misconfigured, AuthProvider | Credentials | TokenStore> => Layer.scoped(Session, make(options))
