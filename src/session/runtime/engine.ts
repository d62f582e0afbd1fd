import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as SynchronizedRef from "effect/SynchronizedRef"
import type * as Moment from "../../common/Moment.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type * as Credentials from "../../provider/Credentials.js"
import type * as Keeper from "../../store/recordStore.js"
import { apart, type said } from "../../telemetry/labels.js"
import * as Status from "../machine/Status.js"
import type * as SessionState from "../machine/state.js"
import * as Held from "../machine/tokens.js"
import type * as Section from "./lease.js"
import * as News from "./transitionLog.js"

/** What the sessions of one layer have in common. */
export interface Setting {
  readonly keeper: Keeper.Keeper
  readonly leeway: Duration.Duration
  /** On the monotonic clock. */
  readonly patience: bigint
  readonly timeout: Duration.Duration
  readonly shutdownDeadline: Duration.Duration
  /** What the fibers of a session run with and say of themselves, whichever caller started them. */
  readonly said: Effect.Effect.Success<typeof said>
  /** Told when a flight has ended, or anything else has changed: the renewal listens. */
  readonly onChange: ((engine: Engine) => Effect.Effect<void>) | undefined
}

/** The state of a session, and since when it looks as it does. */
interface Snapshot {
  readonly state: SessionState.State
  readonly since: Status.Since
}

/** What a session has while something happens to it. At rest it would be most of what a session costs. */
interface Work {
  readonly guard: SynchronizedRef.SynchronizedRef<SessionState.State>
  /** How many changes are under way, or wait for the guard. */
  changes: number
  /** The fibers that no caller can interrupt. */
  readonly owned: Set<Fiber.RuntimeFiber<void>>
  /** Law 18: whether what the store could not keep is being saved, and by whom. */
  saving: boolean
  saver: Fiber.RuntimeFiber<void> | undefined
  section: Section.Section | undefined
}

/** A session as it runs. At rest it is this record and nothing else: no fiber, no lock, no closure. */
export class Engine {
  readonly setting: Setting
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  readonly key: string
  readonly label: string | undefined
  /** The only mirror of the state, with the three fields after it; published by each change and nowhere else. */
  snapshot: Snapshot
  // What a reader of a fresh token needs of it, one step nearer: reading many sessions in turn is waiting for memory.
  freshMillis = Held.notFresh.freshMillis
  freshNanos = Held.notFresh.freshNanos
  exit = Held.notFresh.exit
  work: Work | undefined = undefined
  /** Whoever listens to the changes of status, and how many they are. */
  watchers: PubSub.PubSub<Status.Status> | undefined = undefined
  watched = 0
  readable = true
  complained = false
  /** The refresh token whose end was warned of. */
  warned: unknown = undefined
  closed = false

  constructor(
    options: Pick<Engine, "setting" | "provider" | "credentials" | "key" | "label">,
    state: SessionState.State,
    made: Moment.Moment
  ) {
    this.setting = options.setting
    this.provider = options.provider
    this.credentials = options.credentials
    this.key = options.key
    this.label = options.label
    this.snapshot = { state, since: { state: "signed-out", at: made.millis } }
  }

  get keeper() {
    return this.setting.keeper
  }

  get leeway() {
    return this.setting.leeway
  }

  get timeout() {
    return this.setting.timeout
  }
}

const publish = (engine: Engine, snapshot: Snapshot): void => {
  const { exit, freshMillis, freshNanos } = Held.freshness(snapshot.state.held, engine.leeway)
  engine.snapshot = snapshot
  engine.freshMillis = freshMillis
  engine.freshNanos = freshNanos
  engine.exit = exit
}

/** Both clocks, and chance. */
export const reading: Effect.Effect<SessionState.Now> = Effect.flatMap(Random.next, (random) =>
  Effect.clockWith((clock) =>
    // Not spread: each object that a spread makes of this has a shape of its own.
    Effect.succeed({ millis: clock.unsafeCurrentTimeMillis(), nanos: clock.unsafeCurrentTimeNanos(), random })
  )
)

export const busy = (engine: Engine): Work => {
  engine.work ??= {
    guard: SynchronizedRef.unsafeMake(engine.snapshot.state),
    changes: 0,
    owned: new Set(),
    saving: false,
    saver: undefined,
    section: undefined
  }
  return engine.work
}

