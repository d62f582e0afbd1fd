import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as SynchronizedRef from "effect/SynchronizedRef"
import type * as AuthProvider from "../AuthProvider.js"
import type * as Credentials from "../Credentials.js"
import * as Flight from "../Flight.js"
import * as Moment from "../Moment.js"
import * as RenewalPolicy from "../RenewalPolicy.js"
import * as SessionState from "../SessionState.js"
import * as Status from "../Status.js"
import type * as Token from "../Token.js"
import * as Courier from "./courier.js"
import * as Held from "./held.js"
import type { Event, Landed } from "./order.js"
import * as Resting from "./resting.js"
import * as Section from "./section.js"
import type { Setting } from "./setting.js"

/** The state of a session, and what a reader of a fresh token needs of it. */
interface Snapshot extends Held.Freshness {
  readonly state: SessionState.State
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
  /** Told when a flight has ended, or anything else has changed: the renewal listens. */
  readonly onChange: ((engine: Engine) => Effect.Effect<void>) | undefined
  /** The only mirror of the state, replaced by each change and nowhere else. */
  snapshot: Snapshot
  work: Work | undefined = undefined
  watchers: PubSub.PubSub<Status.Status> | undefined = undefined
  readable = true
  closed = false

  constructor(
    options: Pick<Engine, "setting" | "provider" | "credentials" | "key" | "onChange">,
    state: SessionState.State
  ) {
    this.setting = options.setting
    this.provider = options.provider
    this.credentials = options.credentials
    this.key = options.key
    this.onChange = options.onChange
    this.snapshot = { state, ...Held.freshness(state.held, this.leeway) }
  }

  get store() {
    return this.setting.store
  }

  get leeway() {
    return this.setting.leeway
  }

  get timeout() {
    return this.setting.timeout
  }

  /** In how many milliseconds it wants to be renewed. */
  get renewalDelay(): Effect.Effect<number | undefined> {
    return look(this, (state, now) => (this.closed ? undefined : SessionState.renewalDelay(this, state, now)))
  }

  /** Starts the exchange if it is due, and waits for nothing. */
  get renew(): Effect.Effect<void> {
    return Effect.uninterruptible(
      Effect.flatMap(
        transition(this, (state, now) => SessionState.renew(this, state, now, Deferred.unsafeMake(FiberId.none))),
        (flight) => launch(this, flight)
      )
    )
  }
}

/** Both clocks, and chance. */
export const reading: Effect.Effect<SessionState.Now> = Effect.zipWith(Moment.now, Random.next, (now, random) => ({
  ...now,
  random
}))

