import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Option from "effect/Option"
import type { AuthError } from "../AuthError.js"
import * as AuthMetrics from "../AuthMetrics.js"
import type * as Token from "../Token.js"
import { labels, type Observed, tell } from "./observed.js"

/** What a flight leaves behind: the token, or `none` when it was superseded and its callers must ask again. */
export type Left = Exit.Exit<Option.Option<Token.AccessToken>, AuthError>

type Wait = Effect.Effect<Option.Option<Token.AccessToken>, AuthError>
type Caller = Fiber.RuntimeFiber<unknown, unknown>

/** So many callers more have no token yet, or so many fewer. */
export const wanting = (of: Observed, more: number): void =>
  tell(() => AuthMetrics.waiting.unsafeModify(more, labels(of)))

/**
 * Where a flight ends, and who waits there. A `Deferred` that counts: each caller by itself when it comes or is
 * interrupted, and all that are left at once. To count around the waiting would double what a caller costs.
 */
export class Landing {
  readonly of: Observed
  private left: Left | undefined = undefined
  private wanting = 0
  private readonly callers = new Map<Caller, (left: Left) => void>()
  private waiting: Wait | undefined = undefined

  constructor(of: Observed) {
    this.of = of
  }

  /** Ends the flight, if nothing has before. */
  land(left: Left): void {
    if (this.left !== undefined) return
    this.left = left
    if (this.wanting > 0) wanting(this.of, -this.wanting)
    for (const resume of this.callers.values()) resume(left)
    this.callers.clear()
  }

  /** Waits as a caller who has no token yet. Interruption detaches that caller only (law 7). */
  get token(): Wait {
    this.waiting ??= this.wait(1)
    return this.waiting
  }

  /** Waits as somebody who wants no token. */
  get end(): Wait {
    return this.wait(0)
  }

  // Made once for a whole herd: what each caller had of its own would be most of what waiting costs.
  private wait(counts: 0 | 1): Wait {
    const count = (more: number) => {
      if (more === 0) return
      this.wanting += more
      wanting(this.of, more)
    }
    const joined: Wait = Effect.withFiberRuntime((caller) =>
      Effect.async((resume) => {
        if (this.left !== undefined) return resume(this.left)
        this.callers.set(caller as Caller, resume)
        count(counts)
      })
    )
    const leave = Effect.withFiberRuntime<void>((caller) => {
      // One that is interrupted after the landing is not counted any more.
      if (this.callers.delete(caller as Caller)) count(-counts)
      return Effect.void
    })
    const untilLeft = Effect.interruptible(joined).pipe(
      Effect.catchAllCause((cause) => Effect.zipRight(leave, Effect.failCause(cause))),
      Effect.uninterruptible
    )
    return Effect.checkInterruptible((interruptible) => (interruptible ? untilLeft : joined))
  }
}
