import { assert, it } from "@effect/vitest"
import { Duration, FastCheck, Option } from "effect"
import { StoreFailure } from "../../../src/common/AuthError.js"
import * as Moment from "../../../src/common/Moment.js"
import * as Question from "../../../src/session/machine/decision.js"
import * as Flight from "../../../src/session/machine/flight.js"
import type { Command, Event } from "../../../src/session/machine/order.js"
import * as Status from "../../../src/session/machine/Status.js"
import * as SignIn from "../../../src/session/machine/signIn.js"
import * as SessionState from "../../../src/session/machine/state.js"
import { Landing } from "../../../src/session/runtime/waiters.js"
import * as Token from "../../../src/token/Token.js"
import { failure, secret, user, value } from "../../support/harness.js"

const unlocked = new StoreFailure({ operation: "lock", problem: "unreachable" })

type Outcome = "ok" | "rotated" | "refused" | "unspent" | "unknown" | "malformed" | "misconfigured" | "older" | "failed"
type Action =
  | { readonly _tag: "Ask"; readonly cause: "use" | "refresh" }
  | { readonly _tag: "Reject"; readonly retried: boolean }
  | { readonly _tag: "Renew" | "Login" | "Adopt" | "Logout" }
  | { readonly _tag: "Step"; readonly outcome: Outcome }
  | { readonly _tag: "Pass"; readonly millis: number; readonly jump: number }

const outcomes: ReadonlyArray<Outcome> = [
  "ok",
  "ok",
  "ok",
  "ok",
  "rotated",
  "refused",
  "unspent",
  "unknown",
  "malformed",
  "misconfigured",
  "older",
  "failed"
]
const actions: FastCheck.Arbitrary<Action> = FastCheck.oneof(
  FastCheck.constantFrom<Action>(
    { _tag: "Ask", cause: "use" },
    { _tag: "Ask", cause: "refresh" },
    { _tag: "Reject", retried: false },
    { _tag: "Reject", retried: true },
    { _tag: "Renew" },
    { _tag: "Login" },
    { _tag: "Adopt" },
    { _tag: "Logout" }
  ),
  FastCheck.constantFrom(...outcomes).map((outcome): Action => ({ _tag: "Step", outcome })),
  FastCheck.constantFrom(...outcomes).map((outcome): Action => ({ _tag: "Step", outcome })),
  FastCheck.record({
    _tag: FastCheck.constant("Pass" as const),
    millis: FastCheck.integer({ min: 0, max: 400_000 }),
    jump: FastCheck.constantFrom(0, 0, 0, 3_600_000, -3_600_000)
  })
)

