/**
 * A mint issues the tokens of a sandbox and records the use and revocation of each.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import Jwt from "jsonwebtoken"

/**
 * The kind of a token.
 *
 * @since 0.1.0
 * @category testing
 */
export type Kind = "access" | "refresh"

/**
 * The verdict of a mint on a token that is presented as one of a kind.
 *
 * @since 0.1.0
 * @category testing
 */
export type Verdict = "valid" | "expired" | "revoked" | "reused" | "other-kind" | "unknown"

/**
 * An issued token.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Issued {
  readonly token: string
  /** The true end, in milliseconds since 1970 by the server's clock. */
  readonly expiresAt: number
  readonly lifetime: Duration.Duration
}

/**
 * The counts of a mint.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Counts {
  /** Spent refresh tokens that were presented again, outside the reuse window. */
  readonly reuses: number
  /** Families that were revoked. */
  readonly familiesRevoked: number
}

/**
 * A mint. All access and refresh tokens that follow from one login are one family.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Service {
  /**
   * Issues a token into the family of its parent, or else into a new one. `claims` replace the true claims of a JWT.
   */
  readonly issue: (
    kind: Kind,
    lifetime: Duration.Duration,
    options?: { readonly parent?: string | undefined; readonly claims?: object | undefined }
  ) => Effect.Effect<Issued>
  /** Returns the verdict on a token. It goes by the true lifetime, to the millisecond, and not by the claims. */
  readonly verify: (kind: Kind, token: string) => Effect.Effect<Verdict>
  /**
   * Returns the verdict on a single-use refresh token, and spends it if it is valid. A spent one revokes its family,
   * except for a second use within the reuse window.
   *
   * @see https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
   */
  readonly spend: (refreshToken: string) => Effect.Effect<Verdict>
  /** Revokes the family of a token, those issued later included. An unknown token changes nothing. */
  readonly revokeFamily: (token: string) => Effect.Effect<void>
  /** Revokes one token alone. An unknown token changes nothing. */
  readonly revokeToken: (token: string) => Effect.Effect<void>
  /** Revokes every token of a kind issued so far. */
  readonly revoke: (kind: Kind) => Effect.Effect<void>
  /** Tells whether a URL contains a token of this mint. */
  readonly appearsIn: (url: string) => Effect.Effect<boolean>
  /** The counts so far. */
  readonly counts: Effect.Effect<Counts>
}

interface Entry {
  readonly kind: Kind
  readonly expiresAt: number
  readonly family: number
  readonly revoked: boolean
  readonly uses: number
  readonly firstUsedAt: number
}

interface Ledger {
  readonly entries: HashMap.HashMap<string, Entry>
  readonly families: number
  readonly revoked: HashSet.HashSet<number>
  readonly reuses: number
}

/**
 * The options of the tokens that a sandbox issues.
 *
 * @since 0.1.0
 * @category testing
 */
export interface TokenOptions {
  /** The format of tokens: JWTs, or identifiers without content. Default: `"jwt"`. */
  readonly format?: "jwt" | "opaque" | undefined
  /** Puts the claim `iat`, the time of their issue, into JWTs. Default: true. */
  readonly iat?: boolean | undefined
  /** The reuse window: for this long after its first use, a single-use refresh token may be used once more. Default: 0. */
  readonly reuseWindow?: Duration.DurationInput | undefined
}

/**
 * Makes an identifier in the form of a UUID, from Effect's `Random`.
 *
 * @since 0.1.0
 * @category testing
 */
export const uuid: Effect.Effect<string> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 0x10000), 8),
  (words) => {
    const hex = words.map((word) => word.toString(16).padStart(4, "0")).join("")
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }
)

