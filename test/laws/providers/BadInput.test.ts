import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { isAuthError } from "../../../src/common/AuthError.js"
import * as Faults from "../../../src/testing/Faults.js"
import { manually } from "../../support/ManualClock.js"
import { application, statusOf, tagOf } from "./harness.js"
import { type Entry, entries } from "./table.js"

interface Group {
  readonly faults: ReadonlyArray<Faults.Fault>
  /** Whether the token request may succeed all the same: what is broken is not what it is for. */
  readonly tolerable?: true
}

const oddTokens = ["missing", "number", "null", "empty", "control", "object"] as const
const oddNumbers = [undefined, null, 0, -1, 1e300, "soon", {}]

/** Every kind of fault there is. */
const groups = ({ fields, stating }: Entry): Readonly<Record<string, Group>> => ({
  Delay: { faults: (["before", "after"] as const).map((when) => Faults.Delay({ duration: "30 seconds", when })) },
  Drop: { faults: (["before", "after"] as const).map((when) => Faults.Drop({ when })) },
  Status: {
    faults: [204, 400, 401, 403, 404, 500, 503].map((status) => Faults.Status({ status }))
  },
  "Status with Retry-After": {
    faults: ["7", "garbage", "-1", "9".repeat(30)].map((retryAfter) => Faults.Status({ status: 429, retryAfter }))
  },
  Body: {
    faults: (["long", "array", "number", "null", "html", "broken", "truncated", "empty"] as const).map((kind) =>
      Faults.Body({ kind })
    )
  },
  "Token, the access token": { faults: oddTokens.map((kind) => Faults.Token({ kind })) },
  "Token, the refresh token": {
    faults: oddTokens.map((kind) => Faults.Token({ kind, which: "refresh" })),
    tolerable: true
  },
  "Fields with odd lifetimes": {
    faults: oddNumbers.map((odd) => Faults.Fields({ fields: { [fields.lifetime ?? "expires_in"]: odd } })),
    tolerable: true
  },
  "Expiry, or what states a lifetime": {
    faults: [0, -1, 1e300, "soon"].map(stating),
    tolerable: true
  },
  "Answer with an odd body": {
    faults: [
      ...[{ unexpected: true }, "text"].map((body) => Faults.Response({ status: 200, body, processed: true })),
      ...[[], { unexpected: true }, 42].map((body) => Faults.Response({ status: 400, body }))
    ]
  },
  "Answer with an odd status": {
    faults: [201, 299, 418, 422, 507].map((status) => Faults.Response({ status, body: { odd: true } }))
  },
  Redirect: {
    faults: [
      Faults.Redirect({ location: "https://elsewhere.test/login" }),
      Faults.Redirect({ location: "https://elsewhere.test/login", status: 307 }),
      Faults.Redirect({ location: "::no URL::" })
    ]
  }
})

/** At which request of which token request a fault rejected retries. */
const places = ({ refreshes, steps }: Entry) => [
  { place: "log in", endpoint: "login", after: 0 } as const,
  ...(steps > 1 ? [{ place: "second step of the login", endpoint: "login", after: 1 } as const] : []),
  ...(refreshes ? [{ place: "refresh", endpoint: "refresh", after: 0 } as const] : [])
]

describe.each(entries)("Bad input for each provider: $name", (entry) => {
  for (const { after, endpoint, place } of places(entry)) {
    for (const [group, { faults, tolerable }] of Object.entries(groups(entry))) {
      it.scoped(`law 12: ${entry.name}: ${group} at ${place}: a typed error, in time, and the next call recovers`, () =>
        manually(function* (clock) {
          // The server is as strict as can be where the protocol leaves it open.
          const options = { patience: 0, sandbox: { rotation: "single-use" } } as const
          const { api, sandbox, session, wire } = yield* application(entry, options)
          yield* session.accessToken
          for (const fault of faults) {
            const reported = JSON.stringify(fault)
            const tokenRequests = wire.tokenRequests()
            if (after > 0) yield* sandbox.faults.inject(endpoint, Faults.Delay({ duration: 0 }), after)
            yield* sandbox.faults.inject(endpoint, fault)
            const caller = yield* Effect.fork(endpoint === "login" ? session.login : session.refresh)
            yield* clock.advance("40 seconds")
            const ended = yield* Fiber.poll(caller)
            assert.isTrue(Option.isSome(ended), `${reported}: hangs`)
            const exit = Option.getOrThrow(ended)
            if (Exit.isFailure(exit)) {
              assert.isTrue(Option.exists(Cause.failureOption(exit.cause), isAuthError), `${reported}: ${exit.cause}`)
            } else {
              assert.isTrue(tolerable === true, `${reported}: succeeds`)
            }
            // Longer than any cool-down lasts, and than the token lives.
            yield* clock.advance("61 minutes")
            assert.strictEqual(yield* statusOf(api.get(entry.list)), 200, reported)
            assert.isAtMost(wire.tokenRequests(), tokenRequests + 3, reported)
          }
          assert.strictEqual(yield* tagOf(session.refresh), "success")
          const { complaints, maxConcurrentTokenRequests: maxConcurrentExchanges, reuses } = yield* sandbox.report
          assert.deepStrictEqual({ complaints, maxConcurrentExchanges }, { complaints: 0, maxConcurrentExchanges: 1 })
          // An answer that withholds the new refresh token keeps the old one in use (law 22), which turns out to be spent.
          const withheld = group === "Token, the refresh token" && endpoint === "refresh" && entry.rotation !== "none"
          assert.strictEqual(reuses, withheld ? faults.length : 0)
        })
      )
    }
  }
})
