import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Exit, Layer, Option, Redacted, TestClock } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as Moment from "../../src/common/Moment.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import { LawBroken, laws } from "../../src/testing/StoreLaws.js"

const underTest = laws({ wait: TestClock.adjust })

/** The laws that a store breaks, each with what was told about it. */
const brokenBy = (store: Effect.Effect<TokenStore.Service>, all = underTest) =>
  Effect.map(
    Effect.forEach(all, ({ check, name }) =>
      Effect.map(
        Effect.either(Effect.provide(check, Layer.effect(TokenStore.TokenStore, store))),
        Either.match({ onLeft: (error) => [[name, error] as const], onRight: () => [] })
      )
    ),
    (broken) => new Map(broken.flat())
  )

/** A store that lives in memory but for what a fault changes. */
const faulty = (fault: (inner: TokenStore.Service) => Partial<TokenStore.Service>): Effect.Effect<TokenStore.Service> =>
  Effect.map(TokenStore.makeMemory, (inner) => ({ ...inner, ...fault(inner) }))

/** Entries in a map, which are judged and kept by functions of the fault's own. */
const keeping = (options: {
  readonly accepts?: (entry: TokenStore.Version, stored: TokenStore.Version) => boolean
  /** What happens between looking at what is kept and replacing it. */
  readonly pause?: Effect.Effect<void>
  readonly contents?: (text: string) => string
  readonly version?: (version: TokenStore.Version) => TokenStore.Version
}) =>
  faulty(() => {
    const entries = new Map<string, TokenStore.Entry>()
    return {
      load: (key) =>
        Effect.sync(() =>
          Option.map(Option.fromNullable(entries.get(key)), (entry) => ({ ...entry, age: Duration.zero }))
        ),
      save: (key, entry) =>
        Effect.gen(function* () {
          const stored = entries.get(key)
          if (stored !== undefined && !(options.accepts ?? TokenStore.isNewer)(entry, stored)) return false
          yield* options.pause ?? Effect.void
          const contents = (options.contents ?? ((text) => text))(Redacted.value(entry.contents))
          entries.set(key, { ...entry, ...options.version?.(entry), contents: Redacted.make(contents) })
          return true
        })
    }
  })

/** Leases in a map, which are judged by functions of the fault's own. */
const lending = (options: {
  readonly pause?: Effect.Effect<void>
  readonly until?: (now: number, millis: number, before: number | undefined) => number
  readonly judge?: (lease: { owner: string; until: number }, now: number, owner: string, millis: number) => boolean
  readonly releases?: (holder: string, owner: string) => boolean
}) =>
  faulty(() => {
    const leases = new Map<string, { owner: string; until: number; since: number }>()
    const judge = options.judge ?? ((lease, now, owner) => lease.owner === owner || now >= lease.until)
    return {
      lease: (key, owner, duration) =>
        Effect.gen(function* () {
          const now = (yield* Moment.now).millis
          const lease = leases.get(key)
          if (lease !== undefined && !judge(lease, now, owner, Duration.toMillis(duration))) return false
          yield* options.pause ?? Effect.void
          const mine = lease?.owner === owner && now < lease.until ? lease.until : undefined
          const until = options.until?.(now, Duration.toMillis(duration), mine) ?? now + Duration.toMillis(duration)
          leases.set(key, { owner, until, since: now })
          return true
        }),
      release: (key, owner) =>
        Effect.sync(() => {
          const holder = leases.get(key)?.owner
          if (holder !== undefined && (options.releases ?? ((a, b) => a === b))(holder, owner)) leases.delete(key)
        })
    }
  })

const aging = (age: (age: Duration.Duration, key: string) => Duration.Duration) =>
  faulty((inner) => ({
    load: (key) =>
      Effect.map(
        inner.load(key),
        Option.map((stored) => ({ ...stored, age: age(stored.age, key) }))
      )
  }))

const naming = (rename: (key: string) => string) =>
  faulty((inner) => ({
    load: (key) => inner.load(rename(key)),
    save: (key, entry) => inner.save(rename(key), entry),
    lease: (key, owner, duration) => inner.lease(rename(key), owner, duration),
    release: (key, owner) => inner.release(rename(key), owner)
  }))

const { min } = Math

