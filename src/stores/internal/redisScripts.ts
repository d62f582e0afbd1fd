import * as Schema from "effect/Schema"

/** Versions are compared as numbers: Lua's are doubles, exact for every safe integer. What is malformed is left alone. */
const read = `
local found = redis.call('HMGET', KEYS[1], 'generation', 'revision', 'saved_at', 'contents')
local empty = redis.call('EXISTS', KEYS[1]) == 0
for i = 1, empty and 0 or 4 do
  local sound = found[i] and (i == 4 or string.find(found[i], '^%d+$') and tonumber(found[i]) <= 9007199254740991)
  if not sound then return redis.error_reply('MALFORMED entry') end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** Answers version, contents and age in milliseconds, or nothing. */
export const load = `${read}
if empty then return false end
return { found[1], found[2], found[4], now - found[3] }
`

/** What `load` answers. */
export const decodeFound = Schema.decodeUnknownOption(
  Schema.NullOr(Schema.Tuple(Schema.NumberFromString, Schema.NumberFromString, Schema.String, Schema.Number))
)

/** Answers 1 if the version is newer. */
export const save = `${read}
if not empty then
  local generation = tonumber(ARGV[1]) - tonumber(found[1])
  local revision = tonumber(ARGV[2]) - tonumber(found[2])
  if generation < 0 or generation == 0 and revision <= 0 then return 0 end
end
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'revision', ARGV[2], 'contents', ARGV[3],
  'saved_at', string.format('%.0f', now))
return 1
`

/** Answers 1 if the owner has it now. */
export const lease = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`

/** Only the owner gives it back. */
export const release = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
`

/** What the server says, by its documented code alone. */
const answers: Readonly<Record<string, string>> = {
  NOAUTH: "it asks for a password",
  WRONGPASS: "it refuses the user name or the password",
  NOPERM: "the user may not run this script on this key",
  READONLY: "it is a replica, and read-only",
  OOM: "its memory is full",
  MISCONF: "it cannot write its snapshots to disk",
  LOADING: "it is loading its data",
  BUSY: "it is busy with a script that does not end",
  CLUSTERDOWN: "the cluster is down",
  MASTERDOWN: "it has lost its master",
  NOREPLICAS: "it has too few replicas"
}

const documented = new RegExp(`\\b(${Object.keys(answers).join("|")}|WRONGTYPE|MALFORMED)\\b`)

export const foreign = (name: string) =>
  `what the key ${name} holds is nothing of this library (nothing was changed; remove it by hand to start anew)`

/** What an error of the server comes down to, by its code alone. */
export const problemOf = (message: string, name: string): string => {
  // Servers before 7 wrap the error of a script in one of their own.
  const code = documented.exec(message)?.[0] ?? "ERR"
  return code === "WRONGTYPE" || code === "MALFORMED"
    ? foreign(name)
    : `${answers[code] ?? "it refuses the command"} (${code})`
}