const busy = (engine: Engine): Work => {
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

const rest = (engine: Engine): void => {
  const { work } = engine
  if (work?.changes === 0 && work.owned.size === 0 && !work.saving) engine.work = undefined
}

export const look = <A>(engine: Engine, f: (state: SessionState.State, now: SessionState.Now) => A): Effect.Effect<A> =>
  Effect.map(reading, (now) => f(engine.snapshot.state, now))

/** What it looks like from outside. */
export const status = (engine: Engine): Effect.Effect<Status.Status> =>
  look(engine, (state, now) => Status.make(engine, state, now))

type Change<A> = (state: SessionState.State, now: SessionState.Now) => readonly [A, SessionState.State]

/**
 * Every change of state goes through here; the snapshot is written nowhere else. It never waits for anyone.
 *
 * What changes nothing is answered without the lock: it is not a fair one, and readers in a tight loop would keep a
 * flight from ever landing.
 */
export const transition = <A>(engine: Engine, f: Change<A>): Effect.Effect<A> =>
  look(engine, (state, now) => {
    const [answer, next] = f(state, now)
    return next === state ? Effect.succeed(answer) : change(engine, f)
  }).pipe(Effect.flatten, Effect.uninterruptible)

const change = <A>(engine: Engine, f: Change<A>): Effect.Effect<A> =>
  guarded(engine, (state) =>
    Effect.flatMap(reading, (now) => {
      const result = f(state, now)
      const next = result[1]
      engine.snapshot = { state: next, ...Held.freshness(next.held, engine.leeway) }
      return engine.watchers === undefined
        ? Effect.succeed(result)
        : Effect.as(PubSub.publish(engine.watchers, Status.make(engine, next, now)), result)
    })
  ).pipe(Effect.tap(() => told(engine)))

/** One at a time, under a guard that is made when the first comes and let go when the last leaves. */
const guarded = <A, R>(
  engine: Engine,
  body: (state: SessionState.State) => Effect.Effect<readonly [A, SessionState.State], never, R>
): Effect.Effect<A, never, R> =>
  Effect.suspend(() => {
    const work = busy(engine)
    work.changes++
    return Effect.ensuring(
      SynchronizedRef.modifyEffect(work.guard, body),
      Effect.sync(() => {
        work.changes--
        rest(engine)
      })
    )
  })

// Whoever listens can neither fail a caller nor a flight (law 32). While a flight is under way, there is nothing to plan.
const told = (engine: Engine): Effect.Effect<void> =>
  engine.onChange === undefined || (engine.snapshot.state.flight !== undefined && !engine.closed)
    ? Effect.void
    : Effect.catchAllCause(
        Effect.suspend(() => engine.onChange?.(engine) ?? Effect.void),
        () => Effect.void
      )

/** Forks a daemon of the session: no caller can interrupt it, and whoever closes waits for it (laws 7 and 8). */
export const own = (engine: Engine, effect: Effect.Effect<void>): Effect.Effect<Fiber.Fiber<void>> =>
  Effect.uninterruptible(effect).pipe(
    Effect.mapInputContext((_: Context.Context<never>) => engine.setting.context),
    Effect.forkDaemon,
    Effect.tap((fiber) => {
      const { owned } = busy(engine)
      owned.add(fiber)
      fiber.addObserver(() => {
        owned.delete(fiber)
        rest(engine)
      })
    })
  )

/** Carries a flight to its landing. It runs uninterruptibly, but for the time it waits for someone else. */
const fly = (engine: Engine, landing: SessionState.Landing): Effect.Effect<void> => {
  const advance = (event: Event) => transition(engine, (state, now) => Flight.step(engine, state, landing, event, now))
  const work = busy(engine)
  const landed = Effect.gen(function* () {
    let command = yield* advance({ _tag: "Started" })
    while (command._tag !== "Land") {
      if (command._tag === "Lock") work.section ??= Section.make(engine)
      command = yield* advance(
        yield* command._tag === "Lock"
          ? (work.section ?? Section.make(engine)).enter(landing, command.known, isWanted(engine, landing))
          : Courier.carryOut(engine, command)
      )
    }
    return command.result
  })
  return landed.pipe(
    Effect.catchAllDefect(() => transition(engine, (state, now) => Flight.crash(engine, state, landing, now))),
    Effect.flatMap((result) => land(landing, result)),
    Effect.zipRight(Effect.suspend(() => work.section?.leave(landing) ?? Effect.void)),
    Effect.zipRight(saveAgain(engine))
  )
}

const isWanted = (engine: Engine, landing: SessionState.Landing) =>
  Effect.sync(() => !engine.closed && engine.snapshot.state.flight?.landing === landing)

const land = (landing: SessionState.Landing, result: Landed): Effect.Effect<unknown> => {
  switch (result._tag) {
    case "Token":
      return Deferred.succeed(landing, Option.some(result.token))
    case "AskAgain":
      return Deferred.succeed(landing, Option.none<Token.AccessToken>())
    case "Failure":
      return Deferred.fail(landing, result.failure)
  }
}

export const launch = (engine: Engine, flight: SessionState.Flight | undefined): Effect.Effect<void> =>
  flight === undefined
    ? Effect.void
    : Effect.asVoid(
        own(
          engine,
          Effect.suspend(() => fly(engine, flight.landing))
        )
      )

/** The callers of a flight in whose place something else came ask again. */
export const supersede = (flight: SessionState.Flight | undefined): Effect.Effect<unknown> =>
  flight === undefined ? Effect.void : land(flight.landing, { _tag: "AskAgain" })

/** Law 18: what the store could not keep is saved in the background until it is, or until there is something newer. */
export const saveAgain = (engine: Engine): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (engine.closed || engine.work?.saving || engine.snapshot.state.saved) return Effect.void
    const work = busy(engine)
    work.saving = true
    return Effect.flatMap(saveNow(engine), (saved) => (saved ? Effect.void : Effect.fail("unsaved" as const))).pipe(
      Effect.retry(RenewalPolicy.saving),
      Effect.ignore,
      Effect.ensuring(
        Effect.sync(() => {
          work.saving = false
          rest(engine)
        })
      ),
      // A set that came in the meantime may be unsaved as well.
      Effect.zipRight(saveAgain(engine)),
      Effect.interruptible,
      Effect.forkDaemon,
      Effect.flatMap((fiber) => Effect.sync(() => (work.saver = fiber)))
    )
  })

const saveNow = (engine: Engine): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const { state } = engine.snapshot
    if (state.saved) return true
    // A flight that is saving what it obtained takes the place of what is unsaved.
    if (state.flight?.pending !== undefined || state.flight?.amending !== undefined) return false
    const record = Resting.record(state, yield* Moment.now)
    const result = yield* Courier.save(engine, record)
    const kept = result === "older" ? yield* Courier.load(engine) : Either.right(Option.none())
    return yield* transition(engine, (now) =>
      Either.isLeft(kept) ? [false, now] : Resting.saved(now, record, result, kept.right)
    )
  })

/** The second try is for a store that turned out to keep a newer generation than this session knew of. */
export const saveTwice = (engine: Engine): Effect.Effect<boolean> =>
  Effect.flatMap(saveNow(engine), (saved) => (saved ? Effect.succeed(saved) : saveNow(engine)))

/** The status now, then each that follows: looking and subscribing are one step, so that none is missed or comes twice. */
export const changes = (engine: Engine): Stream.Stream<Status.Status> =>
  Stream.unwrapScoped(
    guarded(engine, (state) =>
      Effect.gen(function* () {
        engine.watchers ??= yield* PubSub.sliding<Status.Status>(64)
        const later = yield* PubSub.subscribe(engine.watchers)
        const first = Status.make(engine, state, yield* reading)
        return [Stream.concat(Stream.make(first), Stream.fromQueue(later)), state] as const
      })
    )
  ).pipe(Stream.changesWith(Status.equivalence))

/** Laws 8 and 31: what is under way is waited for, what is not saved is saved, and neither for ever. */
export const close = (engine: Engine): Effect.Effect<void> =>
  Effect.gen(function* () {
    engine.closed = true
    yield* told(engine)
    const owned = () => engine.work?.owned ?? new Set()
    if (engine.work?.saver !== undefined) yield* Fiber.interrupt(engine.work.saver)
    const landed: Effect.Effect<void> = Effect.suspend(() =>
      owned().size === 0 ? Effect.void : Effect.zipRight(Fiber.awaitAll(owned()), landed)
    )
    yield* Effect.timeoutOption(Effect.interruptible(landed), engine.setting.shutdownDeadline)
    yield* Fiber.interruptAll(owned())
    // In a fiber of its own, as the one that closes may have been interrupted itself.
    yield* Effect.flatMap(own(engine, Effect.asVoid(saveTwice(engine))), Fiber.await)
    if (engine.watchers !== undefined) yield* PubSub.shutdown(engine.watchers)
  })
