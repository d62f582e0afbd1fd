/**
 * The body of a request, in any encoding that an API accepts.
 *
 * @since 0.1.0
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Multipart from "@effect/platform/Multipart"
import * as UrlParams from "@effect/platform/UrlParams"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"

/**
 * The encoding of a body, by its content type. `"other"` also stands for no body and for one that cannot be decoded.
 *
 * @since 0.1.0
 * @category testing
 */
export type Type = "json" | "form" | "multipart" | "other"

/**
 * A body that was read. The value of a form is a record of its fields; a field that was sent twice is an array.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Body {
  readonly type: Type
  readonly value: unknown
}

/**
 * The failure of a request whose body is not as it should be. The sandbox logs it as a complaint and responds with 400.
 *
 * @since 0.1.0
 * @category testing
 */
export class Malformed extends Data.TaggedError("Malformed")<{ readonly complaint: string }> {}

const contentTypes = {
  json: "application/json",
  form: "application/x-www-form-urlencoded",
  multipart: "multipart/form-data"
} as const

const other: Body = { type: "other", value: undefined }

const multipart = (request: HttpServerRequest.HttpServerRequest) =>
  request.multipartStream.pipe(
    Stream.filter(Multipart.isField),
    Stream.runCollect,
    Effect.map((fields) =>
      UrlParams.toRecord(UrlParams.fromInput(Array.from(fields, ({ key, value }): [string, string] => [key, value])))
    )
  )

/**
 * Reads the body of a request by its content type.
 *
 * @since 0.1.0
 * @category testing
 */
export const read = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Body> => {
  const contentType = request.headers["content-type"] ?? ""
  const as = (type: Type, value: Effect.Effect<unknown, unknown>) =>
    Effect.orElseSucceed(
      Effect.map(value, (value): Body => ({ type, value })),
      () => other
    )
  if (contentType.startsWith(contentTypes.json)) return as("json", request.json)
  if (contentType.startsWith(contentTypes.form))
    return as("form", Effect.map(request.urlParamsBody, UrlParams.toRecord))
  if (contentType.startsWith(contentTypes.multipart)) return as("multipart", multipart(request))
  return Effect.succeed(other)
}

/**
 * The fields of a body: `required` ones are text, `optional` ones are anything, and there are no others.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Shape<Required extends string, Optional extends string = never> {
  readonly types: ReadonlyArray<Exclude<Type, "other">>
  readonly required: ReadonlyArray<Required>
  readonly optional?: ReadonlyArray<Optional> | undefined
}

/**
 * The fields of a body of a certain shape.
 *
 * @since 0.1.0
 * @category testing
 */
export type Fields<Required extends string, Optional extends string = never> = {
  readonly [Name in Required]: string
} & { readonly [Name in Optional]?: unknown }

/**
 * Reads the fields of a body. Fails with `Malformed` if it does not have the shape.
 *
 * @since 0.1.0
 * @category testing
 */
export const fields = <Required extends string, Optional extends string = never>(
  body: Body,
  shape: Shape<Required, Optional>
): Effect.Effect<Fields<Required, Optional>, Malformed> => {
  const { value } = body
  const known: ReadonlyArray<string> = [...shape.required, ...(shape.optional ?? [])]
  const fits = (value: unknown): value is Fields<Required, Optional> =>
    Predicate.isRecord(value) &&
    shape.required.every((name) => typeof value[name] === "string") &&
    Object.keys(value).every((name) => known.includes(name))
  if (shape.types.some((type) => type === body.type) && fits(value)) return Effect.succeed(value)
  const types = shape.types.map((type) => contentTypes[type]).join(" or ")
  return new Malformed({ complaint: `the body is not ${types} with ${shape.required.join(" and ")} alone` })
}
