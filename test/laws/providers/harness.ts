import { HttpClient, type HttpClientRequest } from "@effect/platform"
import { Clock, Context, Deferred, Effect, Layer, Redacted } from "effect"
import type * as Auth from "../../../src/Auth.js"
import * as AuthHttpClient from "../../../src/client/AuthHttpClient.js"
import * as AuthError from "../../../src/common/AuthError.js"
import { AuthProvider } from "../../../src/provider/AuthProvider.js"
import * as Credentials from "../../../src/provider/Credentials.js"
import * as Renewal from "../../../src/renewal/Renewal.js"
import * as Session from "../../../src/session/Session.js"
import { type Service, TokenStore } from "../../../src/store/TokenStore.js"
import * as Token from "../../../src/token/Token.js"
import { user, watchedStore } from "../../support/harness.js"
import { flush as flushOnce } from "../../support/ManualClock.js"
import * as Records from "../../support/records.js"
import type { Entry, ProviderOptions, SandboxOptions } from "./table.js"

/** What a request is for. The second step of a login is `code`. */
export type Kind = "login" | "code" | "refresh" | "revoke" | "metadata" | "api"

/** One request as it left the application. */
export interface Sent {
  readonly kind: Kind
  readonly at: number
  readonly request: HttpClientRequest.HttpClientRequest
  /** The refresh token that it presents. */
  readonly refreshToken: string | undefined
}

const bodyOf = ({ body }: HttpClientRequest.HttpClientRequest): Readonly<Record<string, unknown>> => {
  if (body._tag !== "Uint8Array") return {}
  const text = new TextDecoder().decode(body.body)
  return text.startsWith("{") ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text))
}

const kindOf = (path: string, body: Readonly<Record<string, unknown>>): Kind => {
  if (/\/refresh$|\/auth\/token$/.test(path) || body.grant_type === "refresh_token") return "refresh"
  if (/login$/.test(path) || body.grant_type !== undefined) return "login"
  if (/\/verify$/.test(path)) return "code"
  if (/\/revoke$/.test(path)) return "revoke"
  return path.includes("/.well-known/") ? "metadata" : "api"
}

/** A client that takes down what is sent, and holds answers back. */
export const wiretap = (client: HttpClient.HttpClient) => {
  const sent: Array<Sent> = []
  const paused: Array<{ readonly kind: Kind; readonly hold: <A>(answer: A) => Effect.Effect<A> }> = []
  const tapped = HttpClient.make((request, url) =>
    Effect.gen(function* () {
      const body = bodyOf(request)
      const kind = kindOf(url.pathname, body)
      const presented = kind === "refresh" ? (request.headers["x-violet-token"] ?? body.refresh_token) : undefined
      const refreshToken = typeof presented === "string" ? presented : undefined
      sent.push({ kind, at: yield* Clock.currentTimeMillis, request, refreshToken })
      const place = paused.findIndex((one) => one.kind === kind)
      const [holder] = place === -1 ? [] : paused.splice(place, 1)
      const answer = yield* client.execute(request)
      return holder === undefined ? answer : yield* holder.hold(answer)
    })
  )
  const count = (...kinds: ReadonlyArray<Kind>) => sent.filter(({ kind }) => kinds.includes(kind)).length
  return {
    client: tapped,
    sent,
    count,
    /** Logins and refreshes, however many requests a login takes. */
    tokenRequests: () => count("login", "refresh"),
    /** The refresh tokens that were presented, in order. */
    presented: () => sent.flatMap(({ refreshToken }) => (refreshToken === undefined ? [] : [refreshToken])),
    /** Holds back the answer to the next request of a kind; the server has done its part by then. */
    hold: (kind: Kind) =>
      Effect.gen(function* () {
        const arrived = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        paused.push({
          kind,
          hold: (answer) =>
            Effect.zipRight(Deferred.succeed(arrived, void 0), Effect.as(Deferred.await(release), answer))
        })
        return { arrived: Deferred.await(arrived), respond: Deferred.succeed(release, void 0) }
      })
  }
}

export interface Options extends ProviderOptions, Session.Options {
  readonly sandbox?: SandboxOptions
  readonly credentials?: "none" | Effect.Effect<Credentials.UserPassword, AuthError.AuthError> | undefined
  readonly renewal?: boolean
  /** In place of the watched store. */
  readonly store?: Service
}

export { herd, user, value } from "../../support/harness.js"

/** The user as the sandboxes know it. */
const known = { ...user, username: Redacted.make("test-user@example.com") }

