import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type AuthError, isTransient, Misconfigured } from "../../common/AuthError.js"
import type * as Token from "../../token/Token.js"
import * as Decision from "../machine/decision.js"
import * as Persistence from "../machine/persistence.js"
import * as SignIn from "../machine/signIn.js"
import type { Flight, Now, State } from "../machine/state.js"
import * as Tokens from "../machine/tokens.js"
import * as Commands from "./commands.js"
import { type Engine, forkOwned, hasClosed, transition } from "./engine.js"
import { start, supersede } from "./flightRunner.js"
import { saveInBackground, saveTwice } from "./saver.js"
import * as Telemetry from "./tokenRequestTelemetry.js"
import * as Waiters from "./waiters.js"

const whileOpen = <A>(engine: Engine, effect: () => Effect.Effect<A, AuthError>): Effect.Effect<A, AuthError> =>
  Effect.suspend(() => (engine.closed ? hasClosed(engine.provider.name) : effect()))

/** Obtains a token. Retries until there is one, a permanent failure, or no patience left (law 9). */
export const obtain = (
  engine: Engine,
  demandOf: (state: State, now: Now) => readonly [Decision.Demand, State],
  deadline?: bigint
): Effect.Effect<Token.AccessToken, AuthError> =>
  whileOpen(engine, () =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        transition(engine, (state, now) => {
          const [untimed, next] = demandOf(state, now)
          const demand = { ...untimed, deadline: deadline ?? now.nanos + engine.config.patience }
          const [decision, after] = Decision.decide(engine, next, demand, now, new Waiters.Waiters(engine))
          return [{ decision, demand }, after]
        }),
        ({ decision, demand }) =>
          execute(engine, decision, restore, () =>
            untilPatienceEnds(obtain(engine, (state) => [demand, state], demand.deadline))
          )
      )
    )
  )

/**
 * Returns a valid token to a caller that found no fresh one. In a herd nearly every caller finds a flight and no valid
 * token; it joins the flight (law 6) without a transition, because it would change nothing.
 */
export const use = (engine: Engine): Effect.Effect<Token.AccessToken, AuthError> =>
  Effect.clockWith((clock) => {
    const { current, flight } = engine.snapshot.state
    const nanos = clock.unsafeCurrentTimeNanos()
    const now = { millis: clock.unsafeCurrentTimeMillis(), nanos }
    if (flight === undefined || engine.closed || Tokens.isValid(current, engine.leeway, now)) {
      return obtain(engine, anyToken)
    }
    return join(engine, flight, () => untilPatienceEnds(obtain(engine, anyToken, nanos + engine.config.patience)))
  })

/** The continuations of a caller after a wait. */
interface OnWaited {
  readonly waited: Effect.Effect<Token.AccessToken, AuthError>
  readonly superseded: Effect.Effect<Token.AccessToken, AuthError>
  readonly failed: (failure: AuthError) => Effect.Effect<Token.AccessToken, AuthError>
}

/** Asks again after every wait, but not after a permanent failure (law 9). */
const untilPatienceEnds = (again: Effect.Effect<Token.AccessToken, AuthError>): OnWaited => ({
  waited: again,
  superseded: again,
  failed: (failure) => (isTransient(failure) ? again : Effect.fail(failure))
})

/** Waits for a flight. `then` is lazy: most callers of a herd get the token and never need it. */
const join = (engine: Engine, flight: Flight, then: () => OnWaited) =>
  Effect.matchEffect(Telemetry.awaitToken(engine, Waiters.of(flight)), {
    onSuccess: Option.match({ onNone: () => then().superseded, onSome: Effect.succeed }),
    onFailure: (failure) => then().failed(failure)
  })

/**
 * Carries out a decision, uninterruptibly: an interruption between claiming a flight and forking it would leave one
 * that no fiber runs. Only waiting is interruptible.
 */
