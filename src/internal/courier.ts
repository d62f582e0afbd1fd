import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type AuthError, MalformedResponse, Misconfigured, NetworkFailure, StoreFailure } from "../AuthError.js"
import type * as AuthProvider from "../AuthProvider.js"
import type * as Credentials from "../Credentials.js"
import * as Moment from "../Moment.js"
import * as RenewalPolicy from "../RenewalPolicy.js"
import type * as Token from "../Token.js"
import type * as TokenStore from "../TokenStore.js"
import * as Held from "./held.js"
import type { Command, Event, Saved } from "./order.js"
import * as Record from "./record.js"

/** Carries out what a flight commands. Whatever provider, credentials and store do, each call ends, and ends typed. */
export interface Courier {
  readonly carryOut: (command: Exclude<Command, { readonly _tag: "Land" | "Lock" }>) => Effect.Effect<Event>
  readonly load: Effect.Effect<Either.Either<Option.Option<Record.Found>, StoreFailure>>
  readonly save: (record: Record.Record) => Effect.Effect<Saved>
  /** Takes the exclusive section, or keeps it; whether that worked. */
  readonly lease: (owner: string) => Effect.Effect<Either.Either<boolean, StoreFailure>>
  readonly release: (owner: string) => Effect.Effect<void>
  /** How long somebody else may have the exclusive section before it is odd. */
  readonly longestWait: Duration.Duration
  readonly revoke: (tokens: Token.TokenSet) => Effect.Effect<void>
}

