import { Data, Effect } from "effect"
import type { Api } from "./Api.js"
import { violet } from "./violet.js"

const apis: ReadonlyArray<Api> = [violet]

export class UnknownApi extends Data.TaggedError("UnknownApi")<{ readonly asked: string }> {
  override get message(): string {
    return `there is no demo called "${this.asked}"; there is: ${apis.map(({ name }) => name).join(", ")}`
  }
}

/** The API that the arguments ask for; the first without any. */
export const fromArguments = (args: ReadonlyArray<string>): Effect.Effect<Api, UnknownApi> => {
  const found = args.length > 1 ? undefined : apis.find(({ name }) => name === (args[0] ?? violet.name))
  return found === undefined ? new UnknownApi({ asked: args.join(" ") }) : Effect.succeed(found)
}
