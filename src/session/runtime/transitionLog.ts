import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as FiberRef from "effect/FiberRef"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import type * as Moment from "../../common/Moment.js"
import * as AuthMetrics from "../../telemetry/AuthMetrics.js"
import { labels, log, type Observed, quietly, tell } from "../../telemetry/labels.js"
import type { Block, State } from "../machine/state.js"
import * as Held from "../machine/tokens.js"

/** Whose news these are; `warned` is the refresh token whose end was warned of. */
type Watched = Observed & { warned: unknown }

/** What is worth telling of a change: cool-downs, refusals and recoveries, each once, however many callers it meets. */
export const changed = (of: Watched, before: State, after: State, now: Moment.Moment): Effect.Effect<void> =>
  isQuiet(before, after)
    ? Effect.void
    : quietly(
        Effect.withFiberRuntime((fiber) => {
          const least = fiber.getFiberRef(FiberRef.currentMinimumLogLevel)
          const lines = news(of, before, after, now).filter(([level]) => LogLevel.lessThanEqual(least, level))
          return lines.length === 0
            ? Effect.void
            : Effect.forEach(lines, ([level, text]) => log(of, after.generation, level, text()), { discard: true })
        })
      )

/** Whether nothing changed of what there is to tell of: most steps of a flight are its own affair. */
const isQuiet = (before: State, after: State): boolean =>
  after.held === before.held &&
  after.block === before.block &&
  after.strikes === before.strikes &&
  after.signedOut === before.signedOut

/** A line of a log, whose text is written if it is wanted. */
type Line = readonly [LogLevel.LogLevel, () => string]

const news = (of: Watched, before: State, after: State, now: Moment.Moment): ReadonlyArray<Line> => {
  const { block, held } = after
  const { name } = of.provider
  const lines: Array<Line> = []
  const dead = held?.refresh._tag === "Dead" ? held.refresh.failure : undefined
  if (dead !== undefined && before.held?.refresh._tag !== "Dead") {
    lines.push([LogLevel.Warning, () => `${name}: the refresh token is no good any more: ${dead.message}`])
  }
  const refusedAgain = after.refused !== before.refused
  if (block !== undefined && block !== before.block) {
    const { failure, failures, until } = block
    const cools = until !== undefined && (failures > 0 || refusedAgain)
    if (cools) tell(() => AuthMetrics.coolDowns.unsafeUpdate(1, labels(of, { reason: failure._tag })))
    // The first failure in a row is news, and so is one that lasts; those between repeat it. What the refresh token's
    // refusal leads to was told with it, and that nobody has signed in yet is no failure.
    const known = failures === 0 && failure === before.block?.failure && !refusedAgain
    const isNews = failures < 2 && failure !== dead && failure._tag !== "SignedOut" && !known
    lines.push([
      isNews ? LogLevel.Warning : LogLevel.Debug,
      () => `${name}: no token was obtained${again(after, block, now)}: ${failure.message}`
    ])
  }
  if (after.strikes !== undefined && after.strikes !== before.strikes) {
    tell(() => AuthMetrics.coolDowns.unsafeUpdate(1, labels(of, { reason: "Rejections" })))
    lines.push([
      after.strikes.count > 1 ? LogLevel.Debug : LogLevel.Warning,
      () => `${name}: a token that was just obtained was rejected by the API as well`
    ])
  }
  const left = held === undefined ? Number.POSITIVE_INFINITY : Held.left(held, now)
  if (held !== undefined && held.issued !== before.held?.issued) {
    const reserve = before.held === undefined ? Number.POSITIVE_INFINITY : Held.left(before.held, now)
    if (Number.isFinite(reserve)) {
      tell(() => AuthMetrics.secondsInReserve.unsafeUpdate(reserve / 1000, labels(of)))
    }
    // Whatever was warned of is over, and who reads warnings wants to know.
    const recovered = before.block !== undefined && before.block.failure._tag !== "SignedOut"
    const lives = () =>
      Number.isFinite(left) ? `, good for ${Duration.format(Duration.seconds(Math.round(left / 1000)))}` : ""
    lines.push([
      recovered ? LogLevel.Info : LogLevel.Debug,
      () => `${name}: a token was obtained${recovered ? " at last" : ""}${lives()}`
    ])
  }
  if (after.signedOut && !before.signedOut) lines.push([LogLevel.Info, () => `${name}: signed out`])
  if (after.flight === undefined && Number.isFinite(left)) {
    tell(() => AuthMetrics.secondsToExpiry.unsafeUpdate(left / 1000, labels(of)))
  }
  if (held !== undefined && Held.refreshPhase(held, now) === "ends-soon") {
    const { refreshToken } = held.tokens
    // The same token arrives anew when another process has renewed with it.
    if (!Equal.equals(of.warned, refreshToken)) {
      of.warned = refreshToken
      const end = () => Option.match(Held.refreshEndsAt(held), { onNone: () => "soon", onSome: DateTime.formatIso })
      lines.push([
        LogLevel.Warning,
        () => `${name}: the refresh token ends at ${end()}; from then on, only a log in helps`
      ])
    }
  }
  return lines
}

/** What comes of a failure by itself. Refused credentials are read again every second, and sent again much later (law 16). */
const again = ({ refused }: State, { failure, until }: Block, now: Moment.Moment): string => {
  if (until === undefined) return ", and this is not tried again"
  if (failure._tag !== "InvalidCredentials") return `, and this is tried again in ${seconds(until - now.nanos)}`
  return refused === undefined
    ? ""
    : `, and what was refused is not sent again for ${seconds(refused.until - now.nanos)}`
}

const seconds = (nanos: bigint): string =>
  Duration.format(Duration.millis(Math.max(0, Math.round(Number(nanos) / 1e6))))
