import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import { ignoreCause } from "../../common/bounded.js"
import type * as Moment from "../../common/Moment.js"
import { minimumLogLevel, withFiber } from "../../common/runtime.js"
import * as AuthMetrics from "../../telemetry/AuthMetrics.js"
import { labels, log, type Subject, tryMetric } from "../../telemetry/labels.js"
import type { Gate, State } from "../machine/state.js"
import * as Tokens from "../machine/tokens.js"

/** A session, and the refresh token whose end was warned of. */
type LoggedSession = Subject & { expiryWarned: unknown }

/** Logs and measures a transition: cool-downs, refusals and recoveries, each once however many callers it affects. */
export const logTransition = (
  session: LoggedSession,
  before: State,
  after: State,
  now: Moment.Moment
): Effect.Effect<void> =>
  isUneventful(before, after)
    ? Effect.void
    : ignoreCause(
        withFiber((fiber) => {
          const minimum = minimumLogLevel(fiber)
          const lines = linesOf(session, before, after, now).filter(([level]) => LogLevel.lessThanEqual(minimum, level))
          return lines.length === 0
            ? Effect.void
            : Effect.forEach(lines, ([level, text]) => log(session, after.generation, level, text()), { discard: true })
        })
      )

/** Tells whether a transition changed nothing that is logged, as most steps of a flight do. */
const isUneventful = (before: State, after: State): boolean =>
  after.current === before.current &&
  after.gate === before.gate &&
  after.rejections === before.rejections &&
  after.signedOut === before.signedOut

/** A log line. Its text is built only if its level is logged. */
type Line = readonly [LogLevel.LogLevel, () => string]

const linesOf = (session: LoggedSession, before: State, after: State, now: Moment.Moment): ReadonlyArray<Line> => {
  const { current, gate } = after
  const { name } = session.provider
  const lines: Array<Line> = []
  const refusal = current?.refreshState._tag === "Refused" ? current.refreshState.failure : undefined
  if (refusal !== undefined && before.current?.refreshState._tag !== "Refused") {
    lines.push([LogLevel.Warning, () => `${name}: the refresh token cannot be used any more: ${refusal.message}`])
  }
  const isRefusedAgain = after.refusedLogins !== before.refusedLogins
  if (gate !== undefined && gate !== before.gate) {
    const { failure, failures, until } = gate
    const isCoolDown = until !== undefined && (failures > 0 || isRefusedAgain)
    if (isCoolDown) {
      tryMetric(() => AuthMetrics.coolDowns.unsafeUpdate(1, labels(session, { reason: failure._tag })))
    }
    // The first failure in a row is logged as a warning, and so is a permanent one; those between repeat it. The
    // failure of a refused refresh token was logged with its refusal. A session that no user has signed in to yet has
    // not failed.
    const isKnown = failures === 0 && failure === before.gate?.failure && !isRefusedAgain
    const isNew = failures < 2 && failure !== refusal && failure._tag !== "SignedOut" && !isKnown
    lines.push([
      isNew ? LogLevel.Warning : LogLevel.Debug,
      () => `${name}: no token was obtained${retryNote(after, gate, now)}: ${failure.message}`
    ])
  }
  if (after.rejections !== undefined && after.rejections !== before.rejections) {
    tryMetric(() => AuthMetrics.coolDowns.unsafeUpdate(1, labels(session, { reason: "Rejections" })))
    lines.push([
      after.rejections.count > 1 ? LogLevel.Debug : LogLevel.Warning,
      () => `${name}: a token that was just obtained was rejected by the API as well`
    ])
  }
  const left = current === undefined ? Number.POSITIVE_INFINITY : Tokens.timeLeft(current, now)
  if (current !== undefined && current.accessGeneration !== before.current?.accessGeneration) {
    const leftBefore = before.current === undefined ? Number.POSITIVE_INFINITY : Tokens.timeLeft(before.current, now)
    if (Number.isFinite(leftBefore)) {
      tryMetric(() => AuthMetrics.secondsLeftAtReplacement.unsafeUpdate(leftBefore / 1000, labels(session)))
    }
    // A recovery is logged because the failure before it was.
    const isRecovery = before.gate !== undefined && before.gate.failure._tag !== "SignedOut"
    const validity = () =>
      Number.isFinite(left) ? `, valid for ${Duration.format(Duration.seconds(Math.round(left / 1000)))}` : ""
    lines.push([
      isRecovery ? LogLevel.Info : LogLevel.Debug,
      () => `${name}: a token was obtained${isRecovery ? " at last" : ""}${validity()}`
    ])
  }
  if (after.signedOut && !before.signedOut) lines.push([LogLevel.Info, () => `${name}: signed out`])
  if (after.flight === undefined && Number.isFinite(left)) {
    tryMetric(() => AuthMetrics.secondsToExpiry.unsafeUpdate(left / 1000, labels(session)))
  }
  if (current !== undefined && Tokens.refreshTokenPhase(current, now) === "ends-soon") {
    const { refreshToken } = current.tokens
    // Compared by value: the same refresh token is received again when another process refreshed with it.
    if (!Equal.equals(session.expiryWarned, refreshToken)) {
      session.expiryWarned = refreshToken
      const end = () =>
        Option.match(Tokens.refreshExpiresAt(current), { onNone: () => "soon", onSome: DateTime.formatIso })
      lines.push([
        LogLevel.Warning,
        () => `${name}: the refresh token expires at ${end()}; from then on, only a login helps`
      ])
    }
  }
  return lines
}

/** Says what follows a failure. Refused credentials are read again every second, and sent again much later (law 16). */
const retryNote = ({ refusedLogins }: State, { failure, until }: Gate, now: Moment.Moment): string => {
  if (until === undefined) return ", and this is not retried"
  if (failure._tag !== "InvalidCredentials") return `, and this is retried in ${seconds(until - now.nanos)}`
  return refusedLogins === undefined
    ? ""
    : `, and the refused credentials are not sent again for ${seconds(refusedLogins.until - now.nanos)}`
}

const seconds = (nanos: bigint): string =>
  Duration.format(Duration.millis(Math.max(0, Math.round(Number(nanos) / 1e6))))
