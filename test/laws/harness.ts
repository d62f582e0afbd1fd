import { Duration, Option } from "effect"
import { StoreFailure } from "../../src/common/AuthError.js"
import * as Token from "../../src/token/Token.js"
import { secret } from "../support/harness.js"

/** A signed-in set as another process would have left it. */
export const set = (name: string, lifetime: Duration.DurationInput = "5 minutes") =>
  Token.make({ accessToken: secret(`test-${name}`), refreshToken: secret(`test-r-${name}`), lifetime })

/** A record as another process would have left it. */
export const rec = (generation: number, tokens?: Token.TokenSet, age: Duration.DurationInput = 0) => ({
  generation,
  tokens: Option.fromNullable(tokens),
  age: Duration.toMillis(age),
  refreshAge: Duration.toMillis(age)
})

export const unsaved = new StoreFailure({ operation: "save", problem: "x" })
