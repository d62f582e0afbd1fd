/**
 * What every token store must keep to, as checks that need no test runner: for whoever writes a store of their own.
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { laws } from "effect-auth/testing/StoreLaws"
 *
 * for (const { name, check } of laws()) it.live(name, () => Effect.provide(check, MyStore.layer))
 * ```
 *
 * Each check uses keys of its own, so that the suite can run against a server that others use, several times at once.
 * A check fails only for what it measured by its own clock: a slow machine makes it later, not wrong.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { StoreFailure } from "../AuthError.js"
import * as Moment from "../Moment.js"
import type { Entry, Kept, Service, Version } from "../TokenStore.js"
import { isNewer, TokenStore } from "../TokenStore.js"

/**
 * A store does not do what the port promises.
 *
 * @since 0.1.0
 * @category testing
 */
export class LawBroken extends Schema.TaggedError<LawBroken>("effect-auth/testing/LawBroken")("LawBroken", {
  law: Schema.String,
  expected: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `${this.law}: expected that ${this.expected}, but ${this.found}`
  }
}

/**
 * One thing that a store must do, and the check of it over the store of the context.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Law {
  readonly name: string
  readonly check: Effect.Effect<void, StoreFailure | LawBroken, TokenStore>
}

/**
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /** How time passes: `Effect.sleep` (default) for the clock of the machine, `TestClock.adjust` under a test's own. */
  readonly wait?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  /** How long the leases last whose end is waited for (default 1 second). Ages are judged to the half of it. */
  readonly lease?: Duration.DurationInput | undefined
}

/** For leases whose end no check waits for. */
const long = Duration.minutes(1)

const version = (generation: number, revision = 0): Version => ({ generation, revision })

/** The contents of a version where a law is not about contents; each differs from every other. */
const contentsOf = ({ generation, revision }: Version) => `contents of ${generation}.${revision}`

const entry = (version: Version, contents = contentsOf(version)): Entry => ({
  ...version,
  contents: Redacted.make(contents)
})

const told = ({ generation, revision }: Version) => `version ${generation}.${revision}`

const excerpt = (text: string) =>
  `${text.length} characters, ${JSON.stringify(text.length > 60 ? `${text.slice(0, 40)}...${text.slice(-20)}` : text)}`

const toldKept = (kept: Option.Option<Kept>) =>
  Option.match(kept, {
    onNone: () => "it keeps nothing",
    onSome: (kept) => `it keeps ${told(kept)} with ${excerpt(Redacted.value(kept.contents))}`
  })

const isExactly = (kept: Option.Option<Kept>, version: Version, contents: string) =>
  Option.exists(
    kept,
    (kept) =>
      kept.generation === version.generation &&
      kept.revision === version.revision &&
      Redacted.value(kept.contents) === contents
  )

/** Every character up to U+017F but NUL, which some engines cannot hold. */
const characters = String.fromCharCode(...Array.from({ length: 0x17f }, (_, index) => index + 1))

const oddContents: ReadonlyArray<string> = [
  "",
  " ",
  "\n",
  " \t leading and trailing \r\n",
  `'single' "double" \`back\` \\ \\n \\u0041 \${a} $1 %s %00 {0} ?; --`,
  '{"__proto__":{"x":1},"n":1e999}',
  "null",
  "0",
  "\ufeffa byte order mark",
  "\u2028\u2029\u0085\u200b\u202e",
  "\u00e9 e\u0301 \u4f60\u597d \u0395\u03bb \u{1f510} \u{1f468}\u200d\u{1f469}\u200d\u{1f467}",
  characters,
  ...[1, 255, 256, 1023, 4096, 65_535, 65_536].map((length) => "x".repeat(length)),
  ...[10_000, 65_536].map((length) => characters.repeat(Math.ceil(length / characters.length)).slice(0, length))
]

