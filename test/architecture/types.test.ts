// What does not compile is the point here.
// @effect-diagnostics missingEffectContext:off
// @effect-diagnostics multipleEffectProvide:off
// @effect-diagnostics unnecessaryEffectGen:off
import { HttpClient, type HttpClientError } from "@effect/platform"
import { describe, expectTypeOf, it } from "@effect/vitest"
import { type Config, Effect, Layer, type Option, Redacted, type Scope, type Stream } from "effect"
import * as Auth from "../../src/Auth.js"
import * as AuthHttpClient from "../../src/client/AuthHttpClient.js"
import * as AuthError from "../../src/common/AuthError.js"
import type * as AuthProvider from "../../src/provider/AuthProvider.js"
import * as Credentials from "../../src/provider/Credentials.js"
import * as Violet from "../../src/providers/Violet.js"
import * as Renewal from "../../src/renewal/Renewal.js"
import type * as Status from "../../src/session/machine/Status.js"
import * as Session from "../../src/session/Session.js"
import * as TokenStore from "../../src/store/TokenStore.js"
import * as Token from "../../src/token/Token.js"

// What is checked here, tsc checks: nothing of it does anything.

const options: Violet.Options = { appId: 1234, appSecret: Redacted.make("secret") }
const credentials = Credentials.layer({ username: Redacted.make("user"), password: Redacted.make("password") })
const some = <A>(): A => undefined as A
const bareClient = some<HttpClient.HttpClient>()
const bare = some<Layer.Layer<HttpClient.HttpClient>>()
const provider = some<Effect.Effect<AuthProvider.Service>>()
const error = some<AuthError.AuthError>()
const client = some<AuthHttpClient.Service>()

/** An application as the README has it. */
const application = Effect.gen(function* () {
  const client = yield* AuthHttpClient.AuthHttpClient
  const response = yield* client.get("/merchants")
  return yield* response.json
})

