/**
 * A store on Redis, for processes on any number of machines: the entry of a key is a hash, its exclusive section a key
 * beside it that expires. Each operation is one script, which Redis runs as a whole, by its own clock.
 *
 * It promises what the server promises. `maxmemory-policy` has to be `noeviction`: an entry that is evicted is a session
 * that has to log in again. Snapshots alone may lose minutes. The append-only file with `appendfsync everysec` may lose
 * the last second before a crash, as may a replica that takes over; a refresh token that was rotated in that second is
 * lost, and its session with it, unless there are credentials. `appendfsync always` loses nothing that one server said it
 * kept. Entries never expire.
 *
 * Whoever may read the server reads the tokens, in `MONITOR` and `SLOWLOG` too: wrap the store in encryption where that is
 * not this application alone. A call that reached a server which then stood still may be carried out later: the versions
 * make a late save harmless, and a late lease ends after its duration. Needs Redis 6 or newer, or Valkey.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { ClientClosedError, createClient, ErrorReply } from "redis"
import { Misconfigured, StoreFailure } from "../common/AuthError.js"
import { fromConfigError } from "../common/foreignErrors.js"
import * as Valid from "../common/validate.js"
import * as Key from "../store/key.js"
import { type Service, TokenStore } from "../store/TokenStore.js"
import * as Scripts from "./internal/redisScripts.js"

/**
 * What is needed of a client: that of `createClient`, `createClientPool`, `createCluster` or `createSentinel` of the
 * package `redis`, connected.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly withCommandOptions: (options: { readonly abortSignal: AbortSignal; readonly typeMapping: object }) => {
    readonly eval: (
      script: string,
      options: { readonly keys: Array<string>; readonly arguments: Array<string | Buffer> }
    ) => PromiseLike<unknown>
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the names of all keys begin with: `effect-auth` for `effect-auth:{alice}`. Default: `"effect-auth"`. */
  readonly prefix?: string | undefined
}

/**
 * Where the server is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address extends Options {
  /** `redis://user:password@host:port/database`, or `rediss://` for TLS, which secrets want on any network but one's own. */
  readonly url: string | Redacted.Redacted<string>
}

/**
 * A store over a client that the application has, and that it goes on to care for: listens to its `error` events, closes
 * it. A command that has no answer within 1.5 seconds fails, and is taken back if it was not sent. Fails with
 * `Misconfigured` when the prefix is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: Client, options: Options = {}): Effect.Effect<Service, Misconfigured> =>
  makeWith(() => ({ client, down: Option.none, abandon: Effect.void }), options)

/**
 * A store with a connection of its own, which ends with the scope and keeps the process alive until then.
 *
 * The server has to run with `maxmemory-policy noeviction`. The layer does not wait for the server: the first call waits for the connection, up to 1.5 seconds. A lost connection
 * is made anew by itself, and until then each call fails at once. Fails with `Misconfigured` when an option is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ url, ...options }: Address): Layer.Layer<TokenStore, Misconfigured> =>
  Layer.scoped(TokenStore, connected("url", Redacted.isRedacted(url) ? url : Redacted.make(url), options))

/**
 * The same, from the variable `EFFECT_AUTH_REDIS_URL`. Fails with `Misconfigured`, which names it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Options = {}): Layer.Layer<TokenStore, Misconfigured> =>
  Layer.scoped(
    TokenStore,
    Effect.flatMap(Effect.mapError(Config.redacted(variable), fromConfigError), (url) =>
      connected(variable, url, options)
    )
  )

const variable = "EFFECT_AUTH_REDIS_URL"

const connected = (field: string, url: Redacted.Redacted<string>, options: Options) =>
  Effect.flatMap(open(field, url), (connection) => makeWith(connection, options))

/** Shorter than a session waits for its store, so that it hears what is wrong. */
const patience = Duration.millis(1500)

/** How commands get to the server at this moment. */
interface Connection {
  readonly client: Client
  /** Why there is no connection, if that is known. */
  readonly down: () => Option.Option<unknown>
  /** What is done about a server that does not answer. */
  readonly abandon: Effect.Effect<void>
}

