import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** Sends a request, and nothing of it gets where it should not. */
export type Send = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

/**
 * Sends requests whose headers hold secrets: spans show those redacted (law 27), and no redirect is followed (law 23),
 * which only the fetch client does by itself.
 */
export const sender = (client: HttpClient.HttpClient, redactedHeaders: ReadonlyArray<string>): Send => {
  const redacted = redactedAs(redactedHeaders)
  // In place, inside of the client: there alone is the caller's `RequestInit` in sight, also when it was given to the
  // layer of the fetch client and not to the application.
  const inside = HttpClient.mapRequestEffect(client, (request) =>
    FiberRef.modify(FiberRef.currentContext, (context) => [request, followNothing(context)])
  )
  return (request) =>
    Effect.withFiberRuntime((fiber) => {
      const names = fiber.getFiberRef(Headers.currentRedactedNames)
      const more = redacted(names)
      const sent = backTo(fiber.currentContext, inside.execute(request))
      return more === names ? sent : Effect.locally(sent, Headers.currentRedactedNames, more)
    })
}

type Names = ReadonlyArray<string | RegExp>

/** The names in force, and ours if any is missing. Those in force are nearly always the same, so the last sum is kept. */
const redactedAs = (ours: ReadonlyArray<string>) => {
  let known: Names = []
  let sum: Names = ours
  return (names: Names): Names => {
    if (names !== known) {
      known = names
      sum = ours.every((name) => names.includes(name)) ? names : [...names, ...ours]
    }
    return sum
  }
}

const followNothing = (context: Context.Context<never>): Context.Context<never> =>
  Context.add(context, FetchHttpClient.RequestInit, {
    ...Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit)),
    redirect: "manual"
  })

/** Ends what an effect changes of the context, however it ends itself: `Effect.onExit` in fewer steps. */
const backTo = <A, E>(context: Context.Context<never>, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.matchCauseEffect(restore(effect), {
      onFailure: (cause) => Effect.zipRight(FiberRef.set(FiberRef.currentContext, context), Effect.failCause(cause)),
      onSuccess: (value) => FiberRef.modify(FiberRef.currentContext, () => [value, context])
    })
  )

/** Whether a client that turns statuses into errors did so: it still got an answer. */
export const isStatusError = (
  error: HttpClientError.HttpClientError
): error is HttpClientError.ResponseError & { readonly reason: "StatusCode" } =>
  error._tag === "ResponseError" && error.reason === "StatusCode"

/** Bodies longer than this are refused while they arrive: 1 MiB. */
const longest = 1_048_576

/** Why a body could not be read, without the request that a `ResponseError` holds. */
export class Unreadable extends Data.TaggedError("Unreadable")<{
  readonly empty: boolean
  readonly code: string | undefined
}> {}

/** The body, or undefined when it is longer than `limit`: then the rest is not read. */
export const read = (
  response: HttpClientResponse.HttpClientResponse,
  limit = longest
): Effect.Effect<Uint8Array<ArrayBuffer> | undefined, Unreadable> =>
  response.stream.pipe(
    // At once, since Effect logs what fails in the fibers that a stream forks.
    Stream.mapError((error) => new Unreadable({ empty: error.reason === "EmptyBody", code: errorCode(error) })),
    Stream.catchAll((error) => (error.empty ? Stream.empty : Stream.fail(error))),
    Stream.mapAccum(0, (size, chunk) => [size + chunk.length, { chunk, size: size + chunk.length }] as const),
    Stream.takeUntil(({ size }) => size > limit),
    Stream.runCollect,
    Effect.map((parts) => {
      const chunks = Array.from(parts)
      const size = chunks.at(-1)?.size ?? 0
      if (size > limit) return undefined
      const bytes = new Uint8Array(size)
      for (const part of chunks) bytes.set(part.chunk, part.size - part.chunk.length)
      return bytes
    })
  )

/** Reads what is left of a body that nobody wants, a little of it and not for long, so that its connection is free. */
export const release = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.ignore(Effect.timeout(Effect.ignore(read(response, 65_536)), "1 second"))

