import type { HttpClient } from "@effect/platform"
import { DateTime, type Duration, Effect, type Layer, Redacted } from "effect"
import type * as Auth from "../../../src/Auth.js"
import type { Misconfigured } from "../../../src/common/AuthError.js"
import type * as AuthProvider from "../../../src/provider/AuthProvider.js"
import type * as Credentials from "../../../src/provider/Credentials.js"
import * as Freddy from "../../../src/providers/Freddy.js"
import * as OAuth2 from "../../../src/providers/OAuth2.js"
import * as TeleTracker from "../../../src/providers/TeleTracker.js"
import * as Violet from "../../../src/providers/Violet.js"
import * as Faults from "../../../src/testing/Faults.js"
import * as FreddySandbox from "../../../src/testing/FreddySandbox.js"
import type * as Sandbox from "../../../src/testing/internal/sandbox.js"
import * as OAuth2Sandbox from "../../../src/testing/OAuth2Sandbox.js"
import * as TeleTrackerSandbox from "../../../src/testing/TeleTrackerSandbox.js"
import * as VioletSandbox from "../../../src/testing/VioletSandbox.js"

export interface SandboxOptions extends Sandbox.SandboxOptions {
  /** How long the server forgives a spent refresh token a second use. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** What becomes of a refresh token that is used, at servers where that is a setting. */
  readonly rotation?: AuthProvider.Service["rotation"] | undefined
}

export interface ProviderOptions {
  /** What the application was told of the server's reuse window. */
  readonly reuseWindow?: Duration.DurationInput | undefined
  /** The application's own secret is wrong. */
  readonly wrongSecret?: boolean | undefined
}

/** A sandbox with what is needed to talk to it. */
export interface Opened {
  readonly sandbox: Sandbox.Service
  readonly provider: (
    options?: ProviderOptions
  ) => Effect.Effect<AuthProvider.Service, Misconfigured, HttpClient.HttpClient>
  readonly layer: (
    options: ProviderOptions & Auth.Options
  ) => Layer.Layer<Auth.Services, Misconfigured, Credentials.Credentials | HttpClient.HttpClient>
}

/** How an answer may tell a lifetime, and what it then is: in seconds, or without a known end. */
export interface Lifetime {
  readonly title: string
  readonly fault: (serverNow: number) => Faults.Fault
  readonly seconds: number | undefined
}

/** A provider and the facts of its API. */
export interface Entry {
  readonly name: string
  readonly rotation: AuthProvider.Service["rotation"]
  /** A sandbox whose access tokens live for 5 minutes unless told otherwise. */
  readonly open: (options?: SandboxOptions) => Effect.Effect<Opened>
  /** Whether there are refresh tokens; without, every token request is a login. */
  readonly refreshes: boolean
  /** Whether a login needs user name and password. */
  readonly needsPassword: boolean
  /** How many requests a login takes. */
  readonly steps: number
  /** The statuses by which the API may reject a token. */
  readonly rejections: ReadonlyArray<number>
  /** A status that is no rejection, although another API's would be. */
  readonly noRejection: ReadonlyArray<number>
  /** The header that carries the token. */
  readonly header: string
  /** The fields of an answer that carry tokens and lifetime. */
  readonly fields: { readonly access: string; readonly refresh: string; readonly lifetime: string | undefined }
  /** A field beyond tokens that a session keeps. */
  readonly extra: string | undefined
  /** Whether the end of a refresh token is told. */
  readonly refreshEnds: boolean
  /** Whether there is a secret of the application that the server may refuse. */
  readonly hasSecret: boolean
  /** Whether log out can be told to the server. */
  readonly revokes: boolean
  readonly list: string
  /** What a lifetime is read from (law 4), while the token truly lives 5 minutes. */
  readonly lifetimes: ReadonlyArray<Lifetime>
  /** Makes answers state a lifetime of so many seconds, or claim to. */
  readonly stating: (seconds: number | string) => Faults.Fault
}

const tenYears = 3650 * 86_400

const claims = (title: string, claims: (Faults.Fault & { _tag: "Expiry" })["claims"], seconds: number | undefined) => ({
  title,
  fault: () => Faults.Expiry({ claims }),
  seconds
})

