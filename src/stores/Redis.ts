/**
 * A token store on Redis, for processes on any number of machines. The entry of a key is a hash, and its lease is a key beside
 * it that expires. Each operation is one script, which Redis runs atomically, by its own clock.
 *
 * Needs Redis 6 or newer, or Valkey.
 *
 * - **Durability** is that of the server. `maxmemory-policy` has to be `noeviction`: a session whose entry is evicted has to log
 *   in again. Snapshots alone may lose minutes. The append-only file with `appendfsync everysec` may lose the last second before
 *   a crash, and so may a replica that takes over. A refresh token that was rotated in that second is lost, and its session
 *   with it, unless there are credentials. `appendfsync always` loses nothing that one server acknowledged. Entries never
 *   expire.
 * - **Secrecy.** Every user who may read the server can read the tokens, in `MONITOR` and `SLOWLOG` too. If that is not this
 *   application alone, wrap the store in `Encrypted`.
 * - **Late calls.** A call that reached a server which then hung may be carried out later. Its version makes a late save
 *   harmless, and a late lease ends after its duration.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/
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
 * The part of a client that the store needs. The clients of `createClient`, `createClientPool`, `createCluster` and
 * `createSentinel` of the package `redis` have it. Connect the client first.
 *
 * @see https://github.com/redis/node-redis
 * @since 0.1.0
 * @category models
 */
export interface Client {
  /**
   * Returns the same client with other options for its commands: `abortSignal` withdraws a command that was not sent yet, and an
   * empty `typeMapping` replaces that of the application.
   */
  readonly withCommandOptions: (options: { readonly abortSignal: AbortSignal; readonly typeMapping: object }) => {
    /** Runs a Lua script. */
    readonly eval: (
      script: string,
      options: { readonly keys: Array<string>; readonly arguments: Array<string | Buffer> }
    ) => PromiseLike<unknown>
  }
}

/**
 * The options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The prefix of the names of all keys. `"effect-auth"` gives `effect-auth:{alice}`. Default: `"effect-auth"`. */
  readonly prefix?: string | undefined
}

/**
 * The options of a store with its own connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address extends Options {
  /**
   * The address of the server: `redis://user:password@host:port/database`. Use `rediss://`, which is TLS, on any network that
   * is not private.
   */
  readonly url: string | Redacted.Redacted<string>
}

/**
 * Makes a store over a client of the application, which stays responsible for it: it listens to the client's `error` events and
 * closes it. A command without a reply within 1.5 seconds fails, and is withdrawn if it was not sent. Fails with
 * `Misconfigured` if the prefix is empty.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (client: Client, options: Options = {}): Effect.Effect<Service, Misconfigured> =>
  makeWith(() => ({ client, connectionError: Option.none, reconnect: Effect.void }), options)

/**
 * Provides a store with its own connection, which is closed with the layer and keeps the process alive until then. Fails with
 * `Misconfigured` if the URL is not valid or the prefix is empty.
 *
 * The server has to run with `maxmemory-policy noeviction`. The layer does not wait for the server: the first call waits for the
 * connection, for up to 1.5 seconds. A lost connection is restored in the background, and until then each call fails at once.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ url, ...options }: Address): Layer.Layer<TokenStore, Misconfigured> =>
  Layer.scoped(TokenStore, connected("url", Redacted.isRedacted(url) ? url : Redacted.make(url), options))

/**
 * Provides a store with its own connection, like {@link layer}, to the server that the variable `EFFECT_AUTH_REDIS_URL` names.
 * Fails with `Misconfigured`, which names the variable, if it is not set or not valid.
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
  Effect.flatMap(acquireConnection(field, url), (connection) => makeWith(connection, options))

/** The longest time a command may take. Less than a session waits for its store, so that the session gets the reason. */
const commandTimeout = Duration.millis(1500)

/** A connection to the server. */
interface Connection {
  readonly client: Client
  /** Returns the error because of which there is no connection; `none` if it is up or being made. */
  readonly connectionError: () => Option.Option<unknown>
  /** Replaces the connection to a server that does not respond. */
  readonly reconnect: Effect.Effect<void>
}