const nothing = "a key without a save has no entry"
const exactly = "an entry is loaded exactly as it was saved"
const generations = "a newer generation is accepted; an older and an equal one are refused and change nothing"
const revisions =
  "of one generation a higher revision is accepted; a lower and an equal one are refused and change nothing"
const numbers = "versions are compared as numbers, from zero to the largest integer"
const order = "any order of saves leaves the newest"
const sameVersion = "of concurrent saves of one version exactly one is accepted, and that one is stored"
const readers =
  "concurrent saves of different versions leave the newest; readers meanwhile see whole entries that never go back"
const keys = "keys do not collide"
const oneOwner = "of concurrent owners exactly one gets the lease"
const ownership = "an owner may take its lease again; another owner gets it only after its release"
const strangers = "releasing the lease of another owner does nothing"
const twice = "releasing a lease twice, or one without an owner, does nothing"
const independent = "leases of different keys are independent"
const unhindered = "saving and loading need no lease and work while there is one"
const growing = "the age starts at zero, is never negative, and grows with time"
const renewed = "a save renews the age, and one that is refused does not"
const ends = "a lease ends by itself, and not before its time"
const owners = "a lease lasts as long as its owner asked for, however long a waiting owner asks for"
const alive = "a lease with heartbeats does not end"
const takenOver = "an owner whose lease was taken over can neither regain it by a heartbeat nor release it"

