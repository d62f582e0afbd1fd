import { inspect } from "node:util"
import { HttpClient, HttpClientResponse } from "@effect/platform"
import { Cause, Console, Effect, Exit, Layer, Logger, LogLevel, Metric, Stream, Tracer } from "effect"

/** The secrets that were seen in transit, in every form in which they could turn up again. */
export class Secrets {
  readonly seen = new Set<string>()
  #forms: ReadonlyArray<readonly [form: string, secret: string]> | undefined

  add(secret: string) {
    if (this.seen.has(secret)) return
    this.seen.add(secret)
    this.#forms = undefined
  }

  /** Whatever a request or an answer carried: header values, and the fields and JWTs of a body, damaged or not. */
  read(headers: Readonly<Record<string, string | undefined>>, body: string) {
    for (const name of ["x-violet-token", "x-violet-app-secret", "authorization"]) {
      const value = headers[name]
      if (value !== undefined && value !== "") this.add(value)
    }
    // A short number is no secret: the sandbox's own is the id of the application.
    for (const [, value] of body.matchAll(/"(?:token|refresh_token|password)":("(?:[^"\\]|\\.)+"|\d{6,})/g)) {
      if (value !== undefined) this.add(String(JSON.parse(value)))
    }
    for (const [jwt] of body.matchAll(/eyJ[\w-]{8,}(?:\.[\w-]{8,})*/g)) this.add(jwt)
  }

  get forms() {
    this.#forms ??= Array.from(this.seen).flatMap((secret) =>
      [...new Set(forms(secret))].map((_) => [_, secret] as const)
    )
    return this.#forms
  }

  /** The secret that a text holds, if any. */
  findIn(text: string): string | undefined {
    return this.forms.find(([form]) => text.includes(form))?.[1]
  }
}

const forms = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret)
  return [
    secret,
    encodeURIComponent(secret),
    encodeURI(secret),
    JSON.stringify(secret).slice(1, -1),
    inspect(secret).slice(1, -1),
    bytes.toString("hex"),
    // Base64 looks different at each of three places in what is encoded; the ends depend on the neighbours.
    ...(["base64", "base64url"] as const).flatMap((encoding) =>
      [0, 1, 2].map((shift) =>
        Buffer.concat([Buffer.alloc(shift), bytes])
          .toString(encoding)
          .slice(Math.ceil((shift * 8) / 6), Math.floor(((shift + bytes.length) * 8) / 6))
      )
    ),
    // A signature or a payload alone is too much as well.
    ...secret.split(".").filter((part) => part.length >= 20)
  ]
}

/**
 * A client that takes down the secrets that pass. `rewrite` may change the text of an answer on its way.
 *
 * The answer's body is read to its end or its failure, and then replayed.
 */
export const tap = (
  client: HttpClient.HttpClient,
  secrets: Secrets,
  rewrite: (text: string) => string = (text) => text
): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    Effect.gen(function* () {
      const { body } = request
      const sent =
        body._tag === "Uint8Array" || (body._tag === "Raw" && body.body instanceof Uint8Array)
          ? new TextDecoder().decode(body.body as Uint8Array)
          : ""
      secrets.read(request.headers, sent)
      const response = yield* client.execute(request)
      const chunks: Array<Uint8Array> = []
      let broken = false
      // A stream that fails while it runs is logged by the runtime, with its request: that leak would be this tap's own.
      const whole = Stream.catchAll(response.stream, (error) => {
        broken = error.reason !== "EmptyBody"
        return Stream.empty
      })
      yield* Stream.runForEach(whole, (chunk) => Effect.sync(() => chunks.push(chunk)))
      const text = Buffer.concat(chunks).toString()
      secrets.read({}, text)
      const reported = rewrite(text)
      secrets.read({}, reported)
      return HttpClientResponse.fromWeb(request, replay(response, reported, broken))
    })
  )

const replay = (response: HttpClientResponse.HttpClientResponse, text: string, broken: boolean): Response => {
  let sent = false
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (!sent) controller.enqueue(new TextEncoder().encode(text))
      else if (!broken) controller.close()
      // What broke is told as the socket tells it, as a client on the network would.
      else controller.error(Object.assign(new Error("terminated"), { code: "ECONNRESET" }))
      sent = true
    }
  })
  return new Response(text === "" ? null : body, { status: response.status, headers: { ...response.headers } })
}

/** Whatever shows of a value, in all the ways in which values are shown. */
export const shown = (value: unknown): ReadonlyArray<string> => [
  attempt(() => String(value)),
  attempt(() => JSON.stringify(value) ?? ""),
  inspect(value, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null, breakLength: 1e6 }),
  inspect(value, { depth: 20, customInspect: false, maxArrayLength: null, maxStringLength: null, breakLength: 1e6 }),
  ...(value instanceof Error ? [value.name, value.message, value.stack ?? ""] : []),
  ...reachable(value)
]

const attempt = (show: () => string) => {
  try {
    return show()
  } catch (error) {
    return String(error)
  }
}

