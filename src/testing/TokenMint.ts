/**
 * Issues JWTs for the sandboxes, and remembers what became of each.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import Jwt from "jsonwebtoken"

/**
 * What a token is for.
 *
 * @since 0.1.0
 * @category testing
 */
export type Kind = "access" | "refresh"

/**
 * What a mint says of a token that is presented to it as one of a kind.
 *
 * @since 0.1.0
 * @category testing
 */
export type Verdict = "valid" | "expired" | "revoked" | "other-kind" | "unknown"

/**
 * A mint and its ledger.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /** Issues a JWT with a `jti` of its own; `claims` replace the honest ones. */
  readonly issue: (
    kind: Kind,
    lifetime: Duration.Duration,
    claims?: object
  ) => Effect.Effect<{ readonly token: string; readonly endsAt: number }>
  /** Judges by the true lifetime, to the millisecond, whatever the claims say. */
  readonly judge: (kind: Kind, token: string) => Effect.Effect<Verdict>
  /** Whether a URL holds a token of this mint. */
  readonly appearsIn: (url: string) => Effect.Effect<boolean>
  /** Revokes every token of a kind issued so far. */
  readonly revoke: (kind: Kind) => Effect.Effect<void>
}

interface Issued {
  readonly kind: Kind
  readonly endsAt: number
  readonly revoked: boolean
}

/**
 * How a mint issues its tokens.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options {
  /** Whether tokens say when they were issued. Default true. */
  readonly iat?: boolean | undefined
}

/**
 * Makes a mint; `now` is the server's clock in milliseconds since 1970.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (now: Effect.Effect<number>, options?: Options) => Effect.Effect<Service> = Effect.fnUntraced(
  function* (now, options = {}) {
    // Of its own even under TestClock, so that no sandbox takes another's token.
    const id = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
    const serial = yield* Ref.make(0)
    const ledger = yield* Ref.make(HashMap.empty<string, Issued>())
    const key = `test-${(yield* Random.next).toString(36)}`
    // As text, since the library refuses the odd claims that a fault asks for.
    const encode = (payload: object) => Jwt.sign(JSON.stringify(payload), key, { header: { alg: "HS256", typ: "JWT" } })
    return {
      issue: Effect.fnUntraced(function* (kind, lifetime, claims) {
        const at = yield* now
        const jti = yield* Ref.updateAndGet(serial, (n) => n + 1)
        const iat = Math.floor(at / 1000)
        const payload = {
          sub: "sandbox",
          type: kind,
          jti: `${id.toString(36)}-${jti}`,
          exp: Math.floor((at + Duration.toMillis(lifetime)) / 1000),
          ...(options.iat === false ? {} : { iat }),
          ...claims
        }
        const token = encode(payload)
        const endsAt = at + Duration.toMillis(lifetime)
        yield* Ref.update(ledger, HashMap.set<string, Issued>(token, { kind, endsAt, revoked: false }))
        return { token, endsAt }
      }),
      judge: (kind, token) =>
        Effect.zipWith(now, Ref.get(ledger), (at, all) => {
          const issued = Option.getOrUndefined(HashMap.get(all, token))
          if (issued === undefined) return "unknown"
          if (issued.kind !== kind) return "other-kind"
          if (issued.revoked) return "revoked"
          return issued.endsAt <= at ? "expired" : "valid"
        }),
      appearsIn: (url) =>
        Effect.map(Ref.get(ledger), (all) => url.split(/[/?&=#]/).some((part) => HashMap.has(all, part))),
      revoke: (kind) =>
        Ref.update(
          ledger,
          HashMap.map((issued) => (issued.kind === kind ? { ...issued, revoked: true } : issued))
        )
    }
  }
)
