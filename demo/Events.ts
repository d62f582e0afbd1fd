/** The events that the process of the sandbox reports to the demo, as one line of JSON each. */
import { Schema } from "effect"
import { Report } from "../src/testing/internal/sandboxLog.js"

export const Event = Schema.Union(
  Schema.TaggedStruct("Listening", { url: Schema.String }),
  Schema.TaggedStruct("Revoked", {}),
  /** The number of requests with a response of 401 within a second of a revocation. */
  Schema.TaggedStruct("Noticed", { rejections: Schema.Number }),
  Schema.TaggedStruct("ResponseLost", {}),
  Schema.TaggedStruct("OutageBegan", { seconds: Schema.Number }),
  Schema.TaggedStruct("OutageEnded", {}),
  Schema.TaggedStruct("ScriptEnded", {}),
  Schema.TaggedStruct("Counted", { report: Report, complaints: Schema.Array(Schema.String) })
)
export type Event = typeof Event.Type
export type Counted = Extract<Event, { readonly _tag: "Counted" }>

export const Line = Schema.parseJson(Event)
