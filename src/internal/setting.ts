import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Misconfigured } from "../AuthError.js"
import { nanos } from "../SessionState.js"
import { type Service as Store, TokenStore } from "../TokenStore.js"
import { said } from "./observed.js"
import { duration, positive } from "./options.js"

/** What the sessions of one layer have in common. */
export interface Setting {
  readonly store: Store
  readonly leeway: Duration.Duration
  /** On the monotonic clock. */
  readonly patience: bigint
  readonly timeout: Duration.Duration
  readonly shutdownDeadline: Duration.Duration
  /** What the fibers of a session run with, whoever's call it was that started them. */
  readonly context: Context.Context<never>
  readonly said: Effect.Effect.Success<typeof said>
}

export const make = (options: {
  readonly leeway?: Duration.DurationInput | undefined
  readonly patience?: Duration.DurationInput | undefined
  readonly timeout?: Duration.DurationInput | undefined
  readonly shutdownDeadline?: Duration.DurationInput | undefined
}): Effect.Effect<Setting, Misconfigured, TokenStore> =>
  Effect.all({
    store: TokenStore,
    leeway: duration("leeway", options.leeway ?? "5 minutes"),
    patience: Effect.map(duration("patience", options.patience ?? "3 seconds"), nanos),
    timeout: positive("timeout", options.timeout ?? "10 seconds"),
    shutdownDeadline: duration("shutdownDeadline", options.shutdownDeadline ?? "10 seconds"),
    context: Effect.context<never>(),
    said
  })