/** Names that could meet in a file system, a path, a URL, a pattern, an object, or with a store's own names. */
const oddKeys = (key: string): ReadonlyArray<string> => [
  key,
  key.toUpperCase(),
  ` ${key}`,
  `${key} `,
  `${key}  `,
  `${key}.`,
  `.${key}`,
  `/${key}`,
  `${key}/`,
  `${key}//`,
  `${key}\\`,
  `${key}/x`,
  `${key}/../${key}/x/`,
  `../${key}`,
  `../../${key}`,
  `%2F${key}`,
  `${key}%2F`,
  `${key}%20`,
  `${key}+`,
  `${key}:x`,
  `${key}_x`,
  `${key}-x`,
  `${key}*`,
  `${key}?`,
  `${key}%`,
  `${key}'`,
  `${key}"`,
  `${key}\n`,
  `{${key}}`,
  ...["lock", "lease", "tmp", "json", "bak"].flatMap((name) => [`${key}.${name}`, `${key}:${name}`, `${name}:${key}`]),
  `__proto__${key}`,
  `__proto__/${key}`,
  `${key}\u00e9`,
  `${key}e\u0301`,
  `${key}E\u0301`,
  `${key}\u{1f510}`,
  `${key}\u{1f511}`,
  ...["a", "b", "A"].map((end) => `${key}${"k".repeat(499 - key.length)}${end}`),
  `${"\u4f60".repeat(500 - key.length)}${key}`
]

/** Names that every object has from birth. They are not the check's own, so they are only looked at. */
const bornNames = ["", ".", "..", "__proto__", "constructor", "toString", "hasOwnProperty"]

const together = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.all(effects, { concurrency: "unbounded" })

