/** What the sandbox's process tells the demo, one line of JSON for each event. */
import { Schema } from "effect"
import { Report } from "../src/testing/internal/sandboxLog.js"

export const Event = Schema.Union(
  Schema.TaggedStruct("Listening", { url: Schema.String }),
  Schema.TaggedStruct("Revoked", {}),
  /** How many requests were answered 401 within a second of a revocation. */
  Schema.TaggedStruct("Noticed", { rejections: Schema.Number }),
  Schema.TaggedStruct("AnswerLost", {}),
  Schema.TaggedStruct("OutageBegan", { seconds: Schema.Number }),
  Schema.TaggedStruct("OutageEnded", {}),
  Schema.TaggedStruct("ScriptEnded", {}),
  Schema.TaggedStruct("Counted", { report: Report, complaints: Schema.Array(Schema.String) })
)
export type Event = typeof Event.Type
export type Counted = Extract<Event, { readonly _tag: "Counted" }>

export const Line = Schema.parseJson(Event)