/**
 * Makes a mint. `now` is the server's clock, in milliseconds since 1970.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: (now: Effect.Effect<number>, options?: TokenOptions) => Effect.Effect<Service> = Effect.fnUntraced(
  function* (now, options = {}) {
    // Random, so that no sandbox accepts another's token, also if the clock stands still.
    const id = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
    const serial = yield* Ref.make(0)
    const ledger = yield* Ref.make<Ledger>({
      entries: HashMap.empty(),
      families: 0,
      revoked: HashSet.empty(),
      reuses: 0
    })
    const key = `test-${(yield* Random.next).toString(36)}`
    const reuseWindow = Duration.toMillis(options.reuseWindow ?? 0)

    const jwt = Effect.fnUntraced(function* (kind: Kind, at: number, expiresAt: number, claims: object | undefined) {
      const jti = yield* Ref.updateAndGet(serial, (n) => n + 1)
      const payload = {
        sub: "sandbox",
        type: kind,
        jti: `${id.toString(36)}-${jti}`,
        exp: Math.floor(expiresAt / 1000),
        ...(options.iat === false ? {} : { iat: Math.floor(at / 1000) }),
        ...claims
      }
      // As text, because the library refuses the odd claims that a fault asks for.
      return Jwt.sign(JSON.stringify(payload), key, { header: { alg: "HS256", typ: "JWT" } })
    })

    const verdict = ({ entries, revoked }: Ledger, kind: Kind, token: string, at: number): Verdict => {
      const entry = Option.getOrUndefined(HashMap.get(entries, token))
      if (entry === undefined) return "unknown"
      if (entry.kind !== kind) return "other-kind"
      const withinReuseWindow = entry.uses === 1 && at - entry.firstUsedAt < reuseWindow
      if (entry.uses > 0 && !withinReuseWindow) return "reused"
      if (entry.revoked || HashSet.has(revoked, entry.family)) return "revoked"
      return entry.expiresAt <= at ? "expired" : "valid"
    }

    const revokeFamily = (all: Ledger, token: string): Ledger =>
      Option.match(HashMap.get(all.entries, token), {
        onNone: () => all,
        onSome: ({ family }) => ({ ...all, revoked: HashSet.add(all.revoked, family) })
      })

    return {
      issue: Effect.fnUntraced(function* (kind, lifetime, { claims, parent } = {}) {
        const at = yield* now
        const expiresAt = at + Duration.toMillis(lifetime)
        const token = options.format === "opaque" ? yield* uuid : yield* jwt(kind, at, expiresAt, claims)
        yield* Ref.update(ledger, (all) => {
          const inherited = parent === undefined ? undefined : Option.getOrUndefined(HashMap.get(all.entries, parent))
          const family = inherited?.family ?? all.families
          const entry: Entry = { kind, expiresAt, family, revoked: false, uses: 0, firstUsedAt: 0 }
          return { ...all, families: all.families + 1, entries: HashMap.set(all.entries, token, entry) }
        })
        return { token, expiresAt, lifetime }
      }),
      verify: (kind, token) => Effect.zipWith(now, Ref.get(ledger), (at, all) => verdict(all, kind, token, at)),
      spend: (token) =>
        Effect.flatMap(now, (at) =>
          Ref.modify(ledger, (all) => {
            const result = verdict(all, "refresh", token, at)
            if (result === "reused") return [result, { ...revokeFamily(all, token), reuses: all.reuses + 1 }]
            if (result !== "valid") return [result, all]
            const entries = HashMap.modify(all.entries, token, (entry) => ({
              ...entry,
              uses: entry.uses + 1,
              firstUsedAt: entry.uses === 0 ? at : entry.firstUsedAt
            }))
            return [result, { ...all, entries }]
          })
        ),
      revokeFamily: (token) => Ref.update(ledger, (all) => revokeFamily(all, token)),
      revokeToken: (token) =>
        Ref.update(ledger, (all) => ({
          ...all,
          entries: HashMap.modify(all.entries, token, (entry) => ({ ...entry, revoked: true }))
        })),
      revoke: (kind) =>
        Ref.update(ledger, (all) => ({
          ...all,
          entries: HashMap.map(all.entries, (entry) => (entry.kind === kind ? { ...entry, revoked: true } : entry))
        })),
      appearsIn: (url) =>
        Effect.map(Ref.get(ledger), ({ entries }) => url.split(/[/?&=#]/).some((part) => HashMap.has(entries, part))),
      counts: Effect.map(Ref.get(ledger), ({ reuses, revoked }) => ({
        reuses,
        familiesRevoked: HashSet.size(revoked)
      }))
    }
  }
)
