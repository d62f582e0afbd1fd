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
import { runBounded } from "../../common/bounded.js"
import * as Moment from "../../common/Moment.js"
import type * as AuthProvider from "../../provider/AuthProvider.js"
import type * as Credentials from "../../provider/Credentials.js"
import type { SessionRecord, StoredRecord } from "../../store/record.js"
import { leaseDuration, type RecordStore } from "../../store/recordStore.js"
import type { Subject } from "../../telemetry/labels.js"
import type * as Token from "../../token/Token.js"
import type { Command, Event, SaveResult } from "../machine/state.js"
import * as Tokens from "../machine/tokens.js"
import * as Telemetry from "./tokenRequestTelemetry.js"

/**
 * The services that the commands of a session use. Each call to them ends in time and with a typed result, even if the
 * service hangs or dies.
 */
export interface CommandEnv extends Subject {
  readonly provider: AuthProvider.Service
  readonly credentials: Credentials.Service
  readonly recordStore: RecordStore
  /** The session's key in the store. */
  readonly key: string
  /** The longest time one token request may take. */
  readonly timeout: Duration.Duration
  /**
   * Tells whether the stored record could be read. One that could not is never overwritten: a newer version may have
   * written it.
   */
  storeReadable: boolean
  /** Tells whether the last save failed, which was logged. */
  saveFailureLogged: boolean
}

const tokenRequest = <A>(
  { provider, timeout }: CommandEnv,
  effect: () => Effect.Effect<A, AuthError>,
  extraTime = Duration.zero
): Effect.Effect<Either.Either<A, AuthError>> =>
  runBounded<A, AuthError>(provider.name, effect, Duration.sum(timeout, extraTime), {
    onTimeout: () => new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "unknown" }),
    onDefect: () =>
      new MalformedResponse({
        provider: provider.name,
        problem: "a defect in the provider, which was logged",
        outcome: "unknown"
      })
  })

/**
 * Makes a token request that returns tokens. A token that a header cannot carry is a malformed response:
 * `AuthProvider.make` never returns one, but a provider written by hand may.
 */
const tokensFrom = (
  env: CommandEnv,
  effect: () => Effect.Effect<Token.TokenSet, AuthError>,
  extraTime?: Duration.Duration
): Effect.Effect<Either.Either<Token.TokenSet, AuthError>> =>
  Effect.map(
    tokenRequest(env, effect, extraTime),
    Either.filterOrLeft(
      (tokens) =>
        Tokens.isSendable(tokens) || (Option.isNone(tokens.accessToken) && Option.isNone(tokens.refreshToken)),
      () =>
        new MalformedResponse({
          provider: env.provider.name,
          problem: "a token with characters that a header cannot carry",
          outcome: "unknown"
        })
    )
  )

/** Reads the store. */
export const load = (env: CommandEnv): Effect.Effect<Either.Either<Option.Option<StoredRecord>, StoreFailure>> =>
  Effect.map(env.recordStore.load(env.key), (loaded) => {
    env.storeReadable = Either.isRight(loaded)
    return loaded
  })

/** Saves a record. If the stored one could not be read, it is read first, and not overwritten if it still cannot be. */
export const save = (env: CommandEnv, record: SessionRecord): Effect.Effect<SaveResult> => {
  const put = env.recordStore.save(env.key, record)
  const checked = env.storeReadable
    ? put
    : Effect.flatMap(load(env), (loaded) => (Either.isLeft(loaded) ? Effect.succeed(Either.left(loaded.left)) : put))
  return Effect.flatMap(checked, (result) =>
    Effect.as(
      Telemetry.logSave(env, record.generation, result),
      Either.isLeft(result) ? "failed" : result.right ? "saved" : "conflict"
    )
  )
}

/** The longest wait for the lease: for one token request of another owner, after one whose owner died with the lease. */
export const maxLeaseWait = ({ provider, timeout }: CommandEnv): Duration.Duration =>
  Duration.sum(Duration.sum(timeout, provider.extraLoginTime ?? Duration.zero), Duration.times(leaseDuration, 2))

/** Revokes tokens where the API allows it. A failure is logged. */
export const revoke = (env: CommandEnv, tokens: Token.TokenSet): Effect.Effect<void> =>
  Option.match(env.provider.revoke, {
    onNone: () => Effect.void,
    onSome: (revoke) =>
      Effect.flatMap(
        Telemetry.observe(
          env,
          "revoke",
          tokenRequest(env, () => revoke(tokens)),
          (result) => Option.getOrUndefined(Either.getLeft(result))
        ),
        Either.match({
          onLeft: (failure) => Telemetry.logNotRevoked(env, failure),
          onRight: () => Effect.void
        })
      )
  })

const readCredentials = ({ credentials, provider, timeout }: CommandEnv) =>
  runBounded<
    { readonly credentials: Option.Option<Credentials.UserPassword>; readonly sufficient: boolean },
    AuthError
  >(
    provider.name,
    () =>
      Effect.map(credentials.read, (credentials) => ({
        credentials,
        sufficient: Option.isSome(provider.login(credentials))
      })),
    timeout,
    {
      onTimeout: () => new NetworkFailure({ provider: provider.name, reason: "timeout", outcome: "not-spent" }),
      onDefect: () =>
        new Misconfigured({ field: "credentials", problem: "reading them died with a defect, which was logged" })
    }
  )

/** Carries out a command of a flight. */
export const interpret = (
  env: CommandEnv,
  command: Exclude<Command, { readonly _tag: "Complete" | "AcquireLease" }>
): Effect.Effect<Event> => {
  switch (command._tag) {
    case "Load":
      return Effect.zipWith(Moment.now, load(env), (at, result) =>
        Either.isRight(result)
          ? { _tag: "Loaded", record: result.right, at }
          : { _tag: "LoadFailed", failure: result.left }
      )
    case "ReadCredentials":
      return Effect.map(readCredentials(env), (result) =>
        Either.isRight(result)
          ? { _tag: "CredentialsRead", ...result.right }
          : { _tag: "CredentialsFailed", failure: result.left }
      )
    case "Refresh":
      return Effect.map(
        tokensFrom(env, () => env.provider.refresh(command.tokens)),
        (result) =>
          Either.isRight(result)
            ? { _tag: "Refreshed", tokens: result.right }
            : { _tag: "RefreshFailed", failure: result.left }
      )
    case "Login":
      return Effect.map(
        tokensFrom(
          env,
          () => Option.getOrElse(env.provider.login(command.credentials), () => Effect.fail(missingCredentials)),
          env.provider.extraLoginTime
        ),
        (result) =>
          Either.isRight(result)
            ? { _tag: "LoggedIn", tokens: result.right }
            : { _tag: "LoginFailed", failure: result.left, credentials: command.credentials }
      )
    case "Save":
      return Effect.flatMap(Moment.now, (now) =>
        Effect.map(save(env, Tokens.toRecord(command.tokens, now)), (result) => ({
          _tag: "Saved",
          tokens: command.tokens,
          result,
          at: now
        }))
      )
    case "RecordRefreshState":
      return Effect.flatMap(Moment.now, (now) =>
        Effect.map(save(env, Tokens.toRecord(command.tokens, now)), (result) => ({
          _tag: "RefreshStateRecorded",
          result,
          at: now
        }))
      )
    case "Revoke":
      return Effect.as(revoke(env, command.tokens), { _tag: "Revoked" })
  }
}

/** The failure of a login by name without sufficient credentials. */
export const missingCredentials = new Misconfigured({
  field: "credentials",
  problem: "there is nothing to log in with; provide the credentials that this provider needs, or adopt tokens"
})