const execute = (
  engine: Engine,
  decision: Decision.Decision,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
  then: () => OnWaited
): Effect.Effect<Token.AccessToken, AuthError> => {
  switch (decision._tag) {
    case "Serve":
      if (decision.stale) Telemetry.countStaleRead(engine)
      return Effect.as(start(engine, decision.claimed), decision.token)
    case "Join":
      return Effect.zipRight(start(engine, decision.claimed), restore(join(engine, decision.flight, then)))
    case "Wait":
      return Effect.zipRight(
        Telemetry.whileWaiting(engine, Effect.sleep(decision.millis), restore),
        restore(then().waited)
      )
    case "Fail":
      return Effect.fail(decision.failure)
  }
}

/**
 * Logs in by name. Credentials are read first: a login that cannot be attempted does not supersede the flight under
 * way.
 */
export const login = (engine: Engine, deadline?: bigint): Effect.Effect<Token.AccessToken, AuthError> =>
  whileOpen(engine, () =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { decision, until } = yield* transition(engine, (state, now) => {
          const until = deadline ?? now.nanos + engine.config.patience
          return [{ decision: SignIn.beforeLogin(state, until, now), until }, state]
        })
        const then = (): OnWaited => ({
          waited: login(engine, until),
          superseded: obtain(engine, anyToken),
          failed: Effect.fail
        })
        if (decision !== undefined) return yield* execute(engine, decision, restore, then)
        const read = yield* restore(Commands.interpret(engine, { _tag: "ReadCredentials" }))
        if (read._tag === "CredentialsFailed") return yield* read.failure
        if (read._tag !== "CredentialsRead" || !read.sufficient) return yield* Commands.missingCredentials
        const { claim, old } = yield* transition(engine, (state, now) => {
          const [claim, next] = SignIn.login(state, read.credentials, now, new Waiters.Waiters(engine))
          return [{ claim, old: next === state ? undefined : state.flight }, next]
        })
        yield* supersede(old)
        return yield* execute(engine, claim, restore, then)
      })
    )
  )

/** Adopts tokens obtained elsewhere. Fails with `Misconfigured` if they cannot be sent. */
export const adopt = (engine: Engine, tokens: Token.TokenSet): Effect.Effect<void, AuthError> =>
  whileOpen(engine, () =>
    !Tokens.isSendable(tokens)
      ? unsendable("tokens")
      : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            transition(engine, (state) => {
              const [flight, next] = SignIn.adopt(state, tokens, new Waiters.Waiters(engine))
              return [{ flight, old: state.flight }, next]
            }),
            ({ flight, old }) =>
              Effect.all([supersede(old), start(engine, flight), restore(Waiters.of(flight).awaitEnd)], {
                discard: true
              })
          )
        )
  )

/** Signs out: locally at once, then in the store and at the server, which the caller waits for. */
export const logout = (engine: Engine): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const old = yield* transition(engine, (state) => [state, SignIn.logout(state)])
      yield* supersede(old.flight)
      const save = Effect.zipRight(saveTwice(engine), saveInBackground(engine))
      const rest = yield* forkOwned(
        engine,
        Effect.flatMap(Commands.load(engine), (loaded) => {
          const revoke = Option.match(Persistence.tokensToRevoke(old, loaded), {
            onNone: () => Effect.void,
            onSome: (tokens) => Commands.revoke(engine, tokens)
          })
          return Effect.zipRight(save, revoke)
        })
      )
      yield* restore(Fiber.await(rest))
    })
  )

/** Makes the failure of tokens that cannot be sent. */
export const unsendable = (field: string) =>
  new Misconfigured({ field, problem: "must have at least one token, and only tokens of visible ASCII characters" })

/** Demands any token that is valid now. */
export const anyToken = (state: State) => [Decision.anyToken, state] as const

/** Demands what follows the rejection of a token by the API. */
export const afterRejection = (token: Token.AccessToken, retried: boolean) => (state: State, now: Now) =>
  Decision.reject(state, token, retried, now)
