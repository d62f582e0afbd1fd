/** The messages between the driver and its processes. */
import { Schema } from "effect"

/**
 * The points of a flight, in order: it has the lease, records its intent, sends the request, has the response, saves
 * it, releases the lease. At `tearing` half of a file is written; at `writing` all of it is, but it is not in force
 * yet. If the store is a server, `tearing` is never reached, and at `writing` the statement is on its way.
 */
export const points = [
  "leased",
  "intending",
  "intended",
  "sending",
  "sent",
  "received",
  "saving",
  "tearing",
  "writing",
  "saved",
  "released"
] as const
export const Point = Schema.Literal(...points)
export type Point = typeof Point.Type

/** A signal that a process sends to itself when it reaches a point for the nth time. */
export const Failpoint = Schema.Struct({
  point: Point,
  signal: Schema.Literal("SIGKILL", "SIGSTOP"),
  nth: Schema.Number
})
export type Failpoint = typeof Failpoint.Type

/** The location of the store that the processes share. */
export const StoreLocation = Schema.Struct({
  kind: Schema.Literal("file", "postgres", "redis"),
  address: Schema.String
})
export type StoreLocation = typeof StoreLocation.Type

export const Settings = Schema.Struct({
  /** The name of the process. */
  name: Schema.String,
  location: StoreLocation,
  baseUrl: Schema.String,
  renewal: Schema.Literal("background", "on-use"),
  client: Schema.Literal("undici", "fetch"),
  /** How many hours its wall clock is ahead; it may be negative. */
  hours: Schema.Number,
  /** Whether it has credentials to log in with. */
  credentials: Schema.Boolean,
  /** A refresh token to start from. */
  seed: Schema.optional(Schema.String),
  /** How long the server accepts a second use of a refresh token, in seconds. */
  reuseWindow: Schema.optional(Schema.Number),
  /** How many calls it makes before it ends by itself. Default: any number. */
  calls: Schema.optional(Schema.Number),
  /** How often it tries one call. Default: until the call succeeds. */
  attempts: Schema.optional(Schema.Number),
  failpoint: Schema.optional(Failpoint)
})
export type Settings = typeof Settings.Type
export const SettingsText = Schema.parseJson(Settings)

export const Line = Schema.Union(
  /** A call succeeded after this many attempts. `generation` is that of the session then. */
  Schema.TaggedStruct("Called", { attempts: Schema.Number, millis: Schema.Number, generation: Schema.Number }),
  /** An attempt of a call failed after this time. */
  Schema.TaggedStruct("Failed", { problem: Schema.String, millis: Schema.Number }),
  Schema.TaggedStruct("Logged", { text: Schema.String }),
  /** A flight reached a point. `login` is meaningful at `sending` only. */
  Schema.TaggedStruct("Reached", { point: Point, login: Schema.Boolean }),
  /** A failpoint was hit; its signal follows. */
  Schema.TaggedStruct("FailpointHit", { point: Point }),
  /** The last call has ended, and the session has closed. */
  Schema.TaggedStruct("Ended", {})
)
export type Line = typeof Line.Type
export const LineText = Schema.parseJson(Line)