/** Plays a story to the state machine, and holds it to what must be true at every moment of every story. */
const play = (story: ReadonlyArray<Action>, rotation: "none" | "single-use", lifetime: number, leeway: number) => {
  const rules: SessionState.Rules = {
    provider: { name: "scripted", rotation, reuseWindow: undefined },
    leeway: Duration.millis(leeway)
  }
  let now: SessionState.Now = { millis: 1e12, nanos: 0n, random: 0.5 }
  let state = SessionState.starting(undefined, now)
  let count = 0
  let signedOut = false
  const pending: Array<{ readonly landing: Landing; command: Command }> = []
  const presented = new Map<string, number>()
  const dead = new Set<string>()
  const landing = () => new Landing({ provider: rules.provider, label: undefined })

  const obtain = (): Token.TokenSet =>
    Token.make({
      accessToken: secret(`test-${++count}`),
      lifetime: Duration.millis(lifetime),
      refreshToken: rotation === "none" && count > 1 ? undefined : secret(`test-refresh-${count}`)
    })

  const to = (next: SessionState.State) => {
    assert.isAtLeast(next.generation, state.generation, "a generation never goes back")
    state = next
  }

  const launch = (flight: SessionState.Flight | undefined, before: SessionState.State) => {
    if (flight === undefined) return
    if (flight.task === "renew") assert.isUndefined(before.flight, "law 6: at most one flight")
    const [command, next] = Flight.step(rules, state, flight.landing, { _tag: "Started" }, now)
    to(next)
    pending.push({ landing: flight.landing, command })
  }

  const answered = (answer: Question.Answer, before: SessionState.State) => {
    if (answer._tag === "Serve") {
      assert.isFalse(signedOut, "law 30: nothing is served after a log out")
      const held = before.held
      assert.isTrue(held !== undefined && Option.contains(held.tokens.accessToken, answer.token))
      const age = held === undefined ? 0 : Moment.monotonicAge(held.arrived, now)
      assert.isBelow(age, lifetime, "a token past its end by the clock that cannot jump is never served")
    }
    if (answer._tag === "Wait") assert.isTrue(answer.millis > 0 && answer.millis <= 3000)
    if ("launch" in answer) launch(answer.launch, before)
  }

  const event = (command: Command, outcome: Outcome): Event => {
    switch (command._tag) {
      case "Load":
        return outcome === "failed"
          ? { _tag: "LoadFailed", failure: unlocked }
          : { _tag: "Loaded", record: Option.none(), at: now }
      case "ReadCredentials":
        return { _tag: "CredentialsRead", credentials: Option.some(user), enough: outcome !== "older" }
      case "Refresh": {
        const token = Option.match(command.tokens.refreshToken, { onNone: () => "none", onSome: value })
        presented.set(token, (presented.get(token) ?? 0) + 1)
        assert.isFalse(dead.has(token), "law 14: a refused refresh token is never sent again")
        if (outcome === "refused") {
          dead.add(token)
          return { _tag: "RefreshFailed", failure: failure.refused }
        }
        if (outcome === "rotated")
          return { _tag: "Refreshed", tokens: Token.make({ refreshToken: secret(`test-refresh-${++count}`) }) }
        return outcome === "unspent" || outcome === "unknown" || outcome === "malformed" || outcome === "misconfigured"
          ? { _tag: "RefreshFailed", failure: failure[outcome] }
          : { _tag: "Refreshed", tokens: obtain() }
      }
      case "Login":
        if (outcome === "refused")
          return { _tag: "LoginFailed", failure: failure.credentials, credentials: command.credentials }
        return outcome === "unspent" || outcome === "unknown" || outcome === "misconfigured"
          ? { _tag: "LoginFailed", failure: failure[outcome], credentials: command.credentials }
          : { _tag: "LoggedIn", tokens: obtain() }
      case "Save":
        return {
          _tag: "Saved",
          held: command.held,
          result: outcome === "older" || outcome === "failed" ? outcome : "saved",
          at: now
        }
      case "Lock":
        return outcome === "failed"
          ? { _tag: "LockFailed", failure: unlocked, taken: false }
          : outcome === "unspent"
            ? { _tag: "LockFailed", failure: unlocked, taken: true }
            : { _tag: "Locked", record: Option.none(), mine: outcome !== "older", at: now }
      case "Amend":
        return { _tag: "Amended", result: outcome === "older" || outcome === "failed" ? outcome : "saved", at: now }
      case "Revoke":
        return { _tag: "Revoked" }
      case "Land":
        throw new Error("a flight that landed does nothing more")
    }
  }

  for (const action of story) {
    const before = state
    switch (action._tag) {
      case "Ask": {
        const question = action.cause === "use" ? Question.anyToken : Question.newer(state)[0]
        const ask = { ...question, deadline: now.nanos + 3_000_000_000n }
        const [answer, next] = Question.ask(rules, state, ask, now, landing())
        to(next)
        answered(answer, before)
        break
      }
      case "Reject": {
        if (state.held === undefined || Option.isNone(state.held.tokens.accessToken)) break
        const [question, noted] = Question.reject(state, state.held.tokens.accessToken.value, action.retried, now)
        const [answer, next] = Question.ask(rules, noted, { ...question, deadline: now.nanos }, now, landing())
        to(next)
        answered(answer, before)
        break
      }
      case "Renew": {
        const [flight, next] = Question.renew(rules, state, now, landing())
        to(next)
        launch(flight, before)
        break
      }
      case "Login": {
        const [answer, next] = SignIn.login(state, Option.some(user), now, landing())
        if (next !== state) signedOut = false // a log in under way
        to(next)
        answered(answer, { ...before, flight: undefined })
        break
      }
      case "Adopt": {
        const [flight, next] = SignIn.adopt(state, obtain(), landing())
        signedOut = false
        to(next)
        launch(flight, before)
        break
      }
      case "Logout":
        to(SignIn.logout(state))
        signedOut = true
        break
      case "Step": {
        const one = pending.shift()
        if (one === undefined) break
        if (one.command._tag === "Land") break
        const [command, next] = Flight.step(rules, state, one.landing, event(one.command, action.outcome), now)
        to(next)
        if (command._tag === "Land")
          assert.notStrictEqual(state.flight?.landing, one.landing, "a landed flight is over")
        else pending.push({ landing: one.landing, command })
        break
      }
      case "Pass":
        now = {
          ...now,
          millis: now.millis + action.millis + action.jump,
          nanos: now.nanos + BigInt(action.millis) * 1_000_000n
        }
        break
    }
    const delay = SessionState.renewalDelay(rules, state, now)
    if (delay !== undefined) {
      assert.isTrue(Number.isFinite(delay) && delay >= 0, "never negative")
      const { block, held } = state
      if (held !== undefined && block === undefined && state.hasty.length === 0) {
        assert.isAtMost(delay, Math.ceil(Math.max(0, lifetime - Moment.age(held.arrived, now))), "never past expiry")
      }
    }
    const status = Status.make(rules, state, now)
    assert.isTrue(status.state !== "signed-in" || state.held !== undefined)
  }
  return { state, presented, now, rules }
}

