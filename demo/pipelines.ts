/** The application: it reads pages and, if one does not arrive, waits a little and requests it again. */
import { HttpClient, type HttpClientError } from "@effect/platform"
import { Chunk, Data, type Duration, Effect, Option, Schedule, Stream } from "effect"
import { AuthError, AuthHttpClient } from "../src/index.js"
import type { Api, Page } from "./Api.js"
import * as Meter from "./Meter.js"
import type { Screen } from "./Screen.js"
import { inShort } from "./timeline.js"

export class WrongPage extends Data.TaggedError("WrongPage")<{ readonly asked: number; readonly got: string }> {
  override get message(): string {
    return `asked for page ${this.asked}, and got ${this.got}`
  }
}

type Failure = AuthError.AuthError | HttpClientError.HttpClientError | WrongPage

/** Tells whether a retry can help: the token endpoint or the API itself has a transient problem. */
const isTransient = (error: Failure): boolean => {
  switch (error._tag) {
    case "RequestError":
      return error.reason === "Transport"
    case "ResponseError":
      return error.response.status === 429 || error.response.status >= 500
    case "WrongPage":
      return false
    default:
      return AuthError.isTransient(error)
  }
}

const retries = Schedule.exponential("200 millis").pipe(
  Schedule.union(Schedule.spaced("2 seconds")),
  Schedule.jittered,
  Schedule.upTo("30 seconds")
)

export interface Options {
  readonly api: Api
  readonly meter: Meter.Meter
  readonly screen: Screen
  /** How long a pipeline waits after each page. */
  readonly pause: Duration.DurationInput
  readonly stopped: Effect.Effect<boolean>
}

/**
 * Reads page after page, and starts again after the last one, until it is stopped. It fails at once with an error that
 * no retry can fix. A page that is still missing after all retries is counted and left out.
 */
export const pipeline = (
  nth: number,
  { api, meter, pause, screen, stopped }: Options
): Effect.Effect<void, Failure, AuthHttpClient.AuthHttpClient> =>
  Effect.gen(function* () {
    const client = HttpClient.filterStatusOk(yield* AuthHttpClient.AuthHttpClient)

    const attempt = Effect.fnUntraced(function* (asked: number) {
      const page = yield* Effect.flatMap(client.execute(api.page(asked)), api.readPage).pipe(
        Effect.catchTag("ParseError", () => new WrongPage({ asked, got: "something that is not a page" }))
      )
      if (page.number !== undefined && page.number !== asked) {
        return yield* new WrongPage({ asked, got: `page ${page.number}` })
      }
      return page
    })

    const fetch = (asked: number) => {
      let tries = 0
      return Effect.suspend(() => Effect.when(Meter.count(meter, "retried"), () => tries++ > 0)).pipe(
        Effect.zipRight(attempt(asked)),
        Effect.tapError((error) =>
          isTransient(error)
            ? Effect.zipRight(
                Meter.setLane(meter, nth, { page: asked, retrying: true }),
                screen.event(
                  "retry",
                  `pipeline ${nth + 1} did not get page ${asked}: ${AuthError.isAuthError(error) ? inShort(error) : error.message}`
                )
              )
            : Effect.void
        ),
        Effect.retry({ schedule: retries, while: isTransient }),
        Effect.asSome,
        Effect.catchIf(isTransient, () => Effect.succeed(Option.none<Page>())),
        Effect.tap((page) => Meter.count(meter, Option.isSome(page) ? "arrived" : "missing")),
        Effect.tap(() => Meter.setLane(meter, nth, { page: asked, retrying: false }))
      )
    }

    const pages = Stream.paginateChunkEffect(1, (asked) =>
      Effect.gen(function* () {
        const page = yield* fetch(asked)
        yield* Effect.sleep(pause)
        const next = Option.exists(page, ({ last }) => last) ? 1 : asked + 1
        return [Chunk.fromIterable(Option.toArray(page)), Option.some(next)] as const
      })
    )
    yield* pages.pipe(
      Stream.takeUntilEffect(() => stopped),
      Stream.runDrain
    )
  })
