import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as String from "effect/String"
import { Misconfigured } from "./AuthError.js"
import { fromConfigError } from "./foreignErrors.js"

/** A field: reads one environment variable. */
type Field<A> = (variable: string) => Config.Config<A>

/** Makes a field that may be left out. */
export const optional =
  <A>(field: Field<A>): Field<A | undefined> =>
  (variable) =>
    Config.map(Config.option(field(variable)), Option.getOrUndefined)

/** A field of text. */
export const text: Field<string> = (variable) => Config.string(variable)

/** A field of secret text. */
export const secret: Field<Redacted.Redacted<string>> = (variable) => Config.redacted(variable)

/** A field of a whole number. Anything else is read as NaN, which the validator of the option then refuses. */
export const integer: Field<number> = (variable) =>
  Config.map(Config.string(variable), (text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN))

/**
 * Makes a value from options that are read from variables: with the prefix `VIOLET`, `appId` is `VIOLET_APP_ID`. Fails with
 * `Misconfigured`, which names the variable rather than the option, because the variable is what the user can correct.
 */
export const make = <Fields extends Record<string, Field<unknown>>, A, R>(
  prefix: string,
  fields: Fields,
  from: (
    options: {
      readonly [K in keyof Fields]: Config.Config.Success<ReturnType<Fields[K]>>
    }
  ) => Effect.Effect<A, Misconfigured, R>
): Effect.Effect<A, Misconfigured, R> => {
  const variable = (field: string) => `${prefix}_${String.camelToSnake(field).toUpperCase()}`
  const all = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field(variable(name))]))
  return (Config.all(all) as Config.Config<Parameters<typeof from>[0]>).pipe(
    Effect.mapError(fromConfigError),
    Effect.flatMap((options) =>
      Effect.mapError(from(options), (error) =>
        error.field in fields ? new Misconfigured({ field: variable(error.field), problem: error.problem }) : error
      )
    )
  )
}
