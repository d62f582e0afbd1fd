import { Effect } from "effect"
import { contenders } from "../sessions.js"

const [name = "", sessions = "0", idle = "0"] = process.argv.slice(2)
const contender = contenders[name] ?? (() => Effect.dieMessage(`there is no "${name}"`))
console.log(JSON.stringify(await Effect.runPromise(contender(Number(sessions), Number(idle)))))
process.exit(0)