interface Bench {
  readonly store: Service
  readonly key: string
  readonly expect: (condition: boolean, expected: string, found: string) => Effect.Effect<void, LawBroken>
  /** Saves a version and expects an answer. */
  readonly save: (
    version: Version,
    answer: boolean,
    contents?: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Expects that exactly this is kept. */
  readonly keeps: (version: Version, contents?: string, key?: string) => Effect.Effect<void, StoreFailure | LawBroken>
  /** Asks for the lease and expects an answer. */
  readonly lease: (
    owner: string,
    answer: boolean,
    why: string,
    key?: string
  ) => Effect.Effect<void, StoreFailure | LawBroken>
}

const bench = (law: string, store: Service, key: string): Bench => {
  const expect: Bench["expect"] = (condition, expected, found) =>
    condition ? Effect.void : new LawBroken({ law, expected, found })
  return {
    store,
    key,
    expect,
    save: (version, answer, contents, at = key) =>
      Effect.flatMap(store.save(at, entry(version, contents)), (saved) =>
        expect(
          saved === answer,
          `saving ${told(version)} is answered ${answer}`,
          `it was ${saved} (key ${JSON.stringify(at)})`
        )
      ),
    keeps: (version, contents = contentsOf(version), at = key) =>
      Effect.flatMap(store.load(at), (kept) =>
        expect(
          isExactly(kept, version, contents),
          `it keeps ${told(version)} with ${excerpt(contents)}`,
          `${toldKept(kept)} (key ${JSON.stringify(at)})`
        )
      ),
    lease: (owner, answer, why, at = key) =>
      Effect.flatMap(store.lease(at, owner, long), (taken) =>
        expect(taken === answer, `${owner} is told ${answer}, as ${why}`, `it was ${taken} (key ${JSON.stringify(at)})`)
      )
  }
}

const law = (name: string, body: (bench: Bench) => Effect.Effect<void, StoreFailure | LawBroken>): Law => ({
  name,
  check: Effect.flatMap(TokenStore, (store) =>
    Effect.suspend(() => body(bench(name, store, `laws-${globalThis.crypto.randomUUID()}`)))
  )
})

const keeping: ReadonlyArray<Law> = [
  law(
    "a key that nothing was saved under has nothing",
    Effect.fnUntraced(function* ({ expect, key, store }) {
      const kept = yield* store.load(key)
      yield* expect(Option.isNone(kept), "it keeps nothing", toldKept(kept))
    })
  ),
  law(
    "what is saved is loaded exactly",
    Effect.fnUntraced(function* ({ keeps, save }) {
      for (const [index, contents] of oddContents.entries()) {
        yield* save(version(index + 1), true, contents)
        yield* keeps(version(index + 1), contents)
      }
    })
  ),
  law(
    "a newer generation is accepted; an older and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ keeps, save }) {
      yield* save(version(2), true)
      yield* save(version(2), false, "equal")
      yield* keeps(version(2))
      yield* save(version(1, 9), false, "older")
      yield* keeps(version(2))
      yield* save(version(3), true)
      yield* keeps(version(3))
      yield* save(version(2, 9), false, "older")
      yield* keeps(version(3))
    })
  ),
  law(
    "of one generation a higher revision is accepted; a lower and an equal one are refused and change nothing",
    Effect.fnUntraced(function* ({ keeps, save }) {
      yield* save(version(1, 1), true)
      yield* save(version(1, 1), false, "equal")
      yield* keeps(version(1, 1))
      yield* save(version(1, 0), false, "lower")
      yield* keeps(version(1, 1))
      yield* save(version(1, 2), true)
      yield* keeps(version(1, 2))
      yield* save(version(2, 0), true)
      yield* keeps(version(2, 0))
    })
  ),
  law(
    "versions are compared as numbers, from zero to the largest integer",
    Effect.fnUntraced(function* ({ keeps, save }) {
      const largest = Number.MAX_SAFE_INTEGER
      const rising = [0, 9, 10, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 99_999_999_999_999, largest - 1, largest]
      for (const number of rising) {
        yield* save(version(number), true)
        yield* keeps(version(number))
      }
      for (const number of rising.slice(1)) {
        yield* save(version(largest, number), true)
        yield* keeps(version(largest, number))
      }
      yield* save(version(9, largest), false)
      yield* save(version(largest, largest - 1), false)
      yield* keeps(version(largest, largest))
    })
  ),
  law(
    "any order of saves leaves the newest",
    Effect.fnUntraced(function* ({ keeps, save }) {
      let newest = version(0, 0)
      yield* save(newest, true)
      for (const [generation, revision] of [
        [3, 1],
        [1, 0],
        [3, 0],
        [3, 2],
        [2, 9],
        [5, 0],
        [5, 0],
        [4, 7],
        [5, 1],
        [10, 0],
        [9, 99],
        [10, 0],
        [10, 2],
        [10, 1],
        [100, 0],
        [20, 20]
      ] as const) {
        const next = version(generation, revision)
        const accepted = isNewer(next, newest)
        yield* save(next, accepted)
        if (accepted) newest = next
        yield* keeps(newest)
      }
    })
  ),
  law(
    "of concurrent saves of one version exactly one is accepted, and it is what is kept",
    Effect.fnUntraced(function* ({ expect, keeps, key, store }) {
      // The first version finds nothing to replace, which is another path in most stores.
      for (const next of [version(1), version(1, 1), version(2), version(3)]) {
        const contents = Array.from({ length: 12 }, (_, index) => `${contentsOf(next)} by ${index}`)
        const answers = yield* together(contents.map((text) => store.save(key, entry(next, text))))
        const winners = contents.filter((_, index) => answers[index])
        yield* expect(winners.length === 1, `one save of ${told(next)} is accepted`, `${winners.length} were`)
        yield* keeps(next, winners[0])
      }
    })
  ),
  law(
    "concurrent saves of different versions leave the newest; readers meanwhile see whole entries that never go back",
    Effect.fnUntraced(function* ({ expect, keeps, key, save, store }) {
      // Long enough that half of it would show.
      const whole = (version: Version) => `${`${contentsOf(version)}, `.repeat(1500)}and no more`
      const first = version(1)
      const versions = Array.from({ length: 24 }, (_, index) => version(2 + ((index * 7) % 24), index % 3))
      const newest = versions.reduce((a, b) => (isNewer(b, a) ? b : a))
      let writing = true
      yield* save(first, true, whole(first))
      const writers = Effect.ensuring(
        together(versions.map((version) => store.save(key, entry(version, whole(version))))),
        Effect.sync(() => {
          writing = false
        })
      )
      const reader = Effect.suspend(() => {
        let last = first
        return Effect.gen(function* () {
          const kept = yield* store.load(key)
          yield* expect(
            Option.exists(kept, (found) => isExactly(kept, found, whole(found))),
            "a reader sees a whole entry at any time",
            toldKept(kept)
          )
          if (Option.isNone(kept)) return
          yield* expect(
            !isNewer(last, kept.value),
            `a reader that saw ${told(last)} never sees an older one`,
            `it saw ${told(kept.value)}`
          )
          last = version(kept.value.generation, kept.value.revision)
          yield* Effect.yieldNow()
        }).pipe(Effect.repeat({ while: () => writing }))
      })
      const [answers] = yield* Effect.all([writers, reader, reader], { concurrency: "unbounded" })
      yield* expect(
        answers[versions.indexOf(newest)] === true,
        `saving the newest, ${told(newest)}, is accepted`,
        "it was refused"
      )
      yield* keeps(newest, whole(newest))
    })
  ),
  law(
    "keys do not meet",
    Effect.fnUntraced(function* ({ expect, keeps, key, lease, save, store }) {
      const keys = oddKeys(key)
      for (const [index, key] of keys.entries()) yield* save(version(1, index), true, key, key)
      for (const [index, key] of keys.entries()) yield* keeps(version(1, index), key, key)
      for (const [index, key] of keys.entries()) {
        yield* lease(`owner ${index}`, true, "this key's lease is free", key)
        yield* keeps(version(1, index), key, key)
      }
      for (const [index, key] of keys.entries()) {
        yield* lease("another", false, `the lease is with owner ${index}`, key)
        yield* store.release(key, `owner ${index}`)
      }
      for (const name of bornNames) {
        const kept = yield* store.load(name)
        yield* expect(
          Option.isNone(kept) || Redacted.isRedacted(kept.value.contents),
          `there is nothing under ${JSON.stringify(name)}, or an entry`,
          "it handed out something else"
        )
      }
    })
  )
]