export const make = (options: {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  readonly store: TokenStore.Service
  readonly key: string
  readonly timeout: Duration.Duration
  readonly storeTimeout: Duration.Duration
}): Courier => {
  const { credentials, key, provider, store, storeTimeout, timeout } = options

  /**
   * Bounds an effect and settles it. What breaks is caught inside the fork that the bound makes: outside, Effect would
   * have logged it, secrets and all. `late` also stands for an effect that the closing session had to interrupt.
   */
  const attempt = <A, E extends AuthError>(
    effect: Effect.Effect<A, E>,
    limit: Duration.Duration,
    late: NoInfer<E>,
    broken: NoInfer<E>
  ): Effect.Effect<Either.Either<A, E>> => {
    const settled = Effect.catchAllCause(Effect.either(effect), (cause) =>
      Cause.isInterruptedOnly(cause)
        ? Effect.interrupt
        : Effect.as(
            Effect.logError(`${provider.name}: a defect (${kinds(cause)}), taken for: ${broken.message}`),
            Either.left(broken)
          )
    )
    return Effect.disconnect(settled).pipe(
      Effect.timeoutTo({ duration: limit, onSuccess: (result) => result, onTimeout: () => Either.left(late) }),
      Effect.interruptible,
      Effect.catchAllCause(() => Effect.succeed(Either.left(late)))
    )
  }

  // Also what a provider does before there is an effect is its own affair.
  const exchange = <A>(effect: () => Effect.Effect<A, AuthError>, pause = Duration.zero) =>
    attempt(
      Effect.suspend(effect),
      Duration.sum(timeout, pause),
      new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "unknown" }),
      new MalformedResponse({ provider: provider.name, problem: "a defect in the provider", outcome: "unknown" })
    )

  const asked = <A>(operation: StoreFailure["operation"], effect: () => Effect.Effect<A, StoreFailure>) =>
    attempt(
      Effect.suspend(effect),
      storeTimeout,
      new StoreFailure({ operation, problem: "it does not answer" }),
      new StoreFailure({ operation, problem: "a defect in the store" })
    )

  // What is there and cannot be read is never saved over: a newer version of this library may have written it.
  let readable = true

  // For how long it was kept was told some time between asking and now: at the latest, this long ago.
  const load = Effect.all([Moment.now, asked("load", () => store.load(key)), Moment.now]).pipe(
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
    ),
    Effect.tap((found) => Effect.sync(() => (readable = Either.isRight(found))))
  )

  const put = (record: Record.Record) =>
    Effect.flatMap(
      asked("save", () => store.save(key, Record.encode(key, record))),
      Either.match({
        onLeft: (failure) => Effect.as(Effect.logWarning(`${provider.name}: ${failure.message}`), "failed" as const),
        onRight: (newer) => Effect.succeed(newer ? ("saved" as const) : ("older" as const))
      })
    )

  const save = (record: Record.Record): Effect.Effect<Saved> =>
    Effect.suspend(() =>
      readable
        ? put(record)
        : Effect.flatMap(load, (found) => (Either.isLeft(found) ? Effect.succeed("failed" as const) : put(record)))
    )

  const lease = (owner: string) => asked("lock", () => store.lease(key, owner, RenewalPolicy.leaseDuration))

  const release = (owner: string) => Effect.asVoid(asked("lock", () => store.release(key, owner)))

  // Nobody keeps it longer than an exchange takes, and the one before it may have died with it.
  const longestWait = Duration.sum(
    Duration.sum(timeout, provider.loginPause ?? Duration.zero),
    Duration.times(RenewalPolicy.leaseDuration, 2)
  )

  const revoke = (tokens: Token.TokenSet): Effect.Effect<void> =>
    Option.match(provider.revoke, {
      onNone: () => Effect.void,
      onSome: (revoke) =>
        Effect.flatMap(
          exchange(() => revoke(tokens)),
          Either.match({
            onLeft: (failure) => Effect.logWarning(`${provider.name}: tokens were not revoked: ${failure.message}`),
            onRight: () => Effect.void
          })
        )
    })

  const read = attempt(
    Effect.map(credentials.read, (credentials) => ({
      credentials,
      enough: Option.isSome(provider.login(credentials))
    })),
    timeout,
    new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "not-spent" }),
    new Misconfigured({ field: "credentials", problem: "a defect while they were read" })
  )

  const carryOut: Courier["carryOut"] = (command) => {
    switch (command._tag) {
      case "Load":
        return Effect.zipWith(Moment.now, load, (at, result) =>
          Either.isRight(result)
            ? { _tag: "Loaded", record: result.right, at }
            : { _tag: "LoadFailed", failure: result.left }
        )
      case "ReadCredentials":
        return Effect.map(read, (result) =>
          Either.isRight(result)
            ? { _tag: "CredentialsRead", ...result.right }
            : { _tag: "CredentialsFailed", failure: result.left }
        )
      case "Refresh":
        return Effect.map(
          exchange(() => provider.refresh(command.tokens)),
          (result) =>
            Either.isRight(result)
              ? { _tag: "Refreshed", tokens: result.right }
              : { _tag: "RefreshFailed", failure: result.left }
        )
      case "Login":
        return Effect.map(
          exchange(
            () => Option.getOrElse(provider.login(command.credentials), () => Effect.fail(nothingToLogInWith)),
            provider.loginPause
          ),
          (result) =>
            Either.isRight(result)
              ? { _tag: "LoggedIn", tokens: result.right }
              : { _tag: "LoginFailed", failure: result.left, credentials: command.credentials }
        )
      case "Save":
        return Effect.flatMap(Moment.now, (now) =>
          Effect.map(save(Held.toRecord(command.held, now)), (result) => ({
            _tag: "Saved",
            held: command.held,
            result,
            at: now
          }))
        )
      case "Amend":
        return Effect.flatMap(Moment.now, (now) =>
          Effect.map(save(Held.toRecord(command.held, now)), (result) => ({ _tag: "Amended", result, at: now }))
        )
      case "Revoke":
        return Effect.as(revoke(command.tokens), { _tag: "Revoked" })
    }
  }

  return { carryOut, load, save, lease, release, longestWait, revoke }
}

/** What a log in asked for by name says when there is nothing to log in with. */
export const nothingToLogInWith = new Misconfigured({
  field: "credentials",
  problem: "there is nothing to log in with; provide what this provider needs for it, or adopt tokens"
})

/** The classes of what broke, without what they say. */
const kinds = (cause: Cause.Cause<unknown>): string =>
  Array.from(Cause.defects(cause), (defect) =>
    defect instanceof Error ? defect.constructor.name : typeof defect
  ).join()
