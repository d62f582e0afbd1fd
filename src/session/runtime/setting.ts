import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Misconfigured } from "../../common/AuthError.js"
import { duration, positive } from "../../common/validate.js"
import * as Keeper from "../../store/recordStore.js"
import { TokenStore } from "../../store/TokenStore.js"
import { said } from "../../telemetry/labels.js"
import { nanos } from "../machine/state.js"
import type { Setting } from "./engine.js"

/** The options that sessions have in common, judged, and with their defaults. */
export const make = (
  options: {
    readonly leeway?: Duration.DurationInput | undefined
    readonly patience?: Duration.DurationInput | undefined
    readonly timeout?: Duration.DurationInput | undefined
    readonly shutdownDeadline?: Duration.DurationInput | undefined
  },
  onChange: Setting["onChange"]
): Effect.Effect<Setting, Misconfigured, TokenStore> =>
  Effect.all({
    keeper: Effect.map(TokenStore, Keeper.of),
    leeway: duration("leeway", options.leeway ?? "5 minutes"),
    patience: Effect.map(duration("patience", options.patience ?? "3 seconds"), nanos),
    timeout: positive("timeout", options.timeout ?? "10 seconds"),
    shutdownDeadline: duration("shutdownDeadline", options.shutdownDeadline ?? "10 seconds"),
    onChange: Effect.succeed(onChange),
    said
  })