/** Opens a connection and keeps it open. The result returns the current one. */
const acquireConnection = (
  field: string,
  url: Redacted.Redacted<string>
): Effect.Effect<() => Connection, Misconfigured, Scope.Scope> => {
  const connect = () => {
    const client = createClient({
      url: Redacted.value(url),
      maintNotifications: "disabled",
      socket: { connectTimeout: Duration.toMillis(commandTimeout) }
    })
    let lastError = Option.none<unknown>()
    // Without a listener, an error would end the process.
    client.on("error", (error) => {
      lastError = Option.some(error)
    })
    client.on("connect", () => {
      lastError = Option.none()
      // A connection that was being made when the client was closed is made all the same, and would stay open.
      if (!client.isOpen) client.destroy()
    })
    // The client retries forever, and reports each failure to the listener above.
    client.connect().then(undefined, () => {})
    // Without this, the client would wait for a peer that vanished until the kernel gives up, after a quarter of an hour.
    const reconnect = Effect.sync(() => {
      if (!client.isOpen) return
      client.destroy()
      current = connect()
    })
    return { client, connectionError: () => lastError, reconnect }
  }
  let current: ReturnType<typeof connect>
  return Effect.zipRight(
    Valid.nonEmpty(field, Redacted.value(url)),
    Effect.acquireRelease(
      Effect.try({
        try: () => {
          current = connect()
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
    // The braces are a hash tag: they keep entry and lease on one node of a cluster.
    const entryOf = (key: string) => `${prefix}:{${Key.printable(key)}}`
    const leaseOf = (key: string) => `${entryOf(key)}:lease`

    const run = (
      operation: StoreFailure["operation"],
      script: string,
      name: string,
      ...args: Array<string | Buffer>
    ): Effect.Effect<unknown, StoreFailure> =>
      Effect.suspend(() => {
        const { client, connectionError, reconnect } = connection()
        const failure = (problem: string) => new StoreFailure({ operation, problem })
        const disconnected = (error: unknown) => failure(`no connection to the server: ${problemOf(error, name)}`)
        const reply = Effect.tryPromise({
          // Without the signal, a command that timed out would stay queued until there is a connection. It could then take a
          // lease that no caller wants.
          try: (abortSignal) =>
            client.withCommandOptions({ abortSignal, typeMapping: {} }).eval(script, { keys: [name], arguments: args }),
          catch: (error) => failure(problemOf(error, name))
        })
        const timedOut = Effect.suspend(() =>
          Option.match(connectionError(), {
            onNone: () => Effect.zipRight(reconnect, failure("the server did not respond in time")),
            onSome: disconnected
          })
        )
        return Option.match(connectionError(), {
          onNone: () =>
            Effect.flatMap(
              Effect.timeoutOption(reply, commandTimeout),
              Option.match({ onNone: () => timedOut, onSome: Effect.succeed })
            ),
          onSome: disconnected
        })
      })

    return {
      load: (key) =>
        Effect.flatMap(run("load", Scripts.load, entryOf(key)), (reply) =>
          Option.match(Scripts.decodeEntry(reply), {
            onNone: () => new StoreFailure({ operation: "load", problem: Scripts.wrongFormat(entryOf(key)) }),
            onSome: (entry) =>
              Effect.succeed(
                Option.map(Option.fromNullable(entry), ([generation, revision, contents, age]) => ({
                  generation,
                  revision,
                  contents: Redacted.make(contents),
                  // The age is negative after the server's clock was set back.
                  age: Duration.millis(Math.max(0, age))
                }))
              )
          })
        ),
      save: (key, { contents, generation, revision }) =>
        Effect.map(
          run("save", Scripts.save, entryOf(key), `${generation}`, `${revision}`, hidden(Redacted.value(contents))),
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

/** Makes bytes that do not print: instrumentation of this client prints the arguments of a script (law 27). */
const hidden = (text: string): Buffer =>
  Object.assign(Buffer.from(text), {
    toString: () => "<redacted>",
    toJSON: () => "<redacted>",
    [Symbol.for("nodejs.util.inspect.custom")]: () => "<redacted>"
  })

/** Describes an error of the client by its code alone. */
const problemOf = (error: unknown, name: string): string => {
  if (error instanceof ClientClosedError) return "the client is closed"
  if (error instanceof ErrorReply) return Scripts.problemOf(error.message, name)
  const code = Predicate.hasProperty(error, "code") ? `${error.code}` : ""
  return /^[A-Z][A-Z0-9_]+$/.test(code) ? `the connection failed (${code})` : "the connection was lost"
}
