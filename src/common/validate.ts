import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { Misconfigured } from "./AuthError.js"
import { longest } from "./duration.js"
import { isHeaderSafe } from "./secret.js"
import { isConfidential } from "./url.js"

const isNegative = (input: Duration.DurationInput): boolean =>
  typeof input === "number" || typeof input === "bigint"
    ? !(input >= 0)
    : Array.isArray(input)
      ? input.some(isNegative)
      : typeof input === "string" && /^\s*-/.test(input)

/**
 * Validates a duration that is not negative, and caps it at ten years. An infinite duration has no number of nanoseconds, and
 * ten years are as good. Fails with `Misconfigured`, which names the option; so do all validators of this file.
 */
export const duration = (
  field: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, Misconfigured> =>
  Option.match(
    Option.filter(Duration.decodeUnknown(input), () => !isNegative(input)),
    {
      onNone: () => new Misconfigured({ field, problem: "must be a duration that is not negative" }),
      onSome: (value) => Effect.succeed(Duration.min(value, longest))
    }
  )

/** Validates a duration longer than zero. */
export const positive = (
  field: string,
  input: Duration.DurationInput
): Effect.Effect<Duration.Duration, Misconfigured> =>
  Effect.filterOrFail(
    duration(field, input),
    (value) => Duration.greaterThan(value, Duration.zero),
    () => new Misconfigured({ field, problem: "must be longer than zero" })
  )

/** Validates that a value is one of `known`, for callers without a type checker. */
export const oneOf = <A extends string>(
  field: string,
  input: A,
  known: ReadonlyArray<A>
): Effect.Effect<A, Misconfigured> =>
  known.includes(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: `must be ${known.map((value) => `"${value}"`).join(" or ")}` })

/** Validates a positive integer. */
export const count = (field: string, input: number): Effect.Effect<number, Misconfigured> =>
  Number.isSafeInteger(input) && input > 0
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a positive integer" })

/** Validates a text that is not blank. */
export const nonEmpty = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  input.trim() === "" ? new Misconfigured({ field, problem: "must not be empty" }) : Effect.succeed(input)

/**
 * Validates one scope.
 *
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-3.3
 */
export const scope = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a list of scopes, each without spaces, quotes or backslashes" })

/** Validates the name of a header or of an authentication scheme. */
export const word = (field: string, input: string): Effect.Effect<string, Misconfigured> =>
  /^[\w-]+$/.test(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be a word of letters, digits, - and _" })

/** Validates an option that may be left out. */
export const optional = <I, A>(
  validate: (field: string, input: I) => Effect.Effect<A, Misconfigured>,
  field: string,
  input: I | undefined
): Effect.Effect<A | undefined, Misconfigured> =>
  input === undefined ? Effect.succeed(undefined) : validate(field, input)

/**
 * Validates the base URL of an API: absolute, https (http on loopback only), without user info, query or fragment. Returns it
 * with a slash at its end.
 */
export const baseUrl = (field: string, input: string | URL): Effect.Effect<URL, Misconfigured> => {
  return Effect.flatMap(endpoint(field, input), (url) => {
    if (url.search !== "") return new Misconfigured({ field, problem: "must not hold a query" })
    if (!url.pathname.endsWith("/")) url.pathname += "/"
    return Effect.succeed(url)
  })
}

/** Validates a URL that secrets may be sent to: absolute, https (http on loopback only), without user info or fragment. */
export const endpoint = (field: string, input: string | URL): Effect.Effect<URL, Misconfigured> => {
  const refuse = (problem: string) => new Misconfigured({ field, problem })
  if (!URL.canParse(input)) return refuse("must be an absolute URL")
  const url = new URL(input)
  if (!isConfidential(url)) return refuse("must be https (http is allowed on loopback only)")
  if (url.username !== "" || url.password !== "") return refuse("must not hold a user name or password")
  if (url.hash !== "") return refuse("must not hold a fragment")
  return Effect.succeed(url)
}

/** Validates a secret that can stand in a header. */
export const headerSecret = (
  field: string,
  input: Redacted.Redacted<string>
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  isHeaderSafe(input)
    ? Effect.succeed(input)
    : new Misconfigured({ field, problem: "must be one or more visible ASCII characters" })
