/** The timeline: one line for each event and, in a terminal, a last line that is redrawn. */
import { stripVTControlCharacters, styleText } from "node:util"
import { Terminal } from "@effect/platform"
import { Clock, Config, Effect, Option, Ref } from "effect"

export type Kind = "sandbox" | "token" | "requests" | "retry" | "fault"
type Style = Parameters<typeof styleText>[0]

const styles: Record<Kind, Style> = { sandbox: "cyan", token: "green", requests: "gray", retry: "yellow", fault: "red" }

export interface Screen {
  /** Whether the last line is redrawn. */
  readonly live: boolean
  readonly style: (style: Style, text: string) => string
  /** Writes an event. The time of the first one is 0. */
  readonly event: (kind: Kind, text: string) => Effect.Effect<void>
  /** Redraws the last line. */
  readonly status: (text: string) => Effect.Effect<void>
  /** Writes a line as it is. */
  readonly line: (text: string) => Effect.Effect<void>
}

export const make = Effect.gen(function* () {
  const terminal = yield* Terminal.Terminal
  const noColor = yield* Effect.orDie(
    Effect.map(
      Config.option(Config.string("NO_COLOR")),
      Option.exists((_) => _ !== "")
    )
  )
  const live = (yield* terminal.isTTY) && !noColor
  // Some terminals do not know how wide they are.
  const columns = (yield* terminal.columns) || 80
  const first = yield* Ref.make(Option.none<number>())
  const last = yield* Ref.make("")
  const style: Screen["style"] = (format, text) => (live ? styleText(format, text) : text)

  // When this fails, nothing reads the output any more (`npm run demo | head`); the exit code still counts.
  yield* Effect.sync(() => process.stdout.on("error", () => {}))
  const write = (text: string) => Effect.ignore(terminal.display(text))
  const erase = live ? "\r\u001b[2K" : ""
  const line: Screen["line"] = (text) => Effect.flatMap(Ref.get(last), (status) => write(`${erase}${text}\n${status}`))
  // A line that wraps could not be erased.
  const cut = (text: string) =>
    stripVTControlCharacters(text).length < columns ? text : stripVTControlCharacters(text).slice(0, columns - 1)
  const status: Screen["status"] = (text) =>
    live ? Effect.zipRight(Ref.set(last, cut(text)), write(`${erase}${cut(text)}`)) : Effect.void

  const event: Screen["event"] = (kind, text) =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const started = yield* Ref.updateAndGet(
        first,
        Option.orElseSome(() => now)
      )
      const at = `${((now - Option.getOrElse(started, () => now)) / 1000).toFixed(2).padStart(6)} s`
      yield* line(`${style("gray", at)}  ${style(styles[kind], kind.padEnd(8))}  ${text}`)
    })

  // However the demo ends, the prompt of the shell begins on an empty line.
  yield* Effect.addFinalizer(() => status(""))
  return { event, line, live, status, style } satisfies Screen
})