const exclusive: ReadonlyArray<Law> = [
  law(
    "of concurrent owners exactly one gets the lease",
    Effect.fnUntraced(function* ({ expect, key, lease, store }) {
      const owners = Array.from({ length: 12 }, (_, index) => `owner ${index}`)
      const answers = yield* together(owners.map((owner) => store.lease(key, owner, long)))
      const winners = owners.filter((_, index) => answers[index])
      yield* expect(winners.length === 1, "one owner gets the lease", `${winners.length} did`)
      for (const owner of owners) yield* lease(owner, winners.includes(owner), `the lease is with ${winners[0]}`)
      yield* store.release(key, winners[0] ?? "")
    })
  ),
  law(
    "a lease is its owner's, who may take it again, and nobody else's until it is released",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      for (const [owner, other] of [
        ["a", "b"],
        ["b", "a"],
        ["a", "b"]
      ] as const) {
        yield* lease(owner, true, "the lease is free")
        yield* lease(other, false, `the lease is with ${owner}`)
        yield* lease(owner, true, "the lease is its own")
        yield* lease(other, false, `the lease is with ${owner}`)
        yield* store.release(key, owner)
      }
    })
  ),
  law(
    "releasing what another holds does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "b")
      yield* lease("b", false, "the lease is with a")
      // The name of an owner is the whole of it.
      for (const stranger of ["", "A", "a ", "aa", "*"]) yield* store.release(key, stranger)
      yield* lease("c", false, "the lease is with a")
      yield* lease("a", true, "the lease is its own")
      yield* store.release(key, "a")
    })
  ),
  law(
    "releasing twice, or what nobody holds, does nothing",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      yield* store.release(key, "a")
      yield* lease("a", true, "the lease is free")
      yield* store.release(key, "a")
      yield* store.release(key, "a")
      yield* lease("b", true, "the lease was released")
      yield* store.release(key, "a")
      yield* lease("c", false, "the lease is with b")
      yield* store.release(key, "b")
      yield* store.release(key, "b")
      yield* lease("c", true, "the lease was released")
      yield* store.release(key, "c")
    })
  ),
  law(
    "leases of different keys are independent",
    Effect.fnUntraced(function* ({ key, lease, store }) {
      const [first, second] = [`${key}/1`, `${key}/2`]
      yield* lease("a", true, "the lease is free", first)
      yield* lease("b", true, "the lease is free", second)
      yield* lease("a", false, "the lease is with b", second)
      yield* store.release(second, "a")
      yield* lease("c", false, "the lease is with b", second)
      yield* store.release(second, "b")
      yield* lease("a", true, "one owner may have several", second)
      yield* store.release(first, "a")
      yield* lease("c", false, "the lease is with a", second)
      yield* lease("c", true, "the lease was released", first)
      yield* store.release(second, "a")
      yield* store.release(first, "c")
    })
  ),
  law(
    "saving and loading need no lease, and none hinders them",
    Effect.fnUntraced(function* ({ keeps, key, lease, save, store }) {
      yield* save(version(1), true)
      yield* lease("a", true, "the lease is free")
      yield* keeps(version(1))
      yield* save(version(2), true)
      yield* keeps(version(2))
      yield* lease("b", false, "saving does not end a lease")
      yield* store.release(key, "a")
      yield* keeps(version(2))
      yield* lease("b", true, "the lease was released")
      yield* save(version(2), false)
      yield* store.release(key, "b")
    })
  )
]

