/** The counts of the demo on its own side of the network. */
import { HttpClient } from "@effect/platform"
import { Effect, Ref } from "effect"
import type { Api } from "./Api.js"

export interface Lane {
  readonly page: number
  readonly retrying: boolean
}

export interface Readings {
  /** Pages that arrived, and pages that did not in spite of all retries. */
  readonly arrived: number
  readonly missing: number
  /** How often a pipeline requested a page again that had not arrived. */
  readonly retried: number
  /** Requests of the API, and those of them with a response of 401. */
  readonly requests: number
  readonly rejected: number
  readonly tokenRequests: number
  readonly inFlight: number
  readonly maxInFlight: number
  /** Token requests with an error response, and token requests without a response. */
  readonly refused: number
  readonly lost: number
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
    tokenRequests: 0,
    inFlight: 0,
    maxInFlight: 0,
    refused: 0,
    lost: 0,
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

/** Returns a client that counts every request that leaves the process, those of the session included. */
export const metered = (bare: HttpClient.HttpClient, api: Api, meter: Meter): HttpClient.HttpClient =>
  HttpClient.transform(bare, (send, request) =>
    api.isTokenRequest(request.url)
      ? Effect.acquireUseRelease(
          Ref.update(meter, (readings) => ({
            ...readings,
            tokenRequests: readings.tokenRequests + 1,
            inFlight: readings.inFlight + 1,
            maxInFlight: Math.max(readings.maxInFlight, readings.inFlight + 1)
          })),
          () =>
            Effect.tapBoth(send, {
              onFailure: () => count(meter, "lost"),
              onSuccess: ({ status }) => (status >= 400 ? count(meter, "refused") : Effect.void)
            }),
          () => Ref.update(meter, (readings) => ({ ...readings, inFlight: readings.inFlight - 1 }))
        )
      : Effect.zipRight(
          count(meter, "requests"),
          Effect.tap(send, ({ status }) => (status === 401 ? count(meter, "rejected") : Effect.void))
        )
  )