const open = (
  field: string,
  url: Redacted.Redacted<string>
): Effect.Effect<() => Connection, Misconfigured, Scope.Scope> => {
  const dial = () => {
    const client = createClient({
      url: Redacted.value(url),
      maintNotifications: "disabled",
      socket: { connectTimeout: Duration.toMillis(patience) }
    })
    let down = Option.none<unknown>()
    // Without a listener, an error would end the process.
    client.on("error", (error) => {
      down = Option.some(error)
    })
    client.on("connect", () => {
      down = Option.none()
      // What was on its way when the client was closed is connected all the same, and would never be closed.
      if (!client.isOpen) client.destroy()
    })
    // It tries again for ever; what it fails with has been told to the listener.
    client.connect().then(undefined, () => {})
    // A peer that vanished without a word would be waited for until the kernel gives up, after a quarter of an hour.
    const abandon = Effect.sync(() => {
      if (!client.isOpen) return
      client.destroy()
      current = dial()
    })
    return { client, down: () => down, abandon }
  }
  let current: ReturnType<typeof dial>
  return Effect.zipRight(
    Valid.nonEmpty(field, Redacted.value(url)),
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          current = dial()
          return () => current
        },
        catch: () => new Misconfigured({ field, problem: "must be like redis://user:password@host:port/database" })
      }),
      (connection) => Effect.sync(() => connection().client.destroy())
    )
  )
}

const makeWith = (connection: () => Connection, options: Options): Effect.Effect<Service, Misconfigured> =>
  Effect.map(Valid.nonEmpty("prefix", options.prefix ?? "effect-auth"), (prefix): Service => {
    // The braces keep entry and lease on one node of a cluster.
    const entryOf = (key: string) => `${prefix}:{${Key.printable(key)}}`
    const leaseOf = (key: string) => `${entryOf(key)}:lease`

    const run = (
      operation: StoreFailure["operation"],
      script: string,
      name: string,
      ...args: Array<string | Buffer>
    ): Effect.Effect<unknown, StoreFailure> =>
      Effect.suspend(() => {
        const { abandon, client, down } = connection()
        const failure = (problem: string) => new StoreFailure({ operation, problem })
        const disconnected = (error: unknown) => failure(`no connection to the server: ${problemOf(error, name)}`)
        const asked = Effect.tryPromise({
          // Without the signal, a command that was given up would wait for a connection, and take a lease for nobody.
          try: (abortSignal) =>
            client.withCommandOptions({ abortSignal, typeMapping: {} }).eval(script, { keys: [name], arguments: args }),
          catch: (error) => failure(problemOf(error, name))
        })
        const late = Effect.suspend(() =>
          Option.match(down(), {
            onNone: () => Effect.zipRight(abandon, failure("the server does not answer")),
            onSome: disconnected
          })
        )
        return Option.match(down(), {
          onNone: () =>
            Effect.flatMap(
              Effect.timeoutOption(asked, patience),
              Option.match({ onNone: () => late, onSome: Effect.succeed })
            ),
          onSome: disconnected
        })
      })

    return {
      load: (key) =>
        Effect.flatMap(run("load", Scripts.load, entryOf(key)), (reply) =>
          Option.match(Scripts.decodeFound(reply), {
            onNone: () => new StoreFailure({ operation: "load", problem: Scripts.foreign(entryOf(key)) }),
            onSome: (found) =>
              Effect.succeed(
                Option.map(Option.fromNullable(found), ([generation, revision, contents, age]) => ({
                  generation,
                  revision,
                  contents: Redacted.make(contents),
                  // Negative after the server's clock was set back.
                  age: Duration.millis(Math.max(0, age))
                }))
              )
          })
        ),
      save: (key, { contents, generation, revision }) =>
        Effect.map(
          run("save", Scripts.save, entryOf(key), `${generation}`, `${revision}`, concealed(Redacted.value(contents))),
          (reply) => reply === 1
        ),
      lease: (key, owner, duration) =>
        Effect.map(
          run("lease", Scripts.lease, leaseOf(key), owner, `${Math.ceil(Math.max(1, Duration.toMillis(duration)))}`),
          (reply) => reply === 1
        ),
      release: (key, owner) => Effect.asVoid(run("lease", Scripts.release, leaseOf(key), owner))
    }
  })

/** Bytes that do not print: what traces the commands of this client prints the arguments of a script (law 27). */
const concealed = (text: string): Buffer =>
  Object.assign(Buffer.from(text), {
    toString: () => "<redacted>",
    toJSON: () => "<redacted>",
    [Symbol.for("nodejs.util.inspect.custom")]: () => "<redacted>"
  })

const problemOf = (error: unknown, name: string): string => {
  if (error instanceof ClientClosedError) return "the client is closed"
  if (error instanceof ErrorReply) return Scripts.problemOf(error.message, name)
  const code = Predicate.hasProperty(error, "code") ? `${error.code}` : ""
  return /^[A-Z][A-Z0-9_]+$/.test(code) ? `the connection failed (${code})` : "the connection was lost"
}
