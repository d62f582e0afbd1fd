/**
 * Credentials: the user name and password that a login needs. The identity of the application itself belongs to the
 * provider.
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
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.3
 * @since 0.1.0
 * @category models
 */
export interface UserPassword {
  /** The user name, or the mail address if the API takes that. */
  readonly username: Redacted.Redacted<string>
  /** The password. */
  readonly password: Redacted.Redacted<string>
}

/**
 * The source of the credentials of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Reads the credentials; `none` if there are none. It runs again at each login, so that a changed password is picked
   * up. The login fails as this does.
   */
  readonly read: Effect.Effect<Option.Option<UserPassword>, AuthError>
}

/**
 * The tag of the credentials of a session. `Auth.layer` and the layers of the providers need it; `layerNone` is for
 * sessions without a password.
 *
 * @since 0.1.0
 * @category tags
 */
export class Credentials extends Context.Tag("effect-auth/Credentials")<Credentials, Service>() {}

const nonEmpty = (field: string, value: Redacted.Redacted<string>) =>
  Equal.equals(value, Redacted.make("")) ? new Misconfigured({ field, problem: "must not be empty" }) : Effect.void

const check = (value: UserPassword, usernameField = "username", passwordField = "password") =>
  Effect.zipRight(nonEmpty(usernameField, value.username), Effect.as(nonEmpty(passwordField, value.password), value))

/**
 * A layer of credentials from values. Fails with `Misconfigured`, which names the field, if one is empty.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (value: UserPassword): Layer.Layer<Credentials, Misconfigured> =>
  Layer.effect(Credentials, Effect.as(check(value), { read: Effect.succeedSome(value) }))

/**
 * A layer of credentials from `Config`. They are read when the layer is built, so that a missing one is noticed at the
 * start, and again at each login. Fails with `Misconfigured`, which names the variable, if one is missing or empty.
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
 * A layer of credentials from an effect, such as one that reads a vault, a prompt or a file. It runs again at each
 * login, for at most the session's `timeout`. The login fails as it does, and with `Misconfigured` if one of the two is
 * empty.
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
 * A layer without credentials, for sessions that start from a refresh token and for providers that need none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNone: Layer.Layer<Credentials> = /* @__PURE__ */ Layer.succeed(Credentials, {
  read: Effect.succeedNone
})