/**
 * The laws of the port. `wait` and `lease` are for those about time, of which the longest takes twice the lease.
 *
 * A lease whose holder is gone may be judged by whoever waits for it, from their first look on, so it is granted later
 * than after its duration; to twice its duration is lawful.
 *
 * @since 0.1.0
 * @category testing
 */
export const laws = (options: Options = {}): ReadonlyArray<Law> => [
  ...keeping,
  ...exclusive,
  ...timely(options.wait ?? Effect.sleep, Duration.decode(options.lease ?? "1 second"))
]

const since = (moment: Moment.Moment) => Effect.map(Moment.now, (now) => Moment.monotonicAge(moment, now))

const timely = (
  wait: (duration: Duration.Duration) => Effect.Effect<void>,
  lease: Duration.Duration
): ReadonlyArray<Law> => {
  const millis = Duration.toMillis(lease)

  /** The age of what is kept, between what it must be at least and at most. */
  const aged = Effect.fnUntraced(function* (
    { expect, key, store }: Bench,
    bounds: { readonly saved: Moment.Moment; readonly saving: Moment.Moment }
  ) {
    const least = (yield* since(bounds.saved)) - millis / 10
    const kept = yield* store.load(key)
    const most = (yield* since(bounds.saving)) + millis / 2
    const age = Option.match(kept, { onNone: () => Number.NaN, onSome: ({ age }) => Duration.toMillis(age) })
    yield* expect(
      age >= 0 && age >= least && age <= most,
      `the age is between ${Math.max(0, least)} and ${most} milliseconds`,
      Option.isNone(kept) ? toldKept(kept) : `it is ${age}`
    )
  })

  /** Saves, and tells when that began and ended. */
  const timed = Effect.fnUntraced(function* ({ save }: Bench, version: Version) {
    const saving = yield* Moment.now
    yield* save(version, true)
    return { saving, saved: yield* Moment.now }
  })

  /** Asks for the lease, which `holder` kept at `moment`, again and again; it must come, and not too soon. */
  const outwait = Effect.fnUntraced(function* (
    { expect, key, store }: Bench,
    owner: string,
    holder: { readonly kept: Moment.Moment; readonly duration: Duration.Duration },
    asked = lease
  ) {
    const step = Duration.times(holder.duration, 1 / 20)
    // Steps and not time, so that a machine that stands still in between gives no store less of a chance.
    for (let left = 41; left > 0; left--) {
      if (yield* store.lease(key, owner, asked)) {
        const after = yield* since(holder.kept)
        return yield* expect(
          after >= Duration.toMillis(holder.duration) / 2,
          `a lease of ${Duration.format(holder.duration)} holds`,
          `another got it after ${after} milliseconds`
        )
      }
      yield* wait(step)
    }
    yield* expect(
      false,
      `a lease of ${Duration.format(holder.duration)} ends by itself`,
      "it still held after twice that"
    )
  })

  /** Takes the lease, and tells since when it certainly holds. */
  const hold = Effect.fnUntraced(function* ({ expect, key, store }: Bench, owner: string, duration = lease) {
    const kept = yield* Moment.now
    yield* expect(yield* store.lease(key, owner, duration), `${owner} gets the lease`, "it was refused")
    return { kept, duration }
  })

  return [
    law(
      "the age starts at zero, is never negative, and grows with time",
      Effect.fnUntraced(function* (bench) {
        const bounds = yield* timed(bench, version(1))
        yield* aged(bench, bounds)
        yield* wait(lease)
        yield* aged(bench, bounds)
      })
    ),
    law(
      "a save renews the age, and one that is refused does not",
      Effect.fnUntraced(function* (bench) {
        const bounds = yield* timed(bench, version(2))
        yield* wait(lease)
        yield* bench.save(version(1), false)
        yield* bench.save(version(2), false)
        yield* aged(bench, bounds)
        yield* aged(bench, yield* timed(bench, version(3)))
      })
    ),
    law(
      "a lease ends by itself, and not before its time",
      Effect.fnUntraced(function* (bench) {
        yield* outwait(bench, "b", yield* hold(bench, "a"))
        yield* outwait(bench, "c", yield* hold(bench, "b"))
      })
    ),
    law(
      "a lease lasts as long as its owner asked for, however long those ask for who wait",
      Effect.fnUntraced(function* (bench) {
        yield* outwait(bench, "b", yield* hold(bench, "a"), Duration.times(lease, 1 / 20))
        yield* bench.store.release(bench.key, "b")
        yield* outwait(bench, "d", yield* hold(bench, "c", Duration.times(lease, 1 / 2)), long)
        yield* bench.store.release(bench.key, "d")
      })
    ),
    law(
      "a lease that is kept alive does not end",
      Effect.fnUntraced(function* (bench) {
        const { expect, key, store } = bench
        for (let beat = 0; beat < 6; beat++) {
          const { kept } = yield* hold(bench, "a")
          const attempt = Effect.gen(function* () {
            if (!(yield* store.lease(key, "b", lease))) return
            const after = yield* since(kept)
            yield* expect(after >= millis / 2, "b waits", `it got the lease ${after} milliseconds after a beat of a`)
            // The machine stood still, and a's lease was over.
            yield* store.release(key, "b")
          })
          yield* attempt
          yield* wait(Duration.times(lease, 1 / 3))
          yield* attempt
        }
        yield* store.release(key, "a")
      })
    ),
    law(
      "an owner whose lease another took over neither gets it back by a beat nor releases it",
      Effect.fnUntraced(function* (bench) {
        const { key, store } = bench
        yield* outwait(bench, "b", yield* hold(bench, "a"))
        yield* bench.lease("b", true, "the lease is its own")
        yield* bench.lease("a", false, "b took the lease over")
        yield* store.release(key, "a")
        yield* bench.lease("c", false, "the lease is with b")
        yield* bench.lease("a", false, "the lease is with b")
        yield* store.release(key, "b")
        yield* bench.lease("a", true, "the lease was released")
        yield* store.release(key, "a")
      })
    )
  ]
}
