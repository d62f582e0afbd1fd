import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, LogLevel, Option, TestClock } from "effect"
import * as AuthError from "../../src/common/AuthError.js"
import * as Token from "../../src/token/Token.js"
import { fails, failure, herd, paused, provider, secret, session, until, watchedStore } from "../support/harness.js"
import * as Records from "../support/records.js"
import { Secrets, shown, shownCause } from "../support/secrets.js"
import { type Line, logging } from "../support/telemetry.js"

/** Lets whatever can run without the clock run. */
const flush = Effect.repeatN(Effect.yieldNow(), 100)

/** What was said from a level on. */
const from = (lines: ReadonlyArray<Line>, least: LogLevel.LogLevel) => {
  const levels = LogLevel.allLevels.filter((level) => LogLevel.greaterThanEqual(level, least))
  return lines.filter(({ level }) => levels.some(({ label }) => label === level))
}

const text = ({ level, text }: Line) => `${level} ${text}`

/** What to start from: a refresh token alone. */
const seed = Token.make({ accessToken: undefined, refreshToken: secret("test-seed") })

describe("a refresh", () => {
  it.scoped("that works is told at debug, and so is a first login", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const s = yield* session(provider())
      yield* herd(100, s.accessToken)
      yield* s.refresh
      assert.deepStrictEqual(logs.take(), [
        "DEBUG test: a token was obtained, valid for 5m",
        "DEBUG test: a token was obtained, valid for 5m"
      ])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("that is refused is one warning, whatever the number of callers, and however often they ask", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { credentials: "none", seed })
      yield* s.accessToken
      yield* TestClock.adjust("1 hour")
      p.always(fails(failure.refused))
      logs.take()
      yield* herd(1000, s.accessToken)
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("1 minute")
        yield* herd(20, s.accessToken)
      }
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), [
        "WARN test: the refresh token cannot be used any more: test: the refresh token was refused (revoked); sign in again"
      ])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("that is refused, and followed by a login, is one warning too", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      yield* s.accessToken
      p.next(fails(failure.refused))
      logs.take()
      yield* herd(100, s.refresh)
      assert.deepStrictEqual(
        logs.lines.map(({ level }) => level),
        ["WARN", "DEBUG"]
      )
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("that another process saw refused is told once as well", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const store = yield* watchedStore
      const p = provider()
      p.always(fails(failure.refused))
      const options = { credentials: "none", store: store.service, patience: 0 } as const
      yield* Records.save(store.inner, "test https://api.test/v1/", { tokens: Option.some(seed) })
      const one = yield* session(p, options)
      yield* herd(10, one.accessToken)
      logs.take()
      const other = yield* session(p, options)
      yield* herd(10, other.accessToken)
      assert.deepStrictEqual(
        from(logs.lines, LogLevel.Info).map(({ level }) => level),
        ["WARN"]
      )
    }).pipe(Effect.provide(logs.layer))
  })
})

describe("failures that may pass", () => {
  it.scoped("are first a warning, then debug, and at last their end is told", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: 0 })
      p.always(fails(failure.unspent))
      for (let i = 0; i < 5; i++) {
        yield* herd(50, s.accessToken)
        yield* TestClock.adjust("1 minute")
      }
      p.always(undefined)
      yield* herd(50, s.accessToken)
      assert.deepStrictEqual(
        logs.lines.map(({ level }) => level),
        ["WARN", "DEBUG", "DEBUG", "DEBUG", "DEBUG", "INFO"]
      )
      assert.match(logs.lines[0]?.text ?? "", /^test: no token was obtained, and this is retried in \d+ms: /)
      assert.strictEqual(logs.lines[5]?.text, "test: a token was obtained at last, valid for 5m")
      logs.take()
      // The next outage is news again.
      p.next(fails(failure.unspent))
      yield* Effect.exit(s.refresh)
      assert.deepStrictEqual(
        logs.lines.map(({ level }) => level),
        ["WARN"]
      )
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("of a store that cannot save: one warning, debug, and its end", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const store = yield* watchedStore
      const s = yield* session(provider(), { store: store.service })
      store.state.save = Effect.fail(new AuthError.StoreFailure({ operation: "save", problem: "the disk is full" }))
      yield* s.accessToken
      yield* TestClock.adjust("5 minutes")
      store.state.save = undefined
      yield* TestClock.adjust("1 minute")
      assert.isTrue((yield* s.status).saved)
      assert.isAbove(logs.lines.filter(({ level }) => level === "DEBUG").length, 5)
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), [
        "WARN test: the token store cannot save: the disk is full; saving is retried",
        "INFO test: the token store saves again"
      ])
    }).pipe(Effect.provide(logs.layer))
  })
})

