/**
 * What becomes of a refresh token that is used, for the sandboxes of APIs that leave it open.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Protocol from "../../provider/Protocol.js"
import type * as SandboxApi from "./sandboxApi.js"
import type * as TokenMint from "./tokenMint.js"

/**
 * How a sandbox rotates its refresh tokens.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Options extends Pick<TokenMint.Options, "reuseWindow"> {
  /**
   * `"none"`: a refresh token is good until its end. `"optional"`: every second refresh, the second one first, replaces it
   * and revokes the old one alone. `"single-use"`: every refresh replaces it, and using the old one again revokes the
   * whole family, unless that happens within `reuseWindow`.
   */
  readonly rotation?: Protocol.Rotation | undefined
}

/**
 * What a refresh token was exchanged for.
 *
 * @since 0.1.0
 * @category testing
 */
export interface Granted {
  readonly access: TokenMint.Issued
  /** The refresh token that takes the place of the one that was used. */
  readonly refresh: Option.Option<TokenMint.Issued>
}

/**
 * Exchanges the refresh token of a request, or fails with what is wrong with it.
 *
 * @since 0.1.0
 * @category testing
 */
export type Refresh = (
  server: SandboxApi.Server,
  call: SandboxApi.Call,
  token: string | undefined
) => Effect.Effect<Granted, Exclude<TokenMint.Verdict, "valid">>

/**
 * Makes the exchange of one sandbox, which counts how often it was used.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (rotation: Protocol.Rotation): Effect.Effect<Refresh> =>
  Effect.map(Ref.make(0), (count) =>
    Effect.fnUntraced(function* (server, call, token) {
      const verdict = yield* rotation === "single-use"
        ? server.spend(call, token)
        : server.judge(call, "refresh", token)
      if (token === undefined || verdict !== "valid") {
        return yield* Effect.fail(verdict === "valid" ? "unknown" : verdict)
      }
      const nth = yield* Ref.updateAndGet(count, (n) => n + 1)
      if (rotation === "none" || (rotation === "optional" && nth % 2 === 1)) {
        return { access: yield* server.issue(call, "access", token), refresh: Option.none() }
      }
      const { access, refresh } = yield* server.issuePair(call, token)
      // A spent token is known by its use; were it revoked as well, it would have no reuse window.
      if (rotation === "optional") yield* server.mint.revokeToken(token)
      return { access, refresh: Option.some(refresh) }
    })
  )
