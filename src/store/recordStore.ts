import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { StoreFailure } from "../common/AuthError.js"
import { runBounded } from "../common/bounded.js"
import * as Moment from "../common/Moment.js"
import * as Record from "./record.js"
import * as Synchronous from "./synchronous.js"
import type * as TokenStore from "./TokenStore.js"

/** A token store as sessions use it: it has records rather than text, and every call ends in time with a typed result. */
export interface RecordStore {
  readonly load: (key: string) => Effect.Effect<Either.Either<Option.Option<Record.StoredRecord>, StoreFailure>>
  /** Answers `false` if the store has the same version or a newer one. */
  readonly save: (key: string, record: Record.SessionRecord) => Effect.Effect<Either.Either<boolean, StoreFailure>>
  readonly lease: (key: string, owner: string) => Effect.Effect<Either.Either<boolean, StoreFailure>>
  readonly release: (key: string, owner: string) => Effect.Effect<unknown>
  /** Tells whether calls cannot block and every lease owner lives in this process, so that leases need no heartbeat. */
  readonly isSynchronous: boolean
}

/** Makes the record store of a token store. */
export const make = (store: TokenStore.Service): RecordStore => {
  const memory = Synchronous.of<TokenStore.Entry>(store)
  return memory === undefined ? asynchronous(store) : synchronous(memory)
}

/** A synchronous store has records as they are: no text is written or read. */
const synchronous = ({ lease, load, release, save }: Synchronous.SynchronousStore<TokenStore.Entry>): RecordStore => ({
  load: (key) => Effect.map(Moment.now, (now) => Record.fromMemory(key, load(key, now))),
  save: (key, record) =>
    Effect.map(Moment.now, (now) => Either.right(save(key, new Record.LazyEntry(key, record), now))),
  lease: (key, owner) => Effect.map(Moment.now, (now) => Either.right(lease(key, owner, now))),
  release: (key, owner) => Effect.sync(() => release(key, owner)),
  isSynchronous: true
})

/** The longest time callers wait for a token set to be saved before it is served from memory alone: two seconds (law 18). */
const storeTimeout = Duration.seconds(2)

/** The time a lease lasts without a heartbeat of its owner: ten seconds (law 20). */
export const leaseDuration: Duration.Duration = Duration.seconds(10)

const bounded = <A>(
  operation: StoreFailure["operation"],
  effect: () => Effect.Effect<A, StoreFailure>
): Effect.Effect<Either.Either<A, StoreFailure>> =>
  runBounded("token store", effect, storeTimeout, {
    onTimeout: () => new StoreFailure({ operation, problem: "it did not respond in time" }),
    onDefect: () => new StoreFailure({ operation, problem: "a defect in the store" })
  })

const asynchronous = (store: TokenStore.Service): RecordStore => ({
  // The store computed the age at some moment between call and answer: at the earliest, when it was called.
  load: (key) =>
    Effect.all([Moment.now, bounded("load", () => store.load(key)), Moment.now]).pipe(
      Effect.map(([since, stored, now]) =>
        Either.flatMap(
          stored,
          Option.match({
            onNone: () => Either.right(Option.none()),
            onSome: (entry) => {
              const age = Duration.sum(entry.age, Duration.millis(Moment.age(since, now)))
              return Either.map(Record.decode(key, { ...entry, age }), Option.some)
            }
          })
        )
      )
    ),
  save: (key, record) => bounded("save", () => store.save(key, Record.encode(key, record))),
  lease: (key, owner) => bounded("lease", () => store.lease(key, owner, leaseDuration)),
  release: (key, owner) => bounded("lease", () => store.release(key, owner)),
  isSynchronous: false
})