describe("what lasts", () => {
  it.scoped("is one warning, and its end is told", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p)
      p.next(fails(failure.misconfigured))
      for (let i = 0; i < 5; i++) {
        yield* herd(50, s.accessToken)
        yield* TestClock.adjust("1 minute")
      }
      yield* s.login
      assert.deepStrictEqual(logs.take(), [
        "WARN test: no token was obtained, and this is not retried: appSecret: is refused",
        "INFO test: a token was obtained at last, valid for 5m"
      ])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("refused credentials are a warning each time they are sent, and not when they are looked at", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const s = yield* session(p, { patience: 0 })
      p.always(fails(failure.credentials))
      for (let i = 0; i < 50; i++) {
        yield* herd(3, s.accessToken)
        yield* TestClock.adjust("4 seconds")
      }
      const warnings = logs.lines.filter(({ level }) => level === "WARN")
      assert.strictEqual(warnings.length, p.count().total)
      assert.isAtLeast(warnings.length, 2)
      assert.isAtMost(warnings.length, 10)
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("that no one has signed in is no warning", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const s = yield* session(provider(), { credentials: "none" })
      yield* herd(50, s.accessToken)
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info), [])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("an API that rejects whatever it gets is one warning for a row of rejected retries", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const s = yield* session(provider())
      for (let i = 0; i < 5; i++) {
        const token = yield* s.accessToken
        const next = yield* s.reject(token)
        yield* herd(20, s.reject(next, { retried: true }))
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), [
        "WARN test: a token that was just obtained was rejected by the API as well"
      ])
    }).pipe(Effect.provide(logs.layer))
  })
})

describe("signing out", () => {
  it.scoped("is told once at info, of a session that was never used too", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const used = yield* session(provider())
      yield* used.accessToken
      logs.take()
      yield* used.logout
      yield* used.logout
      yield* herd(50, used.accessToken)
      yield* flush
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), ["INFO test: signed out"])
      logs.take()
      const unused = yield* session(provider())
      yield* unused.logout
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), ["INFO test: signed out"])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("tokens that could not be revoked are a warning", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      const service = { ...p.service, revoke: Option.some(() => Effect.fail(failure.unspent)) }
      const s = yield* session({ ...p, service })
      yield* s.accessToken
      yield* s.logout
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), [
        "INFO test: signed out",
        "WARN test: tokens were not revoked: test: unreachable"
      ])
    }).pipe(Effect.provide(logs.layer))
  })
})

describe("the end of the refresh token", () => {
  const ends = "WARN test: the refresh token expires at 1970-01-31T00:00:00.000Z; from then on, only a login helps"

  it.scoped("is one warning for each refresh token, before it comes", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider({ lifetime: "1 hour", refreshLifetime: "30 days" })
      const s = yield* session(p)
      yield* s.accessToken
      yield* TestClock.adjust("26 days")
      yield* s.accessToken
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info), [])
      for (let i = 0; i < 12; i++) {
        yield* TestClock.adjust("4 hours")
        yield* herd(10, s.accessToken)
      }
      assert.deepStrictEqual(from(logs.lines, LogLevel.Info).map(text), [ends])
      logs.take()
      yield* s.login
      yield* TestClock.adjust("28 days")
      yield* herd(10, s.accessToken)
      assert.strictEqual(from(logs.lines, LogLevel.Info).length, 1)
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("and no more of them when another process does the renewing", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const store = yield* watchedStore
      const p = provider({ lifetime: "1 hour", refreshLifetime: "30 days" })
      const mine = yield* session(p, { store: store.service, label: "mine" })
      const theirs = yield* session(p, { store: store.service, label: "theirs" })
      yield* theirs.accessToken
      yield* mine.accessToken
      yield* TestClock.adjust("28 days")
      for (let i = 0; i < 5; i++) {
        yield* theirs.refresh
        yield* mine.accessToken
        yield* TestClock.adjust("1 hour")
      }
      assert.strictEqual((yield* mine.status).generation, 6)
      const warnings = from(logs.lines, LogLevel.Info).map(({ annotations }) => annotations["auth.session"])
      assert.deepStrictEqual(warnings.sort(), ["mine", "theirs"])
    }).pipe(Effect.provide(logs.layer))
  })
})