const faults: ReadonlyArray<readonly [fault: string, store: Effect.Effect<TokenStore.Service>, law: string]> = [
  [
    "there is always something",
    faulty((inner) => ({
      load: (key) =>
        Effect.map(
          inner.load(key),
          Option.orElseSome(() => ({
            generation: 0,
            revision: 0,
            contents: Redacted.make(""),
            age: Duration.zero
          }))
        )
    })),
    nothing
  ],
  ["contents lose their ends", keeping({ contents: (text) => text.trim() }), exactly],
  ["contents lose a byte order mark", keeping({ contents: (text) => text.replace(/^\ufeff/, "") }), exactly],
  ["contents are normalised", keeping({ contents: (text) => text.normalize() }), exactly],
  ["line ends are rewritten", keeping({ contents: (text) => text.replaceAll("\r\n", "\n") }), exactly],
  ["contents end at 64 KiB less one", keeping({ contents: (text) => text.slice(0, 65_535) }), exactly],
  ["contents are Latin", keeping({ contents: (text) => Buffer.from(text, "latin1").toString("latin1") }), exactly],
  ["save ignores versions", keeping({ accepts: () => true }), generations],
  ["save takes equal versions", keeping({ accepts: (a, b) => !TokenStore.isNewer(b, a) }), generations],
  ["save ignores the revision", keeping({ accepts: (a, b) => a.generation > b.generation }), revisions],
  ["save takes any revision of a generation", keeping({ accepts: (a, b) => a.generation >= b.generation }), revisions],
  [
    "save wants both numbers to grow",
    keeping({ accepts: (a, b) => a.generation > b.generation && a.revision > b.revision }),
    order
  ],
  ["save refuses gaps", keeping({ accepts: (a, b) => a.generation === b.generation + 1 }), order],
  [
    "what is refused is kept all the same",
    faulty((inner) => {
      const last = new Map<string, TokenStore.Entry>()
      return {
        save: (key, entry) => Effect.tap(inner.save(key, entry), () => Effect.sync(() => void last.set(key, entry))),
        load: (key) =>
          Effect.map(
            inner.load(key),
            Option.map((stored) => ({ ...stored, ...last.get(key) }))
          )
      }
    }),
    generations
  ],
  [
    "versions are compared as text",
    keeping({ accepts: (a, b) => `${a.generation}.${a.revision}` > `${b.generation}.${b.revision}` }),
    numbers
  ],
  [
    "versions have 32 bits",
    keeping({ version: ({ generation, revision }) => ({ generation: generation | 0, revision }) }),
    numbers
  ],
  [
    "versions have 14 digits",
    keeping({ version: ({ generation, revision }) => ({ generation: Number(generation.toPrecision(14)), revision }) }),
    numbers
  ],
  ["save looks first and writes later", keeping({ pause: Effect.yieldNow() }), sameVersion],
  [
    "save always says that it saved",
    faulty((inner) => ({ save: (key, entry) => Effect.as(inner.save(key, entry), true) })),
    generations
  ],
  [
    "reads are torn",
    faulty((inner) => {
      const writing = new Set<string>()
      return {
        save: (key, entry) =>
          Effect.gen(function* () {
            writing.add(key)
            yield* Effect.yieldNow()
            writing.delete(key)
            return yield* inner.save(key, entry)
          }),
        load: (key) =>
          Effect.map(
            inner.load(key),
            Option.map((stored) => {
              const text = Redacted.value(stored.contents)
              return writing.has(key) ? { ...stored, contents: Redacted.make(text.slice(0, text.length / 2)) } : stored
            })
          )
      }
    }),
    readers
  ],
  [
    "an entry is gone while it is replaced",
    faulty((inner) => {
      const writing = new Set<string>()
      return {
        save: (key, entry) =>
          Effect.gen(function* () {
            writing.add(key)
            yield* Effect.yieldNow()
            writing.delete(key)
            return yield* inner.save(key, entry)
          }),
        load: (key) => Effect.map(inner.load(key), (stored) => (writing.has(key) ? Option.none() : stored))
      }
    }),
    readers
  ],
  [
    "some reads are of a replica that lags behind",
    faulty((inner) => {
      const replica = new Map<string, TokenStore.StoredEntry>()
      let reads = 0
      return {
        save: (key, entry) =>
          Effect.gen(function* () {
            const before = yield* inner.load(key)
            const saved = yield* inner.save(key, entry)
            if (saved && Option.isSome(before)) replica.set(key, before.value)
            yield* Effect.yieldNow()
            return saved
          }),
        load: (key) =>
          Effect.map(inner.load(key), (stored) =>
            reads++ % 3 === 0 ? stored : Option.orElse(Option.fromNullable(replica.get(key)), () => stored)
          )
      }
    }),
    readers
  ],
  ["keys are lower-cased", naming((key) => key.toLowerCase()), keys],
  ["keys are trimmed", naming((key) => key.trim()), keys],
  ["keys are normalised", naming((key) => key.normalize()), keys],
  ["keys are paths", naming((key) => new URL(encodeURI(key), "file:///a/b/").pathname), keys],
  ["keys are cut at 255 characters", naming((key) => key.slice(0, 255)), keys],
  ["keys are decoded", naming((key) => key.replaceAll("%2F", "/")), keys],
  ["what is odd in a key is replaced", naming((key) => key.replaceAll(/[^\w./ ]/g, "_")), keys],
  [
    "entries are in a plain object",
    faulty((inner) => {
      const born: Record<string, TokenStore.StoredEntry> = {}
      return {
        load: (key) =>
          Effect.map(
            inner.load(key),
            Option.orElse(() => Option.fromNullable(born[key]))
          )
      }
    }),
    keys
  ],
  [
    "leases are not by key",
    faulty((inner) => ({
      lease: (_, owner, duration) => inner.lease("", owner, duration),
      release: (_, owner) => inner.release("", owner)
    })),
    independent
  ],
  ["a lease is given to everyone", lending({ judge: () => true }), oneOwner],
  ["a lease is given to everyone in turn", lending({ judge: () => true }), ownership],
  ["a lease is given to no one", faulty(() => ({ lease: () => Effect.succeed(false) })), ownership],
  ["a lease is looked at first and taken later", lending({ pause: Effect.yieldNow() }), oneOwner],
  ["an owner cannot take the lease again", lending({ judge: (lease, now) => now >= lease.until }), ownership],
  ["anyone may release", lending({ releases: () => true }), strangers],
  ["an owner is known by the case of no letter", lending({ releases: (a, b) => a === b.toLowerCase() }), strangers],
  ["no one may release", lending({ releases: () => false }), ownership],
  [
    "releasing twice fails",
    faulty((inner) => {
      const released = new Set<string>()
      return {
        release: (key, owner) =>
          Effect.suspend(() => {
            if (released.has(key)) return new StoreFailure({ operation: "lease", problem: "no one holds it" })
            released.add(key)
            return inner.release(key, owner)
          })
      }
    }),
    twice
  ],
  [
    "an owner gives all its leases back",
    faulty((inner) => {
      const paused = new Set<string>()
      return {
        lease: (key, owner, duration) => Effect.tap(inner.lease(key, owner, duration), () => paused.add(key)),
        release: (_, owner) => Effect.forEach(paused, (key) => inner.release(key, owner), { discard: true })
      }
    }),
    independent
  ],
  [
    "a save ends the lease",
    faulty((inner) => {
      const holder = new Map<string, string>()
      return {
        lease: (key, owner, duration) =>
          Effect.tap(inner.lease(key, owner, duration), (taken) => taken && holder.set(key, owner)),
        save: (key, entry) => Effect.zipLeft(inner.save(key, entry), inner.release(key, holder.get(key) ?? ""))
      }
    }),
    unhindered
  ],
  [
    "what is leased cannot be saved",
    faulty((inner) => {
      const paused = new Set<string>()
      return {
        lease: (key, owner, duration) => Effect.tap(inner.lease(key, owner, duration), () => paused.add(key)),
        save: (key, entry) => (paused.has(key) ? Effect.succeed(false) : inner.save(key, entry))
      }
    }),
    unhindered
  ],
  ["the age is always zero", aging(() => Duration.zero), growing],
  ["the age is in seconds where it should be milliseconds", aging((age) => Duration.times(age, 1 / 1000)), growing],
  ["the age counts from 1970", aging((age) => Duration.sum(age, "20000 days")), growing],
  [
    "the age is that of the first save",
    faulty((inner) => {
      const first = new Map<string, Moment.Moment>()
      return {
        save: (key, entry) =>
          Effect.tap(inner.save(key, entry), () =>
            Effect.map(Moment.now, (now) => first.has(key) || first.set(key, now))
          ),
        load: (key) =>
          Effect.zipWith(inner.load(key), Moment.now, (stored, now) =>
            Option.map(stored, (stored) => ({
              ...stored,
              age: Duration.millis(Moment.age(first.get(key) ?? now, now))
            }))
          )
      }
    }),
    renewed
  ],
  [
    "a refused save renews the age",
    faulty((inner) => {
      const last = new Map<string, Moment.Moment>()
      return {
        save: (key, entry) =>
          Effect.tap(inner.save(key, entry), () => Effect.map(Moment.now, (now) => last.set(key, now))),
        load: (key) =>
          Effect.zipWith(inner.load(key), Moment.now, (stored, now) =>
            Option.map(stored, (stored) => ({ ...stored, age: Duration.millis(Moment.age(last.get(key) ?? now, now)) }))
          )
      }
    }),
    renewed
  ],
  ["a lease never ends", lending({ judge: (lease, _, owner) => lease.owner === owner }), ends],
  ["a lease ends after three times its time", lending({ until: (now, millis) => now + 3 * millis }), ends],
  ["a lease ends after a third of its time", lending({ until: (now, millis) => now + millis / 3 }), ends],
  [
    "the one who waits says how long a lease lasts",
    lending({
      judge: (lease, now, owner, millis) => lease.owner === owner || now >= min(lease.until, now + 1 - millis)
    }),
    ownership
  ],
  ["every lease lasts a minute", lending({ until: (now) => now + 60_000 }), owners],
  ["every lease lasts as long as the shortest", lending({ until: (now, millis) => now + min(millis, 400) }), owners],
  ["a beat does not keep a lease alive", lending({ until: (now, millis, mine) => mine ?? now + millis }), alive],
  [
    "a beat shortens a lease",
    lending({ until: (now, millis, mine) => (mine ? now + millis / 10 : now + millis) }),
    alive
  ],
  [
    "who once had the lease gets it back by a beat",
    faulty((inner) => {
      const once = new Set<string>()
      return {
        lease: (key, owner, duration) =>
          once.has(`${key}/${owner}`)
            ? Effect.succeed(true)
            : Effect.tap(inner.lease(key, owner, duration), (taken) => taken && once.add(`${key}/${owner}`))
      }
    }),
    takenOver
  ],
  [
    "who once had the lease can release it",
    faulty((inner) => {
      const once = new Map<string, ReadonlyArray<string>>()
      return {
        lease: (key, owner, duration) =>
          Effect.tap(
            inner.lease(key, owner, duration),
            (taken) => taken && once.set(key, [...(once.get(key) ?? []), owner])
          ),
        release: (key, owner) =>
          once.get(key)?.includes(owner)
            ? Effect.forEach(once.get(key) ?? [], (holder) => inner.release(key, holder), { discard: true })
            : Effect.void
      }
    }),
    takenOver
  ]
]

