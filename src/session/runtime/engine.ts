import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as SynchronizedRef from "effect/SynchronizedRef"
import { Misconfigured } from "../../common/AuthError.js"
import { ignoreCause } from "../../common/bounded.js"
import { toNanos } from "../../common/duration.js"
import type * as Moment from "../../common/Moment.js"
import { withFiber } from "../../common/runtime.js"
import { duration, positive } from "../../common/validate.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type * as Credentials from "../../provider/Credentials.js"
import * as RecordStore from "../../store/recordStore.js"
import { TokenStore } from "../../store/TokenStore.js"
import type * as Token from "../../token/Token.js"
import * as Status from "../machine/Status.js"
import * as Snapshot from "../machine/snapshot.js"
import type { Now, State } from "../machine/state.js"
import * as Tokens from "../machine/tokens.js"
import * as FiberContext from "./fiberContext.js"
import type * as Lease from "./lease.js"
import { logTransition } from "./transitionLog.js"

/** The configuration that the sessions of one layer share. */
export interface Config {
  readonly recordStore: RecordStore.RecordStore
  readonly leeway: Duration.Duration
  /** In nanoseconds of the monotonic clock. */
  readonly patience: bigint
  readonly timeout: Duration.Duration
  readonly shutdownDeadline: Duration.Duration
  /**
   * The context and FiberRefs captured when the session was made. Its fibers use these, not those of the caller that
   * started them.
   */
  readonly fiberContext: FiberContext.FiberContext
  /** Called at the end of a flight and after any other change: the renewal listens here. */
  onChange: ((engine: Engine) => Effect.Effect<void>) | undefined
}

/** The options that sessions have in common. */
interface CommonOptions {
  readonly leeway?: Duration.DurationInput | undefined
  readonly patience?: Duration.DurationInput | undefined
  readonly timeout?: Duration.DurationInput | undefined
  readonly shutdownDeadline?: Duration.DurationInput | undefined
}

/** Makes the configuration from options. Fails with `Misconfigured`, which names the option. */
export const makeConfig = (
  options: CommonOptions,
  onChange?: Config["onChange"]
): Effect.Effect<Config, Misconfigured, TokenStore> =>
  Effect.all({
    recordStore: Effect.map(TokenStore, RecordStore.make),
    leeway: duration("leeway", options.leeway ?? "5 minutes"),
    patience: Effect.map(duration("patience", options.patience ?? "3 seconds"), toNanos),
    timeout: positive("timeout", options.timeout ?? "10 seconds"),
    shutdownDeadline: duration("shutdownDeadline", options.shutdownDeadline ?? "10 seconds"),
    onChange: Effect.succeed(onChange),
    fiberContext: FiberContext.capture
  })

/**
 * Allocated while a transition, flight or save is in progress and dropped afterwards: it would be most of an idle
 * session's memory.
 */
interface Work {
  /** Guards each change of state. */
  readonly mutex: SynchronizedRef.SynchronizedRef<State>
  /** The number of transitions under way or waiting for the mutex. */
  transitions: number
  /** The fibers of the session, which no caller can interrupt. */
  readonly owned: Set<Fiber.RuntimeFiber<void>>
  /** Tells whether unsaved state is being saved in the background (law 18); `saver` is the fiber that does. */
  saving: boolean
  saver: Fiber.RuntimeFiber<void> | undefined
  lease: Lease.Lease | undefined
}

const neverRead: Exit.Exit<Token.AccessToken> = Exit.die("never read")

/** A running session. While idle it is this object and nothing else: no fiber, no lock, no closure. */
export class Engine {
  readonly config: Config
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  readonly key: string
  readonly label: string | undefined
  /** The state and its derived values, published by each transition and nowhere else. */
  snapshot: Snapshot.Snapshot
  // The fresh token and its end by either clock, copied from the snapshot: with many sessions, a read is memory
  // latency.
  freshUntilMillis = Number.NEGATIVE_INFINITY
  freshUntilNanos = 0n
  freshToken = neverRead
  work: Work | undefined = undefined
  /** The subscribers of `changes`, and their number. */
  watchers: PubSub.PubSub<Status.Status> | undefined = undefined
  watcherCount = 0
  storeReadable = true
  saveFailureLogged = false
  /** The refresh token whose end was warned of. */
  expiryWarned: unknown = undefined
  closed = false

