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

/** Where an authorization server answers. */
export interface Endpoints {
  readonly token: URL
  readonly revocation: URL | undefined
}

type Make = (endpoints: Endpoints) => Effect.Effect<AuthProvider.Service, Misconfigured, HttpClient.HttpClient>

const Metadata = Schema.Struct({
  issuer: Schema.String,
  token_endpoint: Schema.String,
  revocation_endpoint: Schema.optional(Schema.NullOr(Schema.String))
})

const decodeMetadata = Schema.decodeUnknownOption(Metadata)

/** How long the metadata may take; they are read in the time of an exchange, which needs some of it. */
const timeout = "4 seconds"

/**
 * A provider whose endpoints its issuer tells, at the first exchange; until they are found, each exchange asks again.
 * Nothing of a session was sent by then, so that whatever fails has spent nothing.
 */
export const make = Effect.fnUntraced(function* (
  name: string,
  issuer: URL,
  at: Make
): Effect.fn.Return<AuthProvider.Service, Misconfigured, HttpClient.HttpClient> {
  const client = yield* HttpClient.HttpClient
  const kept = yield* Ref.make(Option.none<AuthProvider.Service>())

  const metadata = (url: string): Effect.Effect<Endpoints, AuthError> =>
    tokenRequest(client, { name, redactedHeaders: [] }, HttpClientRequest.get(url, { acceptJson: true })).pipe(
      Effect.flatMap((response) => endpoints(name, issuer, response)),
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () => new NetworkFailure({ provider: name, reason: "timeout", outcome: "not-spent", url })
      })
    )

  const discovered = Effect.gen(function* () {
    const known = yield* Ref.get(kept)
    if (Option.isSome(known)) return known.value
    const [first, second] = wellKnown(issuer)
    const service = yield* metadata(first).pipe(
      Effect.catchIf(isElsewhere, (error) =>
        Effect.mapError(metadata(second), (other) => (other._tag === "MalformedResponse" ? error : other))
      ),
      Effect.flatMap(at),
      Effect.mapError(unspent),
      Effect.provideService(HttpClient.HttpClient, client)
    )
    yield* Ref.set(kept, Option.some(service))
    return service
  })

  const template = yield* at({ token: issuer, revocation: issuer })
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

/** RFC 8414 §3.1 puts the well-known part before the path of the issuer, OpenID Connect Discovery §4 behind it. */
const wellKnown = (issuer: URL): readonly [string, string] => {
  const path = issuer.pathname.replace(/\/$/, "")
  return [
    `${issuer.origin}/.well-known/oauth-authorization-server${path}`,
    `${issuer.origin}${path}/.well-known/openid-configuration`
  ]
}

/** Whether the metadata may still be at the other address: not if they were found, nor if the server is away or busy. */
const isElsewhere = (error: AuthError): boolean =>
  error._tag === "MalformedResponse" ||
  (error._tag === "NetworkFailure" && error.reason === "server-error" && error.retryAfter === undefined)

/** The endpoints in metadata that are really those of the issuer (RFC 8414 §3.3). */
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
          problem: "no metadata of an issuer",
          outcome: "not-spent",
          url,
          status
        }),
      onSome: (metadata) =>
        same(metadata.issuer, issuer)
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

const same = (told: string, issuer: URL): boolean =>
  URL.canParse(told) && new URL(told).href.replace(/\/$/, "") === issuer.href.replace(/\/$/, "")

const unspent = (error: AuthError): AuthError => {
  switch (error._tag) {
    case "NetworkFailure":
      return new NetworkFailure({ ...error, outcome: "not-spent" })
    case "MalformedResponse":
      return new MalformedResponse({ ...error, outcome: "not-spent" })
    default:
      return error
  }
}