describe("law 19, law 20: the suite finds what is wrong with a store", () => {
  for (const [fault, store, law] of faults) {
    it.effect(`${fault}: it breaks "${law}"`, () =>
      Effect.gen(function* () {
        const broken = yield* brokenBy(
          store,
          underTest.filter(({ name }) => name === law)
        )
        assert.deepStrictEqual(Array.from(broken.keys()), [law])
        for (const error of broken.values()) {
          if (error._tag === "LawBroken") assert.match(error.message, /^.+: expected that .+, but .+$/s)
          assert.isBelow(error.message.length, 1500)
        }
      })
    )
  }

  it("each law is broken by some fault", () => {
    assert.deepStrictEqual(
      underTest.map(({ name }) => name).filter((name) => !faults.some(([, , law]) => law === name)),
      []
    )
    assert.strictEqual(new Set(underTest.map(({ name }) => name)).size, underTest.length)
  })
})

describe("law 19, law 20: the suite leaves a lawful store alone", () => {
  const none = (broken: ReadonlyMap<string, LawBroken | StoreFailure>) =>
    assert.deepStrictEqual(Array.from(broken.values(), String), [])

  it.effect("one whose dead holder is judged by who waits, from the first look on", () =>
    Effect.gen(function* () {
      const store = faulty(() => {
        const leases = new Map<string, { owner: string; beat: number; millis: number }>()
        const looks = new Map<string, { beat: number; at: number }>()
        let beats = 0
        return {
          lease: (key, owner, duration) =>
            Effect.map(Moment.now, ({ millis: now }) => {
              const lease = leases.get(key)
              const observer = `${key}/${owner}`
              if (lease !== undefined && lease.owner !== owner) {
                const look = looks.get(observer)
                if (look === undefined || look.beat !== lease.beat) {
                  looks.set(observer, { beat: lease.beat, at: now })
                  return false
                }
                if (now - look.at < lease.millis) return false
              }
              leases.set(key, { owner, beat: ++beats, millis: Duration.toMillis(duration) })
              return true
            }),
          release: (key, owner) => Effect.sync(() => leases.get(key)?.owner === owner && leases.delete(key))
        }
      })
      none(yield* brokenBy(store))
    })
  )

  for (const factor of [1.4, 2.9, 30]) {
    it.effect(`one on a machine that stands still in between (${factor} times as long as it should)`, () =>
      Effect.gen(function* () {
        const slow = laws({ wait: (duration) => TestClock.adjust(Duration.times(duration, factor)) })
        none(yield* brokenBy(TokenStore.makeMemory, slow))
      })
    )
  }

  it.effect("one that is slow to answer", () =>
    Effect.gen(function* () {
      const late = <A, E>(effect: Effect.Effect<A, E>) => Effect.zipLeft(effect, TestClock.adjust("300 millis"))
      const store = faulty((inner) => ({
        load: (key) => late(inner.load(key)),
        save: (key, entry) => late(inner.save(key, entry)),
        lease: (key, owner, duration) => late(inner.lease(key, owner, duration))
      }))
      none(yield* brokenBy(store))
    })
  )

  it.live("several suites at once over one store, by the machine's clock", () =>
    Effect.gen(function* () {
      const store = yield* TokenStore.makeMemory
      const suite = laws({ lease: "200 millis" }).map(({ check }) => check)
      yield* Effect.provideService(
        Effect.all([...suite, ...suite, ...suite], { concurrency: "unbounded", discard: true }),
        TokenStore.TokenStore,
        store
      )
    })
  )

  it.effect("a store that fails is told by its own failure, and a store that dies by its defect", () =>
    Effect.gen(function* () {
      const down = new StoreFailure({ operation: "load", problem: "the server is down" })
      const broken = yield* brokenBy(faulty(() => ({ load: () => down })))
      assert.strictEqual(broken.get(nothing), down)
      const dies = yield* Effect.exit(brokenBy(faulty(() => ({ load: () => Effect.die("a bug") }))))
      assert.isTrue(Exit.isFailure(dies))
    })
  )

  it.effect("what is told says what was expected and what the store did", () =>
    Effect.gen(function* () {
      const broken = yield* brokenBy(keeping({ accepts: () => true }))
      const error = broken.get(generations)
      assert.instanceOf(error, LawBroken)
      assert.match(
        error?.message ?? "",
        /^a newer generation is accepted; .*: expected that saving version 2\.0 returns false, but it returned true \(key "laws-/
      )
    })
  )
})
