/** What the demo measures on its own side of the wire. */
import { HttpClient } from "@effect/platform"
import { Effect, Ref } from "effect"
import type { Api } from "./Api.js"

export interface Lane {
  readonly page: number
  readonly retrying: boolean
}

export interface Readings {
  /** Pages that arrived, and those that did not in spite of all retries. */
  readonly arrived: number
  readonly missing: number
  /** How often a pipeline asked again for a page that had not come. */
  readonly retried: number
  /** Requests of the API that went out, and those of them that were answered 401. */
  readonly requests: number
  readonly rejected: number
  readonly exchanges: number
  readonly inFlight: number
  readonly mostExchanging: number
  /** Exchanges that were turned away with a status, and those that got no answer. */
  readonly turnedAway: number
  readonly unanswered: number
  readonly lanes: ReadonlyArray<Lane>
}

export type Meter = Ref.Ref<Readings>

export const make = (lanes: number): Effect.Effect<Meter> =>
  Ref.make<Readings>({
    arrived: 0,
    missing: 0,
    retried: 0,
    requests: 0,
    rejected: 0,
    exchanges: 0,
    inFlight: 0,
    mostExchanging: 0,
    turnedAway: 0,
    unanswered: 0,
    lanes: Array.from({ length: lanes }, () => ({ page: 1, retrying: false }))
  })

export type Count = Exclude<keyof Readings, "lanes">

export const count = (meter: Meter, name: Count): Effect.Effect<void> =>
  Ref.update(meter, (readings) => ({ ...readings, [name]: readings[name] + 1 }))

export const setLane = (meter: Meter, nth: number, lane: Lane): Effect.Effect<void> =>
  Ref.update(meter, (readings) => ({
    ...readings,
    lanes: readings.lanes.map((old, index) => (index === nth ? lane : old))
  }))

/** The bare client, with every request that leaves the process counted: those of the session as well. */
export const metered = (bare: HttpClient.HttpClient, api: Api, meter: Meter): HttpClient.HttpClient =>
  HttpClient.transform(bare, (send, request) =>
    api.isExchange(request.url)
      ? Effect.acquireUseRelease(
          Ref.update(meter, (readings) => ({
            ...readings,
            exchanges: readings.exchanges + 1,
            inFlight: readings.inFlight + 1,
            mostExchanging: Math.max(readings.mostExchanging, readings.inFlight + 1)
          })),
          () =>
            Effect.tapBoth(send, {
              onFailure: () => count(meter, "unanswered"),
              onSuccess: ({ status }) => (status >= 400 ? count(meter, "turnedAway") : Effect.void)
            }),
          () => Ref.update(meter, (readings) => ({ ...readings, inFlight: readings.inFlight - 1 }))
        )
      : Effect.zipRight(
          count(meter, "requests"),
          Effect.tap(send, ({ status }) => (status === 401 ? count(meter, "rejected") : Effect.void))
        )
  )