const stories = FastCheck.array(actions, { maxLength: 120 })
const lifetimes = FastCheck.constantFrom(1000, 2000, 60_000, 300_000, 86_400_000, 7_776_000_000)
const leeways = FastCheck.constantFrom(0, 1000, 300_000, 1e10)
const rotations = FastCheck.constantFrom("none" as const, "single-use" as const)

it.prop(
  "no story breaks the session (laws 3, 6, 14, 19, 30)",
  { stories, lifetimes, leeways, rotations },
  (given) => {
    play(given.stories, given.rotations, given.lifetimes, given.leeways)
  },
  { fastCheck: { numRuns: 2000 } }
)

it.prop(
  "laws 11 and 29: renewal is never a loop: what it starts, it starts at most as often as its policy says",
  {
    lifetime: lifetimes,
    leeway: leeways,
    jumps: FastCheck.array(FastCheck.constantFrom(0, 0, 0, 3_600_000, -3_600_000), { minLength: 60, maxLength: 60 })
  },
  ({ jumps, leeway, lifetime }) => {
    // A minute, looked at each second, of a session that renews whenever it says that it is due.
    const rules: SessionState.Rules = {
      provider: { name: "scripted", rotation: "none", reuseWindow: undefined },
      leeway: Duration.millis(leeway)
    }
    const landing = () => new Landing({ provider: rules.provider, label: undefined })
    let now: SessionState.Now = { millis: 1e12, nanos: 0n, random: 0.5 }
    const set = Token.make({
      accessToken: secret("test"),
      lifetime: Duration.millis(lifetime),
      refreshToken: secret("test-r")
    })
    let state = SessionState.starting(set, now)
    let renewals = 0
    for (const jump of jumps) {
      for (let again = 0; again < 3; again++) {
        const [flight, next] = Question.renew(rules, state, now, landing())
        if (flight === undefined) break
        renewals++
        const fresh = { ...next, flight: undefined, loaded: true }
        state = {
          ...fresh,
          held: { ...SessionState.starting(set, now).held, generation: renewals } as typeof state.held
        }
      }
      now = { ...now, millis: now.millis + 1000 + jump, nanos: now.nanos + 1_000_000_000n }
    }
    const honest = Math.ceil(60_000 / (lifetime * 0.78))
    assert.isAtMost(renewals, honest + 6)
  }
)
