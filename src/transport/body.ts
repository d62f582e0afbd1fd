import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { errorCode } from "../common/foreignErrors.js"
import { isEmptyBody } from "./send.js"

/** The largest body that is read, in bytes: 1 MiB. A longer one is refused while it arrives. */
const maxBytes = 1_048_576

/** A body that could not be read. Unlike a `ResponseError`, it does not hold the request. */
export class UnreadableBody extends Data.TaggedError("UnreadableBody")<{
  readonly empty: boolean
  readonly code: string | undefined
}> {}

/** Reads a body. Returns `undefined` if it is longer than `limit` bytes; the rest is then left unread. */
export const read = (
  response: HttpClientResponse.HttpClientResponse,
  limit = maxBytes
): Effect.Effect<Uint8Array<ArrayBuffer> | undefined, UnreadableBody> =>
  response.stream.pipe(
    // Mapped first, because Effect logs what fails in the fibers that a stream forks.
    Stream.mapError((error) => new UnreadableBody({ empty: isEmptyBody(error), code: errorCode(error) })),
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

/** Reads up to 64 KiB of a body that is not needed, for at most a second, so that its connection becomes free. */
export const drain = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.ignore(Effect.timeout(Effect.ignore(read(response, 65_536)), "1 second"))

/**
 * Reads a body for later use, so that its connection becomes free. Returns `undefined` if it is longer than 1 MiB or takes
 * longer than three seconds.
 */
export const buffer = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<Uint8Array<ArrayBuffer> | undefined> =>
  Effect.orElseSucceed(read(response), () => undefined).pipe(
    Effect.timeout("3 seconds"),
    Effect.orElseSucceed(() => undefined)
  )
