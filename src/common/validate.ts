import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { Misconfigured } from "./AuthError.js"
import { longest } from "./duration.js"
import { isHeaderSafe } from "./secret.js"
import { isConfidential } from "./url.js"

const negative = (input: Duration.DurationInput): boolean =>
  typeof input === "number" || typeof input === "bigint"
    ? !(input >= 0)
    : Array.isArray(input)
      ? input.some(negative)
      : typeof input === "string" && /^\s*-/.test(input)

/** A duration, at most ten years (as good as for ever, and unlike that a number of nanoseconds), or the typed error that names the option. */
export const duration = (
  field: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, Misconfigured> =>
  Option.match(
    Option.filter(Duration.decodeUnknown(input), () => !negative(input)),
    {
      onNone: () => new Misconfigured({ field, problem: "must be a duration, and not a negative one" }),
      onSome: (value) => Effect.succeed(Duration.min(value, longest))
    }
  )

/** A duration longer than nothing. */
export const positive = (
  field: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, Misconfigured> =>
  Effect.filterOrFail(
    duration(field, input),
    (value) => Duration.greaterThan(value, Duration.zero),
    () => new Misconfigured({ field, problem: "must be longer than zero" })
  )

/** One of a few words, also where no compiler checks it. */
export const oneOf = <A extends string>(
  field: string,
  input: A,
  known: ReadonlyArray<A>
): Effect.Effect<A, Misconfigured> =>
  known.includes(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: `must be ${known.map((one) => `"${one}"`).join(" or ")}` })

/** A whole number from one on. */
export const count = (field: string, input: number): Effect.Effect<number, Misconfigured> =>
  Number.isSafeInteger(input) && input > 0
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a positive integer" })

export const nonEmpty = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  input.trim() === "" ? new Misconfigured({ field, problem: "must not be empty" }) : Effect.succeed(input)

/** One scope ([RFC 6749 §3.3](https://www.rfc-editor.org/rfc/rfc6749#section-3.3)). */
export const scope = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a list of scopes, each without spaces, quotes and backslashes" })

/** The name of a header or of a scheme. */
export const word = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  /^[\w-]+$/.test(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a word of letters, digits, - and _" })

/** What may be left out. */
export const optional = <I, A>(
  valid: (field: string, input: I) => Effect.Effect<A, Misconfigured>,
  field: string,
  input: I | undefined
): Effect.Effect<A | undefined, Misconfigured> =>
  input === undefined ? Effect.succeed(undefined) : valid(field, input)

/** The base URL of an API: absolute, https (http on loopback only), without user info, query or fragment. */
export const baseUrl = (field: string, input: string | URL): Effect.Effect<URL, Misconfigured> => {
  return Effect.flatMap(endpoint(field, input), (url) => {
    if (url.search !== "") return new Misconfigured({ field, problem: "must not hold a query" })
    if (!url.pathname.endsWith("/")) url.pathname += "/"
    return Effect.succeed(url)
  })
}

/** A URL that secrets may be sent to: absolute, https (http on loopback only), without user info or fragment. */
export const endpoint = (field: string, input: string | URL): Effect.Effect<URL, Misconfigured> => {
  const refuse = (problem: string) => new Misconfigured({ field, problem })
  if (!URL.canParse(input)) return refuse("must be an absolute URL")
  const url = new URL(input)
  if (!isConfidential(url)) return refuse("must be https (http is allowed on loopback only)")
  if (url.username !== "" || url.password !== "") return refuse("must not hold a user name or password")
  if (url.hash !== "") return refuse("must not hold a fragment")
  return Effect.succeed(url)
}

/** A secret that can stand in a header. */
export const headerSecret = (
  field: string,
  input: Redacted.Redacted<string>
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  isHeaderSafe(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be visible ASCII characters, one at least" })
