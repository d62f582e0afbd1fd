import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type AuthError, MalformedResponse, Misconfigured, NetworkFailure, StoreFailure } from "../AuthError.js"
import type * as AuthProvider from "../AuthProvider.js"
import type * as Credentials from "../Credentials.js"
import * as Moment from "../Moment.js"
import type * as Token from "../Token.js"
import type * as TokenStore from "../TokenStore.js"
import * as Held from "./held.js"
import type { Command, Event } from "./order.js"

/** Carries out what a flight commands. Whatever provider, credentials and store do, each call ends, and ends typed. */
export interface Courier {
  readonly carryOut: (command: Exclude<Command, { readonly _tag: "Land" }>) => Effect.Effect<Event>
  readonly load: Effect.Effect<Either.Either<Option.Option<TokenStore.Record>, AuthError>>
  readonly save: (record: TokenStore.Record) => Effect.Effect<"saved" | "older" | "failed">
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
  const attempt = <A>(
    effect: Effect.Effect<A, AuthError>,
    limit: Duration.Duration,
    late: AuthError,
    broken: AuthError
  ): Effect.Effect<Either.Either<A, AuthError>> => {
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

  const load = attempt(
    Effect.suspend(() => store.load(key)),
    storeTimeout,
    new StoreFailure({ operation: "load", problem: "it does not answer" }),
    new StoreFailure({ operation: "load", problem: "a defect in the store" })
  )

  const save = (record: TokenStore.Record) =>
    Effect.flatMap(
      attempt(
        Effect.suspend(() => store.save(key, record)),
        storeTimeout,
        new StoreFailure({ operation: "save", problem: "it does not answer" }),
        new StoreFailure({ operation: "save", problem: "a defect in the store" })
      ),
      Either.match({
        onLeft: (failure) => Effect.as(Effect.logWarning(`${provider.name}: ${failure.message}`), "failed" as const),
        onRight: (newer) => Effect.succeed(newer ? ("saved" as const) : ("older" as const))
      })
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
        return Effect.map(load, (result) =>
          Either.isRight(result)
            ? { _tag: "Loaded", record: result.right }
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
            result
          }))
        )
      case "Revoke":
        return Effect.as(revoke(command.tokens), { _tag: "Revoked" })
    }
  }

  return { carryOut, load, save, revoke }
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