describe("annotations", () => {
  it.scoped("are the provider, the session and its generation", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const store = yield* watchedStore
      const p = provider()
      const s = yield* session(p, { store: store.service, label: "shop", patience: 0 })
      yield* s.accessToken
      p.next(fails(failure.unspent))
      yield* Effect.exit(s.refresh)
      yield* TestClock.adjust("1 second")
      yield* s.refresh
      const unsaved = new AuthError.StoreFailure({ operation: "save", problem: "the disk is full" })
      store.state.save = Effect.fail(unsaved)
      yield* s.refresh
      yield* s.logout
      const generations = logs.lines.map(({ annotations, level }) => {
        assert.deepInclude(annotations, { "auth.provider": "test", "auth.session": "shop" })
        assert.strictEqual(Object.keys(annotations).length, 3)
        return [level, annotations["auth.generation"]]
      })
      assert.deepStrictEqual(generations.slice(0, 6), [
        ["DEBUG", 1],
        ["WARN", 1],
        ["INFO", 2],
        ["WARN", 3],
        ["DEBUG", 3],
        ["INFO", 4]
      ])
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped(
    "and what the application says, but not what the caller does who happened to start the token request",
    () => {
      const logs = logging()
      return Effect.gen(function* () {
        const s = yield* session(provider(), { patience: 0 })
        yield* s.accessToken.pipe(Effect.annotateLogs("request", "test-request-1"), Effect.withLogSpan("request"))
        assert.deepStrictEqual(logs.lines[0]?.annotations, {
          service: "orders",
          "auth.provider": "test",
          "auth.generation": 1
        })
        assert.deepStrictEqual(logs.lines[0]?.spans, [])
      }).pipe(Effect.annotateLogs("service", "orders"), Effect.provide(logs.layer))
    }
  )

  it.scoped("what a provider logs by itself has them, too", () => {
    const logs = logging()
    return Effect.gen(function* () {
      const p = provider()
      p.next(
        (honest) => Effect.zipRight(Effect.logInfo("in the provider"), honest),
        () => Effect.die("a defect")
      )
      const s = yield* session(p, { label: "shop", patience: 0 })
      yield* s.accessToken
      yield* Effect.exit(s.refresh)
      const own = logs.lines.filter(({ level, text }) => text === "in the provider" || level === "ERROR")
      assert.deepStrictEqual(
        own.map(({ annotations }) => annotations),
        Array.from({ length: 2 }, () => ({ "auth.provider": "test", "auth.session": "shop" }))
      )
    }).pipe(Effect.provide(logs.layer))
  })
})

it.scoped("law 27: no line of any level holds a secret", () => {
  const logs = logging()
  const secrets = new Secrets()
  for (let n = 1; n < 20; n++) for (const kind of ["access", "refresh"]) secrets.add(`test-${kind}-${n}`)
  for (const text of ["test-user", "test-password", "test-seed"]) secrets.add(text)
  return Effect.gen(function* () {
    const store = yield* watchedStore
    const p = provider({ refreshLifetime: "1 hour", rotation: "single-use" })
    const s = yield* session(p, { store: store.service, patience: 0, label: "shop" })
    yield* s.accessToken
    const flight = yield* paused
    p.next(flight.tokenRequest)
    const waiting = yield* Effect.fork(s.refresh)
    yield* flight.sent
    yield* Fiber.interrupt(waiting)
    yield* flight.respond
    yield* flush
    for (const error of [failure.unspent, failure.unknown, failure.malformed, failure.refused, failure.credentials]) {
      p.next(fails(error))
      yield* Effect.exit(s.refresh)
      yield* TestClock.adjust("10 minutes")
    }
    p.next(() => Effect.die(new Error("test-password and test-refresh-1")))
    yield* Effect.exit(s.login)
    yield* TestClock.adjust("1 hour")
    store.state.save = Effect.die(new Error("test-access-1"))
    yield* Effect.exit(s.login)
    yield* TestClock.adjust("55 minutes")
    yield* Effect.exit(s.accessToken)
    store.state.save = undefined
    yield* s.logout
    yield* until(() => logs.lines.length > 10)
    for (const line of logs.lines) {
      for (const text of [...shown(line), ...shownCause(line.cause)]) assert.isUndefined(secrets.findIn(text), text)
    }
  }).pipe(Effect.provide(logs.layer))
})