export const rest = (engine: Engine): void => {
  const { work } = engine
  if (work?.changes === 0 && work.owned.size === 0 && !work.saving) engine.work = undefined
}

/** What it looks like from outside. */
export const status = (engine: Engine): Effect.Effect<Status.Status> =>
  Effect.map(reading, (now) => Status.make(engine, engine.snapshot.state, now, engine.snapshot.since))

type Change<A> = (state: SessionState.State, now: SessionState.Now) => readonly [A, SessionState.State]

/**
 * Every change of state goes through here; the snapshot is written nowhere else. It never waits for anyone, and is done
 * where nothing interrupts it.
 *
 * What changes nothing is answered without the lock: it is not a fair one, and readers in a tight loop would keep a
 * flight from ever landing.
 */
export const transition = <A>(engine: Engine, f: Change<A>): Effect.Effect<A> =>
  Effect.flatMap(reading, (now) => {
    const { state } = engine.snapshot
    const step = f(state, now)
    return step[1] === state ? Effect.succeed(step[0]) : change(engine, (on) => (on === state ? step : f(on, now)), now)
  })

const change = <A>(
  engine: Engine,
  f: (state: SessionState.State) => readonly [A, SessionState.State],
  now: SessionState.Now
): Effect.Effect<A> =>
  Effect.flatMap(
    guarded(engine, (before) => {
      const [answer, after] = f(before)
      const state = Status.stateOf(engine, after, now)
      const since = engine.snapshot.since.state === state ? engine.snapshot.since : { state, at: now.millis }
      publish(engine, { state: after, since })
      const result = Effect.succeed([{ answer, before, after }, after] as const)
      return engine.watchers === undefined
        ? result
        : Effect.zipRight(PubSub.publish(engine.watchers, Status.make(engine, after, now, since)), result)
    }),
    ({ after, answer, before }) =>
      Effect.as(Effect.zipRight(News.changed(engine, before, after, now), told(engine)), answer)
  )

/** One at a time, under a guard that is made when the first comes and let go when the last leaves; uninterruptible. */
export const guarded = <A, R>(
  engine: Engine,
  body: (state: SessionState.State) => Effect.Effect<readonly [A, SessionState.State], never, R>
): Effect.Effect<A, never, R> =>
  Effect.suspend(() => {
    const work = busy(engine)
    const leave = <B>(then: B): B => {
      work.changes--
      rest(engine)
      return then
    }
    work.changes++
    return Effect.matchCauseEffect(SynchronizedRef.modifyEffect(work.guard, body), {
      onFailure: (cause) => leave(Effect.failCause(cause)),
      onSuccess: (a) => leave(Effect.succeed(a))
    })
  })

// Whoever listens can neither fail a caller nor a flight (law 32). While a flight is under way, there is nothing to plan.
export const told = (engine: Engine): Effect.Effect<void> =>
  engine.setting.onChange === undefined || (engine.snapshot.state.flight !== undefined && !engine.closed)
    ? Effect.void
    : Effect.catchAllCause(
        Effect.suspend(() => engine.setting.onChange?.(engine) ?? Effect.void),
        () => Effect.void
      )

/** Forks a daemon of the session: no caller can interrupt it, and whoever closes waits for it (laws 7 and 8). */
export const own = (engine: Engine, effect: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
  Effect.withFiberRuntime<void>((self) => {
    known(engine, self as Fiber.RuntimeFiber<void>)
    return Effect.zipRight(apart(engine), effect)
  }).pipe(
    Effect.uninterruptible,
    Effect.forkDaemon,
    Effect.map((fiber) => {
      known(engine, fiber)
      return fiber
    })
  )

/** Notes a fiber of the session. The fiber and the one that forked it both do, so that whoever closes is sure to see it. */
const known = (engine: Engine, fiber: Fiber.RuntimeFiber<void>): void => {
  const { owned } = busy(engine)
  if (owned.has(fiber)) return
  owned.add(fiber)
  fiber.addObserver(() => {
    owned.delete(fiber)
    rest(engine)
  })
}
