import { assert, it } from "@effect/vitest"
import { Duration, FastCheck, Option } from "effect"
import { StoreFailure } from "../../../src/common/AuthError.js"
import * as Moment from "../../../src/common/Moment.js"
import * as Decision from "../../../src/session/machine/decision.js"
import * as Flight from "../../../src/session/machine/flight.js"
import * as Gate from "../../../src/session/machine/gate.js"
import * as SignIn from "../../../src/session/machine/signIn.js"
import * as Snapshot from "../../../src/session/machine/snapshot.js"
import * as State from "../../../src/session/machine/state.js"
import * as Token from "../../../src/token/Token.js"
import { failure, secret, user, value } from "../../support/harness.js"

const unavailable = new StoreFailure({ operation: "lease", problem: "unreachable" })

type Outcome =
  | "ok"
  | "rotated"
  | "refused"
  | "unspent"
  | "unknown"
  | "malformed"
  | "misconfigured"
  | "conflict"
  | "failed"
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
  "conflict",
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

/** Plays a history to the state machine, and holds it to what must be true at every moment of every history. */
const play = (history: ReadonlyArray<Action>, rotation: "none" | "single-use", lifetime: number, leeway: number) => {
  const rules: State.Rules = {
    provider: { name: "scripted", rotation, reuseWindow: undefined },
    leeway: Duration.millis(leeway)
  }
  let now: State.Now = { millis: 1e12, nanos: 0n, random: 0.5 }
  let state = State.initial(undefined, now)
  let count = 0
  let signedOut = false
  const pending: Array<{ readonly id: State.FlightId; command: State.Command }> = []
  const presented = new Map<string, number>()
  const dead = new Set<string>()
  const newId = (): State.FlightId => ({ _tag: "FlightId" })

  const obtain = (): Token.TokenSet =>
    Token.make({
      accessToken: secret(`test-${++count}`),
      lifetime: Duration.millis(lifetime),
      refreshToken: rotation === "none" && count > 1 ? undefined : secret(`test-refresh-${count}`)
    })

  const to = (next: State.State) => {
    assert.isAtLeast(next.generation, state.generation, "a generation never goes back")
    state = next
  }

  const start = (flight: State.Flight | undefined, before: State.State) => {
    if (flight === undefined) return
    if (flight.goal === "obtain") assert.isUndefined(before.flight, "law 6: at most one flight")
    const [command, next] = Flight.advance(rules, state, flight.id, { _tag: "Started" }, now)
    to(next)
    pending.push({ id: flight.id, command })
  }

  const decided = (decision: Decision.Decision, before: State.State) => {
    if (decision._tag === "Serve") {
      assert.isFalse(signedOut, "law 30: nothing is served after a logout")
      const { current } = before
      assert.isTrue(current !== undefined && Option.contains(current.tokens.accessToken, decision.token))
      const age = current === undefined ? 0 : Moment.monotonicAge(current.receivedAt, now)
      assert.isBelow(age, lifetime, "a token past its end by the monotonic clock is never served")
    }
    if (decision._tag === "Wait") assert.isTrue(decision.millis > 0 && decision.millis <= 3000)
    if ("claimed" in decision) start(decision.claimed, before)
  }

  const event = (command: State.Command, outcome: Outcome): State.Event => {
    switch (command._tag) {
      case "Load":
        return outcome === "failed"
          ? { _tag: "LoadFailed", failure: unavailable }
          : { _tag: "Loaded", record: Option.none(), at: now }
      case "ReadCredentials":
        return { _tag: "CredentialsRead", credentials: Option.some(user), sufficient: outcome !== "conflict" }
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
          tokens: command.tokens,
          result: outcome === "conflict" || outcome === "failed" ? outcome : "saved",
          at: now
        }
      case "AcquireLease":
        return outcome === "failed"
          ? { _tag: "LeaseFailed", failure: unavailable, busy: false }
          : outcome === "unspent"
            ? { _tag: "LeaseFailed", failure: unavailable, busy: true }
            : { _tag: "LeaseAwaited", record: Option.none(), acquired: outcome !== "conflict", at: now }
      case "RecordRefreshState":
        return {
          _tag: "RefreshStateRecorded",
          result: outcome === "conflict" || outcome === "failed" ? outcome : "saved",
          at: now
        }
      case "Revoke":
        return { _tag: "Revoked" }
      case "Complete":
        throw new Error("a flight that is complete does nothing more")
    }
  }

  for (const action of history) {
    const before = state
    switch (action._tag) {
      case "Ask": {
        const demand = action.cause === "use" ? Decision.anyToken : Decision.newer(state)[0]
        const timed = { ...demand, deadline: now.nanos + 3_000_000_000n }
        const [decision, next] = Decision.decide(rules, state, timed, now, newId())
        to(next)
        decided(decision, before)
        break
      }
      case "Reject": {
        if (state.current === undefined || Option.isNone(state.current.tokens.accessToken)) break
        const [demand, noted] = Decision.reject(state, state.current.tokens.accessToken.value, action.retried, now)
        const [decision, next] = Decision.decide(rules, noted, { ...demand, deadline: now.nanos }, now, newId())
        to(next)
        decided(decision, before)
        break
      }
      case "Renew": {
        const [flight, next] = Decision.renew(rules, state, now, newId())
        to(next)
        start(flight, before)
        break
      }
      case "Login": {
        const [decision, next] = SignIn.login(state, Option.some(user), now, newId())
        if (next !== state) signedOut = false // a login under way
        to(next)
        decided(decision, { ...before, flight: undefined })
        break
      }
      case "Adopt": {
        const [flight, next] = SignIn.adopt(state, obtain(), newId())
        signedOut = false
        to(next)
        start(flight, before)
        break
      }
      case "Logout":
        to(SignIn.logout(state))
        signedOut = true
        break
      case "Step": {
        const one = pending.shift()
        if (one === undefined) break
        if (one.command._tag === "Complete") break
        const [command, next] = Flight.advance(rules, state, one.id, event(one.command, action.outcome), now)
        to(next)
        if (command._tag === "Complete")
          assert.notStrictEqual(state.flight?.id, one.id, "a complete flight is under way no more")
        else pending.push({ id: one.id, command })
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
    const delay = Gate.renewalDelay(rules, state, now)
    if (delay !== undefined) {
      assert.isTrue(Number.isFinite(delay) && delay >= 0, "never negative")
      const { current, gate } = state
      if (current !== undefined && gate === undefined && state.earlyRefreshes.length === 0) {
        assert.isAtMost(
          delay,
          Math.ceil(Math.max(0, lifetime - Moment.age(current.receivedAt, now))),
          "never past expiry"
        )
      }
    }
    const status = Snapshot.status(rules, state, now)
    assert.isTrue(status.state !== "signed-in" || state.current !== undefined)
  }
  return { state, presented, now, rules }
}

const histories = FastCheck.array(actions, { maxLength: 120 })
const lifetimes = FastCheck.constantFrom(1000, 2000, 60_000, 300_000, 86_400_000, 7_776_000_000)
const leeways = FastCheck.constantFrom(0, 1000, 300_000, 1e10)
const rotations = FastCheck.constantFrom("none" as const, "single-use" as const)

it.prop(
  "no hihistory breaks the session (laws 3, 6, 14, 19, 30)",
  { histories, lifetimes, leeways, rotations },
  (given) => {
    play(given.histories, given.rotations, given.lifetimes, given.leeways)
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
    const rules: State.Rules = {
      provider: { name: "scripted", rotation: "none", reuseWindow: undefined },
      leeway: Duration.millis(leeway)
    }
    const newId = (): State.FlightId => ({ _tag: "FlightId" })
    let now: State.Now = { millis: 1e12, nanos: 0n, random: 0.5 }
    const set = Token.make({
      accessToken: secret("test"),
      lifetime: Duration.millis(lifetime),
      refreshToken: secret("test-r")
    })
    let state = State.initial(set, now)
    let renewals = 0
    for (const jump of jumps) {
      for (let again = 0; again < 3; again++) {
        const [flight, next] = Decision.renew(rules, state, now, newId())
        if (flight === undefined) break
        renewals++
        const fresh = { ...next, flight: undefined, loaded: true }
        state = {
          ...fresh,
          current: { ...State.initial(set, now).current, generation: renewals } as typeof state.current
        }
      }
      now = { ...now, millis: now.millis + 1000 + jump, nanos: now.nanos + 1_000_000_000n }
    }
    const honest = Math.ceil(60_000 / (lifetime * 0.78))
    assert.isAtMost(renewals, honest + 6)
  }
)
