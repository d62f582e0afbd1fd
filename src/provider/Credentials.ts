/**
 * What logging in needs beyond the provider's own identity: user name and password, or nothing.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type AuthError, Misconfigured } from "../common/AuthError.js"
import { fromConfigError } from "../common/foreignErrors.js"

/**
 * A user name and its password.
 *
 * @since 0.1.0
 * @category models
 */
export interface UserPassword {
  readonly username: Redacted.Redacted<string>
  readonly password: Redacted.Redacted<string>
}

/**
 * Where a session gets the credentials for a log in. `read` is run again at each log in, so rotated passwords are picked
 * up; `none` says that there is nothing to log in with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly read: Effect.Effect<Option.Option<UserPassword>, AuthError>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Credentials extends Context.Tag("effect-auth/Credentials")<Credentials, Service>() {}

const nonEmpty = (field: string, value: Redacted.Redacted<string>) =>
  Equal.equals(value, Redacted.make("")) ? new Misconfigured({ field, problem: "must not be empty" }) : Effect.void

const check = (value: UserPassword, usernameField = "username", passwordField = "password") =>
  Effect.zipRight(nonEmpty(usernameField, value.username), Effect.as(nonEmpty(passwordField, value.password), value))

/**
 * Credentials from values. Fails with `Misconfigured` when one is empty.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (value: UserPassword): Layer.Layer<Credentials, Misconfigured> =>
  Layer.effect(Credentials, Effect.as(check(value), { read: Effect.succeedSome(value) }))

/**
 * Credentials from `Config`: looked at once when the layer is built, so that a missing one is found at start, and read
 * again at each log in. Fails with `Misconfigured`, which names the variable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (names: {
  readonly username: string
  readonly password: string
}): Layer.Layer<Credentials, Misconfigured> => {
  const read = Config.all({
    username: Config.redacted(names.username),
    password: Config.redacted(names.password)
  }).pipe(
    Effect.mapError((error) => fromConfigError(error)),
    Effect.flatMap((value) => check(value, names.username, names.password))
  )
  return Layer.effect(
    Credentials,
    Effect.map(
      Effect.zipRight(
        read,
        Effect.configProviderWith((provider) => Effect.succeed(provider))
      ),
      (provider) => ({ read: Effect.asSome(Effect.withConfigProvider(read, provider)) })
    )
  )
}

/**
 * Credentials from an effect that is run again at each log in: a vault, a prompt, a file.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEffect = <R = never>(
  read: Effect.Effect<UserPassword, AuthError, R>
): Layer.Layer<Credentials, never, R> =>
  Layer.effect(
    Credentials,
    Effect.map(Effect.context<R>(), (context) => ({
      read: Effect.asSome(
        Effect.provide(
          Effect.flatMap(read, (value) => check(value)),
          context
        )
      )
    }))
  )

/**
 * No credentials: for sessions that start from a refresh token, and providers that need none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNone: Layer.Layer<Credentials> = /* @__PURE__ */ Layer.succeed(Credentials, {
  read: Effect.succeedNone
})