const fields = (title: string, fields: Readonly<Record<string, unknown>>, seconds: number | undefined) => ({
  title,
  fault: () => Faults.Fields({ fields }),
  seconds
})

/** What the JWTs of two of the APIs may say: without an end they live for `fallback`. */
const jwts = (fallback: number | undefined): ReadonlyArray<Lifetime> => [
  claims("an honest JWT", {}, 300),
  claims("no iat: exp against the Date of the answer", { iat: undefined }, 300),
  claims("no exp", { exp: undefined }, fallback),
  claims("an exp that is null", { exp: null }, fallback),
  claims("an exp that is no number", { exp: "soon" }, fallback),
  claims("an exp before iat", { exp: 1 }, fallback),
  claims("an absurd exp", { exp: 1e300 }, tenYears)
]

export const violet: Entry = {
  name: "violet",
  rotation: "none",
  open: (options = {}) =>
    Effect.map(VioletSandbox.make({ lifetime: "5 minutes", ...options }), (sandbox) => {
      const own = ({ wrongSecret }: ProviderOptions = {}) => ({
        appId: 1234,
        appSecret: Redacted.make(wrongSecret === true ? "another-app-secret" : "test-app-secret"),
        baseUrl: sandbox.baseUrl
      })
      return {
        sandbox,
        provider: (options) => Violet.make(own(options)),
        layer: (options) => Violet.layer({ ...options, ...own(options) })
      }
    }),
  refreshes: true,
  needsPassword: true,
  steps: 1,
  rejections: [401],
  noRejection: [403],
  header: "x-violet-token",
  fields: { access: "token", refresh: "refresh_token", lifetime: undefined },
  extra: undefined,
  refreshEnds: true,
  hasSecret: true,
  revokes: false,
  list: "/merchants",
  lifetimes: jwts(86_400),
  stating: (exp) => Faults.Expiry({ claims: { iat: 0, exp } })
}

export const teletracker: Entry = {
  name: "teletracker",
  rotation: "single-use",
  open: (options = {}) =>
    Effect.map(TeleTrackerSandbox.make({ lifetime: "5 minutes", ...options }), (sandbox) => {
      const own = ({ reuseWindow }: ProviderOptions = {}) => ({ baseUrl: sandbox.baseUrl, reuseWindow })
      return {
        sandbox,
        provider: (options) => TeleTracker.make(own(options)),
        layer: (options) => TeleTracker.layer({ ...options, ...own(options) })
      }
    }),
  refreshes: true,
  needsPassword: true,
  steps: 1,
  rejections: [401, 403],
  noRejection: [400, 404],
  header: "authorization",
  fields: { access: "token", refresh: "refreshToken", lifetime: "tokenLifetime" },
  extra: "guid",
  refreshEnds: true,
  hasSecret: false,
  revokes: false,
  list: "/calls",
  lifetimes: [
    fields("tokenLifetime", {}, 300),
    fields("tokenLifetime, whatever tokenExpiration says", { tokenExpiration: "1999-01-01T00:00:00+00:00" }, 300),
    fields("tokenLifetime as text", { tokenLifetime: "120" }, 120),
    fields("tokenLifetime with a fraction", { tokenLifetime: 120.5 }, 120.5),
    fields("an absurd tokenLifetime", { tokenLifetime: 1e12 }, tenYears),
    fields("no tokenLifetime: tokenExpiration against the Date of the answer", { tokenLifetime: undefined }, 300),
    fields("a tokenLifetime of zero", { tokenLifetime: 0 }, 300),
    fields("a negative tokenLifetime", { tokenLifetime: -3600 }, 300),
    fields("a tokenLifetime that is null", { tokenLifetime: null }, 300),
    fields("a tokenLifetime that is no number", { tokenLifetime: { seconds: 300 } }, 300),
    fields("neither", { tokenLifetime: null, tokenExpiration: "soon" }, undefined)
  ],
  stating: (tokenLifetime) => Faults.Fields({ fields: { tokenLifetime, tokenExpiration: null } })
}

