/**
 * The refresh of a sandbox whose rotation is an option.
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
 * The options of a sandbox that rotates its refresh tokens in several ways.
 *
 * @since 0.1.0
 * @category testing
 */
export interface RotationOptions extends Pick<TokenMint.TokenOptions, "reuseWindow"> {
  /**
   * The rotation of refresh tokens. `"none"`: a refresh token stays valid until it expires. `"optional"`: the second,
   * fourth, sixth … refresh replaces the token and revokes the old one. `"single-use"`: every refresh replaces the
   * token, and using an old one again revokes the whole family, unless that happens within `reuseWindow`. The default
   * is the API's own.
   *
   * @see https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
   */
  readonly rotation?: Protocol.Rotation | undefined
}

/**
 * The tokens that a refresh issued.
 *
 * @since 0.1.0
 * @category testing
 */
export interface RefreshResult {
  readonly access: TokenMint.Issued
  /** The refresh token that replaces the one that was used. */
  readonly refresh: Option.Option<TokenMint.Issued>
}

/**
 * Issues tokens for the refresh token of a request. Fails with the verdict on a token that is not valid.
 *
 * @since 0.1.0
 * @category testing
 */
export type Refresh = (
  server: SandboxApi.Server,
  call: SandboxApi.Call,
  token: string | undefined
) => Effect.Effect<RefreshResult, Exclude<TokenMint.Verdict, "valid">>

/**
 * Makes the `Refresh` of one sandbox. It counts its calls, because `"optional"` replaces every second token.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = (rotation: Protocol.Rotation): Effect.Effect<Refresh> =>
  Effect.map(Ref.make(0), (count) =>
    Effect.fnUntraced(function* (server, call, token) {
      const verdict = yield* rotation === "single-use"
        ? server.spend(call, token)
        : server.verify(call, "refresh", token)
      if (token === undefined || verdict !== "valid") {
        return yield* Effect.fail(verdict === "valid" ? "unknown" : verdict)
      }
      const nth = yield* Ref.updateAndGet(count, (n) => n + 1)
      if (rotation === "none" || (rotation === "optional" && nth % 2 === 1)) {
        return { access: yield* server.issue(call, "access", token), refresh: Option.none() }
      }
      const { access, refresh } = yield* server.issuePair(call, token)
      // Only here: a single-use token is already spent, and revoking it would take away its reuse window.
      if (rotation === "optional") yield* server.mint.revokeToken(token)
      return { access, refresh: Option.some(refresh) }
    })
  )
