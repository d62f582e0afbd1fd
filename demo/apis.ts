import { type Array, Data, Effect } from "effect"
import type { Api } from "./Api.js"
import { freddy } from "./freddy.js"
import { oauth2 } from "./oauth2.js"
import { teletracker } from "./teletracker.js"
import { violet } from "./violet.js"

const apis: Array.NonEmptyReadonlyArray<Api> = [violet, teletracker, freddy, oauth2]

export class UnknownApi extends Data.TaggedError("UnknownApi")<{ readonly asked: string }> {
  override get message(): string {
    return `there is no demo "${this.asked}"; there are: ${apis.map(({ name }) => name).join(", ")}, all`
  }
}

/** Returns the APIs that the arguments name. Without arguments it is the first one. */
export const fromArguments = (
  args: ReadonlyArray<string>
): Effect.Effect<Array.NonEmptyReadonlyArray<Api>, UnknownApi> => {
  const [asked = violet.name] = args
  if (args.length < 2 && asked === "all") return Effect.succeed(apis)
  const found = args.length > 1 ? undefined : apis.find(({ name }) => name === asked)
  return found === undefined ? new UnknownApi({ asked: args.join(" ") }) : Effect.succeed([found])
}