describe("types", () => {
  it("an application with all it needs can be run", () => {
    const run = () => application.pipe(Effect.provide(Violet.layer(options)), Effect.provide([credentials, bare]))
    expectTypeOf(run).returns.toEqualTypeOf<
      Effect.Effect<unknown, HttpClientError.HttpClientError | AuthError.AuthError>
    >()
    expectTypeOf(() => Effect.runPromise(run())).returns.resolves.toEqualTypeOf<unknown>()
  })

  it("an application that forgets something does not compile", () => {
    const forgetful = () => {
      // @ts-expect-error Violet.layer is missing
      Effect.runPromise(application)
      // @ts-expect-error Credentials and HttpClient are missing
      Effect.runPromise(Effect.provide(application, Violet.layer(options)))
      // @ts-expect-error HttpClient is missing
      Effect.runPromise(application.pipe(Effect.provide(Violet.layer(options)), Effect.provide(credentials)))
      // @ts-expect-error Credentials are missing
      Effect.runPromise(application.pipe(Effect.provide(Violet.layer(options)), Effect.provide(bare)))
      const itself = Effect.provideService(application, HttpClient.HttpClient, bareClient)
      // @ts-expect-error the bare client cannot stand in for the authorized one
      Effect.runPromise(itself)
      // @ts-expect-error the application secret is not redacted
      Violet.layer({ appId: 1234, appSecret: "secret" })
      // @ts-expect-error the application id is no number
      Violet.layer({ appId: "1234", appSecret: Redacted.make("secret") })
      // @ts-expect-error the password is not redacted
      Credentials.layer({ username: Redacted.make("user"), password: "password" })
      // @ts-expect-error there is no such renewal
      Violet.layer({ ...options, renewal: "never" })
      // @ts-expect-error there is no such environment
      Violet.layer({ ...options, environment: "production" })
      // @ts-expect-error a token is not a string
      const text: string = Token.make({ accessToken: Redacted.make("token") }).accessToken
      return text
    }
    expectTypeOf(forgetful).toBeFunction()
  })

  it("layers say what they provide, need and may fail with", () => {
    type Needs = Credentials.Credentials | HttpClient.HttpClient
    type Provides = Session.Session | Renewal.Renewal | AuthHttpClient.AuthHttpClient
    expectTypeOf(Violet.layer(options)).toEqualTypeOf<Layer.Layer<Provides, AuthError.Misconfigured, Needs>>()
    expectTypeOf(Violet.layerConfig()).toEqualTypeOf<Layer.Layer<Provides, AuthError.Misconfigured, Needs>>()
    expectTypeOf(Violet.layerCredentialsConfig()).toEqualTypeOf<
      Layer.Layer<Credentials.Credentials, AuthError.Misconfigured>
    >()
    expectTypeOf(() => Auth.layer(provider)).returns.toEqualTypeOf<
      Layer.Layer<Provides, AuthError.Misconfigured, Needs>
    >()
    expectTypeOf(() => Auth.layer(Effect.zipLeft(provider, Effect.scope))).returns.toEqualTypeOf<
      Layer.Layer<Provides, AuthError.Misconfigured, Needs>
    >()
    expectTypeOf(() => Auth.layer(Effect.zipLeft(provider, {} as Config.Config<string>))).returns.toExtend<
      Layer.Layer<Provides, unknown, Needs>
    >()
    expectTypeOf(Session.layer()).toEqualTypeOf<
      Layer.Layer<
        Session.Session,
        AuthError.Misconfigured,
        AuthProvider.AuthProvider | Credentials.Credentials | TokenStore.TokenStore
      >
    >()
    expectTypeOf(Renewal.make).toEqualTypeOf<Effect.Effect<Renewal.Service, never, Scope.Scope>>()
    expectTypeOf(Renewal.layer).toEqualTypeOf<Layer.Layer<Renewal.Renewal>>()
    expectTypeOf(TokenStore.layerMemory).toEqualTypeOf<Layer.Layer<TokenStore.TokenStore>>()
    expectTypeOf(Credentials.layerNone).toEqualTypeOf<Layer.Layer<Credentials.Credentials>>()
  })

  it("a session's members say what they answer and may fail with", () => {
    type Access = Effect.Effect<Redacted.Redacted<string>, AuthError.AuthError>
    expectTypeOf<Session.Service["accessToken"]>().toEqualTypeOf<Access>()
    expectTypeOf<Session.Service["refresh"]>().toEqualTypeOf<Access>()
    expectTypeOf<Session.Service["login"]>().toEqualTypeOf<Access>()
    expectTypeOf<Session.Service["reject"]>().returns.toEqualTypeOf<Access>()
    expectTypeOf<Session.Service["adopt"]>().returns.toEqualTypeOf<Effect.Effect<void, AuthError.AuthError>>()
    expectTypeOf<Session.Service["logout"]>().toEqualTypeOf<Effect.Effect<void>>()
    expectTypeOf<Session.Service["status"]>().toEqualTypeOf<Effect.Effect<Status.Status>>()
    expectTypeOf<Session.Service["changes"]>().toEqualTypeOf<Stream.Stream<Status.Status>>()
    const session = Effect.map(Session.Session, (_) => _)
    expectTypeOf(session).toEqualTypeOf<Effect.Effect<Session.Service, never, Session.Session>>()
  })

  it("law 26: the authorized client is an HttpClient that may also fail with an AuthError", () => {
    const got = Effect.gen(function* () {
      return yield* AuthHttpClient.AuthHttpClient
    })
    type With = HttpClient.HttpClient.With<HttpClientError.HttpClientError | AuthError.AuthError>
    expectTypeOf(got).toEqualTypeOf<Effect.Effect<With, never, AuthHttpClient.AuthHttpClient>>()
    expectTypeOf<AuthHttpClient.Service>().toEqualTypeOf<With>()
    expectTypeOf<AuthHttpClient.Service>().not.toExtend<HttpClient.HttpClient>()
    expectTypeOf<AuthHttpClient.AuthHttpClient>().not.toExtend<HttpClient.HttpClient>()
    // @ts-expect-error it is not the tag of the bare client, either
    Layer.succeed(HttpClient.HttpClient, client)
    type Failure = HttpClientError.HttpClientError | AuthError.AuthError
    expectTypeOf(() => HttpClient.filterStatusOk(client).get("/")).returns.toExtend<Effect.Effect<unknown, Failure>>()
    expectTypeOf(() => HttpClient.retryTransient(client, { times: 2 })).returns.toEqualTypeOf<With>()
    expectTypeOf(() => HttpClient.followRedirects(client)).returns.toEqualTypeOf<With>()
    const plain = () => HttpClient.catchTags(client, caught)
    expectTypeOf(() => plain().get("/")).returns.toExtend<Effect.Effect<unknown, HttpClientError.HttpClientError>>()
  })

  it("each error is caught by its tag, and is gone from then on", () => {
    const failing: Effect.Effect<string, AuthError.AuthError> = Effect.fail(error)
    type Without<Tag extends AuthError.AuthError["_tag"]> = Effect.Effect<
      string,
      Exclude<AuthError.AuthError, { readonly _tag: Tag }>
    >
    const text = (e: AuthError.AuthError) => Effect.succeed(e.message)
    const each = () => ({
      TokenExpired: Effect.catchTag(failing, "TokenExpired", (e) => Effect.succeed<"access" | "refresh">(e.token)),
      InvalidRefreshToken: Effect.catchTag(failing, "InvalidRefreshToken", (e) => Effect.succeed<string>(e.reason)),
      InvalidCredentials: Effect.catchTag(failing, "InvalidCredentials", text),
      SignedOut: Effect.catchTag(failing, "SignedOut", text),
      Misconfigured: Effect.catchTag(failing, "Misconfigured", (e) => Effect.succeed(e.field)),
      NetworkFailure: Effect.catchTag(failing, "NetworkFailure", (e) => Effect.succeed<string>(e.reason)),
      MalformedResponse: Effect.catchTag(failing, "MalformedResponse", (e) => Effect.succeed<string>(e.outcome)),
      StoreFailure: Effect.catchTag(failing, "StoreFailure", (e) => Effect.succeed<string>(e.operation)),
      UntrustedOrigin: Effect.catchTag(failing, "UntrustedOrigin", (e) => Effect.succeed(e.origin))
    })
    // The table is complete, and each entry lacks just its own error.
    expectTypeOf(each).returns.toExtend<{ readonly [Tag in AuthError.AuthError["_tag"]]: Without<Tag> }>()
    expectTypeOf<keyof ReturnType<typeof each>>().toEqualTypeOf<AuthError.AuthError["_tag"]>()
    expectTypeOf<Effect.Effect.Error<ReturnType<typeof each>["SignedOut"]>["_tag"]>().toEqualTypeOf<
      Exclude<AuthError.AuthError["_tag"], "SignedOut">
    >()
    expectTypeOf(() => Effect.catchTags(failing, all)).returns.toEqualTypeOf<Effect.Effect<string>>()
    // @ts-expect-error there is no such error
    Effect.catchTag(failing, "Unauthorized", text)
  })

  it("predicates narrow", () => {
    type Transient = AuthError.NetworkFailure | AuthError.MalformedResponse | AuthError.StoreFailure
    expectTypeOf(AuthError.isTransient).guards.toEqualTypeOf<Transient>()
    expectTypeOf(AuthError.isAuthError).guards.toEqualTypeOf<AuthError.AuthError>()
    expectTypeOf<Token.TokenSet["accessToken"]>().toEqualTypeOf<Option.Option<Redacted.Redacted<string>>>()
  })
})

const caught = {
  TokenExpired: () => Effect.never,
  InvalidRefreshToken: () => Effect.never,
  InvalidCredentials: () => Effect.never,
  SignedOut: () => Effect.never,
  Misconfigured: () => Effect.never,
  NetworkFailure: () => Effect.never,
  MalformedResponse: () => Effect.never,
  StoreFailure: () => Effect.never,
  UntrustedOrigin: () => Effect.never
}

const text = (e: AuthError.AuthError) => Effect.succeed(e.message)
const all = {
  TokenExpired: text,
  InvalidRefreshToken: text,
  InvalidCredentials: text,
  SignedOut: text,
  Misconfigured: text,
  NetworkFailure: text,
  MalformedResponse: text,
  StoreFailure: text,
  UntrustedOrigin: text
}