const credentialsOf = (credentials: Options["credentials"]): Layer.Layer<Credentials.Credentials> =>
  credentials === "none" ? Credentials.layerNone : Credentials.layerEffect(credentials ?? Effect.succeed(known))

/** A session with a provider's sandbox; nothing is sent yet. */
export const world = Effect.fnUntraced(function* (entry: Entry, options: Options = {}) {
  const { credentials, renewal, reuseWindow, sandbox: setup, store: own, wrongSecret, ...given } = options
  const opened = yield* entry.open(setup)
  const wire = wiretap(opened.sandbox.client)
  const store = yield* watchedStore
  const watcher = renewal === true ? yield* Renewal.make : undefined
  const provider = yield* Effect.provideService(
    opened.provider({ reuseWindow, wrongSecret }),
    HttpClient.HttpClient,
    wire.client
  )
  const session = yield* Session.make({
    // No one moves the clock while a test ends.
    shutdownDeadline: "0 seconds",
    key: "key",
    ...given
  }).pipe(
    Effect.provide(credentialsOf(credentials)),
    Effect.provideService(AuthProvider, provider),
    Effect.provideService(TokenStore, own ?? store.service)
  )
  if (watcher !== undefined) yield* watcher.watch(session)
  /** What the store keeps of the tokens. */
  const stored = Records.stored(store.inner, "key")
  return { ...opened, wire, store, session, stored, provider }
})

export type World = Effect.Effect.Success<ReturnType<typeof world>>

/** Without user name and password where the provider needs them: it lives on a refresh token then. */
export const passwordless = (entry: Entry, options: Options = {}) =>
  Effect.gen(function* () {
    const first = yield* world(entry, { ...options, credentials: "none" })
    const refreshToken = Redacted.make(yield* first.sandbox.mintRefreshToken)
    yield* first.session.adopt(Token.make({ refreshToken }))
    yield* first.session.accessToken
    return first
  })

/** Signed in, so that its token is `value`. */
export const signedIn = (entry: Entry, options: Options = {}) =>
  Effect.tap(world(entry, options), ({ session }) => session.accessToken)

/** The application's own layer over a sandbox: session, renewal and authorized client. */
export const application = Effect.fnUntraced(function* (
  entry: Entry,
  options: ProviderOptions & Auth.Options & Pick<Options, "sandbox" | "credentials"> = {},
  beneath: (client: HttpClient.HttpClient) => HttpClient.HttpClient = (client) => client
) {
  const { credentials, sandbox: setup, ...given } = options
  const opened = yield* entry.open(setup)
  const wire = wiretap(opened.sandbox.client)
  const context = yield* Layer.build(
    opened
      .layer({ renewal: "on-use", shutdownDeadline: "0 seconds", ...given })
      .pipe(Layer.provide([credentialsOf(credentials), Layer.succeed(HttpClient.HttpClient, beneath(wire.client))]))
  )
  return {
    ...opened,
    wire,
    api: Context.get(context, AuthHttpClient.AuthHttpClient),
    session: Context.get(context, Session.Session)
  }
})

/** Lets every fiber and every promise get as far as it can. */
export const flush: Effect.Effect<void> = Effect.repeatN(flushOnce, 3)

/** The name of the error that an effect fails with. */
export const tagOf = <A>(effect: Effect.Effect<A, AuthError.AuthError>): Effect.Effect<string> =>
  Effect.match(effect, { onFailure: ({ _tag }) => _tag, onSuccess: () => "success" })

/** The status of an answer whose body was read. */
export const statusOf = <E, R>(
  answer: Effect.Effect<{ readonly status: number; readonly text: Effect.Effect<string, unknown> }, E, R>
) => Effect.flatMap(answer, (response) => Effect.as(Effect.ignore(response.text), response.status))

/** The words a whole token is written in; errors of the library have no other. */
export const isTyped = (error: unknown): boolean => AuthError.isAuthError(error)

/** A polite client: it kept to the protocol, never presented a spent token, never asked twice at once. */
export const polite = (sandbox: World["sandbox"]) =>
  Effect.map(
    sandbox.report,
    ({ complaints, familiesRevoked, maxConcurrentTokenRequests: maxConcurrentExchanges, reuses }) => ({
      complaints,
      reuses,
      familiesRevoked,
      atOnce: Math.min(maxConcurrentExchanges, 2)
    })
  )

export const manners = { complaints: 0, reuses: 0, familiesRevoked: 0, atOnce: 1 }
