import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as String from "effect/String"
import { Misconfigured } from "./AuthError.js"
import { fromConfigError } from "./foreignErrors.js"

type Field<A> = (variable: string) => Config.Config<A>

/** A field that may be left out. */
export const optional =
  <A>(field: Field<A>): Field<A | undefined> =>
  (variable) =>
    Config.map(Config.option(field(variable)), Option.getOrUndefined)

export const text: Field<string> = (variable) => Config.string(variable)

export const secret: Field<Redacted.Redacted<string>> = (variable) => Config.redacted(variable)

/** What is no whole number becomes NaN, and whoever uses it says what it has to be. */
export const integer: Field<number> = (variable) =>
  Config.map(Config.string(variable), (text) => (/^\s*\d+\s*$/.test(text) ? Number(text) : Number.NaN))

/**
 * Makes something of options that are variables: `appId` is `VIOLET_APP_ID` after the prefix `VIOLET`. What is wrong is
 * told by the name of the variable, as that is what can be mended.
 */
export const make = <Fields extends Record<string, Field<unknown>>, A, R>(
  prefix: string,
  fields: Fields,
  from: (
    found: {
      readonly [K in keyof Fields]: Config.Config.Success<ReturnType<Fields[K]>>
    }
  ) => Effect.Effect<A, Misconfigured, R>
): Effect.Effect<A, Misconfigured, R> => {
  const variable = (field: string) => `${prefix}_${String.camelToSnake(field).toUpperCase()}`
  const all = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field(variable(name))]))
  return (Config.all(all) as Config.Config<Parameters<typeof from>[0]>).pipe(
    Effect.mapError(fromConfigError),
    Effect.flatMap((found) =>
      Effect.mapError(from(found), (error) =>
        error.field in fields ? new Misconfigured({ field: variable(error.field), problem: error.problem }) : error
      )
    )
  )
}