/** Every string that can be reached from a value through properties, hidden ones included, and the text of all bytes. */
const reachable = (value: unknown): ReadonlyArray<string> => {
  const found = new Set<string>()
  const visited = new Set<unknown>()
  const left: Array<unknown> = [value]
  for (let next = left.pop(); next !== undefined || left.length > 0; next = left.pop()) {
    if (typeof next === "string" || typeof next === "number") found.add(String(next))
    if (typeof next !== "object" || next === null || visited.has(next) || next === globalThis) continue
    visited.add(next)
    if (ArrayBuffer.isView(next)) found.add(Buffer.from(next.buffer, next.byteOffset, next.byteLength).toString())
    else if (next instanceof Map) left.push(...next.keys(), ...next.values())
    else if (next instanceof Set) left.push(...next)
    else {
      for (const key of Reflect.ownKeys(next)) {
        const property = Object.getOwnPropertyDescriptor(next, key)
        found.add(String(key))
        left.push(property?.value)
      }
    }
  }
  return Array.from(found)
}

/** Whatever shows of a failure. */
export const shownCause = (cause: Cause.Cause<unknown>): ReadonlyArray<string> => [
  Cause.pretty(cause, { renderErrorCause: true }),
  ...Cause.prettyErrors(cause).flatMap((error) => [error.message, error.stack ?? ""]),
  ...shown(cause),
  ...[...Cause.failures(cause), ...Cause.defects(cause)].flatMap(shown)
]

/** What was made visible while a program ran, each piece with its place. */
export interface Exhibits {
  readonly show: (place: string, value: unknown) => Effect.Effect<void>
  readonly showExit: (place: string, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
  /** The places that hold a secret, with one example each. */
  readonly leaks: Effect.Effect<ReadonlyArray<string>>
  readonly count: (place: string) => number
  /** Loggers of every kind at `Trace`, a tracer and a console that keep what they get. */
  readonly layer: Layer.Layer<never>
}

export const exhibits = (secrets: Secrets): Exhibits => {
  const texts = new Map<string, Set<string>>()
  const add = (place: string, some: ReadonlyArray<string>) => {
    const stored = texts.get(place) ?? new Set()
    for (const text of some) if (text !== "") stored.add(text)
    texts.set(place, stored)
  }

  const log = Logger.make<unknown, void>((options) => {
    add("log line", [
      Logger.jsonLogger.log(options),
      Logger.logfmtLogger.log(options),
      Logger.stringLogger.log(options),
      ...shown(Logger.structuredLogger.log(options)),
      ...shown(options.message),
      ...shownCause(options.cause),
      ...Array.from(options.annotations, (pair) => shown(pair)).flat()
    ])
    Logger.prettyLogger({ colors: false, mode: "tty" }).log(options)
  })

  const print = (...parts: ReadonlyArray<unknown>) => add("console", parts.flatMap(shown))
  const quiet = Effect.consoleWith((console) =>
    Effect.succeed(Console.setConsole({ ...console, unsafe: { ...console.unsafe, ...printing(print) } }))
  )

  const span = (fields: Pick<Tracer.Span, "name" | "parent" | "context" | "links" | "kind">): Tracer.Span => {
    const attributes = new Map<string, unknown>()
    const links = [...fields.links]
    const tell = (...parts: ReadonlyArray<unknown>) => add("span", parts.flatMap(shown))
    tell(fields.name, links)
    return {
      ...fields,
      _tag: "Span",
      spanId: "span",
      traceId: "trace",
      sampled: true,
      status: { _tag: "Started", startTime: 0n },
      attributes,
      links,
      end: (_, exit) => {
        if (Exit.isSuccess(exit)) return
        // The bare client fails with what it was given; of that, its own span tells what an exporter reads of it.
        if (!fields.name.startsWith("http.client")) return add("span", shownCause(exit.cause))
        add(
          "span of the bare client",
          Cause.prettyErrors(exit.cause).flatMap(({ message, name, stack }) => [name, message, stack ?? ""])
        )
      },
      attribute: (key, value) => {
        attributes.set(key, value)
        tell(key, value)
      },
      event: (name, _, more) => tell(name, more),
      addLinks: (more) => tell(more)
    }
  }

  const tracer = Tracer.make({
    span: (name, parent, context, links, _, kind) => span({ name, parent, context, links, kind }),
    context: (f) => f()
  })

  return {
    show: (place, value) => Effect.sync(() => add(place, shown(value))),
    showExit: (place, exit) =>
      Effect.sync(() =>
        add(place, Exit.isSuccess(exit) ? shown(exit.value) : [...shown(exit), ...shownCause(exit.cause)])
      ),
    leaks: Effect.map(Metric.snapshot, (metrics) => {
      add("metric", shown(metrics))
      return Array.from(texts).flatMap(([place, all]) => {
        for (const text of all) {
          const secret = secrets.findIn(text)
          if (secret !== undefined) return [`${place}: ${around(text, secret)}`]
        }
        return []
      })
    }),
    count: (place) => texts.get(place)?.size ?? 0,
    layer: Layer.mergeAll(
      Logger.replace(Logger.defaultLogger, log),
      Logger.minimumLogLevel(LogLevel.Trace),
      Layer.setTracer(tracer),
      Layer.unwrapEffect(quiet)
    )
  }
}

const printing = <F>(print: F) => ({
  log: print,
  error: print,
  warn: print,
  info: print,
  debug: print,
  trace: print,
  group: print,
  groupCollapsed: print
})

/** Enough of a leak to find it by. */
const around = (text: string, secret: string) => {
  const at = Math.max(0, text.indexOf(secret))
  return text.slice(Math.max(0, at - 60), at + 60).replaceAll(/\s+/g, " ")
}