  constructor(
    options: Pick<Engine, "config" | "provider" | "credentials" | "key" | "label">,
    state: State,
    made: Moment.Moment
  ) {
    this.config = options.config
    this.provider = options.provider
    this.credentials = options.credentials
    this.key = options.key
    this.label = options.label
    this.snapshot = { state, since: { state: "signed-out", at: made.millis } }
  }

  get recordStore() {
    return this.config.recordStore
  }

  get leeway() {
    return this.config.leeway
  }

  get timeout() {
    return this.config.timeout
  }
}

const publish = (engine: Engine, snapshot: Snapshot.Snapshot): void => {
  const fresh = Tokens.freshToken(snapshot.state.current, engine.leeway)
  engine.snapshot = snapshot
  engine.freshUntilMillis = fresh?.untilMillis ?? Number.NEGATIVE_INFINITY
  engine.freshUntilNanos = fresh?.untilNanos ?? 0n
  engine.freshToken = fresh === undefined ? neverRead : Exit.succeed(fresh.token)
}

/** Reads both clocks, and a random number. */
export const now: Effect.Effect<Now> = Effect.flatMap(Random.next, (random) =>
  Effect.clockWith((clock) =>
    // Not spread: every object that a spread makes of this has a shape of its own.
    Effect.succeed({ millis: clock.unsafeCurrentTimeMillis(), nanos: clock.unsafeCurrentTimeNanos(), random })
  )
)

/** Returns the work in progress, which is allocated if there is none. */
export const acquireWork = (engine: Engine): Work => {
  engine.work ??= {
    mutex: SynchronizedRef.unsafeMake(engine.snapshot.state),
    transitions: 0,
    owned: new Set(),
    saving: false,
    saver: undefined,
    lease: undefined
  }
  return engine.work
}

/** Drops the work if none is left. */
export const releaseWork = (engine: Engine): void => {
  const { work } = engine
  if (work?.transitions === 0 && work.owned.size === 0 && !work.saving) engine.work = undefined
}

/** Returns the status of a session. */
export const status = (engine: Engine): Effect.Effect<Status.Status> =>
  Effect.map(now, (now) => Snapshot.status(engine, engine.snapshot.state, now, engine.snapshot.since))

type Transition<A> = (state: State, now: Now) => readonly [A, State]

/**
 * Changes the state. Every change goes through here, and the snapshot is written nowhere else. It waits for other
 * transitions only, and must be run uninterruptibly.
 *
 * A transition that changes nothing returns without the mutex, which is not fair: readers in a tight loop would keep a
 * flight from ever ending.
 */
export const transition = <A>(engine: Engine, f: Transition<A>): Effect.Effect<A> =>
  Effect.flatMap(now, (now) => {
    const { state } = engine.snapshot
    const result = f(state, now)
    return result[1] === state
      ? Effect.succeed(result[0])
      : change(engine, (current) => (current === state ? result : f(current, now)), now)
  })

const change = <A>(engine: Engine, f: (state: State) => readonly [A, State], now: Now): Effect.Effect<A> =>
  Effect.flatMap(
    withMutex(engine, (before) => {
      const [value, after] = f(before)
      const state = Snapshot.publicState(engine, after, now)
      const since = engine.snapshot.since.state === state ? engine.snapshot.since : { state, at: now.millis }
      publish(engine, { state: after, since })
      const result = Effect.succeed([{ value, before, after }, after] as const)
      return engine.watchers === undefined
        ? result
        : Effect.zipRight(PubSub.publish(engine.watchers, Snapshot.status(engine, after, now, since)), result)
    }),
    ({ after, before, value }) =>
      Effect.as(Effect.zipRight(logTransition(engine, before, after, now), notify(engine)), value)
  )

