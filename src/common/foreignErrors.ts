import type { PlatformError } from "@effect/platform/Error"
import type * as ConfigError from "effect/ConfigError"
import * as ParseResult from "effect/ParseResult"
import { Misconfigured } from "./AuthError.js"

/** Names the first variable that is missing or malformed. Its value may be a secret and is not reported. */
export const fromConfigError = (error: ConfigError.ConfigError): Misconfigured => {
  switch (error._op) {
    case "And":
    case "Or":
      return fromConfigError(error.left)
    case "MissingData":
      return new Misconfigured({ field: error.path.join("_"), problem: "is not set" })
    default:
      return new Misconfigured({ field: error.path.join("_"), problem: "cannot be read" })
  }
}

/** Names the fields that could not be parsed, without their values. */
export const parseErrorFields = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ path }) => path.join("."))
    .join(", ")

const platformReason = (error: PlatformError): string => (error._tag === "SystemError" ? error.reason : error._tag)

/** Tells whether a file or folder does not exist. */
export const isNotFound = (error: PlatformError): boolean => platformReason(error) === "NotFound"

/** Tells whether a file or folder exists already. */
export const isAlreadyExists = (error: PlatformError): boolean => platformReason(error) === "AlreadyExists"

/** Returns the code of the operating system, such as `ENOSPC`, or else the reason that Effect gives. */
export const systemErrorCode = (error: PlatformError): string =>
  /^E[A-Z0-9]+/.exec(error.description ?? "")?.[0] ?? platformReason(error)

/** The failure of a `KeyValueStore`. */
export type KeyValueStoreError = PlatformError

/** Names the operation, the reason and the file of a failed `KeyValueStore`. Its description may hold a secret. */
export const keyValueStoreProblem = (error: KeyValueStoreError): string => {
  const path = error._tag === "SystemError" && error.module === "FileSystem" ? error.pathOrDescriptor : undefined
  const place = path === undefined ? "" : ` for ${path}`
  return `${error.module}.${error.method} failed with ${platformReason(error)}${place}`
}

/** Returns the error of the database driver in an `SqlError`. */
export const sqlDriverError = ({ cause }: { readonly cause?: unknown }): unknown => cause

/** Returns the first code along a chain of causes. Codes are words such as `ECONNRESET`; nothing else is safe to report. */
export const errorCode = (error: unknown, depth = 0): string | undefined => {
  if (typeof error !== "object" || error === null || depth > 5) return undefined
  if ("code" in error && typeof error.code === "string" && /^[A-Z][A-Z0-9_]{2,40}$/.test(error.code)) return error.code
  return "cause" in error ? errorCode(error.cause, depth + 1) : undefined
}
