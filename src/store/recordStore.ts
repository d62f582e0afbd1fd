import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { StoreFailure } from "../common/AuthError.js"
import { settle } from "../common/bounded.js"
import * as Moment from "../common/Moment.js"
import * as RenewalPolicy from "../token/RenewalPolicy.js"
import * as Record from "./record.js"
import * as Immediate from "./synchronous.js"
import type * as TokenStore from "./TokenStore.js"

/** A store as sessions see it: it keeps records. Whatever the store does, each call ends, and ends typed. */
export interface Keeper {
  readonly load: (key: string) => Effect.Effect<Either.Either<Option.Option<Record.Found>, StoreFailure>>
  /** False if what is kept is newer, as is what another process of the same version saved first. */
  readonly save: (key: string, record: Record.Record) => Effect.Effect<Either.Either<boolean, StoreFailure>>
  readonly lease: (key: string, owner: string) => Effect.Effect<Either.Either<boolean, StoreFailure>>
  readonly release: (key: string, owner: string) => Effect.Effect<unknown>
  /** Whether it answers at once, and knows that whoever has a lease is alive: nobody has to watch over it. */
  readonly immediate: boolean
}

/** How sessions see a store. */
export const of = (store: TokenStore.Service): Keeper => {
  const memory = Immediate.of<TokenStore.Entry>(store)
  return memory === undefined ? foreign(store) : immediate(memory)
}

/** A store in memory keeps records as they are: no text is written, and none is read. */
const immediate = ({ lease, load, release, save }: Immediate.Immediate<TokenStore.Entry>): Keeper => ({
  load: (key) => Effect.map(Moment.now, (now) => Record.found(key, load(key, now))),
  save: (key, record) =>
    Effect.map(Moment.now, (now) => Either.right(save(key, new Record.Unwritten(key, record), now))),
  lease: (key, owner) => Effect.map(Moment.now, (now) => Either.right(lease(key, owner, now))),
  release: (key, owner) => Effect.sync(() => release(key, owner)),
  immediate: true
})

/** How long callers wait for a token set to be saved before it is served from memory alone (law 18). */
const storeTimeout = Duration.seconds(2)

const asked = <A>(
  operation: StoreFailure["operation"],
  effect: () => Effect.Effect<A, StoreFailure>
): Effect.Effect<Either.Either<A, StoreFailure>> =>
  settle("token store", effect, storeTimeout, {
    late: () => new StoreFailure({ operation, problem: "it does not answer" }),
    broken: () => new StoreFailure({ operation, problem: "a defect in the store" })
  })

const foreign = (store: TokenStore.Service): Keeper => ({
  // For how long it was kept was told some time between asking and now: at the latest, that long ago.
  load: (key) =>
    Effect.all([Moment.now, asked("load", () => store.load(key)), Moment.now]).pipe(
      Effect.map(([since, kept, now]) =>
        Either.flatMap(
          kept,
          Option.match({
            onNone: () => Either.right(Option.none()),
            onSome: (found) => {
              const age = Duration.sum(found.age, Duration.millis(Moment.age(since, now)))
              return Either.map(Record.decode(key, { ...found, age }), Option.some)
            }
          })
        )
      )
    ),
  save: (key, record) => asked("save", () => store.save(key, Record.encode(key, record))),
  lease: (key, owner) => asked("lock", () => store.lease(key, owner, RenewalPolicy.leaseDuration)),
  release: (key, owner) => asked("lock", () => store.release(key, owner)),
  immediate: false
})
