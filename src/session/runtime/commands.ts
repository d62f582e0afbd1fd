import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import {
  type AuthError,
  MalformedResponse,
  Misconfigured,
  NetworkFailure,
  type StoreFailure
} from "../../common/AuthError.js"
import { settle } from "../../common/bounded.js"
import * as Moment from "../../common/Moment.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type * as Credentials from "../../provider/Credentials.js"
import type * as Record from "../../store/record.js"
import type * as Keeper from "../../store/recordStore.js"
import type { Observed } from "../../telemetry/labels.js"
import * as RenewalPolicy from "../../token/RenewalPolicy.js"
import * as Token from "../../token/Token.js"
import type { Command, Event, Saved } from "../machine/order.js"
import * as Held from "../machine/tokens.js"
import * as Telemetry from "./tokenRequestTelemetry.js"

/** Whom a session's commands are carried to. Whatever they do there, each call ends, and ends typed. */
export interface Addresses extends Observed {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  readonly keeper: Keeper.Keeper
  readonly key: string
  /** How long one exchange may take. */
  readonly timeout: Duration.Duration
  /** What is there and cannot be read is never saved over: a newer version of this library may have written it. */
  readable: boolean
  /** Whether the last save failed, which was told. */
  complained: boolean
}

const exchange = <A>(
  { provider, timeout }: Addresses,
  effect: () => Effect.Effect<A, AuthError>,
  pause = Duration.zero
): Effect.Effect<Either.Either<A, AuthError>> =>
  settle<A, AuthError>(provider.name, effect, Duration.sum(timeout, pause), {
    late: () => new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "unknown" }),
    broken: () =>
      new MalformedResponse({ provider: provider.name, problem: "a defect in the provider", outcome: "unknown" })
  })

/**
 * An exchange for tokens. What no request could carry is no answer, though a provider that was not made by
 * `AuthProvider.make` may give it.
 */
const obtained = (
  to: Addresses,
  effect: () => Effect.Effect<Token.TokenSet, AuthError>,
  pause?: Duration.Duration
): Effect.Effect<Either.Either<Token.TokenSet, AuthError>> =>
  Effect.map(
    exchange(to, effect, pause),
    Either.filterOrLeft(
      (tokens) => Token.isSendable(tokens) || (Option.isNone(tokens.accessToken) && Option.isNone(tokens.refreshToken)),
      () =>
        new MalformedResponse({
          provider: to.provider.name,
          problem: "a token that cannot stand in a header",
          outcome: "unknown"
        })
    )
  )

/** What the store keeps. */
export const load = (to: Addresses): Effect.Effect<Either.Either<Option.Option<Record.Found>, StoreFailure>> =>
  Effect.map(to.keeper.load(to.key), (found) => {
    to.readable = Either.isRight(found)
    return found
  })

export const save = (to: Addresses, record: Record.Record): Effect.Effect<Saved> => {
  const put = to.keeper.save(to.key, record)
  const readable = to.readable
    ? put
    : Effect.flatMap(load(to), (found) => (Either.isLeft(found) ? Effect.succeed(Either.left(found.left)) : put))
  return Effect.flatMap(readable, (result) =>
    Effect.as(
      Telemetry.saved(to, record.generation, result),
      Either.isLeft(result) ? "failed" : result.right ? "saved" : "older"
    )
  )
}

/** How long somebody else may have the exclusive section: an exchange's time, and the one before it may have died with it. */
export const longestWait = ({ provider, timeout }: Addresses): Duration.Duration =>
  Duration.sum(
    Duration.sum(timeout, provider.loginPause ?? Duration.zero),
    Duration.times(RenewalPolicy.leaseDuration, 2)
  )

export const revoke = (to: Addresses, tokens: Token.TokenSet): Effect.Effect<void> =>
  Option.match(to.provider.revoke, {
    onNone: () => Effect.void,
    onSome: (revoke) =>
      Effect.flatMap(
        Telemetry.exchange(
          to,
          "revoke",
          exchange(to, () => revoke(tokens)),
          (result) => Option.getOrUndefined(Either.getLeft(result))
        ),
        Either.match({
          onLeft: (failure) => Telemetry.notRevoked(to, failure),
          onRight: () => Effect.void
        })
      )
  })

const read = ({ credentials, provider, timeout }: Addresses) =>
  settle<{ readonly credentials: Option.Option<Credentials.UserPassword>; readonly enough: boolean }, AuthError>(
    provider.name,
    () =>
      Effect.map(credentials.read, (credentials) => ({
        credentials,
        enough: Option.isSome(provider.login(credentials))
      })),
    timeout,
    {
      late: () => new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "not-spent" }),
      broken: () => new Misconfigured({ field: "credentials", problem: "a defect while they were read" })
    }
  )

/** Carries out what a flight commands. */
export const carryOut = (
  to: Addresses,
  command: Exclude<Command, { readonly _tag: "Land" | "Lock" }>
): Effect.Effect<Event> => {
  switch (command._tag) {
    case "Load":
      return Effect.zipWith(Moment.now, load(to), (at, result) =>
        Either.isRight(result)
          ? { _tag: "Loaded", record: result.right, at }
          : { _tag: "LoadFailed", failure: result.left }
      )
    case "ReadCredentials":
      return Effect.map(read(to), (result) =>
        Either.isRight(result)
          ? { _tag: "CredentialsRead", ...result.right }
          : { _tag: "CredentialsFailed", failure: result.left }
      )
    case "Refresh":
      return Effect.map(
        obtained(to, () => to.provider.refresh(command.tokens)),
        (result) =>
          Either.isRight(result)
            ? { _tag: "Refreshed", tokens: result.right }
            : { _tag: "RefreshFailed", failure: result.left }
      )
    case "Login":
      return Effect.map(
        obtained(
          to,
          () => Option.getOrElse(to.provider.login(command.credentials), () => Effect.fail(nothingToLogInWith)),
          to.provider.loginPause
        ),
        (result) =>
          Either.isRight(result)
            ? { _tag: "LoggedIn", tokens: result.right }
            : { _tag: "LoginFailed", failure: result.left, credentials: command.credentials }
      )
    case "Save":
      return Effect.flatMap(Moment.now, (now) =>
        Effect.map(save(to, Held.toRecord(command.held, now)), (result) => ({
          _tag: "Saved",
          held: command.held,
          result,
          at: now
        }))
      )
    case "Amend":
      return Effect.flatMap(Moment.now, (now) =>
        Effect.map(save(to, Held.toRecord(command.held, now)), (result) => ({ _tag: "Amended", result, at: now }))
      )
    case "Revoke":
      return Effect.as(revoke(to, command.tokens), { _tag: "Revoked" })
  }
}

/** What a log in asked for by name says when there is nothing to log in with. */
export const nothingToLogInWith = new Misconfigured({
  field: "credentials",
  problem: "there is nothing to log in with; provide what this provider needs for it, or adopt tokens"
})
