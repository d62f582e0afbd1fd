import { Effect } from "effect"
import { contenders } from "../renewal.js"

const [name = "", sessions = "0", seconds = "0"] = process.argv.slice(2)
const contender = contenders[name] ?? (() => Effect.dieMessage(`there is no "${name}"`))
console.log(JSON.stringify(await Effect.runPromise(contender(Number(sessions), Number(seconds)))))
process.exit(0)
