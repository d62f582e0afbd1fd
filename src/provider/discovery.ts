import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { type AuthError, MalformedResponse, Misconfigured, NetworkFailure } from "../common/AuthError.js"
import * as Valid from "../common/validate.js"
import type * as AuthProvider from "./AuthProvider.js"
import { type TokenResponse, tokenRequest } from "./tokenRequest.js"

/** The endpoints of an authorization server. */
export interface Endpoints {
  readonly token: URL
  readonly revocation: URL | undefined
}

type Make = (endpoints: Endpoints) => Effect.Effect<AuthProvider.Service, Misconfigured, HttpClient.HttpClient>

/** The metadata that this library reads (RFC 8414 §2). */
const Metadata = Schema.Struct({
  issuer: Schema.String,
  token_endpoint: Schema.String,
  revocation_endpoint: Schema.optional(Schema.NullOr(Schema.String))
})

const decodeMetadata = Schema.decodeUnknownOption(Metadata)

/**
 * The longest time each of the two metadata requests may take: 4 seconds. They count towards the time of the token request that
 * follows.
 */
const timeout = "4 seconds"

/**
 * Makes a provider whose endpoints are read from the metadata of `issuer`; `makeProvider` makes it once they are known.
 * They are read at the first token request, and again at each one until that succeeds. Nothing secret was sent by then,
 * so the outcome of every such failure is "not spent".
 */
export const make = Effect.fnUntraced(function* (
  name: string,
  issuer: URL,
  makeProvider: Make
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const cached = yield* Ref.make(Option.none<AuthProvider.Service>())

  const metadata = (url: string): Effect.Effect<Endpoints, AuthError> =>
    tokenRequest(client, { name, redactedHeaders: [] }, HttpClientRequest.get(url, { acceptJson: true })).pipe(
      Effect.flatMap((response) => endpoints(name, issuer, response)),
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () => new NetworkFailure({ provider: name, reason: "timeout", outcome: "not-spent", url })
      })
    )

  const discovered = Effect.gen(function* () {
    const provider = yield* Ref.get(cached)
    if (Option.isSome(provider)) return provider.value
    const [first, second] = wellKnown(issuer)
    const service = yield* metadata(first).pipe(
      Effect.catchIf(mayBeElsewhere, (error) =>
        Effect.mapError(metadata(second), (other) => (other._tag === "MalformedResponse" ? error : other))
      ),
      Effect.flatMap(makeProvider),
      Effect.mapError(asNotSpent),
      Effect.provideService(HttpClient.HttpClient, client)
    )
    yield* Ref.set(cached, Option.some(service))
    return service
  })

  const template = yield* makeProvider({ token: issuer, revocation: issuer })
  return {
    ...template,
    login: (credentials) =>
      Option.map(template.login(credentials), () =>
        Effect.flatMap(discovered, (service) => Effect.flatten(Effect.orDie(service.login(credentials))))
      ),
    refresh: (tokens) => Effect.flatMap(discovered, (service) => service.refresh(tokens)),
    revoke: Option.some((tokens) =>
      Effect.flatMap(discovered, ({ revoke }) =>
        Option.match(revoke, { onNone: () => Effect.void, onSome: (revoke) => revoke(tokens) })
      )
    )
  }
})

/**
 * Returns the two addresses of an issuer's metadata. RFC 8414 §3.1 puts the well-known part before the path of the
 * issuer, OpenID Connect Discovery §4 puts it after the path.
 */
const wellKnown = (issuer: URL): readonly [string, string] => {
  const path = issuer.pathname.replace(/\/$/, "")
  return [
    `${issuer.origin}/.well-known/oauth-authorization-server${path}`,
    `${issuer.origin}${path}/.well-known/openid-configuration`
  ]
}

/**
 * Tells whether the metadata may be at the other address: not if they were found here, nor if the server is unreachable
 * or overloaded.
 */
const mayBeElsewhere = (error: AuthError): boolean =>
  error._tag === "MalformedResponse" ||
  (error._tag === "NetworkFailure" && error.reason === "server-error" && error.retryAfter === undefined)

/** Returns the endpoints in the metadata, which must name this very issuer (RFC 8414 §3.3). */
const endpoints = (
  name: string,
  issuer: URL,
  { body, status, url }: TokenResponse
): Effect.Effect<Endpoints, MalformedResponse | Misconfigured> =>
  Option.match(
    Option.filter(decodeMetadata(body), () => status < 300),
    {
      onNone: () =>
        new MalformedResponse({
          provider: name,
          problem: "not the metadata of an authorization server",
          outcome: "not-spent",
          url,
          status
        }),
      onSome: (metadata) =>
        isSameIssuer(metadata.issuer, issuer)
          ? Effect.all({
              token: Valid.endpoint("token_endpoint", metadata.token_endpoint),
              revocation: Valid.optional(
                Valid.endpoint,
                "revocation_endpoint",
                metadata.revocation_endpoint ?? undefined
              )
            })
          : new Misconfigured({ field: "issuer", problem: "does not match the issuer named in its own metadata" })
    }
  )

const isSameIssuer = (named: string, issuer: URL): boolean =>
  URL.canParse(named) && new URL(named).href.replace(/\/$/, "") === issuer.href.replace(/\/$/, "")

const asNotSpent = (error: AuthError): AuthError => {
  switch (error._tag) {
    case "NetworkFailure":
      return new NetworkFailure({ ...error, outcome: "not-spent" })
    case "MalformedResponse":
      return new MalformedResponse({ ...error, outcome: "not-spent" })
    default:
      return error
  }
}
