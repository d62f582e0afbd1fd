/** What the driver and its processes tell each other. */
import { Schema } from "effect"

/**
 * The places on a flight's way, in order: it has the exclusive section, writes down its intent, sends the request, which
 * is under way, has the answer, saves it. `tearing` is half a file, and `writing` a whole one that is not yet in force;
 * where the store is a server, `tearing` is never reached and `writing` means that the statement is on its way.
 */
export const points = [
  "leased",
  "intending",
  "intended",
  "sending",
  "sent",
  "answered",
  "saving",
  "tearing",
  "writing",
  "saved",
  "released"
] as const
export const Point = Schema.Literal(...points)
export type Point = typeof Point.Type

/** A signal that a process sends to itself, at the n-th time that it comes to a point. */
export const Ambush = Schema.Struct({
  point: Point,
  signal: Schema.Literal("SIGKILL", "SIGSTOP"),
  nth: Schema.Number
})
export type Ambush = typeof Ambush.Type

/** Where the processes' store is. */
export const Place = Schema.Struct({ kind: Schema.Literal("file", "postgres", "redis"), address: Schema.String })
export type Place = typeof Place.Type

export const Settings = Schema.Struct({
  name: Schema.String,
  place: Place,
  baseUrl: Schema.String,
  renewal: Schema.Literal("background", "on-use"),
  client: Schema.Literal("undici", "fetch"),
  /** How many hours its wall clock is wrong. */
  hours: Schema.Number,
  /** Whether it can log in. */
  credentials: Schema.Boolean,
  /** A refresh token to start from. */
  seed: Schema.optional(Schema.String),
  /** How long the server forgives a second use of a refresh token, in seconds. */
  reuseWindow: Schema.optional(Schema.Number),
  /** How many calls it makes before it ends by itself. */
  calls: Schema.optional(Schema.Number),
  /** How often it tries one call before it gives it up. */
  attempts: Schema.optional(Schema.Number),
  ambush: Schema.optional(Ambush)
})
export type Settings = typeof Settings.Type
export const SettingsText = Schema.parseJson(Settings)

export const Line = Schema.Union(
  /** A call had its answer, at the n-th attempt; `generation` is that of the session then. */
  Schema.TaggedStruct("Called", { attempts: Schema.Number, millis: Schema.Number, generation: Schema.Number }),
  /** An attempt failed, after this time. */
  Schema.TaggedStruct("Failed", { problem: Schema.String, millis: Schema.Number }),
  Schema.TaggedStruct("Logged", { text: Schema.String }),
  /** `login` is only told at `sending`. */
  Schema.TaggedStruct("Reached", { point: Point, login: Schema.Boolean }),
  Schema.TaggedStruct("Ambushed", { point: Point }),
  /** The last call is made, and the session has closed. */
  Schema.TaggedStruct("Ended", {})
)
export type Line = typeof Line.Type
export const LineText = Schema.parseJson(Line)