/**
 * Runs one body at a time; must be run uninterruptibly. The mutex exists while it is needed: it is made by the first body
 * and dropped by the last.
 */
const withMutex = <A, R>(
  engine: Engine,
  body: (state: State) => Effect.Effect<readonly [A, State], never, R>
): Effect.Effect<A, never, R> =>
  Effect.suspend(() => {
    const work = acquireWork(engine)
    const leave = <B>(then: B): B => {
      work.transitions--
      releaseWork(engine)
      return then
    }
    work.transitions++
    return Effect.matchCauseEffect(SynchronizedRef.modifyEffect(work.mutex, body), {
      onFailure: (cause) => leave(Effect.failCause(cause)),
      onSuccess: (a) => leave(Effect.succeed(a))
    })
  })

/**
 * Notifies `onChange`. Its failures and defects are ignored (law 32). Not called during a flight: the end of the flight
 * calls it.
 */
export const notify = (engine: Engine): Effect.Effect<void> =>
  engine.config.onChange === undefined || (engine.snapshot.state.flight !== undefined && !engine.closed)
    ? Effect.void
    : ignoreCause(Effect.suspend(() => engine.config.onChange?.(engine) ?? Effect.void))

/** Forks a daemon that the session owns: no caller can interrupt it, and closing waits for it (laws 7 and 8). */
export const forkOwned = (engine: Engine, effect: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
  withFiber<void>((self) => {
    track(engine, self)
    return Effect.zipRight(FiberContext.install(engine), effect)
  }).pipe(
    Effect.uninterruptible,
    Effect.forkDaemon,
    Effect.map((fiber) => {
      track(engine, fiber)
      return fiber
    })
  )

/** Tracks a fiber until it ends. Both the fiber and its parent call this, so that closing is sure to see it. */
const track = (engine: Engine, fiber: Fiber.RuntimeFiber<void>): void => {
  const { owned } = acquireWork(engine)
  if (owned.has(fiber)) return
  owned.add(fiber)
  fiber.addObserver(() => {
    owned.delete(fiber)
    releaseWork(engine)
  })
}

/**
 * The current status and those after each change. Reading and subscribing are one step, so that none is missed or
 * repeated.
 */
export const changes = (engine: Engine): Stream.Stream<Status.Status> =>
  Stream.unwrapScoped(
    withMutex(engine, (state) =>
      Effect.gen(function* () {
        const first = Stream.make(Snapshot.status(engine, state, yield* now, engine.snapshot.since))
        if (engine.closed) return [first, state] as const
        // Counted before it subscribes, so that a watcher that leaves takes nothing away from one that comes.
        yield* Effect.acquireRelease(
          Effect.sync(() => engine.watcherCount++),
          () =>
            Effect.suspend(() => {
              engine.watcherCount--
              if (engine.watcherCount === 0) engine.watchers = undefined
              return notify(engine)
            })
        )
        engine.watchers ??= yield* PubSub.sliding<Status.Status>(64)
        const later = yield* PubSub.subscribe(engine.watchers)
        return [Stream.concat(first, Stream.fromQueue(later)), state] as const
      })
    ).pipe(Effect.uninterruptible)
  ).pipe(Stream.changesWith(Status.equivalence))

const closedProblem = "the layer of this session has closed"

/** Makes the failure of a call after the session, or its map, has closed. */
export const hasClosed = (field: string): Misconfigured => new Misconfigured({ field, problem: closedProblem })

/** Tells whether a failure is one of {@link hasClosed}. */
export const isClosedError = (u: unknown): boolean => u instanceof Misconfigured && u.problem === closedProblem

const engines = new WeakMap<object, Engine>()

/** Registers the engine behind a session. */
export const register = <S extends object>(session: S, engine: Engine): S => {
  engines.set(session, engine)
  return session
}

/** Returns the engine behind a session that `Session.make` made. */
export const of = (session: object): Engine | undefined => engines.get(session)
