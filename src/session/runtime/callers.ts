import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type AuthError, isTransient, Misconfigured } from "../../common/AuthError.js"
import * as Token from "../../token/Token.js"
import * as Question from "../machine/decision.js"
import * as Resting from "../machine/persistence.js"
import * as SignIn from "../machine/signIn.js"
import type * as SessionState from "../machine/state.js"
import * as Held from "../machine/tokens.js"
import { hasClosed } from "./closed.js"
import * as Courier from "./commands.js"
import { type Engine, own, transition } from "./engine.js"
import { launch, saveAgain, saveTwice, supersede } from "./flightRunner.js"
import * as Telemetry from "./tokenRequestTelemetry.js"
import { Landing } from "./waiters.js"

const whileOpen = <A>(engine: Engine, effect: () => Effect.Effect<A, AuthError>): Effect.Effect<A, AuthError> =>
  Effect.suspend(() => (engine.closed ? hasClosed(engine.provider.name) : effect()))

/** Asks until there is a token, a lasting failure, or no patience left (law 9). */
export const obtain = (
  engine: Engine,
  question: (state: SessionState.State, now: SessionState.Now) => readonly [Question.Question, SessionState.State],
  deadline?: bigint
): Effect.Effect<Token.AccessToken, AuthError> =>
  whileOpen(engine, () =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        transition(engine, (state, now) => {
          const [asked, next] = question(state, now)
          const ask = { ...asked, deadline: deadline ?? now.nanos + engine.setting.patience }
          const [answer, after] = Question.ask(engine, next, ask, now, new Landing(engine))
          return [{ answer, ask }, after]
        }),
        ({ answer, ask }) =>
          follow(engine, answer, restore, () =>
            untilPatienceEnds(obtain(engine, (state) => [ask, state], ask.deadline))
          )
      )
    )
  )

/**
 * A valid token, for a caller who has no fresh one. In a herd nearly everybody finds a flight and nothing to be served
 * meanwhile; those join it (law 6) as they would if they had asked, and change nothing.
 */
export const use = (engine: Engine): Effect.Effect<Token.AccessToken, AuthError> =>
  Effect.clockWith((clock) => {
    const { flight, held } = engine.snapshot.state
    const nanos = clock.unsafeCurrentTimeNanos()
    const phase = Held.phase(held, engine.leeway, { millis: clock.unsafeCurrentTimeMillis(), nanos })
    if (flight === undefined || engine.closed || phase === "fresh" || phase === "stale") {
      return obtain(engine, anyToken)
    }
    return join(engine, flight, () => untilPatienceEnds(obtain(engine, anyToken, nanos + engine.setting.patience)))
  })

/** What a caller does once a wait is over. */
interface Then {
  readonly waited: Effect.Effect<Token.AccessToken, AuthError>
  readonly superseded: Effect.Effect<Token.AccessToken, AuthError>
  readonly failed: (failure: AuthError) => Effect.Effect<Token.AccessToken, AuthError>
}

/** Asks again, but after a failure that waiting does not mend (law 9). */
const untilPatienceEnds = (again: Effect.Effect<Token.AccessToken, AuthError>): Then => ({
  waited: again,
  superseded: again,
  failed: (failure) => (isTransient(failure) ? again : Effect.fail(failure))
})

/** Waits for a flight. What a caller does then is made only where it comes to that: most of a herd gets the token. */
const join = (engine: Engine, { landing }: SessionState.Flight, then: () => Then) =>
  Effect.matchEffect(Telemetry.wait(engine, landing), {
    onSuccess: Option.match({ onNone: () => then().superseded, onSome: Effect.succeed }),
    onFailure: (failure) => then().failed(failure)
  })

/** Does what a caller was answered. Claiming a flight and forking it cannot be torn apart; waiting can. */
const follow = (
  engine: Engine,
  answer: Question.Answer,
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>,
  then: () => Then
): Effect.Effect<Token.AccessToken, AuthError> => {
  switch (answer._tag) {
    case "Serve":
      if (answer.stale) Telemetry.staleRead(engine)
      return Effect.as(launch(engine, answer.launch), answer.token)
    case "Join":
      return Effect.zipRight(launch(engine, answer.launch), restore(join(engine, answer.flight, then)))
    case "Wait":
      return Effect.zipRight(Telemetry.counted(engine, Effect.sleep(answer.millis), restore), restore(then().waited))
    case "Fail":
      return Effect.fail(answer.failure)
  }
}

/** Credentials are read first: a log in that cannot be tried leaves what is under way alone. */
export const login = (engine: Engine, deadline?: bigint): Effect.Effect<Token.AccessToken, AuthError> =>
  whileOpen(engine, () =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { answer, until } = yield* transition(engine, (state, now) => {
          const until = deadline ?? now.nanos + engine.setting.patience
          return [{ answer: SignIn.beforeLogin(state, until, now), until }, state]
        })
        const then = (): Then => ({
          waited: login(engine, until),
          superseded: obtain(engine, anyToken),
          failed: Effect.fail
        })
        if (answer !== undefined) return yield* follow(engine, answer, restore, then)
        const read = yield* restore(Courier.carryOut(engine, { _tag: "ReadCredentials" }))
        if (read._tag === "CredentialsFailed") return yield* read.failure
        if (read._tag !== "CredentialsRead" || !read.enough) return yield* Courier.nothingToLogInWith
        const { claim, old } = yield* transition(engine, (state, now) => {
          const [claim, next] = SignIn.login(state, read.credentials, now, new Landing(engine))
          return [{ claim, old: next === state ? undefined : state.flight }, next]
        })
        yield* supersede(old)
        return yield* follow(engine, claim, restore, then)
      })
    )
  )

export const adopt = (engine: Engine, tokens: Token.TokenSet): Effect.Effect<void, AuthError> =>
  whileOpen(engine, () =>
    !Token.isSendable(tokens)
      ? unsendable("tokens")
      : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            transition(engine, (state) => {
              const [flight, next] = SignIn.adopt(state, tokens, new Landing(engine))
              return [{ flight, old: state.flight }, next]
            }),
            ({ flight, old }) =>
              Effect.all([supersede(old), launch(engine, flight), restore(flight.landing.end)], {
                discard: true
              })
          )
        )
  )

export const logout = (engine: Engine): Effect.Effect<void> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const old = yield* transition(engine, (state) => [state, SignIn.logout(state)])
      yield* supersede(old.flight)
      const keep = Effect.zipRight(saveTwice(engine), saveAgain(engine))
      const rest = yield* own(
        engine,
        Effect.flatMap(Courier.load(engine), (found) => {
          const revoke = Option.match(Resting.newest(old, found), {
            onNone: () => Effect.void,
            onSome: (tokens) => Courier.revoke(engine, tokens)
          })
          return Effect.zipRight(keep, revoke)
        })
      )
      yield* restore(Fiber.await(rest))
    })
  )

export const unsendable = (field: string) =>
  new Misconfigured({ field, problem: "must hold a token, and none with characters that cannot stand in a header" })

export const anyToken = (state: SessionState.State) => [Question.anyToken, state] as const

export const rejecting =
  (token: Token.AccessToken, retried: boolean) => (state: SessionState.State, now: SessionState.Now) =>
    Question.reject(state, token, retried, now)