export const freddy: Entry = {
  name: "freddy",
  rotation: "optional",
  open: (options = {}) =>
    Effect.map(FreddySandbox.make({ lifetime: "5 minutes", ...options }), (sandbox) => {
      const own: Freddy.Options = {
        code: () => Effect.map(Effect.flatten(sandbox.mailbox), (code) => Redacted.make(code)),
        baseUrl: sandbox.baseUrl
      }
      return {
        sandbox,
        provider: () => Freddy.make(own),
        layer: (options) => Freddy.layer({ ...options, ...own })
      }
    }),
  refreshes: true,
  needsPassword: true,
  steps: 2,
  rejections: [401],
  noRejection: [403],
  header: "authorization",
  fields: { access: "token", refresh: "refresh_token", lifetime: "expires_in" },
  extra: "device_id",
  refreshEnds: true,
  hasSecret: false,
  revokes: false,
  list: "/v1/threads",
  lifetimes: [
    fields("expires_in, whatever the JWT says", { expires_in: 120 }, 120),
    fields("an expires_in of zero", { expires_in: 0 }, 300),
    ...jwts(undefined)
  ],
  stating: (exp) => Faults.Expiry({ claims: { iat: 0, exp } })
}

const oauth2 = (
  name: string,
  grant: "password" | "client_credentials",
  facts: Pick<Entry, "refreshes" | "needsPassword">
): Entry => ({
  name,
  rotation: "single-use",
  open: (options = {}) =>
    Effect.map(
      OAuth2Sandbox.make({ lifetime: "5 minutes", refreshExpiresIn: "refresh_expires_in", ...options }),
      (sandbox) => {
        const own = ({ reuseWindow, wrongSecret }: ProviderOptions = {}): OAuth2.Options => ({
          grant,
          baseUrl: sandbox.baseUrl,
          clientId: "test-client",
          clientSecret: Redacted.make(wrongSecret === true ? "another-secret" : "test-secret:with %+/ chars"),
          reuseWindow,
          ...(grant === "password"
            ? { tokenEndpoint: `${sandbox.baseUrl}/token`, revocationEndpoint: `${sandbox.baseUrl}/revoke` }
            : { issuer: sandbox.baseUrl })
        })
        return {
          sandbox,
          provider: (options) => OAuth2.make(own(options)),
          layer: (options) => OAuth2.layer({ ...options, ...own(options) })
        }
      }
    ),
  ...facts,
  steps: 1,
  rejections: [401],
  noRejection: [403],
  header: "authorization",
  fields: { access: "access_token", refresh: "refresh_token", lifetime: "expires_in" },
  extra: "scope",
  refreshEnds: facts.refreshes,
  hasSecret: true,
  revokes: true,
  list: "/orders",
  lifetimes: [
    fields("expires_in", {}, 300),
    fields("expires_in as text", { expires_in: "120" }, 120),
    fields("expires_in with a fraction", { expires_in: 120.5 }, 120.5),
    fields("an absurd expires_in", { expires_in: 1e12 }, tenYears),
    {
      title: "no expires_in: expires_at against the Date of the answer",
      fault: (now) =>
        Faults.Fields({
          fields: { expires_in: undefined, expires_at: DateTime.formatIso(DateTime.unsafeMake(now + 300_000)) }
        }),
      seconds: 300
    },
    {
      title: "an expires_at in seconds since 1970",
      fault: (now) => Faults.Fields({ fields: { expires_in: null, expires_at: now / 1000 + 300 } }),
      seconds: 300
    },
    fields("no expires_in", { expires_in: undefined }, undefined),
    fields("an expires_in of zero", { expires_in: 0 }, undefined),
    fields("a negative expires_in", { expires_in: -5 }, undefined),
    fields("an expires_in that is no number", { expires_in: "soon" }, undefined)
  ],
  stating: (expires_in) => Faults.Fields({ fields: { expires_in } })
})

/** The grant `password`, with refresh tokens of a single use. */
export const password = oauth2("oauth2", "password", { refreshes: true, needsPassword: true })

/** The grant `client_credentials`, found by its issuer: no user, no refresh token. */
export const client = oauth2("oauth2 client_credentials", "client_credentials", {
  refreshes: false,
  needsPassword: false
})

export const entries: ReadonlyArray<Entry> = [violet, teletracker, freddy, password, client]

/** Those that refresh. */
export const refreshing = entries.filter(({ refreshes }) => refreshes)

/** Those whose refresh token may be spent by one use. */
export const rotating = refreshing.filter(({ rotation }) => rotation !== "none")