/**
 * The same answer with its body read, so that its connection is free: the refresh may be waiting for just that one. A
 * body that is too long or too slow is let go, and reading it fails.
 */
export const keep = (answer: Answer): Effect.Effect<Answer> =>
  Effect.orElseSucceed(read(answer), () => undefined).pipe(
    Effect.timeout("3 seconds"),
    Effect.orElseSucceed(() => undefined),
    Effect.map((bytes) => answer.withBody(bytes ?? cut()))
  )

const cut = () =>
  new ReadableStream({ start: (controller) => controller.error(new Error("the body was too long or too slow")) })

/**
 * An error of the client, about the caller's request instead of the authorized one (law 27). What caused it is told by
 * its code alone, since a cause may hold the request or quote a header; only a body that is no JSON quotes the caller's
 * own.
 */
export const blame = (
  error: HttpClientError.HttpClientError,
  request: HttpClientRequest.HttpClientRequest,
  response?: HttpClientResponse.HttpClientResponse
): HttpClientError.HttpClientError => {
  const code = errorCode(error)
  const details = {
    ...(code === undefined ? {} : { description: code }),
    ...(error.cause instanceof SyntaxError ? { cause: error.cause } : {})
  }
  return error._tag === "RequestError"
    ? new HttpClientError.RequestError({ request, reason: error.reason, ...details })
    : new HttpClientError.ResponseError({
        request,
        response: response ?? new Answer(request, error.response),
        reason: error.reason,
        ...details
      })
}

/** The first error code along the chain of causes; codes are words like `ECONNRESET`, and nothing else is passed on. */
export const errorCode = (error: unknown, depth = 0): string | undefined => {
  if (typeof error !== "object" || error === null || depth > 5) return undefined
  if ("code" in error && typeof error.code === "string" && /^[A-Z][A-Z0-9_]{2,40}$/.test(error.code)) return error.code
  return "cause" in error ? errorCode(error.cause, depth + 1) : undefined
}

/** An answer that refers to the caller's request, so that nothing in it leads to the token (law 27). */
export class Answer extends Inspectable.Class implements HttpClientResponse.HttpClientResponse {
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly request: HttpClientRequest.HttpClientRequest
  readonly #source: HttpClientResponse.HttpClientResponse
  readonly #body: HttpClientResponse.HttpClientResponse

  constructor(
    request: HttpClientRequest.HttpClientRequest,
    source: HttpClientResponse.HttpClientResponse,
    body: HttpClientResponse.HttpClientResponse = source
  ) {
    super()
    this.request = request
    this.#source = source
    this.#body = body
  }

  withBody(body: BodyInit): Answer {
    const { "content-type": type } = this.headers
    const web = new Response(body, type === undefined ? {} : { headers: { "content-type": type } })
    return new Answer(this.request, this.#source, HttpClientResponse.fromWeb(this.request, web))
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  #about<A>(effect: Effect.Effect<A, HttpClientError.ResponseError>): Effect.Effect<A, HttpClientError.ResponseError> {
    return Effect.mapError(effect, (error) => this.#blame(error))
  }

  #blame(error: HttpClientError.ResponseError): HttpClientError.ResponseError {
    return blame(error, this.request, this) as HttpClientError.ResponseError
  }

  get status() {
    return this.#source.status
  }
  get headers() {
    return this.#source.headers
  }
  get cookies() {
    return this.#source.cookies
  }
  get remoteAddress() {
    return this.#source.remoteAddress
  }
  get json() {
    return this.#about(this.#body.json)
  }
  get text() {
    return this.#about(this.#body.text)
  }
  get urlParamsBody() {
    return this.#about(this.#body.urlParamsBody)
  }
  get formData() {
    return this.#about(this.#body.formData)
  }
  get arrayBuffer() {
    return this.#about(this.#body.arrayBuffer)
  }
  get stream() {
    return Stream.mapError(this.#body.stream, (error) => this.#blame(error))
  }
}
